"""A site for one seed: the real decisions (`LoadControl`, `Charger`), copper chargers, a cloud, faults.

Time goes in steps of half a second. Messages take time and may be lost with their link; what the box wrote is
what it finds after a power cut. What happens is drawn from the seed alone.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from datetime import UTC
from itertools import count
from typing import Any

import orjson

from edgegw.balance import model
from edgegw.balance.limits import LimitBook
from edgegw.balance.tree import Tree
from edgegw.core.charger import Charger
from edgegw.core.effects import (
    AskReplaySlot,
    CallFinished,
    CloseCharger,
    CloseCloud,
    CredentialsChanged,
    Effect,
    LoadRows,
    Noticed,
    SendCharger,
    SendCloud,
)
from edgegw.core.events import (
    ChargerConnected,
    ChargerLost,
    ChargerSpoke,
    CloudConnected,
    CloudLost,
    CloudSpoke,
    Event,
    Instant,
    ReplayGranted,
    RowsLoaded,
    Woke,
)
from edgegw.core.load_control import LoadControl, PowerPlan
from edgegw.core.power import PowerPolicy, Wiring
from edgegw.core.site import Policy, Site
from edgegw.wire.frames import parse
from edgegw.wire.versions import Version
from tests.core.story import Store
from tests.simulation.fuse.plant import EPOCH, NEVER, Car, Copper, stamp

STEP_S = 0.5
POLL_S = 1.0
SAMPLE_S = 10.0
VERSIONS = (Version.V16, Version.V201, Version.V21)
LIFETIME_S = 60.0


def plan() -> PowerPlan:
    """A main fuse of 63 A with a meter, a garage of 40 A behind it, six chargers of 32 A."""
    circuits = (
        model.Circuit(name="main", limit_a=63.0, metered=True, reserve_a=27.0),
        model.Circuit(name="garage", limit_a=40.0, parent="main"),
    )
    connectors, wirings = [], {}
    for number in range(6):
        circuit = "garage" if number < 4 else "main"
        phases = ((0, 1, 2), (1, 2, 0), (2, 0, 1), (0,), (0, 1, 2), (1,))[number]
        connectors.append(model.Connector(id=f"CP-{number}/1", circuit=circuit, phases=phases, safe_a=6.0))
        wirings[f"CP-{number}"] = (Wiring(connector=1, phases=len(phases)),)
    return PowerPlan(
        circuits=circuits,
        connectors=tuple(connectors),
        wirings=wirings,
        circuit_of_meter={"grid": ("main",)},
    )


class World:
    def __init__(self, seed: int, tell: Callable[[str], None] | None = None) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.plan = plan()
        self.store = Store()
        self.alive = True
        self.meter_speaks = True
        self.cloud_up = True
        self.building = [8.0, 8.0, 8.0]
        self.linked: dict[str, bool] = {}
        self.linked_since: dict[str, float] = {}
        self.failures = 0
        self.notices: list[tuple[float, str, str]] = []
        self.limit_calls = 0  # SetChargingProfile that reached a charger
        self.cloud_answers: dict[str, Any] = {}
        self._tell = tell
        self._order = count()
        self._ids = count(1)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._transactions = count(100)
        self.copper = {
            charger: Copper(charger, VERSIONS[n % 3], self.plan.connectors[n].phases, self.rng)
            for n, charger in enumerate(self.plan.wirings)
        }
        self._begin()
        for charger in self.copper:
            self.linked[charger] = False
            self.at(self.rng.uniform(0, 5), self._arrives(charger, boots=True))
        self.at(0.1, self._poll)
        self.at(SAMPLE_S, self._samples)

    # --- time ------------------------------------------------------------------------------------

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), what))

    def soon(self, what: Callable[[], None], low: float = 0.05, high: float = 0.6) -> None:
        self.at(self.now + self.rng.uniform(low, high), what)

    def run(self, until: float) -> None:
        while self.now < until:
            self.now += STEP_S
            while self._agenda and self._agenda[0][0] <= self.now:
                heapq.heappop(self._agenda)[2]()
            for copper in self.copper.values():
                copper.move(self.now, STEP_S)
            if self.alive:
                for charger, box in self.boxes.items():
                    if box.wake_at <= self.now:
                        self._happens(charger, Woke())
            self.checked()

    def checked(self) -> None:
        """Called after every step; the checkers hang here."""

    @property
    def instant(self) -> Instant:
        return Instant(self.now, EPOCH + self.now)

    def tell(self, text: str) -> None:
        if self._tell is not None:
            self._tell(f"{self.now:8.1f}  {text}")

    # --- the box -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """The box starts, from nothing or from what it wrote."""
        policy = PowerPolicy(wirings=self.plan.wirings, profile_lifetime_s=LIFETIME_S)
        site = Site(Policy(), lambda: f"box-{next(self._ids)}", policy)
        self.control = LoadControl(self.plan, LimitBook(Tree(self.plan.circuits, self.plan.connectors), UTC))
        self.boxes = {charger: Charger.recover(self.store.recovery(charger), site) for charger in self.copper}

    def _happens(self, charger: str, event: Event) -> None:
        if not self.alive:
            return
        for effect in self.boxes[charger].handle(event, self.instant):
            self._perform(charger, effect)

    def _perform(self, charger: str, effect: Effect) -> None:
        match effect:
            case SendCharger(data):
                if self.linked[charger]:
                    self.soon(lambda: self._charger_hears(charger, data))
            case SendCloud(data):
                if self.cloud_up:
                    self.soon(lambda: self._cloud_hears(charger, data))
            case CloseCharger():
                self.at(self.now, lambda: self.lose_link(charger, 5.0))
            case CloseCloud() | CallFinished() | CredentialsChanged():
                pass
            case Noticed(kind, text):
                self.notices.append((self.now, kind, text))
                self.tell(f"notice {kind}: {text}")
            case LoadRows():
                rows = self.store.waiting(charger, effect.after_seq, effect.limit)
                self.at(self.now, lambda: self._happens(charger, RowsLoaded(rows)))
            case AskReplaySlot():
                self.at(self.now, lambda: self._happens(charger, ReplayGranted()))
            case _:
                self.store.write([effect])

    def decide(self) -> None:
        if not self.alive:
            return
        states = {charger: box.state for charger, box in self.boxes.items()}
        orders, notices = self.control.decide(states, self.instant)
        for notice in notices:
            self.notices.append((self.now, notice.kind, notice.text))
            self.tell(f"notice {notice.kind}: {notice.text}")
        for charger, event in orders:
            for grant in event.grants:
                self.tell(f"{charger}/{grant.connector} granted {grant.limit_a:g} A: {grant.why}")
            self._happens(charger, event)

    # --- the meter ---------------------------------------------------------------------------------

    def total(self) -> tuple[float, float, float]:
        amps = list(self.building)
        for copper in self.copper.values():
            amps = [a + c for a, c in zip(amps, copper.currents(), strict=True)]
        return amps[0], amps[1], amps[2]

    def garage(self) -> tuple[float, float, float]:
        amps = [0.0, 0.0, 0.0]
        for number in range(4):
            amps = [a + c for a, c in zip(amps, self.copper[f"CP-{number}"].currents(), strict=True)]
        return amps[0], amps[1], amps[2]

    def _poll(self) -> None:
        self.at(self.now + POLL_S, self._poll)
        if self.meter_speaks:
            amps = self.total()
            self.soon(lambda: self._read(amps), 0.1, 0.4)
        else:
            self.decide()

    def _read(self, amps: tuple[float, float, float]) -> None:
        self.control.read("grid", model.Reading(at=self.now, current_a=amps, voltage_v=(230.0,) * 3))
        self.decide()

    # --- chargers ------------------------------------------------------------------------------------

    def _arrives(self, charger: str, *, boots: bool) -> Callable[[], None]:
        def arrive() -> None:
            if self.linked[charger] or not self.alive:
                return
            self.linked[charger] = True
            self.linked_since[charger] = self.now
            self.copper[charger].offline_since = NEVER
            self._happens(charger, ChargerConnected(self.copper[charger].version))
            if self.cloud_up:
                self._happens(charger, CloudConnected())
            if boots:
                self._boot(charger)

        return arrive

    def lose_link(self, charger: str, back_after_s: float, *, boots: bool = False) -> None:
        if not self.linked[charger]:
            return
        self.tell(f"{charger} loses its link")
        self.linked[charger] = False
        self.copper[charger].offline_since = self.now
        self._happens(charger, CloudLost("charger gone"))
        self._happens(charger, ChargerLost(1006, ""))
        self.at(self.now + back_after_s, self._arrives(charger, boots=boots))

    def says(self, charger: str, action: str, payload: dict[str, Any]) -> None:
        if not self.linked[charger] or not self.alive:
            return
        raw = orjson.dumps([2, f"{charger}-{next(self._ids)}", action, payload])
        version = self.copper[charger].version
        self._happens(charger, ChargerSpoke(parse(raw, version)))

    def _boot(self, charger: str) -> None:
        if self.copper[charger].version is Version.V16:
            self.says(charger, "BootNotification", {"chargePointVendor": "Sim", "chargePointModel": "S1"})
        else:
            station = {"vendorName": "Sim", "model": "S2"}
            self.says(charger, "BootNotification", {"reason": "PowerUp", "chargingStation": station})
        self._says_status(charger)

    def _says_status(self, charger: str) -> None:
        copper = self.copper[charger]
        busy = copper.car is not None
        if copper.version is Version.V16:
            words = {"connectorId": 1, "errorCode": "NoError", "status": "Charging" if busy else "Available"}
        else:
            words = {"timestamp": stamp(self.now), "connectorStatus": "Occupied" if busy else "Available"}
            words |= {"evseId": 1, "connectorId": 1}
        self.says(charger, "StatusNotification", words)

    def plug(self, charger: str, car: Car) -> None:
        copper = self.copper[charger]
        if copper.car is not None or not self.linked[charger]:
            return
        self.tell(f"{charger}: a car of {car.max_a:g} A on {car.phases} phases")
        number = next(self._transactions)
        if copper.version is Version.V16:
            copper.plug(car, "")
            start = {"connectorId": 1, "idTag": "T", "meterStart": 0, "timestamp": stamp(self.now)}
            self._says_status(charger)
            self.says(charger, "StartTransaction", start)
            return
        copper.plug(car, f"{charger}-tx{number}")
        self._says_status(charger)
        self._event(charger, "Started", "Charging")

    def _event(self, charger: str, kind: str, charging: str, meter: Any = None) -> None:
        copper = self.copper[charger]
        payload: dict[str, Any] = {
            "eventType": kind,
            "timestamp": stamp(self.now),
            "triggerReason": "ChargingStateChanged",
            "seqNo": next(self._ids),
            "transactionInfo": {"transactionId": copper.transaction, "chargingState": charging},
            "evse": {"id": 1, "connectorId": 1},
        }
        if meter is not None:
            payload["meterValue"] = meter
        self.says(charger, "TransactionEvent", payload)

    def unplug(self, charger: str) -> None:
        copper = self.copper[charger]
        if copper.car is None or not self.linked[charger]:
            return
        self.tell(f"{charger}: the car leaves")
        if copper.version is Version.V16:
            if copper.transaction:
                stop = {"meterStop": round(copper.energy_wh), "timestamp": stamp(self.now)}
                self.says(charger, "StopTransaction", {"transactionId": int(copper.transaction), **stop})
        else:
            self._event(charger, "Ended", "Idle")
        copper.unplug()
        self._says_status(charger)

    def _samples(self) -> None:
        self.at(self.now + SAMPLE_S, self._samples)
        for charger, copper in self.copper.items():
            if copper.car is not None and copper.transaction:
                self._sample(charger, copper)

    def _sample(self, charger: str, copper: Copper) -> None:
        assert copper.car is not None
        amps = copper.car.drawing_a
        samples: list[dict[str, Any]] = [
            {
                "measurand": "Current.Import",
                "phase": f"L{n + 1}",
                "value": amps if n < copper.car.phases else 0,
            }
            for n in range(len(copper.wiring))
        ]
        if copper.version is Version.V16:
            told = [{**s, "value": f"{s['value']:.1f}", "unit": "A"} for s in samples]
            told.append({"value": str(round(copper.energy_wh))})
            meter = [{"timestamp": stamp(self.now), "sampledValue": told}]
            words = {"connectorId": 1, "transactionId": int(copper.transaction), "meterValue": meter}
            self.says(charger, "MeterValues", words)
            return
        samples.append({"value": copper.energy_wh})
        meter = [{"timestamp": stamp(self.now), "sampledValue": samples}]
        self._event(charger, "Updated", "Charging" if amps else "SuspendedEVSE", meter)

    def _charger_hears(self, charger: str, data: bytes) -> None:
        copper = self.copper[charger]
        if not self.linked[charger]:
            return
        frame = orjson.loads(data)
        if frame[0] == 3 and "transactionId" in frame[2]:
            copper.transaction = str(frame[2]["transactionId"])
        if frame[0] != 2:
            return
        answer = self._answer(copper, frame[2], frame[3])
        raw = orjson.dumps([3, frame[1], answer])
        self.soon(lambda: self._happens(charger, ChargerSpoke(parse(raw, copper.version))))

    def _answer(self, copper: Copper, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        if action == "SetChargingProfile":
            self.limit_calls += 1
            status = copper.set_profile(payload, self.now)
            self.tell(f"{copper.identity} {status} {orjson.dumps(payload).decode()}")
            return {"status": status}
        if action == "ClearChargingProfile":
            return {"status": copper.clear(payload)}
        if action == "GetConfiguration":
            return {"configurationKey": [], "unknownKey": payload.get("key", [])}
        if action == "GetVariables":
            return {
                "getVariableResult": [
                    {**asked, "attributeStatus": "UnknownVariable"} for asked in payload["getVariableData"]
                ]
            }
        return {"status": "Accepted"}

    # --- the cloud -----------------------------------------------------------------------------------

    def _cloud_hears(self, charger: str, data: bytes) -> None:
        if not self.cloud_up:
            return
        frame = orjson.loads(data)
        if frame[0] == 3:
            self.cloud_answers[frame[1]] = frame[2]
        if frame[0] != 2:
            return
        raw = orjson.dumps([3, frame[1], self._cloud_answer(frame[2])])
        self.soon(lambda: self._cloud_says(charger, raw))

    def _cloud_answer(self, action: str) -> dict[str, Any]:
        if action == "BootNotification":
            return {"status": "Accepted", "currentTime": stamp(self.now), "interval": 300}
        if action == "StartTransaction":
            return {"transactionId": next(self._transactions), "idTagInfo": {"status": "Accepted"}}
        return {"currentTime": stamp(self.now)} if action == "Heartbeat" else {}

    def _cloud_says(self, charger: str, raw: bytes) -> None:
        if self.cloud_up and self.linked[charger]:
            self._happens(charger, CloudSpoke(parse(raw, self.copper[charger].version)))

    def cloud_asks(self, charger: str, action: str, payload: dict[str, Any]) -> str:
        message_id = f"cloud-{next(self._ids)}"
        self.tell(f"cloud to {charger}: {action} {orjson.dumps(payload).decode()}")
        self._cloud_says(charger, orjson.dumps([2, message_id, action, payload]))
        return message_id

    def cut_cloud(self, for_s: float) -> None:
        if not self.cloud_up:
            return
        self.tell("the cloud goes away")
        self.cloud_up = False
        for charger, linked in self.linked.items():
            if linked:
                self._happens(charger, CloudLost("cut"))
        self.at(self.now + for_s, self._cloud_returns)

    def _cloud_returns(self) -> None:
        self.tell("the cloud is back")
        self.cloud_up = True
        for charger, linked in self.linked.items():
            if linked:
                self._happens(charger, CloudConnected())

    # --- faults ----------------------------------------------------------------------------------------

    def power_cut(self, for_s: float) -> None:
        """The box dies; chargers lose their link and come back after it."""
        if not self.alive:
            return
        self.tell("the box dies")
        self.alive = False
        for charger in self.linked:
            self.linked[charger] = False
            self.copper[charger].offline_since = self.now
        self.at(self.now + for_s, self._revive)

    def _revive(self) -> None:
        self.tell("the box starts")
        self.alive = True
        self._begin()
        for charger in self.linked:
            self.soon(self._arrives(charger, boots=self.rng.random() < 0.2), 1.0, 8.0)

    def silence_meter(self, for_s: float) -> None:
        self.tell("the meter is silent")
        self.meter_speaks = False
        self.at(self.now + for_s, self._meter_back)

    def _meter_back(self) -> None:
        self.meter_speaks = True
