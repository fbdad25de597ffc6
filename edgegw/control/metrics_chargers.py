"""Metrics of chargers and their connectors. See `metrics_families` for the rules."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from prometheus_client.metrics_core import Metric

from edgegw.control import view
from edgegw.control.metrics_families import counter, counters, gauge, gauges
from edgegw.control.metrics_sources import Scrape
from edgegw.core.events import Instant
from edgegw.runtime.session import Session

CHARGERS_MAX = 2000  # shown one by one; identities may be made up by whoever reaches the chargers' door
CONNECTORS_MAX = 32  # of one charger
STATUSES = frozenset(
    {
        "Available", "Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing",
        "Reserved", "Unavailable", "Faulted", "Occupied",
    }
)  # fmt: skip
JOULES_PER_WH = 3600
OTHER = "other"  # a status of no OCPP version


def families(scrape: Scrape) -> Iterator[Metric]:
    gateway = scrape.sources.gateway
    counts = view.charger_counts(gateway)
    yield gauge("edgegw_chargers_known", "Chargers that were here or that the site file names.", counts.known)
    yield gauge("edgegw_chargers_connected", "Chargers that are connected.", counts.connected)
    yield gauge("edgegw_chargers_to_cloud", "Of those: with a connection to the cloud.", counts.to_cloud)
    yield from _transactions(scrape)
    shown = [gateway.sessions[identity] for identity in islice(sorted(gateway.sessions), CHARGERS_MAX)]
    left_out = len(gateway.sessions) - len(shown)
    yield gauge("edgegw_chargers_left_out", "Chargers that are not shown one by one: too many.", left_out)
    yield from _chargers([((session.identity,), session) for session in shown], scrape.now)
    yield _connectors(shown)
    yield _energy(shown)


def _transactions(scrape: Scrape) -> Iterator[Metric]:
    tally = scrape.sources.transactions
    running = tally.look(scrape.sources.gateway.sessions.values())
    yield gauge("edgegw_transactions_running", "Transactions that run now.", running)
    yield counter("edgegw_transactions_started", "Transactions that began.", tally.started)
    yield counter("edgegw_transactions_ended", "Transactions that ended.", tally.ended)


def _chargers(shown: list[tuple[tuple[str], Session]], now: Instant) -> Iterator[Metric]:
    by = ("charger",)
    yield gauges(
        "edgegw_charger_connected",
        "1 while the charger is connected.",
        by,
        ((name, s.charger_leg is not None) for name, s in shown),
    )
    yield gauges(
        "edgegw_charger_cloud_connected",
        "1 while the charger has a connection to the cloud.",
        by,
        ((name, s.cloud_leg is not None) for name, s in shown),
    )
    yield gauges(
        "edgegw_charger_last_message_age_seconds",
        "Time since the charger last said anything.",
        by,
        ((name, _age_s(s.charger.state.last_seen_wall, now)) for name, s in shown),
    )
    yield gauges(
        "edgegw_charger_queue_messages",
        "Messages of the charger that the cloud does not have yet.",
        by,
        ((name, len(s.charger.state.outbox)) for name, s in shown),
    )
    yield gauges(
        "edgegw_charger_parked_messages",
        "Messages of the charger that the cloud refused for good.",
        by,
        ((name, s.charger.state.outbox.parked) for name, s in shown),
    )
    yield counters(
        "edgegw_charger_complaints",
        "Messages of the charger that break a rule of OCPP, by rule broken.",
        by,
        ((name, s.complaints.total()) for name, s in shown),
    )
    yield gauges(
        "edgegw_charger_transactions_running",
        "Transactions that run at the charger.",
        by,
        ((name, len(s.charger.state.transactions.running)) for name, s in shown),
    )


def _age_s(wall: float, now: Instant) -> float | None:
    return max(0.0, now.wall - wall) if wall else None


def _connectors(shown: list[Session]) -> Metric:
    """Only the status it has: ten series per connector, of which nine are 0, would tell nothing more."""
    found = (
        ((session.identity, key, c.status if c.status in STATUSES else OTHER), 1)
        for session in shown
        for key, c in islice(sorted(session.charger.state.connectors.items()), CONNECTORS_MAX)
        if c.status
    )
    text = "1 for the status that the connector reported last."
    return gauges("edgegw_connector_status", text, ("charger", "connector", "status"), found)


def _energy(shown: list[Session]) -> Metric:
    found = (
        ((session.identity, str(number)), total_wh * JOULES_PER_WH)
        for session in shown
        for number, total_wh in islice(session.charger.state.energy.totals_wh.items(), CONNECTORS_MAX)
    )
    text = "Energy that the connector gave, as the gateway counts it: it never falls."
    return counters("edgegw_connector_energy_joules", text, ("charger", "connector"), found)
