"""The messages of one charger that are kept here, with the text of each."""

from __future__ import annotations

import time
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from edgegw.control.client import ControlFault
from edgegw.control.live_models import Snapshot
from edgegw.control.models import QueueRow, QueueRows, Resent
from edgegw.tui.frame import ConsoleScreen
from edgegw.tui.listing import ListScreen, or_fault
from edgegw.tui.queue_words import ROW_COLUMNS, about_message, key_of, message_row
from edgegw.tui.table import VirtualTable
from edgegw.tui.words import number

PAGE = 100
KEPT_MAX = 2_000
AGAIN_S = 2.0  # not more often, however fast the queue moves
MORE_FROM_ROW = 5


class QueueRowsScreen(ListScreen):
    NAME = "Queue"
    ABOUT = """
What is kept of one charger: what the cloud refused, then the newest
first; going down fetches older ones. The highlighted message is shown whole, card ids masked
and without passwords.

A parked message was refused by the cloud for good. r sends that one
once more, R all of the charger.
"""
    HAS_FILTER = True
    HAS_FAULTS_ONLY = True
    COLUMNS = ROW_COLUMNS
    EMPTY = "no messages of this charger are kept here"
    ORDERS: ClassVar[frozenset[str]] = frozenset(("resend", "resend_all"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "resend", "Re-send it"),
        Binding("R", "resend_all", "Re-send all", key_display="R"),
    ]

    def __init__(self, charger: str) -> None:
        super().__init__()
        self.charger = charger
        self._held: dict[str, QueueRow] = {}
        self._parked: dict[str, QueueRow] = {}  # however old: they are why one comes here
        self._next_before: int | None = None
        self._asks_more = False
        self._counts: object = None  # of its queue, when it was asked last
        self._asked_at = 0.0

    @property
    def trail(self) -> tuple[str, ...]:
        return (self.NAME, self.charger)

    # --- asking ------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self.set_interval(AGAIN_S, self.redraw)  # what changed just after it was asked for

    def ask_newest(self) -> None:
        charger = self.charger
        page = or_fault(lambda client: client.queue_rows(charger=charger, limit=PAGE, raw=True))
        self.ask(page, self._got_newest, group="newest")
        parked = or_fault(
            lambda client: client.queue_rows(charger=charger, state="parked", limit=PAGE, raw=True)
        )
        self.ask(parked, self._got_parked, group="parked")

    def _got_parked(self, page: QueueRows | ControlFault) -> None:
        """A fault is told by what asks beside it."""
        if not isinstance(page, ControlFault):
            self._parked = {key_of(row): row for row in page.rows}
            self.redraw()

    def _row(self, key: str) -> QueueRow | None:
        return self._parked.get(key) or self._held.get(key)

    def _got_newest(self, page: QueueRows | ControlFault) -> None:
        """Rows further down may have changed state: they are fetched again as they are reached."""
        if isinstance(page, ControlFault):
            self.console.tell_fault(page)
            return
        fresh = {key_of(row): row for row in page.rows}
        older = [row for row in self._held.values() if page.rows and row.seq < page.rows[-1].seq]
        joins = bool(older) and any(key in self._held for key in fresh)
        if not joins or page.next_before is None:
            self._next_before, older = page.next_before, []
        self._held = fresh | {key_of(row): row for row in older}
        self.redraw()

    def on_virtual_table_highlighted(self, event: VirtualTable.Highlighted) -> None:
        before, rows = self._next_before, self.table.rows
        near = event.key in {row.key for row in rows[-MORE_FROM_ROW:]}
        if near and before is not None and not self._asks_more and len(self._held) < KEPT_MAX:
            self._asks_more, charger = True, self.charger
            page = or_fault(
                lambda client: client.queue_rows(charger=charger, limit=PAGE, before=before, raw=True)
            )
            self.ask(page, self._got_more, group="more")

    def _got_more(self, page: QueueRows | ControlFault) -> None:
        self._asks_more = False
        if isinstance(page, ControlFault):
            self.console.tell_fault(page)
            return
        self._next_before = page.next_before
        self._held |= {key_of(row): row for row in page.rows}
        self.redraw()

    # --- drawing -----------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        counts = next((one for one in snapshot.queue.chargers if one.charger == self.charger), ())
        now = time.monotonic()
        if counts != self._counts and now >= self._asked_at + AGAIN_S and not self.asks("newest"):
            self._counts, self._asked_at = counts, now
            self.ask_newest()
        others = () if self.faults_only else self._held.values()
        wanted = [*self._parked.values(), *(row for row in others if key_of(row) not in self._parked)]
        self.list_rows([message_row(row) for row in wanted])

    def about(self, key: str) -> Text:
        row = self._row(key)
        return about_message(row) if row is not None else Text()

    def title_of(self, key: str) -> str:
        row = self._row(key)
        return f"{self.charger} {row.action}" if row is not None else key

    # --- keys --------------------------------------------------------------------------------------

    def action_resend(self) -> None:
        row = self._row(self.table.key or "")
        if row is None:
            return
        if row.state != "parked":
            self.notify("only parked messages (!) are sent by hand; the others go up by themselves")
            return
        self.order(
            f"Re-send {row.action} (message {row.seq}) of {self.charger}",
            lambda client: client.resend(self.charger, [row.seq]),
            told,
            confirm="It goes to the cloud once more. When the cloud refuses it again, it is parked again.",
        )

    def action_resend_all(self) -> None:
        snapshot = self.console.snapshot
        queues = snapshot.queue.chargers if snapshot is not None else ()
        resend_all(self, self.charger, sum(one.parked for one in queues if one.charger == self.charger))


def told(done: Resent) -> str:
    return f"{number(done.resent, 'message')} on the way to the cloud again"


def resend_all(screen: ConsoleScreen, charger: str, parked: int) -> None:
    """All parked ones of a charger, after a question."""
    if not parked:
        screen.notify("nothing is parked there; what waits goes up by itself")
        return
    screen.order(
        f"Re-send {number(parked, 'parked message')} of {charger}",
        lambda client: client.resend(charger),
        told,
        confirm="They go to the cloud once more, in order. What it refuses again is parked again.",
    )
