"""What a simulated charger does with CALLs: whoever sends them, it plainly obeys, sometimes late or never."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.simulation.ledger import Text

if TYPE_CHECKING:
    from tests.simulation.charger import SimCharger

LATE_S = 40.0


class Obedience:
    def __init__(self, charger: SimCharger) -> None:
        self._charger = charger

    def on_call(self, text: Text) -> None:
        charger = self._charger
        _, message_id, action, payload = text.frame
        answer = self._do(action, payload)
        delay_s = charger.rng.uniform(0.02, 1.0)
        if not charger.quiet and charger.rng.random() < charger.habits.slow_answer:
            delay_s = charger.rng.choice((LATE_S, 1e9))
        socket = charger.socket

        def reply() -> None:
            if charger.socket is socket and socket is not None:
                raw = json.dumps([3, message_id, answer], separators=(", ", ": "))
                socket.send(up=True, raw=raw.encode())

        if delay_s < 1e6:
            charger.world.agenda.after(delay_s, reply)

    def _do(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        connectors = self._charger.connectors
        if action in ("RemoteStopTransaction", "RequestStopTransaction"):
            session = connectors.session_of(payload["transactionId"])
            if session is None:
                return {"status": "Rejected"}
            self._charger.world.agenda.after(2.0, lambda: connectors.stop(session, "Remote"))
            return {"status": "Accepted"}
        if action in ("RemoteStartTransaction", "RequestStartTransaction"):
            return self._remote_start(payload)
        if action == "GetConfiguration":
            keys = [{"key": k, "readonly": False, "value": "true"} for k in payload.get("key", [])]
            return {"configurationKey": keys}
        if action == "GetVariables":
            result = [
                {"attributeStatus": "Accepted", "attributeValue": "false", **item}
                for item in payload["getVariableData"]
            ]
            return {"getVariableResult": result}
        if action == "SetVariables":
            result = [
                {"attributeStatus": "Accepted", "component": item["component"], "variable": item["variable"]}
                for item in payload["setVariableData"]
            ]
            return {"setVariableResult": result}
        if action == "GetTransactionStatus":
            return {"messagesInQueue": bool(self._charger.queue)}
        return {} if action == "CostUpdated" else {"status": "Accepted"}

    def _remote_start(self, payload: dict[str, Any]) -> dict[str, Any]:
        connectors = self._charger.connectors
        connector = payload.get("connectorId") or payload.get("evseId") or 1
        tag = payload.get("idTag") or payload["idToken"]["idToken"]
        if connector in connectors.running or not self._charger.accepted or self._charger.quiet:
            return {"status": "Rejected"}
        self._charger.world.agenda.after(1.0, lambda: connectors.start(connector, tag))
        return {"status": "Accepted"}
