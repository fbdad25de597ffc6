"""The charger's end of one WebSocket, with every frame that passes written to the ledger.

Rules of this file:
- A CALL is in the ledger before it is on the wire; an answer when it was read.
- It looks like what the `ocpp` package calls a connection (`send`, `recv`), so that both kinds of peer
  use it. It keeps the payload of an answer as it came, before any converter sees it.
- Signed meter values are spelled the way some meters do: escapes that no JSON library would choose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection

from edgegw.sim.desk import transaction_of

CALL, CALLRESULT, CALLERROR = 2, 3, 4
_KIND_SENT = {CALL: "sent_call", CALLRESULT: "sent_result", CALLERROR: "sent_error", 6: "note"}
_KIND_GOT = {CALL: "received_call", CALLRESULT: "got_result", CALLERROR: "got_error", 6: "received_send"}
_SIGNED = re.compile(r'"OCMF\|(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class Context:
    """What the ledger should know of a CALL beyond its text."""

    action: str
    session: str = ""
    energy_wh: float | None = None


class WireLog:
    """`note(kind, **facts)` writes a ledger line."""

    def __init__(self, ws: ClientConnection, note: Callable[..., None]) -> None:
        self.ws = ws
        self.answers: dict[str, list[Any]] = {}  # answer frames to the CALLs in `contexts`
        self.contexts: dict[str, Context] = {}
        self._note = note

    async def send(self, text: str) -> None:
        frame = json.loads(text)
        text = respell_signed(text)
        self._log(_KIND_SENT.get(frame[0], "note"), frame, text)
        await self.ws.send(text)

    async def recv(self) -> str:
        data = await self.ws.recv()
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        try:
            frame = json.loads(text)
            kind = _KIND_GOT.get(frame[0], "received_junk")
            if frame[0] in (CALLRESULT, CALLERROR) and frame[1] in self.contexts:
                self.answers[frame[1]] = frame
            self._log(kind, frame, text)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            self._note("received_junk", raw=text, note=type(error).__name__)
        return text

    def _log(self, kind: str, frame: list[Any], text: str) -> None:
        context = self.contexts.get(frame[1])
        action = frame[2] if frame[0] in (CALL, 6) else context.action if context else ""
        payload = frame[3] if frame[0] in (CALL, 6) else frame[2] if frame[0] == CALLRESULT else {}
        facts: dict[str, Any] = {"id": frame[1], "action": action, "raw": text}
        facts["tx"] = transaction_of(action, payload)
        if context is not None:
            facts["session"] = context.session
            if frame[0] == CALL:
                facts["energy_wh"] = context.energy_wh
        self._note(kind, **facts)


def respell_signed(text: str) -> str:
    """Spell signed meter texts in a frame as an odd meter would: `\\/`, upper-case `\\u00E4`."""
    if "OCMF|" not in text:
        return text
    return _SIGNED.sub(lambda match: _odd_literal(json.loads(match.group())), text)


def _odd_literal(value: str) -> str:
    pieces = []
    for character in value:
        if character == "/":
            pieces.append("\\/")
        elif character > "~":
            pieces.append(f"\\u{ord(character):04X}")
        else:
            pieces.append(json.dumps(character)[1:-1])
    return '"' + "".join(pieces) + '"'
