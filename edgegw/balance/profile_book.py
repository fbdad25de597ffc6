"""What the cloud has set on one charger: the store behind its SetChargingProfile, Clear, Get and composite.

TO BE WRITTEN: this is the contract.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from edgegw.balance.profiles import Profile


class Refusal(msgspec.Struct, frozen=True):
    """Why a profile is not taken. `status` and 2.x `reason` (statusInfo.reasonCode) go to the cloud."""

    status: str
    reason: str
    text: str


class ProfileBook:
    """Immutable in use: `set` and `clear` return a new book, so that the old one can come back."""

    def __init__(self, profiles: Iterable[Profile] = ()) -> None:
        self.profiles: tuple[Profile, ...] = tuple(profiles)


def parse_profile(
    payload: dict[str, Any], *, is_2x: bool, connector: int, received_at: float
) -> Profile | Refusal:
    raise NotImplementedError
