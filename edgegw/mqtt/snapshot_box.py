"""The box itself for the view: what it is, how it is, its way to the cloud, its alarms.

Rules of this file: read only; what changes every second by nature (uptime, load) is told every
`HEALTH_EVERY_S`, so that a quiet box is quiet on the broker too.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Literal
from urllib.parse import urlsplit

from edgegw.catalogue.model import SEVERITIES
from edgegw.control import models, view
from edgegw.core.alarms import Alarm
from edgegw.core.events import Instant
from edgegw.mqtt import payloads
from edgegw.mqtt.host import Host, HostFacts
from edgegw.mqtt.numbers import clipped, rounded, utc, whole
from edgegw.mqtt.snapshot_sources import SiteFacts, Sources
from edgegw.mqtt.topics import slugs
from edgegw.runtime.gateway import Gateway

HEALTH_EVERY_S = 10.0
WORDS_MAX = 20  # of reasons and of warnings
NEVER = "1970-01-01T00:00:00Z"  # a time that must be there and is not known
NOT_COUNTED = "the store has not answered yet"


class InfoMaker:
    """Made anew when there is another charger, meter or circuit."""

    def __init__(self, site: SiteFacts, commands: Sequence[str]) -> None:
        self._site = site
        self._commands = tuple(commands)
        self._hostname = socket.gethostname()
        self._made_of: tuple[Any, ...] | None = None
        self._info: payloads.Info

    def info(
        self,
        identities: Iterable[str],
        meters: Iterable[str],
        circuits: Iterable[str],
        named: Set[str] = frozenset(),
    ) -> payloads.Info:
        """`named`: chargers of the site file, whose topics no stranger takes."""
        of = tuple(identities), tuple(meters), tuple(circuits), named
        if of != self._made_of:
            self._made_of, self._info = of, self._make(*of)
        return self._info

    def _make(
        self,
        identities: tuple[str, ...],
        meters: tuple[str, ...],
        circuits: tuple[str, ...],
        named: Set[str],
    ) -> payloads.Info:
        topics = slugs(identities, named)
        return payloads.Info(
            gateway=self._site.id,
            name=self._site.name,
            version=self._site.version,
            api=payloads.API,
            hostname=self._hostname,
            started_at=utc(self._site.started_at) or NEVER,
            features=self._site.features,
            commands=self._commands,
            chargers=tuple(payloads.ChargerRef(topic=topics[name], identity=name) for name in identities),
            meters=meters,
            circuits=circuits,
        )


class HealthMaker:
    def __init__(self, site: SiteFacts, sources: Sources, host: Host | None = None) -> None:
        self._site, self._sources = site, sources
        self._host = host or Host()
        self._made_at = float("-inf")
        self._verdict: tuple[Any, ...] = ()
        self._health: payloads.Health

    def health(self, now: Instant, alarms: int) -> payloads.Health:
        """At once when its verdict changed, else every HEALTH_EVERY_S."""
        seen = self._sources.health()
        said = _verdict(seen)
        verdict = (*said, now.trusted, alarms)
        if verdict != self._verdict or now.mono - self._made_at >= HEALTH_EVERY_S:
            self._made_at, self._verdict = now.mono, verdict
            self._health = self._make(seen, said, now, alarms)
        return self._health

    def _make(
        self, seen: models.Health | None, said: tuple[Any, ...], now: Instant, alarms: int
    ) -> payloads.Health:
        status, reasons, warnings = said
        host: HostFacts = self._host.facts(now.mono)
        store = seen.store if seen is not None else None
        return payloads.Health(
            status=status,
            reasons=reasons,
            warnings=warnings,
            uptime_s=whole(max(0.0, now.wall - self._site.started_at)) or 0,
            cpu_temp_c=host.cpu_temp_c,
            load_1m=host.load_1m,
            memory_rss_bytes=host.memory_rss_bytes,
            disk_free_bytes=store.free_disk_bytes if store else None,
            database_bytes=store.database_bytes if store else None,
            wal_bytes=store.wal_bytes if store else None,
            queue_depth=store.stored if store else None,
            parked=store.parked if store else None,
            oldest_queued_s=rounded(store.oldest_unsent_s) if store else None,
            clock_trusted=now.trusted,
            clock_offset_ms=host.clock_offset_ms,
            loop_lag_ms=rounded(self._sources.loop_lag_ms()),
            events_dropped=self._sources.events_dropped(),
            alarms=alarms,
        )


def _verdict(
    seen: models.Health | None,
) -> tuple[Literal["ok", "away", "degraded"], tuple[str, ...], tuple[str, ...]]:
    if seen is None:
        return "degraded", (NOT_COUNTED,), ()
    reasons = tuple(clipped(text) for text in seen.reasons[:WORDS_MAX])
    return seen.status, reasons, tuple(clipped(text) for text in seen.warnings[:WORDS_MAX])


# --- the cloud ------------------------------------------------------------------------------------


def cloud_state(gateway: Gateway, now: Instant, started_at: float) -> payloads.CloudState:
    seen = view.cloud_health(gateway, now, started_at)
    queue = view.queue_counts(gateway.sessions.values())
    return payloads.CloudState(
        mode=seen.mode,
        since=seen.since,
        connected_legs=seen.connected_legs,
        url_host=host_of(gateway.settings.cloud_url),
        queue_depth=queue.stored + queue.in_flight,
        in_flight=queue.in_flight,
        parked=queue.parked,
        oldest_queued_at=queue.oldest_unsent_at,
        last_error=clipped(seen.error),
    )


def host_of(url: str) -> str:
    """The host alone: a path or a user may be a secret."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


# --- alarms ---------------------------------------------------------------------------------------


class AlarmsMaker:
    """An alarm that is the same object has the same payload."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._made: dict[str, tuple[Alarm, payloads.AlarmState]] = {}

    def alarms(self) -> Mapping[str, payloads.AlarmState]:
        """By id, in the order of the source."""
        made: dict[str, tuple[Alarm, payloads.AlarmState]] = {}
        for alarm in self._sources.alarms():
            known = self._made.get(alarm.id)
            made[alarm.id] = known if known is not None and known[0] is alarm else (alarm, alarm_state(alarm))
        self._made = made
        return {key: state for key, (_, state) in made.items()}


def alarm_state(alarm: Alarm) -> payloads.AlarmState:
    return payloads.AlarmState(
        id=alarm.id,
        code=alarm.code,
        severity=alarm.severity,
        title=clipped(alarm.title),
        text=clipped(alarm.text),
        todo=clipped(alarm.todo),
        target=alarm.target,
        state=alarm.state,
        acknowledged=alarm.acknowledged,
        acknowledged_by=clipped(alarm.acknowledged_by),
        since=utc(alarm.since) or NEVER,
        last_at=utc(alarm.last_at) or NEVER,
        count=alarm.count,
        latched=alarm.latched,
    )


def worst_severity(alarms: Iterable[payloads.AlarmState]) -> payloads.SeverityName | None:
    found = [alarm.severity for alarm in alarms if alarm.state == "active"]
    return max(found, key=SEVERITIES.index, default=None)
