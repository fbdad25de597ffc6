"""Metrics of the box: store, queue, cloud, loop, alarms, broker. See `metrics_families` for the rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import InfoMetricFamily
from prometheus_client.metrics_core import Metric

from edgegw import __version__
from edgegw.catalogue.model import SEVERITIES
from edgegw.control import view
from edgegw.control.metrics_families import counter, counters, gauge, gauges, histogram, histograms
from edgegw.control.metrics_sources import AlarmSource, MqttSource, Scrape
from edgegw.runtime.histogram import Histogram

KINDS_MAX = 500  # of notices; the code has some dozens
CLOUD_MODES = ("standalone", "serving", "away")
DIALS = ("reached", "refused", "failed")
REFUSED_AT_DOOR = "handshake_refused"  # counted among the notices, shown on its own


def families(scrape: Scrape) -> Iterator[Metric]:
    yield from _process(scrape)
    yield from _store(scrape)
    yield from _queue(scrape)
    yield from _cloud(scrape)
    yield from _calls(scrape)
    if scrape.sources.lag is not None:
        lag = scrape.sources.lag
        yield histogram("edgegw_event_loop_lag_seconds", "How late the event loop was.", lag.histogram)
        worst = "The latest the event loop was in the last minute."
        yield gauge("edgegw_event_loop_lag_worst_seconds", worst, lag.worst_s)
    if scrape.sources.audit_dropped is not None:
        text = "Orders that could not be written into the book of orders."
        yield counter("edgegw_audit_dropped_entries", text, scrape.sources.audit_dropped())
    if scrape.sources.alarms is not None:
        yield from _alarms(scrape.sources.alarms)
    if scrape.sources.mqtt is not None:
        yield from _mqtt(scrape.sources.mqtt)


def _process(scrape: Scrape) -> Iterator[Metric]:
    now, sources = scrape.now, scrape.sources
    yield InfoMetricFamily("edgegw_build", "The edgegw that runs.", value={"version": __version__})
    uptime_s = max(0.0, now.wall - sources.started_at)
    yield gauge("edgegw_uptime_seconds", "Time since the gateway started.", uptime_s)
    trusted = "1 while the wall clock of the box can be right."
    yield gauge("edgegw_clock_trusted", trusted, now.trusted)
    counted = sources.gateway.site.counters
    kinds = [(kind, counted[kind]) for kind in sorted(counted)[:KINDS_MAX] if kind != REFUSED_AT_DOOR]
    noticed = "Things people should be able to see, by kind."
    yield counters("edgegw_notices", noticed, ("kind",), [((kind,), count) for kind, count in kinds])
    refused = "Connections that never became a session of a charger."
    yield counter("edgegw_handshake_failures", refused, counted[REFUSED_AT_DOOR])


def _store(scrape: Scrape) -> Iterator[Metric]:
    counts, journal = scrape.counts, scrape.sources.journal
    up = counts is not None and not journal.broken
    yield gauge("edgegw_store_up", "1 while the store answers and keeps what it is given.", up)
    errors = "Times the store failed and a charger started over."
    yield counter("edgegw_store_errors", errors, scrape.sources.gateway.store_errors)
    yield histogram(
        "edgegw_store_commit_duration_seconds",
        "How long group commits took, the sync included.",
        journal.commit_seconds,
    )
    yield gauge("edgegw_store_waiting_operations", "Operations that wait for the writer.", journal.queued_ops)
    if counts is None:
        return
    yield gauge("edgegw_store_database_bytes", "Size of the database file.", counts.database_bytes)
    yield gauge("edgegw_store_wal_bytes", "Size of the write-ahead log.", counts.log_bytes)
    yield gauge("edgegw_store_disk_free_bytes", "Free space on the disk of the store.", counts.free_bytes)
    reserve = "1 while the disk space kept back for messages is untouched."
    yield gauge("edgegw_store_reserve_intact", reserve, counts.reserve)
    yield gauge("edgegw_store_quarantined_rows", "Damaged rows that were moved aside.", counts.quarantined)


def _queue(scrape: Scrape) -> Iterator[Metric]:
    """From memory, not from the store: it is known while the store is not."""
    sessions = scrape.sources.gateway.sessions.values()
    queue = view.queue_counts(sessions)
    waits = "Messages that wait for the cloud, without those in flight."
    yield gauge("edgegw_queue_stored_messages", waits, queue.stored)
    sent = "Messages sent to the cloud and not answered yet."
    yield gauge("edgegw_queue_in_flight_messages", sent, queue.in_flight)
    refused = "Messages that the cloud refused for good."
    yield gauge("edgegw_queue_parked_messages", refused, queue.parked)
    oldest = [o.oldest_at for o in (s.charger.state.outbox for s in sessions) if len(o) and o.oldest_at]
    age_s = max(0.0, scrape.now.wall - min(oldest)) if oldest else 0.0
    text = "Age of the oldest message that waits for the cloud; 0 when none does."
    yield gauge("edgegw_queue_oldest_age_seconds", text, age_s)


def _cloud(scrape: Scrape) -> Iterator[Metric]:
    gateway = scrape.sources.gateway
    cloud = view.cloud_health(gateway, scrape.now, scrape.sources.started_at)
    modes = [((mode,), mode == cloud.mode) for mode in CLOUD_MODES]
    yield gauges("edgegw_cloud_mode", "1 for the mode the site is in.", ("mode",), modes)
    legs = "Chargers with an open connection to the cloud."
    yield gauge("edgegw_cloud_connections", legs, cloud.connected_legs)
    dials = [((outcome,), gateway.cloud.dials[outcome]) for outcome in DIALS]
    yield counters("edgegw_cloud_dials", "Dials of the cloud, by what came of them.", ("outcome",), dials)


def _calls(scrape: Scrape) -> Iterator[Metric]:
    calls: dict[tuple[str, ...], Histogram] = {
        (outcome,): seen for outcome, seen in scrape.sources.calls.items()
    }
    text = "How long chargers took for CALLs that people sent, by outcome."
    yield histograms("edgegw_call_duration_seconds", text, ("outcome",), calls)


def _alarms(source: AlarmSource) -> Iterator[Metric]:
    active = [alarm for alarm in source.alarms if alarm.state == "active"]
    severities = Counter(alarm.severity for alarm in active)
    shown = [((severity,), severities[severity]) for severity in SEVERITIES]
    yield gauges("edgegw_alarms", "Active alarms, by severity.", ("severity",), shown)
    kinds = Counter((alarm.code, alarm.severity) for alarm in active)
    yield gauges("edgegw_alarms_by_kind", "Active alarms, by kind.", ("kind", "severity"), kinds.items())
    unseen = sum(not alarm.acknowledged for alarm in source.alarms)
    yield gauge("edgegw_alarms_unacknowledged", "Alarms that nobody has acknowledged.", unseen)
    bugs = "Bugs met while alarms were looked for or told; the log has them."
    yield counter("edgegw_alarms_bugs", bugs, source.bugs)


def _mqtt(source: MqttSource) -> Iterator[Metric]:
    yield gauge("edgegw_mqtt_connected", "1 while the building's broker is reached.", source.up)
    counts = [((kind,), count) for kind, count in sorted(source.counters.items())]
    text = "What went over MQTT or was dropped on its way, by kind."
    yield counters("edgegw_mqtt_operations", text, ("kind",), counts)
    if source.command_seconds is not None:
        text = "How long orders over MQTT took, from their arrival to the answer."
        yield histogram("edgegw_mqtt_command_duration_seconds", text, source.command_seconds)
