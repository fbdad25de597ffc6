"""The state once more as bare scalars below `v/`, for PLCs and gateways that read no JSON.

Rules of this file:
- One value per topic, and its name never changes: a PLC is wired to it once. `docs/mqtt` lists them all.
- A number is a plain number with a point, a yes or no is 1 or 0, a word is the word as the JSON has it.
- What is not known is the word `null`, as in the JSON. Not an empty payload: on a retained topic that deletes
  the topic, and a PLC would keep the last number. Not 0 and not NaN: the one is a value, the other no number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edgegw.mqtt import payloads
from edgegw.mqtt.message import Message
from edgegw.mqtt.topics import BY_NAME, Tree
from edgegw.mqtt.view import ChargerFacts

NULL = b"null"

Value = float | int | bool | str | None
Scalars = Iterator[tuple[str, Value]]  # path below v/, value


def messages(tree: Tree, kind: str, name: str, of: Any) -> Iterator[Message]:
    """Of one part of the view; `kind` and `name` as in `state`. Nothing for what has no scalars."""
    maker = _MAKERS.get(kind)
    kept = BY_NAME["scalar"]
    for path, value in maker(name, of) if maker is not None else ():
        yield Message(
            topic=tree.topic("scalar", path=path),
            body=text(value),
            retain=kept.retain,
            qos=kept.qos,
            expiry_s=kept.expiry_s,
            stamped=False,
        )


def text(value: Value) -> bytes:
    if value is None or value == "":
        return NULL
    if isinstance(value, bool):
        return b"1" if value else b"0"
    if isinstance(value, float):
        plain = f"{value:.3f}".rstrip("0").rstrip(".")  # never 1e-05
        return b"0" if plain == "-0" else plain.encode()
    return str(value).encode("utf-8", "replace")


def _phases(path: str, values: payloads.PhaseValues) -> Scalars:
    return ((f"{path}_l{number}", value) for number, value in enumerate(values, start=1))


def _site(_: str, site: payloads.SiteState) -> Scalars:
    yield "site/power", site.import_w
    yield from _phases("site/current", site.current_l_a)
    yield "site/limit", site.limit_a
    yield "site/headroom", site.headroom_a
    yield "site/chargers_power", site.chargers_w
    yield "site/chargers_known", site.chargers_known
    yield "site/chargers_connected", site.chargers_connected
    yield "site/charging", site.connectors_charging
    yield "site/transactions", site.transactions_running
    yield "site/energy", site.energy_wh
    yield "alarm/count", site.alarms
    yield "alarm/worst", site.worst_severity


def _health(_: str, health: payloads.Health) -> Scalars:
    yield "health/ok", health.status != "degraded"


def _cloud(_: str, cloud: payloads.CloudState) -> Scalars:
    yield "cloud/online", cloud.mode == "serving"
    yield "cloud/queue", cloud.queue_depth


def _balancer(_: str, balancer: payloads.BalancerState) -> Scalars:
    yield "balancer/steering", balancer.mode == "steering"


def _meter(name: str, meter: payloads.MeterState) -> Scalars:
    path = f"meter/{name}"
    yield f"{path}/ok", meter.ok
    yield f"{path}/power", meter.power_w
    yield from _phases(f"{path}/current", meter.current_l_a)
    yield from _phases(f"{path}/voltage", meter.voltage_l_v)
    yield f"{path}/import", meter.import_wh
    yield f"{path}/export", meter.export_wh


def _circuit(name: str, circuit: payloads.CircuitState) -> Scalars:
    yield from _phases(f"circuit/{name}/current", circuit.measured_l_a)
    yield from _phases(f"circuit/{name}/limit", circuit.limit_l_a)
    yield from _phases(f"circuit/{name}/granted", circuit.granted_l_a)


def _charger(name: str, facts: ChargerFacts) -> Scalars:
    path = f"charger/{name}"
    yield f"{path}/online", facts.online
    yield f"{path}/cloud", facts.cloud.connected
    for number, connector in facts.connectors.items():
        yield from _connector(f"{path}/{number}", connector)


def _connector(path: str, connector: payloads.ConnectorState) -> Scalars:
    yield f"{path}/status", connector.status
    yield f"{path}/error", connector.error_code
    yield f"{path}/power", connector.power_w
    yield from _phases(f"{path}/current", connector.current_l_a)
    yield f"{path}/energy", connector.energy_wh
    yield f"{path}/limit", connector.limit_a
    yield f"{path}/transaction", connector.transaction is not None


_MAKERS: Mapping[str, Callable[[str, Any], Scalars]] = {
    "site": _site,
    "health": _health,
    "cloud": _cloud,
    "balancer": _balancer,
    "meter": _meter,
    "circuit": _circuit,
    "charger": _charger,
}
