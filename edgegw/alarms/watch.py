"""Looks at the site once a second, keeps the list of alarms, and tells who listens.

Rules of this file:
- One look is bounded work in the loop; what must be waited for (store, files) is asked by tasks beside it.
- A source or listener that fails costs nothing but itself: what a source found last still counts, and the
  bug is counted and logged.
- The list is written when it has changed, at most every WRITE_EVERY_S; an order of a person and the end of
  the process at once. What could not be written is written again. A power cut in between costs the count of
  something that flaps.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from edgegw.alarms.certificates import CertificateEyes
from edgegw.alarms.chargers import ChargerEyes
from edgegw.alarms.clock import ClockEyes
from edgegw.alarms.cloud import CloudEyes
from edgegw.alarms.conditions import Source
from edgegw.alarms.faults import FaultEyes
from edgegw.alarms.moments import Moments
from edgegw.alarms.power import power
from edgegw.alarms.store import StoreEyes
from edgegw.catalogue.model import AlarmRule, Catalogue
from edgegw.core.alarm_book import AlarmBook
from edgegw.core.alarms import Alarm, AlarmChange, Condition
from edgegw.core.events import Instant
from edgegw.core.records import Document, SaveDocument
from edgegw.runtime import clock
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.tasks import Tasks
from edgegw.runtime.watchers import Watchers
from edgegw.store.journal import Journal

log = logging.getLogger("edgegw.alarms")

KIND = "alarms"
LOOK_EVERY_S = 1.0
WRITE_EVERY_S = 5.0  # something that flaps all night costs 12 small writes a minute
BUGS_LOGGED_EVERY = 3600
_ERRORS = frozenset({"error", "critical"})


def _level(change: AlarmChange) -> int:
    if change.kind == "repeated":
        return logging.DEBUG  # it may do so all night
    if change.kind != "raised" or change.alarm.severity == "info":
        return logging.INFO
    return logging.ERROR if change.alarm.severity in _ERRORS else logging.WARNING


def _name(called: Callable[..., object]) -> str:
    return getattr(called, "__qualname__", repr(called))


class AlarmWatch:
    """`start` in the loop, `stop` before the gateway stops."""

    def __init__(
        self,
        gateway: Gateway,
        journal: Journal,
        rules: Mapping[str, AlarmRule],
        *,
        catalogue: Catalogue,
        documents: Iterable[Document] = (),
        certificates: Mapping[str, Path] | None = None,
    ) -> None:
        """`documents` are those of `Recovery`; `certificates` by what they are for ("chargers", ...)."""
        self.rules = rules
        self.listeners: Watchers[AlarmChange] = Watchers()
        self.moments = Moments()
        self._bugs = 0
        self._gateway = gateway
        self.tasks = Tasks()  # of sources too: they end with the watch
        self._book = AlarmBook(rules)
        self._timer: asyncio.TimerHandle | None = None
        self._unwritten = False
        self._written_at = float("-inf")  # mono
        self._failed: Counter[str] = Counter()
        self._found: dict[Source, list[Condition]] = {}  # by each source, last
        self.certificates = CertificateEyes(certificates or {}, self.tasks)
        self.sources: list[Source] = [
            ChargerEyes(gateway).look,
            FaultEyes(gateway, catalogue).look,
            CloudEyes(gateway).look,
            lambda now: power(gateway.load, now),
            StoreEyes(journal, self.tasks).look,
            ClockEyes().look,
            self.certificates.look,
            self.moments.look,
        ]
        for document in documents:
            if document.kind == KIND:
                self._book.recover(document.value)
        self._listen()

    def _listen(self) -> None:
        self.moments.listen_to_the_past(self._gateway.notices)
        self._gateway.notice_listeners.append(self.moments.on_notice)
        self._gateway.file_listeners.append(self.moments.on_news)

    # --- start and stop ---------------------------------------------------------------------------

    def start(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self.start)
        try:
            self.look(clock.now())
        except Exception:  # the look's edge: it must not end who starts it, nor the looks to come
            if self._is_news("look"):
                log.exception("bug in a look for alarms; there is another one in a second")

    async def stop(self) -> None:
        """Safe to call twice. What has changed is handed to the store."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self.tasks.cancel()
        self._write(clock.now())

    # --- for people -------------------------------------------------------------------------------

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """The worst first. An alarm that has not changed is the same object."""
        return self._book.alarms

    @property
    def bugs(self) -> int:
        """Of sources, of looks and of those who listen."""
        return self._bugs + self.listeners.bugs

    def acknowledge(self, alarm_id: str, by: str) -> Alarm:
        """KeyError: there is no such alarm."""
        now = clock.now()
        change = self._book.acknowledge(alarm_id, by, now)
        self._write(now, changed=True)
        self._tell([change])
        return change.alarm

    # --- one look ---------------------------------------------------------------------------------

    def look(self, now: Instant) -> list[AlarmChange]:
        """Everything once. Returns, and tells, what has changed."""
        conditions = [condition for source in self.sources for condition in self._ask(source, now)]
        changes = self._book.update(conditions, now)
        self._unwritten = self._unwritten or bool(changes)
        if self._unwritten and now.mono - self._written_at >= WRITE_EVERY_S:
            self._write(now)
        self._tell(changes)
        return changes

    def _ask(self, source: Source, now: Instant) -> list[Condition]:
        try:
            found = list(source(now))
            unknown = {condition.code for condition in found} - self.rules.keys()
            if unknown:
                raise KeyError(*unknown)
        except Exception:  # the look's edge: one source must not silence the others
            if self._is_news(name := _name(source)):
                log.exception("bug while looking for alarms (%s); what it found last still counts", name)
            return self._found.get(source, [])
        self._found[source] = found
        return found

    def _tell(self, changes: Iterable[AlarmChange]) -> None:
        for change in changes:
            alarm = change.alarm
            log.log(_level(change), "alarm %s: %s: %s", change.kind, alarm.id, alarm.text)
            self.listeners.tell(change)

    def _is_news(self, name: str) -> bool:
        """Count a bug; one that comes with every look is not logged each time."""
        self._bugs += 1
        self._failed[name] += 1
        return self._failed[name] % BUGS_LOGGED_EVERY == 1

    def _write(self, now: Instant, *, changed: bool = False) -> None:
        if not (self._unwritten or changed):
            return
        self._unwritten, self._written_at = False, now.mono
        value = self._book.document()
        self._gateway.commit([SaveDocument(kind=KIND, charger="", key="", value=value)], self._note_written)

    def _note_written(self, error: BaseException | None) -> None:
        """What could not be written is tried again with a look, WRITE_EVERY_S after the last time."""
        if error is not None:
            self._unwritten = True
