"""Everything about one charger, in sections; what may be ordered of it.

Rules of this file:
- The verdict and the sections stay on top; a letter goes to a section, left and right to its neighbour.
- Detail is asked for when the screen comes up, when the charger's line in the picture changes, and every
  few seconds; never while nobody looks.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer
from textual.widgets import ContentSwitcher

from edgegw.control.client import ControlFault
from edgegw.control.detail_models import ChargerDetail
from edgegw.control.live_models import ChargerRow, Snapshot
from edgegw.redaction import plain
from edgegw.tui.charger_rows import KEPT, sign
from edgegw.tui.charger_words import held_words
from edgegw.tui.frame import ConsoleScreen, FilterLine
from edgegw.tui.screens.charger_actions import Actions
from edgegw.tui.screens.charger_events import EventsPanel
from edgegw.tui.screens.charger_firmware import FirmwarePanel
from edgegw.tui.screens.charger_messages import MessagesPanel
from edgegw.tui.screens.charger_overview import OverviewPanel
from edgegw.tui.screens.charger_panel import Panel, Seen
from edgegw.tui.screens.charger_power import PowerPanel
from edgegw.tui.screens.charger_settings import SettingsPanel
from edgegw.tui.screens.charger_transactions import TransactionsPanel
from edgegw.tui.still import Still

AGAIN_S = 5.0
NOT_BEFORE_S = 1.0  # between two questions for the detail

PANELS: tuple[type[Panel], ...] = (
    OverviewPanel,
    PowerPanel,
    EventsPanel,
    TransactionsPanel,
    SettingsPanel,
    FirmwarePanel,
    MessagesPanel,
)


class ChargerScreen(ConsoleScreen):
    NAME = "Charger"
    HAS_FILTER = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012 - Textual's type
    ORDERS: ClassVar[frozenset[str]] = frozenset(("actions",))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "actions", "Actions"),
        *(Binding(one.KEY, f"section('{one.NAME.lower()}')", one.NAME, show=False) for one in PANELS),
        Binding("left", "neighbour(-1)", "Section before", show=False),
        Binding("right", "neighbour(1)", "Next section", show=False),
    ]
    DEFAULT_CSS = """
    ChargerScreen #verdict { height: 2; padding: 0 1; }
    ChargerScreen #sections { height: 1; text-wrap: nowrap; }
    ChargerScreen ContentSwitcher { height: 1fr; }
    ChargerScreen ContentSwitcher > Panel { height: 1fr; }
    """

    def __init__(self, identity: str) -> None:
        super().__init__()
        self.identity = identity
        self._detail: ChargerDetail | None = None
        self._trouble = ""
        self._row: ChargerRow | None = None
        self._asked_at = 0.0  # monotonic
        self._again: Timer | None = None
        self._actions = Actions(identity, self._push, self.order, self._tell)

    @property
    def ABOUT(self) -> str:  # type: ignore[override]
        """Of the section that is shown."""
        return f"{self.panel.ABOUT}\n\nLeft and right, or the letters above, go to other sections. a: orders."

    @property
    def trail(self) -> tuple[str, ...]:
        return ("Chargers", self.identity)

    @property
    def marks(self) -> tuple[str, ...]:
        return self.panel.marks if isinstance(self.panel, SettingsPanel) else ()

    def body(self) -> ComposeResult:
        yield Still(id="verdict")
        yield Still(id="sections")
        with ContentSwitcher(initial=PANELS[0].NAME.lower()):
            for panel in PANELS:
                yield panel()

    @property
    def panel(self) -> Panel:
        """The section that is shown."""
        shown = self.query_one(ContentSwitcher).visible_content
        assert isinstance(shown, Panel)
        return shown

    # --- asking ------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self._again = self.set_interval(AGAIN_S, self._ask_detail)
        self.call_after_refresh(self._focus_panel)

    def _focus_panel(self) -> None:
        """Unless somebody was quicker and searches already."""
        if not self.query_one(FilterLine).has_focus:
            self.panel.focus_target().focus()

    def on_screen_resume(self) -> None:
        if self._again is not None:
            self._again.resume()
        self._ask_detail()

    def on_screen_suspend(self) -> None:
        if self._again is not None:
            self._again.pause()

    def _ask_detail(self) -> None:
        if self.console.link.state.state == "live" and not self.asks("detail"):
            self._asked_at = time.monotonic()
            self.ask(
                lambda client: client.detail(self.identity), self._got, group="detail", failed=self._failed
            )

    def _got(self, detail: ChargerDetail) -> None:
        self._detail, self._trouble = detail, ""
        self.redraw()

    def _failed(self, fault: ControlFault) -> None:
        self._trouble = str(fault)
        self.redraw()

    # --- drawing -----------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        row = next((one for one in snapshot.chargers if one.identity == self.identity), None)
        is_new, self._row = row is not self._row, row
        self.query_one("#verdict", Still).tell(self._verdict())
        self.query_one("#sections", Still).tell(self._sections())
        self.panel.see(self.seen(snapshot))
        if is_new and time.monotonic() - self._asked_at >= NOT_BEFORE_S:
            self._ask_detail()

    def seen(self, snapshot: Snapshot) -> Seen:
        return Seen(self.identity, snapshot, self._row, self._detail, self.filter)

    def _verdict(self) -> Text:
        row = self._row
        if row is None:
            return Text(f"? {plain(self.identity)} is not known here (any more)", "magenta")
        mark, style = sign(row)
        text = Text(f"{mark} ".lstrip(), style)
        text.append(plain(row.verdict), style or "bold")
        if KEPT not in row.verdict and self._detail is not None:
            text.append("".join(f"; {words}" for words in held_words(self._detail.power)), "yellow")
        if row.handshake:
            text.append(f"; last attempt to connect: {plain(row.handshake)}", "yellow")
        if self._trouble:
            text.append(f"\nx no detail: {plain(self._trouble)}", "bold red")
        return text

    def _sections(self) -> Text:
        text = Text(no_wrap=True)
        for one in PANELS:
            is_shown = isinstance(self.panel, one)
            text.append(" ")
            text.append(f"{one.KEY} {one.NAME}", "reverse" if is_shown else "cyan")
        return text

    # --- keys --------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "filter":
            return self.is_mounted and self.panel.HAS_FILTER
        return super().check_action(action, parameters)

    def action_section(self, name: str) -> None:
        switcher = self.query_one(ContentSwitcher)
        if switcher.current == name:
            return
        self._set_filter("")
        self._close_filter()
        switcher.current = name
        self.panel.focus_target().focus()
        self.panel.opened()
        self.redraw()
        self.refresh_bindings()

    def action_neighbour(self, by: int) -> None:
        names = [one.NAME.lower() for one in PANELS]
        self.action_section(names[(names.index(self.panel.NAME.lower()) + by) % len(names)])

    # --- orders ------------------------------------------------------------------------------------

    def action_actions(self) -> None:
        snapshot = self.console.snapshot
        if snapshot is not None and self.may_order():
            self._actions.choose(self.seen(snapshot))

    def run_action_named(self, name: str) -> None:
        """One of `charger_actions.ACTIONS`."""
        snapshot = self.console.snapshot
        if snapshot is not None and self.may_order():
            self._actions.run(name, self.seen(snapshot))

    def _push(self, *given: Any) -> None:
        self.app.push_screen(*given)

    def _tell(self, words: str) -> None:
        self.notify(words, severity="warning", markup=False)
