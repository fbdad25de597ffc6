"""A simulated cloud CSMS: it answers, assigns ids, refuses, falls silent, calls; as the script says.

Its ledger is what a bill would be made from. It knows nothing of a gateway: each leg is a charger to it.
"""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

from tests.simulation.demands import Demands
from tests.simulation.ledger import CALL, ERROR, RESULT, Arrival, CloudCall, Text
from tests.simulation.script import V16, Script
from tests.simulation.wire import Socket

if TYPE_CHECKING:
    from tests.simulation.world import World

TRANSACTIONAL = frozenset({"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"})
BOX_RANGE = 0x40000000
LATE_S = 24.0  # 1.2 x the answer timeout of the box


class CloudLeg:
    """The cloud's end of one socket."""

    def __init__(self, cloud: SimCloud, socket: Socket) -> None:
        self.cloud = cloud
        self.socket = socket
        self.charger = socket.charger
        self.calls: list[CloudCall] = []  # unanswered
        self.call_count = 0

    def on_text(self, text: Text) -> None:
        if text.kind == CALL:
            self.cloud.on_call(self, text)
        elif text.kind in (RESULT, ERROR):
            self.cloud.on_answer(self, text)

    def on_closed(self) -> None:
        self.cloud.gone(self)


class SimCloud:
    def __init__(self, world: World, script: Script, rng: Random) -> None:
        self.world = world
        self.script = script
        self.rng = rng
        self.legs: dict[str, CloudLeg] = {}
        self.tags = {"card-a": "Accepted", "card-b": "Accepted", "card-c": "Accepted"}
        self.tags |= {"blocked-1": "Blocked", "expired-1": "Expired", "nobody-1": "Invalid"}
        self.calm = False
        self.poison = script.poison
        self.given: dict[tuple[str, str], int] = {}  # what was said to whom, when the cloud dedups
        self.open: dict[str, set[Any]] = {}  # per charger: transaction ids that run, as the cloud sees it
        self._refusals: dict[tuple[str, str], int] = {}
        self._registration = {name: list(words) for name, words in script.registration.items()}
        self._last_word: dict[str, str] = {}
        self._next_id = BOX_RANGE if script.cloud_ids == "box_range" else 0
        self.demands = Demands(self)

    # --- legs ------------------------------------------------------------------------------------

    def mode(self, charger: str) -> set[str]:
        now = self.world.agenda.now
        if self.calm:
            return set()
        return {w.mode for w in self.script.windows if w.start <= now < w.end and w.charger in ("", charger)}

    def accepts(self, charger: str) -> bool:
        return "refuse_connect" not in self.mode(charger)

    def opened(self, socket: Socket) -> None:
        old = self.legs.pop(socket.charger, None)
        if old is not None:
            old.socket.close(by_down=False)
        leg = self.legs[socket.charger] = CloudLeg(self, socket)
        socket.top = leg

    def gone(self, leg: CloudLeg) -> None:
        if self.legs.get(leg.charger) is leg:
            del self.legs[leg.charger]

    def hang_up(self, charger: str) -> None:
        leg = self.legs.pop(charger, None)
        if leg is not None:
            leg.socket.close(by_down=False)

    def says_wait(self, charger: str) -> bool:
        return self._last_word.get(charger) in ("Pending", "Rejected")

    # --- CALLs of a charger ------------------------------------------------------------------------

    def on_call(self, leg: CloudLeg, text: Text) -> None:
        action, payload = text.frame[2], text.frame[3]
        arrival = Arrival(leg.charger, text, action, payload)
        self.world.ledger.arrivals.append(arrival)
        modes = self.mode(leg.charger)
        if "silent" in modes:
            arrival.processed = self.rng.random() < 0.5
            if arrival.processed:
                self._answer(arrival)
            return
        delay_s = self.rng.uniform(0.02, 0.5)
        if "slow" in modes:
            delay_s = self.rng.uniform(2.0, 15.0)
        if "late" in modes:
            delay_s = LATE_S
        reply = self._refusal(arrival, modes)
        if reply is None:
            arrival.processed = True
            reply = [RESULT, text.id, self._answer(arrival)]
        self._reply_after(delay_s, leg, arrival, reply)
        if not self.calm and self.rng.random() < self.script.cloud_answers_twice:
            self._reply_after(delay_s + 0.2, leg, arrival, self._second_thought(reply))

    def _reply_after(self, delay_s: float, leg: CloudLeg, arrival: Arrival, reply: list[Any]) -> None:
        def say() -> None:
            if self.legs.get(leg.charger) is leg:
                raw = json.dumps(reply, separators=(",", ": ")).encode()
                arrival.replies.append(leg.socket.send(up=False, raw=raw))

        self.world.agenda.after(delay_s, say)

    def _second_thought(self, reply: list[Any]) -> list[Any]:
        """The same answer once more; of a StartTransaction with another id (fault 49)."""
        if reply[0] == RESULT and "transactionId" in reply[2]:
            return [RESULT, reply[1], {**reply[2], "transactionId": 999_000_000 + self.rng.randrange(1000)}]
        return reply

    def _refusal(self, arrival: Arrival, modes: set[str]) -> list[Any] | None:
        message_id = arrival.text.id
        if self.says_wait(arrival.charger) and arrival.action != "BootNotification":
            return [ERROR, message_id, "SecurityError", "boot first", {}]
        if arrival.action not in TRANSACTIONAL:
            return None
        if self.poison and crc32(_core(arrival).encode()) % self.poison == 0:
            return [ERROR, message_id, "FormationViolation", "I do not like it", {}]
        key = (arrival.charger, _core(arrival))
        if "errors" in modes and self._refusals.get(key, 0) < self.script.errors_each:
            self._refusals[key] = self._refusals.get(key, 0) + 1
            return [ERROR, message_id, "InternalError", "try again", {}]
        return None

    def _answer(self, arrival: Arrival) -> dict[str, Any]:
        action, payload, charger = arrival.action, arrival.payload, arrival.charger
        if action == "BootNotification":
            return self._boot(charger)
        if action == "Heartbeat":
            return {"currentTime": "2026-09-21T00:00:00Z"}
        if action == "Authorize":
            if "idTag" in payload:
                return {"idTagInfo": self.info(payload["idTag"])}
            return {"idTokenInfo": self.info(payload["idToken"]["idToken"])}
        if action == "StartTransaction":
            return self._start(arrival)
        if action == "StopTransaction":
            self.open.get(charger, set()).discard(payload["transactionId"])
            return {"idTagInfo": self.info(payload["idTag"])} if "idTag" in payload else {}
        if action == "TransactionEvent":
            return self._event(charger, payload)
        return {}

    def _boot(self, charger: str) -> dict[str, Any]:
        plan = self._registration.get(charger) or []
        word = plan.pop(0) if plan and not self.calm else "Accepted"
        self._last_word[charger] = word
        return {"status": word, "currentTime": "2026-09-21T00:00:00Z", "interval": 60}

    def _start(self, arrival: Arrival) -> dict[str, Any]:
        key = (arrival.charger, _core(arrival))
        if not (self.script.cloud_dedups and key in self.given):
            self.given[key] = self._new_id()
            self.open.setdefault(arrival.charger, set()).add(self.given[key])
        return {"idTagInfo": self.info(arrival.payload["idTag"]), "transactionId": self.given[key]}

    def _new_id(self) -> int:
        if self.script.cloud_ids == "random":
            return self.rng.randrange(1, 2**31)
        self._next_id += 1
        return self._next_id

    def _event(self, charger: str, payload: dict[str, Any]) -> dict[str, Any]:
        transaction = payload["transactionInfo"]["transactionId"]
        if payload["eventType"] == "Ended":
            self.open.get(charger, set()).discard(transaction)
        else:
            self.open.setdefault(charger, set()).add(transaction)
        if "idToken" not in payload:
            return {}
        return {"idTokenInfo": self.info(payload["idToken"]["idToken"])}

    def info(self, tag: str) -> dict[str, Any]:
        return {"status": self.tags.get(tag.casefold(), "Invalid")}

    # --- answers of a charger ------------------------------------------------------------------------

    def on_answer(self, leg: CloudLeg, text: Text) -> None:
        call = next((c for c in leg.calls if c.text.id == text.id), None)
        if call is None:
            self.world.ledger.strays.append(text)
            return
        leg.calls.remove(call)
        call.answers.append(text)

    def call(self, leg: CloudLeg, message_id: str, action: str, payload: dict[str, Any]) -> None:
        raw = json.dumps([CALL, message_id, action, payload], separators=(", ", ": ")).encode()
        text = leg.socket.send(up=False, raw=raw)
        call = CloudCall(leg.charger, text, action, payload)
        leg.calls.append(call)
        self.world.ledger.cloud_calls.append(call)

    def is_16(self, charger: str) -> bool:
        return self.script.habits[charger].version == V16


def _core(arrival: Arrival) -> str:
    """What makes a message this message, whatever its id and the tokens a gateway may change."""
    payload = {k: v for k, v in arrival.payload.items() if k not in ("offline", "transactionId")}
    return arrival.action + json.dumps(payload, sort_keys=True)
