"""What the simulated cloud asks of chargers: starts, stops, profiles, lists; one at a time, or not."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.script import TAGS
from tests.simulation.speech import token

if TYPE_CHECKING:
    from tests.simulation.cloud import CloudLeg, SimCloud

ANSWER_S = 90.0


class Demands:
    def __init__(self, cloud: SimCloud) -> None:
        self._cloud = cloud
        self._count = 0
        self.list_version = 0

    @property
    def _rng(self) -> Random:
        return self._cloud.rng

    def begin(self) -> None:
        for charger in self._cloud.script.habits:
            self._later(charger)

    def _later(self, charger: str) -> None:
        delay_s = self._rng.expovariate(1.0 / self._cloud.script.calls_every_s)
        self._cloud.world.agenda.after(5.0 + delay_s, lambda: self._ask(charger))

    def _ask(self, charger: str) -> None:
        self._later(charger)
        leg = self._cloud.legs.get(charger)
        if leg is None or self._cloud.says_wait(charger):
            return
        self._ask_one(leg)
        if self._cloud.script.calls_two_at_once and not self._cloud.calm:
            self._ask_one(leg)

    def _ask_one(self, leg: CloudLeg) -> None:
        now = self._cloud.world.agenda.now
        pending = [c for c in leg.calls if now - c.text.sent_at < ANSWER_S]
        two = self._cloud.script.calls_two_at_once and not self._cloud.calm
        if pending and not two:
            return
        action, payload = self._choose(leg.charger)
        self._cloud.call(leg, self._new_id(leg), action, payload)

    def _new_id(self, leg: CloudLeg) -> str:
        """Counted per leg when ids collide: the next leg begins with 1 again."""
        leg.call_count += 1
        if self._cloud.script.calls_collide:
            shared = 2 if self._cloud.script.calls_two_at_once else 1  # both of a pair have one id
            return str((leg.call_count + 1) // shared)
        self._count += 1
        return f"cloud-{self._count}"

    def _choose(self, charger: str) -> tuple[str, dict[str, Any]]:
        is_16 = self._cloud.is_16(charger)
        running = sorted(self._cloud.open.get(charger, ()), key=str)
        choice = self._rng.randrange(8)
        tag = self._rng.choice(TAGS[:3])
        if choice == 0 and running:
            name = "RemoteStopTransaction" if is_16 else "RequestStopTransaction"
            return name, {"transactionId": self._rng.choice(running)}
        if choice in (1, 2) and running:
            return "SetChargingProfile", _profile(is_16, self._rng.choice(running), self._rng)
        if choice == 3:
            connector = self._rng.randrange(1, 3)
            if is_16:
                return "RemoteStartTransaction", {"connectorId": connector, "idTag": tag}
            payload = {
                "evseId": connector,
                "idToken": token(tag),
                "remoteStartId": self._rng.randrange(10**6),
            }
            return "RequestStartTransaction", payload
        if choice == 4:
            return "SendLocalList", self._list(is_16)
        if choice == 5 and not is_16:
            return "GetTransactionStatus", {}
        if choice == 6:
            return "ClearCache", {}
        if is_16:
            value = str(self._rng.randrange(60, 9999))
            return "ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": value}
        return "GetVariables", {
            "getVariableData": [
                {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
            ]
        }

    def _list(self, is_16: bool) -> dict[str, Any]:
        self.list_version += 1
        entries: list[dict[str, Any]] = []
        for tag in self._rng.sample(TAGS, self._rng.randrange(0, 5)):
            info = {"status": self._rng.choice(("Accepted", "Blocked", self._cloud.info(tag)["status"]))}
            entries.append(
                {"idTag": tag, "idTagInfo": info} if is_16 else {"idToken": token(tag), "idTokenInfo": info}
            )
        kind = self._rng.choice(("Full", "Differential"))
        number = "listVersion" if is_16 else "versionNumber"
        return {number: self.list_version, "updateType": kind, "localAuthorizationList": entries}


def _profile(is_16: bool, transaction: Any, rng: Random) -> dict[str, Any]:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.10}]}
    profile: dict[str, Any] = {
        "stackLevel": 1,
        "transactionId": transaction,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute",
    }
    number = rng.randrange(1, 10**6)
    if is_16:
        profile |= {"chargingProfileId": number, "chargingSchedule": schedule}
        return {"connectorId": 1, "csChargingProfiles": profile}
    profile |= {"id": number, "chargingSchedule": [{"id": 1, **schedule}]}
    return {"evseId": 1, "chargingProfile": profile}
