"""What the cloud has set on one charger: the store behind its SetChargingProfile, Clear, Get and composite.

Rules of this file:
- A book never changes: `set`, `clear`, `transaction_ended` and `update_dynamic` return a new one, so the old
  one can come back when the charger refuses.
- Which profile may stand beside which is decided here (OCPP 1.6 3.13.2, 5.16; 2.x K01); what one profile
  must look like on its own is in `balance.profile_parsing` and `profile_rules`, what the set comes to is in
  `balance.composite`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from edgegw.balance.profile_criteria import Criteria, clear_criteria, get_criteria
from edgegw.balance.profile_fields import Refusal
from edgegw.balance.profile_parsing import parse_profile, updated
from edgegw.balance.profiles import Kind, Profile, Purpose

__all__ = [
    "PROFILES_MAX",
    "Criteria",
    "ProfileBook",
    "Refusal",
    "clear_criteria",
    "for_transaction",
    "get_criteria",
    "parse_profile",
]

# Of one charger. Chargers in the field hold 10 to 50 (1.6 MaxChargingProfilesInstalled).
PROFILES_MAX = 64

INFINITE = float("inf")
# What a ClearChargingProfile never clears (K10.FR.04, K10.FR.09).
_NOT_CLEARED = (Purpose.EXTERNAL, Purpose.LOCAL_GENERATION)
_WHOLE_CHARGER = (Purpose.MAX, Purpose.EXTERNAL)
_decode = msgspec.json.Decoder(tuple[Profile, ...]).decode
_encode = msgspec.json.Encoder().encode


def for_transaction(profile: Profile, connector: int, transaction: str) -> Profile:
    """A TxProfile that came with a remote start, bound to the transaction that has begun; then `set` it."""
    return msgspec.structs.replace(profile, connector=connector, transaction=transaction)


class Ranking(msgspec.Struct, frozen=True):
    """The profiles by purpose, who decides first: the highest stackLevel."""

    maximum: tuple[Profile, ...]
    external: tuple[Profile, ...]
    priority: tuple[Profile, ...]
    tx: tuple[Profile, ...]
    tx_default: tuple[Profile, ...]
    generation: tuple[Profile, ...]

    PURPOSES: ClassVar[tuple[Purpose, ...]] = (
        Purpose.MAX,
        Purpose.EXTERNAL,
        Purpose.PRIORITY,
        Purpose.TX,
        Purpose.TX_DEFAULT,
        Purpose.LOCAL_GENERATION,
    )


class ProfileBook:
    """The profiles of one charger. Immutable."""

    __slots__ = ("profiles", "ranking")

    def __init__(self, profiles: Iterable[Profile] = ()) -> None:
        self.profiles: tuple[Profile, ...] = tuple(profiles)
        self.ranking = Ranking(*(self._ranked(purpose) for purpose in Ranking.PURPOSES))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProfileBook) and self.profiles == other.profiles

    __hash__ = None  # type: ignore[assignment]  # profiles hold their JSON

    def set(self, profile: Profile, *, is_2x: bool, running: Mapping[int, str]) -> ProfileBook | Refusal:
        """With `profile`, which replaces what the version says it does.

        `running`: connector -> id of its transaction as the charger knows it. A TxProfile of 1.6 without
        transactionId becomes one of the running transaction.
        """
        if profile.purpose is Purpose.TX:
            bound = _bound(profile, running)
            if isinstance(bound, Refusal):
                return bound
            profile = bound
        refusal = self._conflict_2x(profile) if is_2x else None
        if refusal is not None:
            return refusal
        kept = tuple(old for old in self.profiles if not _replaces(profile, old, is_2x=is_2x))
        if len(kept) >= PROFILES_MAX:
            return Refusal(
                "Rejected", "OutOfStorage", f"{PROFILES_MAX} profiles are installed, the most there may be"
            )
        return ProfileBook((*kept, profile))

    def clear(self, criteria: Criteria) -> tuple[ProfileBook, int]:
        """Without what `criteria` mean, and how many that were; 0 is status Unknown. External constraints and
        LocalGeneration stay (K10.FR.04)."""
        kept = [
            profile
            for profile in self.profiles
            if profile.purpose in _NOT_CLEARED or not criteria.match(profile)
        ]
        cleared = len(self.profiles) - len(kept)
        return (ProfileBook(kept) if cleared else self), cleared

    def find(self, criteria: Criteria) -> list[Profile]:
        """For GetChargingProfiles: what is reported of each is its `raw`, its `connector` and its
        `source`."""
        return [profile for profile in self.profiles if criteria.match(profile)]

    def transaction_ended(self, transaction: str) -> ProfileBook:
        """Without the TxProfiles of it (K02.FR.05); the same book when there are none."""
        return self._keeping(
            profile
            for profile in self.profiles
            if profile.purpose is not Purpose.TX or profile.transaction != transaction
        )

    def only_transactions(self, transactions: Iterable[str]) -> ProfileBook:
        """Without the TxProfiles of any other transaction: after a restart, when ends may have been
        missed."""
        known = frozenset(transactions)
        return self._keeping(
            profile
            for profile in self.profiles
            if profile.purpose is not Purpose.TX or profile.transaction in known
        )

    def cloud_returned(self, offline_since: float, at: float) -> ProfileBook:
        """K01.FR.102: what was invalid while the cloud was away is valid again, unless it has
        invalidAfterOfflineDuration. Wall times; the same book when nothing lapsed."""
        lapsed = [profile for profile in self.profiles if _lapses(profile, at - offline_since)]
        if not lapsed:
            return self
        return ProfileBook(
            msgspec.structs.replace(profile, lapsed=True) if profile in lapsed else profile
            for profile in self.profiles
        )

    def update_dynamic(
        self, profile_id: int, update: Mapping[str, Any], *, at: float
    ) -> ProfileBook | Refusal:
        """2.1 UpdateDynamicSchedule, or the answer to PullDynamicScheduleUpdate: `update` is scheduleUpdate,
        `at` the wall time it came (K28.FR.06, K28.FR.09)."""
        old = next((profile for profile in self.profiles if profile.id == profile_id), None)
        if old is None or old.kind is not Kind.DYNAMIC:
            return Refusal(
                "Rejected", "InvalidProfile", f"there is no Dynamic profile {profile_id} (K28.FR.11)"
            )
        new = updated(old, update, at)
        if isinstance(new, Refusal):
            return new
        return ProfileBook(new if profile is old else profile for profile in self.profiles)

    def to_json(self) -> bytes:
        """For the store."""
        return _encode(self.profiles)

    @classmethod
    def from_json(cls, text: bytes) -> ProfileBook:
        """msgspec.DecodeError (a ValueError; ValidationError is one too) when it is not from `to_json`."""
        return cls(_decode(text))

    def _ranked(self, purpose: Purpose) -> tuple[Profile, ...]:
        ranked = [profile for profile in self.profiles if profile.purpose is purpose]
        # Of one stackLevel, one for the connector goes before one for the whole charger (1.6 3.13.1).
        ranked.sort(key=lambda profile: (-profile.stack_level, profile.connector == 0))
        return tuple(ranked)

    def _keeping(self, profiles: Iterable[Profile]) -> ProfileBook:
        kept = tuple(profiles)
        return self if len(kept) == len(self.profiles) else ProfileBook(kept)

    def _conflict_2x(self, profile: Profile) -> Refusal | None:
        for old in self.profiles:
            if old.id == profile.id:
                if old.purpose is Purpose.EXTERNAL:
                    return Refusal(
                        "Rejected", "InvalidProfileId", f"{old.id} is an external constraint (K01.FR.05)"
                    )
            elif _duplicates(profile, old):
                text = f"profile {old.id} has stackLevel {old.stack_level} (K01.FR.06, 39, 52, 53)"
                return Refusal("Rejected", "DuplicateProfile", text)
            elif _phases_conflict(profile, old):
                text = f"profile {old.id} asks for another phaseToUse (2.x K 3.8)"
                return Refusal("Rejected", "InvalidSchedule", text)
        return None


def _bound(profile: Profile, running: Mapping[int, str]) -> Profile | Refusal:
    """A TxProfile with its transaction; a Refusal when that does not run on its connector."""
    transaction = running.get(profile.connector, "")
    if not transaction:
        text = f"no transaction runs on {profile.connector} (1.6 3.13.1, K01.FR.09)"
        return Refusal("Rejected", "TxNotFound", text)
    if profile.transaction not in ("", transaction):
        text = f"transaction {profile.transaction} does not run on {profile.connector} (K01.FR.33)"
        return Refusal("Rejected", "TxNotFound", text)
    return msgspec.structs.replace(profile, transaction=transaction)


def _replaces(new: Profile, old: Profile, *, is_2x: bool) -> bool:
    """1.6 5.16.3, 5.16.4: the same id, or the same stackLevel and purpose there; 2.x K01.FR.05: the same
    id."""
    if old.id == new.id:
        return True
    return not is_2x and _place(old) == _place(new)


def _place(profile: Profile) -> tuple[Purpose, int, int, str]:
    return profile.purpose, profile.stack_level, profile.connector, profile.transaction


def _duplicates(new: Profile, old: Profile) -> bool:
    """K01.FR.06, 39, 52, 53 and 3.5: the same purpose and stackLevel twice for one EVSE at one time."""
    if (new.purpose, new.stack_level) != (old.purpose, old.stack_level):
        return False
    if new.purpose is Purpose.TX:
        return new.transaction == old.transaction
    if new.connector != old.connector:
        return 0 in (new.connector, old.connector)
    return _begin(new) < _end(old) and _begin(old) < _end(new)


def _begin(profile: Profile) -> float:
    return -INFINITE if profile.valid_from is None else profile.valid_from


def _end(profile: Profile) -> float:
    return INFINITE if profile.valid_to is None else profile.valid_to


def _phases_conflict(new: Profile, old: Profile) -> bool:
    """2.x K 3.8: a phase that the charger's limits ask for, and another one asked for by what is for a
    transaction. When which period runs is not looked at: it is not known of every kind of profile."""
    if (new.purpose in _WHOLE_CHARGER) == (old.purpose in _WHOLE_CHARGER):
        return False
    if new.connector != old.connector and 0 not in (new.connector, old.connector):
        return False
    theirs = set(_phases(old))
    return bool(theirs) and any({phase} != theirs for phase in _phases(new))


def _phases(profile: Profile) -> Iterator[int]:
    for schedule in profile.schedules[:1]:
        yield from (period.phase_to_use for period in schedule.periods if period.phase_to_use is not None)


def _lapses(profile: Profile, offline_s: float) -> bool:
    ends = profile.max_offline_s
    return profile.invalid_after_offline and not profile.lapsed and ends is not None and offline_s >= ends
