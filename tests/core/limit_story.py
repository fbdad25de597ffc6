"""A balanced charger with habits: it keeps the profiles it is sent and knows, by OCPP, what it may draw.

Its rules are written here anew, not taken from the gateway: per purpose the highest stack level that is valid
now counts, a TxProfile hides the TxDefaultProfile, the lower of that and the Max holds (1.6 3.13, 2.x K01).
Every CALL that the gateway makes up is checked against the schema of its version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from edgegw.core.actuation import disturbed, standing_a
from edgegw.core.calls import Priority
from edgegw.core.charger import Charger
from edgegw.core.effects import Effect, SendCharger
from edgegw.core.events import ChargerSpoke, CloudSpoke, LimitGrant, LimitsGranted
from edgegw.core.power import ConnectorPower, PowerPolicy, Wiring
from edgegw.core.site import Policy, Site
from edgegw.quirks.load import load_quirks
from edgegw.quirks.model import QuirkEntry
from edgegw.wire import frames
from edgegw.wire.frames import parse
from edgegw.wire.schemas import Schemas
from edgegw.wire.timestamps import parse_timestamp
from tests.core.story import IDENTITY, V16, Story, Version, event, start, stop, time_at

OWN = {"SetChargingProfile", "ClearChargingProfile", "GetConfiguration", "GetVariables"}
SCHEMAS = Schemas()
PURPOSES = {
    "TxProfile": "tx",
    "TxDefaultProfile": "tx_default",
    "ChargePointMaxProfile": "max",
    "ChargingStationMaxProfile": "max",
}


class Kept:
    """One profile in the charger, whatever the version."""

    def __init__(self, payload: dict[str, Any], at: float) -> None:
        profile = payload.get("chargingProfile") or payload["csChargingProfiles"]
        schedule = profile["chargingSchedule"]
        self.schedule = schedule[0] if isinstance(schedule, list) else schedule
        self.profile = profile
        self.connector = payload.get("evseId", payload.get("connectorId"))
        self.id = profile.get("id", profile.get("chargingProfileId"))
        self.purpose = PURPOSES[profile["chargingProfilePurpose"]]
        self.kind = profile["chargingProfileKind"]
        self.level = profile["stackLevel"]
        self.transaction = str(profile.get("transactionId", ""))
        self.unit = self.schedule["chargingRateUnit"]
        self.at = at

    @property
    def limit(self) -> float:
        return float(self.schedule["chargingSchedulePeriod"][0]["limit"])

    def at_wall(self, wall: float) -> float | None:
        """Its limit at that time; None when it sets none."""
        if "validTo" in self.profile and wall >= _seconds(self.profile["validTo"]):
            return None
        begins = self.schedule.get("startSchedule")
        since = wall - _seconds(begins) if begins else wall - self.at
        if since < 0 or since >= self.schedule.get("duration", float("inf")):
            return None
        periods = [p for p in self.schedule["chargingSchedulePeriod"] if p["startPeriod"] <= since]
        return float(periods[-1]["limit"]) if periods else None


def _seconds(text: str) -> float:
    parsed = parse_timestamp(text)
    assert parsed is not None
    return parsed[0]


class LimitStory(Story):
    """`refuses` looks at each profile: a status, an error code after "!", None to take it; "" is silence, and
    "mute" takes it and does not say so."""

    def __init__(
        self,
        version: Version,
        wirings: tuple[Wiring, ...],
        *,
        boot: dict[str, Any],
        quirks: tuple[QuirkEntry, ...],
        lifetime_s: float = 300.0,
    ) -> None:
        self.plan = PowerPolicy(wirings={IDENTITY: wirings}, quirks=quirks, profile_lifetime_s=lifetime_s)
        self.boot = boot
        self.profiles: list[Kept] = []
        self.sent: list[Kept] = []  # every profile since `forget`, accepted or not
        self.sent_calls: list[tuple[str, dict[str, Any]]] = []
        self.refuses: Callable[[Kept], str | None] = lambda kept: None
        self.silent = False
        self.clears = ""  # an error code after "!": it clears nothing
        self.configuration: dict[str, str] = {"ChargeProfileMaxStackLevel": "5"}
        self.on_it: dict[int, str] = {}  # transactions as the charger knows them
        self.offline_at: float | None = None
        self.clock_off_s = 0.0  # its clock beside ours
        super().__init__(version, Policy())
        self._equip()

    def _equip(self) -> None:
        self.site = Site(self.policy, self._new_id, self.plan)
        self.core = Charger(self.identity, self.site)

    def restart(self) -> None:
        super().restart()
        self.offline_at = self.wall
        self.site = Site(self.policy, self._new_id, self.plan)
        self.site.recover(self.store.site_documents())
        self.core = Charger.recover(self.store.recovery(self.identity), self.site)

    def _send_cloud(self, data: bytes) -> None:
        super()._send_cloud(data)
        frame = orjson.loads(data)
        if frame[0] == 2 and frame[2] in ("NotifyChargingLimit", "ClearedChargingLimit") and self.cloud.up:
            self._todo.append(CloudSpoke(parse(frames.result(frame[1], {}), self.version)))

    # --- the charger ---------------------------------------------------------------------------------

    def _perform(self, effect: Effect) -> None:
        super()._perform(effect)
        if not isinstance(effect, SendCharger):
            return
        frame = orjson.loads(effect.data)
        if frame[0] != 2 or frame[2] not in OWN:
            return
        _, message_id, action, payload = frame
        assert SCHEMAS.complaints(self.version, "request", action, payload) == (), (action, payload)
        self.sent_calls.append((action, payload))
        answer = self._answer(message_id, action, payload)
        if answer is not None:
            self._todo.append(ChargerSpoke(parse(answer, self.version)))

    def _answer(self, message_id: str, action: str, payload: dict[str, Any]) -> bytes | None:
        if action == "SetChargingProfile":
            kept = Kept(payload, self.wall + self.clock_off_s)
            self.sent.append(kept)
            verdict = "" if self.silent else self.refuses(kept)
            if verdict == "mute":
                self._keep(kept)
            if verdict in ("", "mute"):
                return None
            if verdict is not None and verdict.startswith("!"):
                return frames.error(message_id, verdict[1:])
            if verdict is None:
                self._keep(kept)
            return frames.result(message_id, {"status": verdict or "Accepted"})
        if self.silent:
            return None
        if action == "ClearChargingProfile" and self.clears:
            return frames.error(message_id, self.clears.removeprefix("!"))
        if action == "ClearChargingProfile":
            return frames.result(message_id, {"status": "Accepted" if self._clear(payload) else "Unknown"})
        if action == "GetConfiguration":
            keys = [{"key": k, "readonly": True, "value": v} for k, v in self.configuration.items()]
            return frames.result(message_id, {"configurationKey": keys})
        results = [
            {
                "attributeStatus": "Accepted"
                if item["variable"]["name"] == "ProfileStackLevel"
                else "UnknownVariable",
                "attributeValue": self.configuration["ChargeProfileMaxStackLevel"],
                "component": item["component"],
                "variable": item["variable"],
            }
            for item in payload["getVariableData"]
        ]
        return frames.result(message_id, {"getVariableResult": results})

    def _keep(self, new: Kept) -> None:
        same = (new.purpose, new.connector, new.level)
        self.profiles = [
            old
            for old in self.profiles
            if old.id != new.id and (old.purpose, old.connector, old.level) != same
        ]
        self.profiles.append(new)

    def _clear(self, payload: dict[str, Any]) -> bool:
        before = len(self.profiles)
        wanted = payload.get("id", payload.get("chargingProfileId"))
        purpose = payload.get("chargingProfileCriteria", {}).get("chargingProfilePurpose")
        self.profiles = [
            kept
            for kept in self.profiles
            if (wanted is not None and kept.id != wanted)
            or (purpose is not None and kept.purpose != PURPOSES.get(purpose))
        ]
        return len(self.profiles) < before

    def may_draw(self, connector: int) -> float | None:
        """The limit that holds in the charger now, in its unit; None: none."""
        transaction = self.on_it.get(connector, "")
        tx = self._highest(
            k for k in self.profiles if k.purpose == "tx" and transaction and k.transaction == transaction
        )
        if tx is None:
            tx = self._highest(
                k for k in self.profiles if k.purpose == "tx_default" and k.connector == connector
            )
        if tx is None:
            tx = self._highest(k for k in self.profiles if k.purpose == "tx_default" and k.connector == 0)
        most = self._highest(k for k in self.profiles if k.purpose == "max")
        known = [limit for limit in (tx, most) if limit is not None]
        return min(known) if known else None

    def _highest(self, among: Any) -> float | None:
        valid = [
            (k.level, k.at_wall(self.wall + self.clock_off_s)) for k in among if not self._gone_offline(k)
        ]
        valid = [(level, limit) for level, limit in valid if limit is not None]
        return max(valid)[1] if valid else None

    def _gone_offline(self, kept: Kept) -> bool:
        longest = kept.profile.get("maxOfflineDuration")
        return longest is not None and self.offline_at is not None and self.wall - self.offline_at > longest

    # --- the site ------------------------------------------------------------------------------------

    def power(self, connector: int = 1) -> ConnectorPower:
        return self.core.state.power.connectors[connector]

    def reserved(self, connector: int = 1) -> float:
        return standing_a(self.core.state, self.power(connector), self.now)

    def grants(self, limit_a: float, connector: int = 1) -> None:
        self.happens(LimitsGranted((LimitGrant(connector, limit_a, "the site"),)))

    def seconds(self, count: int) -> None:
        """The site's loop runs once a second."""
        for _ in range(count):
            self.after(1.0)
            self.happens(LimitsGranted())

    def until_sent(self, seconds: int = 60) -> Kept:
        """The next profile that is sent within that time."""
        count = len(self.sent)
        for _ in range(seconds):
            if len(self.sent) > count:
                return self.sent[count]
            self.seconds(1)
        raise AssertionError("no profile was sent")

    def forget(self) -> None:
        super().forget()
        self.sent, self.sent_calls = [], []

    # --- what happens --------------------------------------------------------------------------------

    def boots(self) -> None:
        self.charger.sends("BootNotification", self.boot)
        self.cloud.answers({"status": "Accepted", "currentTime": time_at(self.wall), "interval": 300})

    def goes(self) -> None:
        self.offline_at = self.wall
        self.charger.leaves()

    def comes(self) -> None:
        # A profile that became invalid offline is gone for good (2.1 invalidAfterOfflineDuration).
        self.profiles = [kept for kept in self.profiles if not self._gone_offline(kept)]
        self.offline_at = None
        self.cloud.comes_back()
        self.charger.connects()

    def begins(self, connector: int = 1, *, id: str = "tx-1") -> str:
        if self.version.is_2x:
            self.on_it[connector] = id
            payload = event("Started", id, token="TAG", evse={"id": connector, "connectorId": 1})
            self.charger.sends("TransactionEvent", payload)
            self.cloud.answers({"idTokenInfo": {"status": "Accepted"}})
            return id
        self.charger.sends("StartTransaction", start(connector, f"TAG-{id}"))
        found = 100 * connector + sum(map(ord, id)) % 97
        self.on_it[connector] = str(found)
        self.cloud.answers({"transactionId": found, "idTagInfo": {"status": "Accepted"}})
        return str(found)

    def ends(self, connector: int = 1, *, cloud_answers: bool = True) -> None:
        transaction = self.on_it.pop(connector)
        self.profiles = [k for k in self.profiles if k.purpose != "tx" or k.transaction != transaction]
        if self.version.is_2x:
            self.charger.sends("TransactionEvent", event("Ended", transaction, 9))
        else:
            self.charger.sends("StopTransaction", stop(int(transaction)))
        if cloud_answers:
            self.cloud.answers({})

    def draws(self, *amps: float, connector: int = 1) -> None:
        """MeterValues, amps per phase."""
        phases = ("L1", "L2", "L3") if len(amps) == 3 else ("L1",)
        sampled = [
            {"value": f"{a}", "measurand": "Current.Import", "phase": phase, "unit": "A"}
            for a, phase in zip(amps, phases, strict=True)
        ]
        value = {"timestamp": time_at(), "sampledValue": sampled}
        if self.version.is_2x:
            for sample in sampled:
                sample.pop("unit")
                sample["value"] = float(sample["value"])  # type: ignore[assignment]
            self.charger.sends("MeterValues", {"evseId": connector, "meterValue": [value]})
        else:
            known = {"transactionId": int(self.on_it[connector])} if connector in self.on_it else {}
            self.charger.sends("MeterValues", {"connectorId": connector, **known, "meterValue": [value]})
        self.cloud.answers({})

    def happens_nothing_but_the_loop(self) -> None:
        self.happens(LimitsGranted())

    def happens_disturbance(self) -> None:
        """A person has sent this charger a CALL about profiles."""
        self._sequencer.push(disturbed(self.core.state, self.now))
        self.happens(LimitsGranted())

    def happens_answer(self, status: str) -> None:
        """The answer to the newest profile it left unanswered."""
        self.charger.answers({"status": status})

    def waiting_priorities(self) -> list[Priority]:
        return [out.priority for out in self.core.state.to_charger.waiting]


