"""Views of sites made up by chance, and what Home Assistant makes of a discovery message."""

from __future__ import annotations

import contextlib
import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import jinja2
import msgspec

from edgegw.config_mqtt import Mqtt
from edgegw.mqtt import payloads as p
from edgegw.mqtt.topics import Tree, slugs
from edgegw.mqtt.view import ChargerFacts, View

STAMP = "2026-11-20T23:40:01.250Z"
AT = datetime(2026, 11, 20, 23, 40, 1, 250_000, tzinfo=UTC)
TREE = Tree("edgegw", "Garage Nord")
NOTHING = (None, None, None)
WORDS = ("", "Übergabe", 'a "quoted" word', "{{ 7 * 7 }}", "None", "line of text " * 40, "ok")


def settings(**given: Any) -> Mqtt:
    return Mqtt.model_validate({"broker": "mqtt://10.0.0.9", "homeassistant": True, **given})


class Chance:
    """Values of a payload: now and then what is not known."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def of(self, *values: Any) -> Any:
        return self._random.choice(values)

    def count(self, most: int) -> int:
        return self._random.randrange(most + 1)

    def number(self, most: float) -> float | None:
        return self.of(None, 0.0, round(self._random.uniform(0, most), 1), float(int(most)))

    def three(self, most: float) -> tuple[float | None, float | None, float | None]:
        return (self.number(most), self.number(most), self.number(most))

    def text(self) -> str:
        return str(self.of(*WORDS))


def connector(chance: Chance, number: int) -> p.ConnectorState:
    return p.ConnectorState(
        connector=number,
        status=chance.of("", "Available", "Charging", "Faulted", "Unavailable", "Occupied", "OfVendorX"),
        error_code=chance.of("", "NoError", "GroundFailure"),
        info=chance.text(),
        power_w=chance.number(22_000),
        current_l_a=chance.three(32),
        energy_wh=chance.count(10_000_000),
        limit_a=chance.number(32),
        limit_reason=chance.text(),
        phases=chance.of(None, 1, 3),
        transaction=chance.of(None, "4711"),
    )


def session(chance: Chance, number: int) -> p.SessionState:
    return p.SessionState(
        connector=number,
        transaction="4711",
        state=chance.of("running", "ended"),
        started_at=chance.of(None, STAMP),
        ended_at=None,
        energy_wh=chance.of(None, 7400),
        token=chance.text(),
        stop_reason=chance.text(),
        offline=chance.of(True, False),
    )


def charger(chance: Chance, identity: str, connectors: int) -> ChargerFacts:
    numbers = tuple(range(1, connectors + 1))
    return ChargerFacts(
        online=chance.of(True, False),
        info=p.ChargerInfo(
            identity=identity, vendor=chance.text(), model=chance.text(), serial=chance.text(),
            firmware=chance.text(), protocol="ocpp1.6", registration="accepted", quirks=(),
            connectors=numbers, verdict=chance.text(),
        ),
        cloud=p.ChargerCloud(
            connected=chance.of(True, False), since=chance.of(None, STAMP), url_host="cloud.example",
            queue_depth=chance.count(50), parked=chance.count(2), last_error=chance.text(),
        ),
        connectors={number: connector(chance, number) for number in numbers},
        sessions={number: session(chance, number) for number in numbers if chance.of(True, False)},
        firmware=p.FirmwareState(
            version=chance.text(), state=chance.text(), file="", progress=chance.number(1), error=""
        ),
    )  # fmt: skip


def limits(chance: Chance, source: str) -> p.LimitState:
    one = p.LimitOnCircuit(
        circuit="main", limit_a=63.0, limit_l_a=(63.0, 63.0, 80.0), asked_w=None, chargers_only=False,
        priority=0, until=chance.of(None, STAMP), fallback_a=chance.of(None, 32.0),
        state=chance.of("holds", "fallback"),
    )  # fmt: skip
    return p.LimitState(source=source, limits=chance.of((), (one,)))


def circuit(name: str, parent: str) -> p.CircuitState:
    return p.CircuitState(
        circuit=name, parent=parent, fuse_a=100.0, limit_l_a=NOTHING, limit_source="", measured_l_a=NOTHING,
        building_l_a=NOTHING, granted_l_a=NOTHING, free_l_a=NOTHING, meter_stale=False,
    )  # fmt: skip


def site(seed: int, chargers: int, *, balanced: bool = True) -> View:
    chance = Chance(seed)
    spelt = itertools.cycle(("CP-{}", "wall box {}", "Säule/{}", "EVB_{}.A"))
    identities = [next(spelt).format(number) for number in range(chargers)]
    facts = {one: charger(chance, one, chance.count(3)) for one in identities}
    return View(
        info=p.Info(
            gateway="Garage Nord", name=chance.of("", "Garage"), version="1.2.0", api=1, hostname="box",
            started_at=STAMP, features=(), commands=(), meters=(), circuits=(),
            chargers=tuple(p.ChargerRef(topic=t, identity=i) for i, t in slugs(identities).items()),
        ),
        health=p.Health(
            status=chance.of("ok", "away", "degraded"), reasons=chance.of((), (chance.text(), chance.text())),
            warnings=chance.of((), (chance.text(),)), uptime_s=7, cpu_temp_c=None, load_1m=None,
            memory_rss_bytes=None, disk_free_bytes=None, database_bytes=None, wal_bytes=None,
            queue_depth=chance.of(None, 3), parked=None, oldest_queued_s=None, clock_trusted=True,
            clock_offset_ms=None, loop_lag_ms=None, events_dropped=0, alarms=0,
        ),
        cloud=p.CloudState(
            mode=chance.of("standalone", "serving", "away"), since=None, connected_legs=0, url_host="",
            queue_depth=chance.count(9), in_flight=0, parked=0, oldest_queued_at=None, last_error="",
        ),
        site=p.SiteState(
            import_w=chance.number(50_000), current_l_a=chance.three(100),
            fuse_a=100.0 if balanced else None, limit_a=chance.number(100), limit_l_a=NOTHING,
            limit_source=chance.text(), headroom_a=chance.number(100), chargers_w=chance.number(50_000),
            chargers_known=chargers, chargers_connected=chance.count(chargers), connectors_charging=0,
            transactions_running=0, energy_wh=chance.count(10**9), alarms=chance.count(5),
            worst_severity=chance.of(None, "info", "warning", "error", "critical"),
        ),
        balancer=p.BalancerState(
            mode=chance.of("off", "steering", "failing"), last_decision_at=None, reason="", allocations=()
        ),
        circuits={"garage": circuit("garage", "main"), "main": circuit("main", "")} if balanced else {},
        limits={"bms": limits(chance, "bms")} if chance.of(True, False) else {},
        chargers=facts,
    )  # fmt: skip


# --- Home Assistant ---------------------------------------------------------------------------------

# Strict, so that a misspelt key fails here; in Home Assistant it would only fill a log.
_JINJA = jinja2.Environment(undefined=jinja2.StrictUndefined)
_CLOCK = itertools.count()


def utcnow() -> datetime:
    """Each time a little later, as for two presses of a button."""
    return AT + timedelta(milliseconds=5 * next(_CLOCK))


def rendered(template: str, payload: bytes) -> str:
    """`value_json` is there only for a payload that is JSON."""
    known: dict[str, Any] = {"value": payload.decode()}
    with contextlib.suppress(msgspec.DecodeError):
        known["value_json"] = msgspec.json.decode(payload)
    return _JINJA.from_string(template).render(known)


def ordered(component: dict[str, Any], value: Any = None) -> Any:
    """The request that goes out."""
    said = _JINJA.from_string(component["command_template"]).render(value=value, utcnow=utcnow)
    return msgspec.json.decode(said)


def shown(component: dict[str, Any], payload: bytes) -> Any:
    """The state of the entity; None: unknown. ValueError where Home Assistant would write a complaint."""
    template = component.get("value_template")
    text = rendered(template, payload) if template else payload.decode()
    if component["platform"] == "event":
        return _event(component, text)
    if text == "None":
        return None
    if component["platform"] in ("binary_sensor", "switch"):
        return {component.get("payload_on", "ON"): True, component.get("payload_off", "OFF"): False}[text]
    if component["platform"] == "number":
        return _within(float(text), component["min"], component["max"])
    if "unit_of_measurement" in component or "state_class" in component:
        return float(text)
    return _word(component, text)


def _event(component: dict[str, Any], text: str) -> str:
    told = msgspec.json.decode(text)
    if told["event_type"] not in component["event_types"]:
        raise ValueError(told["event_type"])
    return str(told["event_type"])


def _within(value: float, least: float, most: float) -> float:
    if not least <= value <= most:
        raise ValueError(value)
    return value


def _word(component: dict[str, Any], text: str) -> str:
    if not text or len(text) > 255 or text not in component.get("options", [text]):
        raise ValueError(text)
    return text
