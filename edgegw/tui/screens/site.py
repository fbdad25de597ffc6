"""The first screen: what flows against what may flow, and everything that is not as it should be.

Rules of this file:
- The plot follows the circuit under the cursor; what the gateway kept is asked for when that, or the span,
  changes, and again when the line to the gateway was lost.
- The lines below it are as many as there is room for; the worst come first.
"""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical

from edgegw.control.live_models import PowerHistory, Snapshot
from edgegw.control.power_models import CircuitView, PhaseAmps
from edgegw.tui import site_words
from edgegw.tui.frame import ConsoleScreen
from edgegw.tui.plot import Frame, Plot
from edgegw.tui.power_past import SPANS, PowerPast
from edgegw.tui.still import Still
from edgegw.tui.table import VirtualTable

NOMINAL_V = 230.0
UNHEARD = "the meter of this circuit has not said anything yet"
UNMETERED = "this circuit has no meter of its own; below stands what its chargers may draw together"
ALARMS_NARROW, CIRCUITS_NARROW = 3, 6


class SiteScreen(ConsoleScreen):
    NAME = "Site"
    ABOUT = (
        "Current of each phase against the limit, over the last minutes and hours; below it the circuits with"
        " what is free, the cloud, meters, alarms and what happened lately.\n\n"
        "The plot shows the circuit under the cursor: up and down choose it. 'over': more flows than may;"
        " 'full': nothing is left; 'tight': less than one car needs (6 A); 'no meter': its meter is silent"
        " and the reserve counts."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "span", "5 min/1 h/24 h"),
        Binding("c", "circuit", "Next circuit"),
        Binding("u", "unit", "A/kW"),
    ]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012 - Textual's type
    DEFAULT_CSS = """
    SiteScreen #panes { height: 1fr; layout: vertical; }
    SiteScreen Static { text-wrap: nowrap; text-overflow: ellipsis; }
    SiteScreen #power { height: 65%; }
    SiteScreen #rest { height: 1fr; }
    SiteScreen #now { height: 1; }
    SiteScreen #circuit { height: 1; }
    SiteScreen VirtualTable { height: auto; max-height: 7; }
    SiteScreen #lines { height: 1fr; }
    SiteScreen.-wide #panes { layout: horizontal; }
    SiteScreen.-wide #power { height: 100%; width: 3fr; }
    SiteScreen.-wide #rest { height: 100%; width: 2fr; padding-left: 1; }
    SiteScreen.-wide VirtualTable { max-height: 40%; }
    SiteScreen.-wide #circuit { height: 2; text-wrap: wrap; }
    SiteScreen.-wide #lines { text-wrap: wrap; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._span = 0
        self._in_kw = False
        self._past: PowerPast | None = None
        self._losses = 0

    def body(self) -> ComposeResult:
        with Container(id="panes"):
            with Vertical(id="power"):
                yield Still(id="now")
                yield Plot()
                yield VirtualTable(site_words.CIRCUIT_COLUMNS, empty="the site file has no circuits")
                yield Still(id="circuit")
            with Vertical(id="rest"):
                yield Still(id="lines")

    def tell_unknown(self, why: str) -> None:
        super().tell_unknown(why)
        self.query_one(Plot).show((), Frame(0.0, 0.0), why)

    def show(self, snapshot: Snapshot) -> None:
        table = self.query_one(VirtualTable)
        table.styles.height = len(snapshot.power.circuits) + 1 if snapshot.power.circuits else 2
        table.show(site_words.circuit_rows(snapshot.power))
        self._show_power(snapshot)
        self._show_lines(snapshot)

    # --- power -------------------------------------------------------------------------------------

    def _show_power(self, snapshot: Snapshot) -> None:
        circuit = self._circuit(snapshot)
        if circuit is None:
            self.query_one("#now", Still).tell(Text(" Power", "bold"))
            self.query_one(Plot).show((), Frame(0.0, 0.0), " nothing is balanced here: no circuits, no plot")
            self.query_one("#circuit", Still).tell(Text())
            return
        past = self._past_of(circuit.name)
        past.add(snapshot.power, snapshot.at)
        volts = _volts(snapshot, circuit) if self._in_kw else None
        self.query_one("#now", Still).tell(site_words.phase_line(circuit, past.span.name, volts))
        nothing = ""
        if past.is_unmeasured:
            is_metered = circuit.stale or circuit.reading_age_s is not None
            nothing = f" {UNHEARD if is_metered else UNMETERED}"
        self.query_one(Plot).show(past.curves(volts), past.frame(), nothing)
        words = Text(" " + site_words.circuit_words(circuit), "dim", overflow="ellipsis")
        self.query_one("#circuit", Still).tell(words)

    def _circuit(self, snapshot: Snapshot) -> CircuitView | None:
        key = self.query_one(VirtualTable).key
        return next((one for one in snapshot.power.circuits if one.name == key), None)

    def _past_of(self, circuit: str) -> PowerPast:
        """Also asks for what the gateway kept, when that is not here."""
        span, losses = SPANS[self._span], self.console.link.state.losses
        past = self._past
        if past is None or (past.circuit, past.span) != (circuit, span) or losses != self._losses:
            past = self._past = PowerPast(circuit, span)
            self._losses = losses
            self._ask_past()
        return past

    def _ask_past(self) -> None:
        past = self._past
        if past is not None:
            name, span_s = past.circuit, past.span.seconds
            self.ask(lambda c: c.power_history(name, span_s=span_s), self._got_past, group="history")

    def _got_past(self, history: PowerHistory) -> None:
        past = self._past
        if past is not None and past.circuit == history.circuit:
            past.load(history)
            self.redraw()

    def on_virtual_table_highlighted(self, event: VirtualTable.Highlighted) -> None:
        self.redraw()

    def on_screen_resume(self) -> None:
        """What passed while nobody looked is with the gateway; the frame draws after this."""
        self._past = None

    # --- the rest ----------------------------------------------------------------------------------

    def _show_lines(self, snapshot: Snapshot) -> None:
        lines = self.query_one("#lines", Still)
        room = lines.size.height
        is_narrow = not self.has_class("-wide")
        shown: list[Text] = [
            *site_words.cloud_lines(snapshot),
            *site_words.health_lines(snapshot)[: 2 if is_narrow else 8],
            *site_words.meter_lines(snapshot.power)[: 2 if is_narrow else 8],
            *site_words.held_lines(snapshot.power)[: 1 if is_narrow else 8],
        ]
        limits = site_words.limit_lines(snapshot.power, snapshot.at)
        left = max(1, room - len(shown) - min(1, len(limits)))
        shown += site_words.alarm_lines(snapshot, min(left, ALARMS_NARROW) if is_narrow else left // 2)
        shown += limits[: max(0, room - len(shown))]
        shown += site_words.notice_lines(snapshot.site.notices, snapshot.at, room - len(shown))
        lines.tell(Text("\n", no_wrap=True, overflow="ellipsis").join(shown[: max(1, room)]))

    def on_resize(self) -> None:
        self.call_after_refresh(self.redraw)

    # --- keys --------------------------------------------------------------------------------------

    def action_span(self) -> None:
        self._span = (self._span + 1) % len(SPANS)
        self.redraw()

    def action_unit(self) -> None:
        self._in_kw = not self._in_kw
        self.redraw()

    def action_circuit(self) -> None:
        table = self.query_one(VirtualTable)
        keys = [row.key for row in table.rows]
        if table.key is not None:
            table.go_to(keys[(keys.index(table.key) + 1) % len(keys)])


def _volts(snapshot: Snapshot, circuit: CircuitView) -> PhaseAmps:
    """Of the meter that shows the same current as the circuit; else of the first; else the grid's nominal."""
    meters = sorted(snapshot.power.meters, key=lambda one: one.current_a != circuit.measured_a)
    volts = meters[0].voltage_v if meters else (None, None, None)
    a, b, c = (one or NOMINAL_V for one in volts)
    return (a, b, c)
