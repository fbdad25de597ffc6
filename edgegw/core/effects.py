"""What the core wants done, in the imperative, in the order in which it must happen.

The order of effects is the order of durability: a store operation is committed and synced before
any effect after it in the same list is started, and the lists of one charger never overtake each
other. If a store operation fails, nothing after it happens.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from edgegw.core.files import FileEffect
from edgegw.core.records import Append, Discard, SaveDocument, SaveTransaction, Settle


class SendCharger(msgspec.Struct, frozen=True, gc=False):
    """One text message to the charger."""

    data: bytes


class SendCloud(msgspec.Struct, frozen=True, gc=False):
    """One text message on this charger's cloud leg; dropped when that leg is gone."""

    data: bytes


class CloseCharger(msgspec.Struct, frozen=True, gc=False):
    code: int
    reason: str


class CloseCloud(msgspec.Struct, frozen=True, gc=False):
    """Give up this cloud leg; the runtime dials again with back-off."""

    reason: str


class LoadRows(msgspec.Struct, frozen=True, gc=False):
    """Read waiting transaction rows with seq > after_seq; `RowsLoaded` brings them."""

    after_seq: int
    limit: int


class AskReplaySlot(msgspec.Struct, frozen=True, gc=False):
    """Ask the site's replay rate for one message; `ReplayGranted` follows."""


class CallOutcome(StrEnum):
    RESULT = "result"
    ERROR = "error"  # the charger answered CALLERROR
    TIMEOUT = "timeout"
    GONE = "gone"  # the charger is not connected, or left before it answered


class CallFinished(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What became of a `CallRequested`."""

    ticket: int
    outcome: CallOutcome
    payload: dict[str, Any] = {}
    code: str = ""
    description: str = ""


class Reported(msgspec.Struct, frozen=True, gc=False):
    """A part of an inventory (2.x NotifyReport) that somebody on the box asked for."""

    request_id: int
    parts: tuple[dict[str, Any], ...]
    last: bool


class CredentialsChanged(msgspec.Struct, frozen=True, gc=False):
    """The charger accepted a new password from the cloud; never logged, never stored in clear."""

    password: str


class Noticed(msgspec.Struct, frozen=True, gc=False):
    """Something people should be able to see: counted under `kind`, logged with `text`."""

    kind: str
    text: str
    warning: bool = True


Effect = (
    Append
    | Settle
    | Discard
    | SaveDocument
    | SaveTransaction
    | SendCharger
    | SendCloud
    | CloseCharger
    | CloseCloud
    | LoadRows
    | AskReplaySlot
    | CallFinished
    | Reported
    | CredentialsChanged
    | Noticed
    | FileEffect
)
