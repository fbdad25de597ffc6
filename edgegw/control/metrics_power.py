"""Metrics of charging power: circuits, meters, limits, connectors. See `metrics_families` for the rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.metrics_core import Metric

from edgegw.balance.model import INFINITE, CircuitState
from edgegw.control.metrics_families import PHASES, Labelled, Sample, counter, counters, gauges, histograms
from edgegw.control.metrics_sources import MeterSource, Scrape
from edgegw.core.events import Instant
from edgegw.core.load_control import split_id
from edgegw.core.power import Control
from edgegw.runtime.histogram import Histogram
from edgegw.runtime.load import LoadLoop
from edgegw.runtime.session import Session

BY_CONNECTOR = ("charger", "connector")


def families(scrape: Scrape) -> Iterator[Metric]:
    load = scrape.sources.gateway.load
    if load is not None:
        yield from _balancer(load)
        yield from _circuits(load)
        yield from _connectors(load, scrape.sources.gateway.sessions)
        yield from _limits(load, scrape.now)
        yield from _readings(load, scrape.now)
    if scrape.sources.meters is not None:
        yield from _polls(scrape.sources.meters)


def _balancer(load: LoadLoop) -> Iterator[Metric]:
    yield counter("edgegw_balancing_decisions", "Times that limits were worked out.", load.steps)
    yield counter("edgegw_balancing_failures", "Decisions that ended in a bug.", load.failures)


# --- circuits -------------------------------------------------------------------------------------


def _circuits(load: LoadLoop) -> Iterator[Metric]:
    fuses = [((circuit.name,), circuit.limit_a) for circuit in load.control.plan.circuits]
    yield gauges("edgegw_circuit_fuse_amperes", "What the circuit's fuse is good for.", ("circuit",), fuses)
    allocation = load.control.allocation
    circuits = allocation.circuits if allocation is not None else ()
    for name, text, values in (
        ("limit", "The lowest limit that holds: the fuse, or one from elsewhere.", lambda c: c.limit_a),
        ("measured", "What the circuit's meter shows.", lambda c: c.measured_a),
        ("building", "Everything that is not a charger, as reckoned.", lambda c: c.base_a),
        ("granted", "What the chargers may draw together.", lambda c: c.granted_a),
        ("free", "What is left for more.", lambda c: c.free_a),
    ):
        found = _by_circuit(circuits, values)
        yield gauges(f"edgegw_circuit_{name}_amperes", text, ("circuit", "phase"), found)
    stale = [((c.name,), c.stale) for c in circuits]
    text = "1 while the circuit's meter is silent and the reserve counts as the building."
    yield gauges("edgegw_circuit_meter_stale", text, ("circuit",), stale)


def _by_circuit(
    circuits: Iterable[CircuitState], values: Callable[[CircuitState], Sequence[float | None]]
) -> Labelled:
    for circuit in circuits:
        yield from _by_phase((circuit.name,), values(circuit))


def _by_phase(labels: tuple[str, ...], values: Sequence[float | None]) -> Labelled:
    for phase, value in zip(PHASES, values, strict=False):
        if value is not None and abs(value) != INFINITE:
            yield (*labels, phase), value


# --- connectors -----------------------------------------------------------------------------------


def _connectors(load: LoadLoop, sessions: dict[str, Session]) -> Iterator[Metric]:
    """Of the balanced ones; the site file bounds how many there are."""
    grants = load.control.allocation.grants if load.control.allocation is not None else {}
    limits: list[Sample] = []
    accepted: list[Sample] = []
    drawn: list[Sample] = []
    steered: list[Sample] = []
    for wired in load.control.plan.connectors:
        charger, number = split_id(wired.id)
        labels = (charger, str(number))
        grant = grants.get(wired.id)
        limits.append((labels, grant.limit_a if grant is not None else wired.safe_a))
        session = sessions.get(charger)
        power = session.charger.state.power.connectors.get(number) if session is not None else None
        if power is None:
            continue
        accepted.append((labels, power.accepted_a))
        drawn += _by_phase(labels, power.drawn_a or ())
        steered.append((labels, power.control in (Control.STEERED, Control.UNKNOWN)))
    yield gauges("edgegw_connector_limit_amperes", "What the site gives it, per phase.", BY_CONNECTOR, limits)
    text = "The last limit that the charger took, per phase."
    yield gauges("edgegw_connector_accepted_amperes", text, BY_CONNECTOR, accepted)
    text = "What the charger says it draws, by its own phases."
    yield gauges("edgegw_connector_drawn_amperes", text, (*BY_CONNECTOR, "phase"), drawn)
    text = "0 while the charger refuses, disobeys or is silent when it is told a limit."
    yield gauges("edgegw_connector_steered", text, BY_CONNECTOR, steered)


def _limits(load: LoadLoop, now: Instant) -> Iterator[Metric]:
    """How many, not whose: a source may be any text. What they come to is the circuit's limit."""
    held = Counter(order.circuit for order in load.control.limits.orders(now.wall))
    found = [((circuit.name,), held[circuit.name]) for circuit in load.control.plan.circuits]
    yield gauges("edgegw_circuit_limits", "Limits below the fuse, from whomever.", ("circuit",), found)


# --- meters ---------------------------------------------------------------------------------------


def _readings(load: LoadLoop, now: Instant) -> Iterator[Metric]:
    ages: list[Sample] = []
    currents: list[Sample] = []
    voltages: list[Sample] = []
    power: list[Sample] = []
    for name, health in load.meters.items():
        reading = health.reading
        if reading is None:
            continue
        ages.append(((name,), max(0.0, now.mono - reading.at)))
        currents += _by_phase((name,), reading.current_a)
        voltages += _by_phase((name,), reading.voltage_v)
        power.append(((name,), reading.power_w))
    by = ("meter",)
    yield gauges("edgegw_meter_reading_age_seconds", "Age of the last plausible reading.", by, ages)
    text = "Current through the meter, import positive."
    yield gauges("edgegw_meter_current_amperes", text, (*by, "phase"), currents)
    yield gauges("edgegw_meter_voltage_volts", "Voltage at the meter.", (*by, "phase"), voltages)
    yield gauges("edgegw_meter_power_watts", "Power through the meter, import positive.", by, power)
    up = [((name,), m.reading is not None and not m.trouble) for name, m in load.meters.items()]
    yield gauges("edgegw_meter_up", "1 while the meter gives plausible readings.", by, up)


def _polls(source: MeterSource) -> Iterator[Metric]:
    found = list(source())
    by = ("meter",)
    yield counters("edgegw_meter_polls", "Polls that began.", by, [((m.name,), m.polls) for m in found])
    good = "Polls that brought a plausible reading."
    yield counters("edgegw_meter_readings", good, by, [((m.name,), m.good) for m in found])
    misses = "Polls in a row without a usable reading."
    yield gauges("edgegw_meter_misses", misses, by, [((m.name,), m.misses) for m in found])
    skipped = "Polls whose time had passed before they could begin."
    yield counters("edgegw_meter_polls_skipped", skipped, by, [((m.name,), m.skipped) for m in found])
    errors = [((m.name, kind), count) for m in found for kind, count in sorted(m.errors.items())]
    yield counters("edgegw_meter_errors", "Polls without a reading, by kind.", (*by, "kind"), errors)
    latencies: dict[tuple[str, ...], Histogram] = {
        (m.name,): m.latencies for m in found if m.latencies is not None
    }
    text = "How long polls took that brought a reading."
    yield histograms("edgegw_meter_poll_duration_seconds", text, by, latencies)
