"""What happened to one charger, in the past tense. Events go into `Charger.handle`.

Time is data: every call of `handle` gets an `Instant`, and nothing in `core` reads a clock.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edgegw.balance.model import Binding
from edgegw.core.files import FileEvent
from edgegw.core.records import JournalRow
from edgegw.wire.frames import Frame
from edgegw.wire.versions import Version


class Instant(msgspec.Struct, frozen=True, gc=False):
    """One reading of both clocks.

    `mono` never jumps and carries every deadline; `wall` is seconds since 1970 and goes into records;
    `trusted` is False while the wall clock cannot be right (a board without battery before NTP).
    """

    mono: float
    wall: float
    trusted: bool = True


class ChargerConnected(msgspec.Struct, frozen=True, gc=False):
    """The charger's WebSocket is open."""

    version: Version


class ChargerLost(msgspec.Struct, frozen=True, gc=False):
    code: int
    reason: str


class ChargerSpoke(msgspec.Struct, frozen=True, gc=False):
    frame: Frame


class CloudConnected(msgspec.Struct, frozen=True, gc=False):
    """This charger's own WebSocket to the cloud is open, with the charger's subprotocol."""


class CloudLost(msgspec.Struct, frozen=True, gc=False):
    reason: str


class CloudSpoke(msgspec.Struct, frozen=True, gc=False):
    frame: Frame


class Woke(msgspec.Struct, frozen=True, gc=False):
    """`Charger.wake_at` has come."""


class RowsLoaded(msgspec.Struct, frozen=True, gc=False):
    """The answer to `LoadRows`, in order of seq; fewer than asked for means there are no more."""

    rows: tuple[JournalRow, ...]


class ReplayGranted(msgspec.Struct, frozen=True, gc=False):
    """The site's replay rate has room for one stored message of this charger."""


class CallRequested(msgspec.Struct, frozen=True, gc=False):
    """Somebody on the box wants this CALL sent to the charger; `ticket` comes back in `CallFinished`."""

    ticket: int
    action: str
    payload: dict[str, Any]


class LimitGrant(msgspec.Struct, frozen=True, gc=False):
    """What the site gives one connector now: amps per phase, and why in words."""

    connector: int
    limit_a: float
    why: str
    binding: Binding | None = None


class LimitsGranted(msgspec.Struct, frozen=True, gc=False):
    """The site's control loop has decided; without grants when something of this charger is due."""

    grants: tuple[LimitGrant, ...] = ()


class Rewired(msgspec.Struct, frozen=True, gc=False):
    """The site has another `PowerPolicy`: connectors of this charger came, went or are wired otherwise."""


class RenewalWithheld(msgspec.Struct, frozen=True, gc=False):
    """A person wants to see one connector fall back: nothing that is not lower is sent for so long."""

    connector: int
    for_s: float  # 0: it is over


class RowsReleased(msgspec.Struct, frozen=True, gc=False):
    """A person sent parked rows again: they are `stored` in the store now.

    `early` holds every waiting row of lanes 0 to 2; those of lane 3 are loaded when their turn comes.
    """

    count: int
    early: tuple[JournalRow, ...] = ()


Event = (
    ChargerConnected
    | ChargerLost
    | ChargerSpoke
    | CloudConnected
    | CloudLost
    | CloudSpoke
    | Woke
    | RowsLoaded
    | ReplayGranted
    | CallRequested
    | RowsReleased
    | LimitsGranted
    | Rewired
    | RenewalWithheld
    | FileEvent
)
