"""Commands as the audit and the log show them: short, printable, without card ids and passwords.

Rules of this file: of a payload that could not be read nothing is shown that names a secret or a card: what
belongs to the name cannot be told.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from edgegw.control.masking import WITHHELD, mask_tag, shown_fragment
from edgegw.mqtt.requests import Request
from edgegw.redaction import plain, redact

SHOWN_MAX = 300  # characters of what was asked
VERB_SHOWN_MAX = 50
_CARD = re.compile(r"token|tag|card|uid|rfid|auth|pass|secret|key", re.IGNORECASE)
_ENVELOPE = ("transaction", "ts")  # they stand beside it

KINDS_MAX = 64
QUIET_S = 60.0


def asked(request: Request | None, payload: bytes) -> str:
    """What was asked. `request` None: it could not be read, so the beginning of what came."""
    if request is None:
        text = payload[: SHOWN_MAX + 1].decode("utf-8", "replace")
        return _short(WITHHELD if _CARD.search(text) else redact(shown_fragment(text)))
    members = {
        name: value
        for name, value in msgspec.to_builtins(request).items()
        if name not in _ENVELOPE and value is not None
    }
    if "id_token" in members:
        members["id_token"] = mask_tag(members["id_token"])
    return _short(redact(msgspec.json.encode(members).decode()))


def verb(name: str) -> str:
    return plain(name[:VERB_SHOWN_MAX]) or "(none)"


def _short(text: str) -> str:
    text = plain(text)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 3] + "..."


class Collapsed:
    """Of what is said again and again, one line in `QUIET_S` with the number of the others."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}  # -> (said at, not said since)

    def say(self, kind: tuple[str, str], text: str, now_mono: float) -> None:
        said_at, more = self._kinds.get(kind, (float("-inf"), 0))
        if now_mono - said_at < QUIET_S:
            self._kinds[kind] = (said_at, more + 1)
            return
        if kind not in self._kinds and len(self._kinds) >= KINDS_MAX:
            self.flush()
        self._kinds[kind] = (now_mono, 0)
        self._say(f"{text} ({more} more like it before)" if more else text)

    def flush(self) -> None:
        """Say how many were not said, and forget them."""
        for (first, second), (_, more) in self._kinds.items():
            if more:
                self._say(f"{first}: {second}, {more} more times")
        self._kinds.clear()
