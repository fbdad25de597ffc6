"""Transactions: who charges now and who did, with energy, time and why it ended."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.timer import Timer

from edgegw.control.client import ControlClient, ControlFault
from edgegw.control.live_models import Snapshot
from edgegw.control.models import TransactionList, TransactionView
from edgegw.tui.dialogs import Reading
from edgegw.tui.listing import ListScreen, or_fault
from edgegw.tui.table import VirtualTable
from edgegw.tui.transaction_words import COLUMNS, about, in_order, is_odd, key_of, place_of, row_of

PAGE = 100
RUNNING_MAX = 1000  # of one site
KEPT_MAX = 5_000  # past ones that are held; who looks further back has the command line
AGAIN_S = 5.0
MORE_FROM_ROW = 5  # so near to the bottom the next page is fetched


class TransactionsScreen(ListScreen):
    NAME = "Transactions"
    ABOUT = """
Who charges now (>), and below, the newest first, who did. Going
down fetches older ones. Card ids are masked.

  !  did not end as it should, or something is noted about it: f shows only these

Times are the charger's own; TOOK is "?" where they make no sense.
"""
    HAS_FILTER = True
    HAS_FAULTS_ONLY = True
    COLUMNS = COLUMNS
    EMPTY = "nobody has charged here yet"
    ORDERS: ClassVar[frozenset[str]] = frozenset(("stop",))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "stop", "Stop it"),
        Binding("r", "running_only", "Running"),
        Binding("c", "open_charger", "Charger"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.running_only = False
        self._held: dict[str, TransactionView] = {}
        self._next_before: int | None = None
        self._asks_more = False
        self._asked_of: object = None  # how many ran, when it was asked last
        self._again: Timer | None = None

    @property
    def marks(self) -> tuple[str, ...]:
        return ("running only",) if self.running_only else ()

    # --- asking ------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self._again = self.set_interval(AGAIN_S, self._ask_newest)

    def on_screen_resume(self) -> None:
        if self._again is not None:
            self._again.resume()
        self._ask_newest()

    def on_screen_suspend(self) -> None:
        if self._again is not None:
            self._again.pause()

    def _ask_newest(self) -> None:
        if self.console.link.state.state == "live" and not self.asks("newest"):
            self.ask(_newest, self._got_newest, group="newest")

    def _got_newest(self, pages: tuple[TransactionList, TransactionList]) -> None:
        running, newest = pages
        still = {key_of(t) for t in running.transactions}
        fresh = {key_of(t): t for page in pages for t in page.transactions}
        if not any(key_of(t) in self._held for t in newest.transactions):  # the first time, or a hole
            self._held, self._next_before = {}, newest.next_before
        # one that ran and runs no more may be on no page: then it goes, and comes back with its page
        self._held = {
            key: t for key, t in self._held.items() if key in fresh or not t.running or key in still
        } | fresh
        self._redraw()

    def _redraw(self) -> None:
        for key in [t for t in self._held if not self._held[t].running][KEPT_MAX:]:
            del self._held[key]
        self.redraw()

    def on_virtual_table_highlighted(self, event: VirtualTable.Highlighted) -> None:
        rows = self.table.rows
        if event.key in {row.key for row in rows[-MORE_FROM_ROW:]}:
            self._ask_more()

    def _ask_more(self) -> None:
        before = self._next_before
        if before is not None and not self._asks_more and len(self._held) < KEPT_MAX:
            self._asks_more = True
            page = or_fault(lambda client: client.transactions(before=before, limit=PAGE))
            self.ask(page, self._got_more, group="more")

    def _got_more(self, page: TransactionList | ControlFault) -> None:
        self._asks_more = False
        if isinstance(page, ControlFault):
            self.console.tell_fault(page)
        else:
            self._next_before = page.next_before
            self._held |= {key_of(t): t for t in page.transactions if key_of(t) not in self._held}
            self._redraw()

    # --- drawing -----------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        if snapshot.site.running_transactions != self._asked_of and not self.asks("newest"):
            self._asked_of = snapshot.site.running_transactions
            self._ask_newest()
        wanted = (
            t
            for t in self._held.values()
            if (t.running or not self.running_only) and (is_odd(t) or not self.faults_only)
        )
        self.list_rows([row_of(t, snapshot.at) for t in in_order(wanted)])

    def about(self, key: str) -> Text:
        snapshot, t = self.console.snapshot, self._held.get(key)
        return about(t, snapshot.at) if t is not None and snapshot is not None else Text()

    # --- keys --------------------------------------------------------------------------------------

    def opened(self, key: str) -> None:
        t = self._held.get(key)
        if t is not None:
            self.app.push_screen(Reading(f"Transaction {t.id} at {t.charger}", self.about(key)))

    def action_running_only(self) -> None:
        self.running_only = not self.running_only
        self.redraw()

    def action_open_charger(self) -> None:
        t = self._held.get(self.table.key or "")
        if t is not None:
            self.console.open_charger(t.charger)

    def action_stop(self) -> None:
        t = self._held.get(self.table.key or "")
        if t is None:
            return
        if not t.running:
            self.notify("it is over already; only one that runs (>) can be stopped")
            return
        self.order(
            f"Stop transaction {t.id} at {t.charger}",
            lambda client: client.stop(t.charger, t.id),
            lambda answer: answer.text,
            confirm=f"The car at connector {place_of(t)} stops charging. Its driver may not be told why.",
        )


def _newest(client: ControlClient) -> tuple[TransactionList, TransactionList]:
    """All that run, and the newest of all."""
    return client.transactions(running=True, limit=RUNNING_MAX), client.transactions(limit=PAGE)
