"""From what chargers reported to what people read: reports and the catalogue in, `event_models` out.

Rules of this file:
- Read only. The newest come first; no more is explained than is asked for.
- Texts were made printable when they were heard; here they are shown as they are, with card ids masked.
- Everybody's reports are merged in portions, so that chargers do not wait for somebody who reads.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable, Iterator

from edgegw.catalogue.explain import explain
from edgegw.catalogue.load import load_catalogue
from edgegw.catalogue.model import SEVERITIES, Catalogue, Severity
from edgegw.control import event_models as models
from edgegw.control.masking import shown_fragment
from edgegw.core.report_book import Report
from edgegw.runtime.session import Session
from edgegw.wire.timestamps import format_timestamp

PORTION = 200  # reports looked at before others get their turn: about a millisecond

Told = tuple[Report, Session]


class EventDesk:
    def __init__(self, catalogue: Catalogue | None = None) -> None:
        """None: the shipped one is read, which is for the start and not for the loop."""
        self.catalogue = load_catalogue(None) if catalogue is None else catalogue

    async def newest(self, sessions: Iterable[Session], severity: Severity, limit: int) -> models.EventList:
        """At most `limit` events of at least this severity."""
        found: list[models.EventView] = []
        for number, (report, session) in enumerate(_newest_first(sessions), start=1):
            view = event_view(self.catalogue, session, report)
            if SEVERITIES.index(view.severity) >= SEVERITIES.index(severity):
                found.append(view)
            if len(found) >= limit:
                break
            if number % PORTION == 0:
                await asyncio.sleep(0)
        return models.EventList(events=tuple(found))


def _newest_first(sessions: Iterable[Session]) -> Iterator[Told]:
    """A charger's own lines are in order already."""
    return heapq.merge(*map(_own_newest_first, sessions), key=lambda told: -told[0].at)


def _own_newest_first(session: Session) -> Iterator[Told]:
    lines = tuple(session.charger.state.reports.lines)  # it may report more while somebody reads
    return ((line, session) for line in reversed(lines))


def event_view(catalogue: Catalogue, session: Session, report: Report) -> models.EventView:
    meaning = explain(catalogue, report, session.charger.state.profile.vendor)
    return models.EventView(
        charger=session.identity,
        at=format_timestamp(report.at),
        first_at=format_timestamp(report.first_at or report.at),
        said_at=report.said_at,
        count=report.count,
        kind=report.kind,
        code=report.code,
        vendor_code=report.vendor_code,
        connector=report.connector,
        info=shown_fragment(report.info),
        cleared=report.cleared,
        severity=meaning.severity,
        known=meaning.known,
        text=meaning.text,
        todo=meaning.todo,
    )