def new_charger(
    version: Version = V16,
    *wirings: Wiring,
    vendor: str = "Ohm",
    model: str = "One",
    firmware: str = "1.0",
    quirks: tuple[QuirkEntry, ...] | None = None,
    lifetime_s: float = 300.0,
) -> LimitStory:
    """Nobody has met it; it is connected and has not booted yet."""
    if version.is_2x:
        station = {"vendorName": vendor, "model": model, "firmwareVersion": firmware}
        boot: dict[str, Any] = {"reason": "PowerUp", "chargingStation": station}
    else:
        boot = {"chargePointVendor": vendor, "chargePointModel": model, "firmwareVersion": firmware}
    told = LimitStory(
        version,
        wirings or (Wiring(connector=1),),
        boot=boot,
        quirks=load_quirks(None) if quirks is None else quirks,
        lifetime_s=lifetime_s,
    )
    told.cloud.comes_back()
    told.charger.connects()
    return told


def steered(version: Version = V16, *wirings: Wiring, settle_s: int = 6, **known: Any) -> LimitStory:
    """Accepted and under control; no transaction."""
    told = new_charger(version, *wirings, **known)
    told.boots()
    told.seconds(settle_s)
    told.forget()
    return told


def charging(version: Version = V16, *wirings: Wiring, grant_a: float = 16.0, **known: Any) -> LimitStory:
    """Under control, with a car on connector 1 and its live limit in force."""
    told = steered(version, *wirings, **known)
    told.begins()
    told.grants(grant_a)
    told.seconds(6)
    told.forget()
    return told
