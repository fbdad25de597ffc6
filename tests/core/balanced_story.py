"""A charger that the box balances: the story of `tests.core.story` with a site plan, and what a cloud sets.

The charger answers what the box asks of its own: limits are taken (or not: `takes`) and kept, so that a test
can ask what it was told last. What the cloud asks it does not answer by itself. Whatever the cloud is sent
fits the schema of its action.
"""

from __future__ import annotations

from typing import Any

import orjson

from edgegw.balance.model import Binding
from edgegw.core.charger import Charger
from edgegw.core.effects import Effect, SendCharger
from edgegw.core.events import ChargerSpoke, CloudSpoke, Event, LimitGrant, LimitsGranted
from edgegw.core.power import PowerPolicy, Wiring
from edgegw.core.site import Policy, Site
from edgegw.wire import frames
from edgegw.wire.frames import Call, parse
from edgegw.wire.schemas import Schemas
from tests.core.story import BOOT, IDENTITY, V16, Story, Version, event, start, stop, time_at

SCHEMAS = Schemas()
OWN = {
    "SetChargingProfile",
    "ClearChargingProfile",
    "GetConfiguration",
    "GetVariables",
    "GetChargingProfiles",
}


class BalancedStory(Story):
    def __init__(
        self, version: Version, wirings: tuple[Wiring, ...], *, notify_cloud: bool = False, **policy: Any
    ) -> None:
        self.plan = PowerPolicy(wirings={IDENTITY: wirings}, notify_cloud=notify_cloud)
        self.takes = "Accepted"  # what it says to a limit; "" for nothing at all
        self.told: dict[int, float] = {}  # newest limit of each connector, in the order they came
        self._asked: dict[str, str] = {}  # action of each CALL of the cloud
        super().__init__(version, Policy(**policy))
        self._equip()

    def _equip(self) -> None:
        self.site = Site(self.policy, self._new_id, self.plan)
        self.core = Charger(self.identity, self.site)

    def restart(self) -> None:
        super().restart()
        self.site = Site(self.policy, self._new_id, self.plan)
        self.site.recover(self.store.site_documents())
        self.core = Charger.recover(self.store.recovery(self.identity), self.site)

    def happens(self, event: Event) -> None:
        if isinstance(event, CloudSpoke) and isinstance(event.frame, Call):
            self._asked[event.frame.id] = event.frame.action
        super().happens(event)

    def _send_cloud(self, data: bytes) -> None:
        frame = orjson.loads(data)
        if frame[0] == 2:
            assert SCHEMAS.complaints(self.version, "request", frame[2], frame[3]) == ()
        elif frame[0] == 3 and frame[1] in self._asked:
            assert SCHEMAS.complaints(self.version, "response", self._asked[frame[1]], frame[2]) == ()
        super()._send_cloud(data)

    def _perform(self, effect: Effect) -> None:
        super()._perform(effect)
        if isinstance(effect, SendCharger):
            frame = orjson.loads(effect.data)
            if frame[0] == 2 and frame[2] in OWN:
                self._answer_box(frame)

    def _answer_box(self, frame: list[Any]) -> None:
        _, message_id, action, payload = frame
        answer: dict[str, Any] = {"status": "Accepted"}
        if action == "SetChargingProfile":
            if not self.takes:
                return
            answer = {"status": self.takes}
            if self.takes == "Accepted":
                self._take(payload)
        elif action == "GetConfiguration":
            answer = {"configurationKey": []}
        elif action == "GetVariables":
            answer = {"getVariableResult": []}
        self._todo.append(ChargerSpoke(parse(frames.result(message_id, answer), self.version)))

    def _take(self, payload: dict[str, Any]) -> None:
        if self.version.is_2x:
            number, schedule = payload["evseId"], payload["chargingProfile"]["chargingSchedule"][0]
        else:
            number, schedule = payload["connectorId"], payload["csChargingProfiles"]["chargingSchedule"]
        self.told.pop(number, None)
        self.told[number] = schedule["chargingSchedulePeriod"][0]["limit"]

    # --- the site ------------------------------------------------------------------------------------

    def grants(self, limit_a: float, connector: int = 1, *, binding: Binding | None = None) -> None:
        """The site gives this connector so much."""
        self.happens(LimitsGranted((LimitGrant(connector, limit_a, "the site", binding),)))

    def seconds(self, count: int) -> None:
        """The site's loop runs once a second."""
        for _ in range(count):
            self.after(1.0)
            self.happens(LimitsGranted())

    # --- transactions --------------------------------------------------------------------------------

    def begins(self, connector: int = 1, tag: str = "TAG", *, id: str = "tx-1", **more: Any) -> Any:
        """A transaction begins; returns the id that the cloud knows it by."""
        if self.version.is_2x:
            payload = event("Started", id, token=tag, evse={"id": connector, "connectorId": 1}, **more)
            self.charger.sends("TransactionEvent", payload)
            self.cloud.answers({"idTokenInfo": {"status": "Accepted"}})
            found: Any = id
        else:
            self.charger.sends("StartTransaction", start(connector, tag))
            found = 100 + connector
            self.cloud.answers({"transactionId": found, "idTagInfo": {"status": "Accepted"}})
        self.seconds(8)
        return found

    def ends(self, transaction: Any) -> None:
        if self.version.is_2x:
            self.charger.sends("TransactionEvent", event("Ended", transaction, 9))
        else:
            self.charger.sends("StopTransaction", stop(transaction))
        self.cloud.answers({})

    # --- what the cloud was told ---------------------------------------------------------------------

    def reply(self, message_id: str) -> Any:
        """The payload (or error code) the cloud got for its CALL; None while it waits."""
        found = [frame for frame in self.cloud.frames if frame[0] in (3, 4) and frame[1] == message_id]
        assert len(found) < 2, f"{message_id} was answered twice"
        return found[0][2] if found else None

    def asks(self, action: str, payload: dict[str, Any]) -> Any:
        """A CALL of the cloud and what it gets at once."""
        return self.reply(self.cloud.sends(action, payload))


