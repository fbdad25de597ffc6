"""Schema validation beside the relay: forward first, look after, count. It rejects nothing."""

from __future__ import annotations

from collections import Counter

from edgegw.wire.frames import Call, CallResult, Frame, Send
from edgegw.wire.schemas import Kind, Schemas
from edgegw.wire.versions import Version


class Observer:
    """Shared by all chargers: the compiled validators are."""

    def __init__(self) -> None:
        self._schemas = Schemas()

    def look(self, version: Version, frame: Frame, answered_action: str | None, found: Counter[str]) -> None:
        """Count what is wrong with `frame` in `found`, under "Action path: rule"."""
        kind: Kind
        if type(frame) is Call:
            kind, action, payload = "request", frame.action, frame.payload
        elif type(frame) is CallResult and answered_action is not None:
            kind, action, payload = "response", answered_action, frame.payload
        elif type(frame) is Send:
            kind, action, payload = "send", frame.action, frame.payload
        else:
            return
        if self._schemas.is_valid(version, kind, action, payload) is not False:
            return
        for complaint in self._schemas.complaints(version, kind, action, payload):
            if len(found) < COMPLAINTS_MAX:
                found[f"{action} {kind} {complaint.path}: {complaint.rule}"] += 1


COMPLAINTS_MAX = 200  # different complaints kept per charger
