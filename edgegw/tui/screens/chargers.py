"""All chargers in one table, and the whole truth about the one under the cursor below it.

Rules of this file:
- Calm: an order by values that change is made when it is asked for, and then stays; new chargers come last.
- A row is made again only when its charger changed, or the age it shows did.
- Who knocked and is not known stands at the end: the reason why "charger 9 does not connect" is here too.
"""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from edgegw.control.live_models import ChargerRow, Snapshot
from edgegw.redaction import plain
from edgegw.tui import charger_rows
from edgegw.tui.charger_rows import SORTS, STRANGER
from edgegw.tui.frame import ConsoleScreen
from edgegw.tui.still import Still
from edgegw.tui.table import VirtualTable
from edgegw.tui.words import number

NAMED_MAX = 3  # strangers that are named in the line below


class ChargersScreen(ConsoleScreen):
    NAME = "Chargers"
    ABOUT = (
        "Every charger: what it does, what it draws, its limit and why the limit is what it is. For one that"
        " is not connected the reason of its last failed attempt stands there; for one with a fault, the"
        " fault.\n\n"
        "Before the name: x fault, ! something to look at, o not connected, ? knocked and not known here.\n\n"
        "s changes the order. An order by values that change stays as it was made; s again makes the next."
    )
    HAS_FILTER = True
    HAS_FAULTS_ONLY = True
    BINDINGS: ClassVar[list[BindingType]] = [Binding("s", "sort", "Order")]
    DEFAULT_CSS = """
    ChargersScreen #verdict { height: 4; padding: 0 1; }
    ChargersScreen #strangers { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._sort = 0
        self._order: dict[str, int] = {}  # identity -> place, of the order that was made last
        self._rows = charger_rows.RowBook()

    def body(self) -> ComposeResult:
        yield VirtualTable(charger_rows.COLUMNS, empty="no charger has ever connected")
        yield Still(id="verdict")
        yield Still(id="strangers")

    @property
    def marks(self) -> tuple[str, ...]:
        return (f"by {SORTS[self._sort].name}",) if self._sort else ()

    def show(self, snapshot: Snapshot) -> None:
        rows = self._rows.lines(self._in_order(snapshot), snapshot.at, self.faults_only)
        rows += charger_rows.stranger_rows(snapshot)
        wanted = self.filter.rows(rows)
        table = self.query_one(VirtualTable)
        table.show(wanted, self._why_empty(snapshot))
        self._tell_verdict(snapshot)
        self._tell_strangers(snapshot)

    def _why_empty(self, snapshot: Snapshot) -> str:
        if not snapshot.chargers:
            return "no charger has ever connected"
        if self.filter.text:
            return f"none of {number(len(snapshot.chargers), 'charger')} has this: esc takes the filter away"
        return "no charger has a fault: f shows all of them"

    def _in_order(self, snapshot: Snapshot) -> list[ChargerRow]:
        chargers = list(snapshot.chargers)
        if not self._sort:
            return chargers
        if not self._order:
            made = sorted(chargers, key=SORTS[self._sort].key)
            self._order = {row.identity: place for place, row in enumerate(made)}
        last = len(self._order)
        return sorted(chargers, key=lambda row: self._order.get(row.identity, last))

    # --- below the table ---------------------------------------------------------------------------

    def on_virtual_table_highlighted(self, event: VirtualTable.Highlighted) -> None:
        if self.console.snapshot is not None:
            self._tell_verdict(self.console.snapshot)

    def _tell_verdict(self, snapshot: Snapshot) -> None:
        key = self.query_one(VirtualTable).key
        row = next((one for one in snapshot.chargers if one.identity == key), None)
        line = self.query_one("#verdict", Still)
        if row is not None:
            line.tell(charger_rows.verdict(row, snapshot.at))
        elif key is not None and key.startswith(STRANGER):
            line.tell(charger_rows.stranger_verdict(snapshot, key))
        else:
            line.tell(Text())

    def _tell_strangers(self, snapshot: Snapshot) -> None:
        """Chargers that are turned away because nobody named them."""
        names = charger_rows.strangers(snapshot)
        line = self.query_one("#strangers", Still)
        line.display = bool(names)
        if names:
            shown = ", ".join(plain(name) for name in list(names)[:NAMED_MAX])
            more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
            line.tell(Text(f"? knocked, not known here: {shown}{more}; key 9 to take one in", "magenta"))

    # --- keys --------------------------------------------------------------------------------------

    def action_sort(self) -> None:
        self._sort = (self._sort + 1) % len(SORTS)
        self._order = {}
        self.redraw()
        self.query_one(VirtualTable).action_edge(-1)  # who asks for an order wants to see who is first

    def on_virtual_table_selected(self, event: VirtualTable.Selected) -> None:
        if event.key.startswith(STRANGER):
            self.console.action_go("Commissioning")
        else:
            self.console.open_charger(event.key)