def balanced(version: Version = V16, *wirings: Wiring, grant_a: float = 32.0, **policy: Any) -> BalancedStory:
    """Connected, accepted, under control, and the site has room."""
    told = BalancedStory(version, wirings or (Wiring(connector=1),), **policy)
    told.cloud.comes_back()
    told.charger.connects()
    told.charger.sends("BootNotification", BOOT[version])
    told.cloud.answers({"status": "Accepted", "currentTime": time_at(), "interval": 300})
    told.seconds(8)
    for number in told.core.state.power.connectors:
        told.grants(grant_a, number)
    told.seconds(2)
    told.forget()
    return told


# --- the cloud's profiles ---------------------------------------------------------------------------

TWO = (Wiring(connector=1), Wiring(connector=2))


def profile(version: Version, limit: object, **more: Any) -> dict[str, Any]:
    """Absolute from now on, in amps, unless `more` says otherwise."""
    schedule = {
        "chargingRateUnit": more.pop("unit", "A"),
        "chargingSchedulePeriod": more.pop("periods", [{"startPeriod": 0, "limit": limit}]),
        "startSchedule": time_at(more.pop("at", 0.0)),
    }
    shared = {
        "stackLevel": more.pop("stack", 0),
        "chargingProfilePurpose": more.pop("purpose", "TxProfile"),
        "chargingProfileKind": "Absolute",
    }
    number = more.pop("id", 7)
    if version.is_2x:
        return {"id": number, **shared, "chargingSchedule": [{"id": 1, **schedule}], **more}
    return {"chargingProfileId": number, **shared, "chargingSchedule": schedule, **more}


def set_payload(version: Version, wire: dict[str, Any], connector: int = 1) -> dict[str, Any]:
    if version.is_2x:
        return {"evseId": connector, "chargingProfile": wire}
    return {"connectorId": connector, "csChargingProfiles": wire}


def set_limit(told: BalancedStory, limit: object, connector: int = 1, **more: Any) -> str:
    """The cloud sets a profile; returns the message id."""
    wire = profile(told.version, limit, **more)
    return told.cloud.sends("SetChargingProfile", set_payload(told.version, wire, connector))


def status_of(told: BalancedStory, message_id: str) -> Any:
    reply = told.reply(message_id)
    return reply["status"] if isinstance(reply, dict) else reply


def composite(told: BalancedStory, connector: int = 1, duration: int = 3600, **more: Any) -> dict[str, Any]:
    key = "evseId" if told.version.is_2x else "connectorId"
    reply: dict[str, Any] = told.asks("GetCompositeSchedule", {key: connector, "duration": duration, **more})
    return reply


def limits_in(reply: dict[str, Any]) -> list[tuple[float, float]]:
    found = reply["schedule"] if "schedule" in reply else reply["chargingSchedule"]
    return [(period["startPeriod"], period["limit"]) for period in found["chargingSchedulePeriod"]]
