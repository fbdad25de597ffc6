"""Is the box all right? One answer for people, for `edgegw status` and for a container's health check.

Rules of this file:
- "degraded" means the box cannot do its work; a cloud that is away is not that: the box then does more.
- What only a person can settle (parked messages, damaged rows) is a warning and never makes it degraded.
- A store that hangs must not hang the answer: what is known is told, with a word about what is not.
"""

from __future__ import annotations

import asyncio

from edgegw.control import models, view
from edgegw.core.events import Instant
from edgegw.errors import StoreFault
from edgegw.runtime import clock
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.tasks import Tasks
from edgegw.store.journal import Journal
from edgegw.store.reader import StoreCounts
from edgegw.wire.timestamps import format_timestamp

COUNTS_KEPT_S = 1.0  # whoever asks more often gets the same numbers: counting takes a turn of the store
COUNTS_WITHIN_S = 2.0
FREE_DISK_LOW_BYTES = 256 * 1024 * 1024


class StoreWatch:
    """The numbers of the store, counted at most once per second however many ask."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._tasks = Tasks()
        self._counting: asyncio.Task[None] | None = None
        self._counts: StoreCounts | None = None
        self._counted_at = float("-inf")

    async def counts(self) -> StoreCounts | None:
        """None when the store cannot be read, or does not answer within COUNTS_WITHIN_S."""
        if clock.now().mono - self._counted_at < COUNTS_KEPT_S:
            return self._counts
        if self._counting is None or self._counting.done():
            self._counting = self._tasks.spawn(self._count(), "store counts")
        done, _ = await asyncio.wait([self._counting], timeout=COUNTS_WITHIN_S)
        return self._counts if done else None

    def glimpse(self) -> StoreCounts | None:
        """The same without waiting: those of the last count, while a new one is under way. None as above."""
        now = clock.now().mono
        if now - self._counted_at >= COUNTS_KEPT_S and (self._counting is None or self._counting.done()):
            self._counting = self._tasks.spawn(self._count(), "store counts")
        is_late = now - self._counted_at > COUNTS_KEPT_S + COUNTS_WITHIN_S
        return None if is_late else self._counts

    async def _count(self) -> None:
        try:
            self._counts = await self._journal.counts()
        except (StoreFault, OSError):
            self._counts = None
        self._counted_at = clock.now().mono

    async def close(self) -> None:
        await self._tasks.cancel()


def health(
    gateway: Gateway, journal: Journal, counts: StoreCounts | None, *, version: str, started_at: float
) -> models.Health:
    now = clock.now()
    store = _store(gateway, journal, counts, now)
    cloud = view.cloud_health(gateway, now, started_at)
    broken = _broken(store, counts)
    away = [f"the cloud is not reached: {cloud.error or 'no connection'}"] if cloud.mode == "away" else []
    return models.Health(
        status="degraded" if broken else "away" if away else "ok",
        reasons=(*broken, *away),
        warnings=tuple(_warnings(gateway, store, cloud, now)),
        version=version,
        started_at=format_timestamp(started_at),
        uptime_s=round(max(0.0, now.wall - started_at), 3),
        store=store,
        cloud=cloud,
        clock=models.ClockHealth(now=format_timestamp(now.wall), trusted=now.trusted),
    )


def _store(
    gateway: Gateway, journal: Journal, counts: StoreCounts | None, now: Instant
) -> models.StoreHealth:
    oldest = counts.oldest_stored_at if counts else None
    return models.StoreHealth(
        stored=counts.stored if counts else None,
        in_flight=sum(view.row_in_flight(s) is not None for s in gateway.sessions.values()),
        parked=counts.parked if counts else None,
        quarantined=counts.quarantined if counts else None,
        oldest_unsent_at=view.utc(oldest),
        oldest_unsent_s=None if oldest is None else round(max(0.0, now.wall - oldest), 3),
        database_bytes=counts.database_bytes if counts else None,
        wal_bytes=counts.log_bytes if counts else None,
        free_disk_bytes=counts.free_bytes if counts else None,
        reserve=counts.reserve if counts else None,
        broken=journal.broken,
    )


def _broken(store: models.StoreHealth, counts: StoreCounts | None) -> list[str]:
    if store.broken:
        return ["the store is broken: nothing can be kept until edgegw is started again"]
    if counts is None:
        return ["the store does not answer: check the disk"]
    if not store.reserve:
        return ["the disk is full: the space kept back for messages is in use; free some space"]
    return []


def _warnings(
    gateway: Gateway, store: models.StoreHealth, cloud: models.CloudHealth, now: Instant
) -> list[str]:
    found = []
    if not now.trusted:
        found.append("the clock of this box is not set: times in records are not right")
    if store.parked:
        were = "message was" if store.parked == 1 else "messages were"
        found.append(f"{store.parked} {were} refused by the cloud: see edgegw queue --rows --state parked")
    if store.quarantined:
        found.append(f"{store.quarantined} rows of the store were damaged and are in its quarantine")
    if store.free_disk_bytes is not None and store.free_disk_bytes < FREE_DISK_LOW_BYTES:
        found.append(f"only {store.free_disk_bytes // 2**20} MiB are free on the disk of the store")
    if gateway.store_errors:
        found.append(f"{gateway.store_errors} times the store failed and a charger started over")
    counts = view.charger_counts(gateway)
    if cloud.mode == "serving" and counts.to_cloud < counts.connected:
        found.append(
            f"{counts.connected - counts.to_cloud} of {counts.connected} connected chargers have no cloud"
        )
    return found
