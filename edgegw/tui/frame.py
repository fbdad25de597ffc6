"""What all screens of the console share: the lines above, the filter, help, and how a new picture arrives.

Rules of this file:
- A screen draws from the newest picture in `show`, and only there; it asks the gateway for more in the
  background (`ask`) and orders through `order`. Nothing here waits.
- A bug in one screen's drawing is told on that screen and logged; the console goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.screen import Screen
from textual.widgets import Footer, Input

from edgegw.control.client import ControlClient, ControlFault
from edgegw.control.live_models import Snapshot
from edgegw.redaction import plain
from edgegw.tui.bars import Crumbs, TopLine
from edgegw.tui.dialogs import Reading
from edgegw.tui.filtering import SLOW, Filter, parse
from edgegw.tui.said import SaidLine
from edgegw.tui.table import VirtualTable
from edgegw.tui.words import flowed

if TYPE_CHECKING:
    from edgegw.tui.app import Console

log = logging.getLogger("edgegw.tui")

T = TypeVar("T")


class FilterLine(Input):
    """Where `/` is typed; enter keeps it, escape takes it away."""

    DEFAULT_CSS = """
    FilterLine { display: none; dock: bottom; height: 1; border: none; margin-bottom: 1; }
    FilterLine.-shown { display: block; }
    """
    HELP = "Words that a line must hold. `!word` must not be there, `/text/` is a regular expression."


# Textual's own, of no use here: nothing scrolls sideways, and left and right are the sections of a charger.
UNTOLD = frozenset(
    ("scroll_left", "scroll_right", "page_left", "page_right", "copy_text", "screen.copy_text")
)


LOOKS, LOOKS_BY_TOKEN = "only looks; to order: --operator", "only looks; to order: an operator's token"


class ConsoleScreen(Screen[None]):
    """Subclasses set NAME, ABOUT, `body` and `show`."""

    NAME: ClassVar[str] = ""  # in the breadcrumbs
    ABOUT: ClassVar[str] = ""  # help for the screen as a whole
    HAS_FILTER: ClassVar[bool] = False
    HAS_FAULTS_ONLY: ClassVar[bool] = False
    ORDERS: ClassVar[frozenset[str]] = frozenset()  # actions that order; panels have theirs
    DEFAULT_CSS = """
    ConsoleScreen Footer { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("f", "faults_only", "Faults"),
        Binding("escape", "back", "Back", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.filter = Filter()
        self.faults_only = False

    @property
    def console(self) -> Console:
        from edgegw.tui.app import Console

        app = self.app
        assert isinstance(app, Console)
        return app

    # --- for subclasses ----------------------------------------------------------------------------

    def body(self) -> ComposeResult:
        """The widgets between the lines above and the footer."""
        raise NotImplementedError

    def show(self, snapshot: Snapshot) -> None:
        """Draw the newest picture: when it is new, the filter changes or the screen comes up."""

    @property
    def trail(self) -> tuple[str, ...]:
        """The breadcrumbs."""
        return (self.NAME,)

    @property
    def marks(self) -> tuple[str, ...]:
        """What else narrows or holds this view, beside the breadcrumbs."""
        return ()

    def ask(
        self,
        question: Callable[[ControlClient], T],
        then: Callable[[T], None],
        *,
        group: str = "",
        failed: Callable[[ControlFault], None] | None = None,
    ) -> None:
        """Ask the gateway in the background; `then` gets the answer here, if the screen is still there.

        A newer question of the same `group` replaces one that is under way. A fault is told in words, or
        given to `failed`.
        """
        self.console.ask(self, question, then, group=group or "ask", failed=failed)

    def asks(self, group: str) -> bool:
        """Whether a question of this group is under way: who asks again and again lets it be answered."""
        mine = (worker for worker in self.workers if worker.node is self and worker.group == group)
        return any(not worker.is_finished for worker in mine)

    def order(
        self,
        what: str,
        carry_out: Callable[[ControlClient], T],
        then: Callable[[T], str | None] | None = None,
        *,
        confirm: str = "",
    ) -> None:
        """Order something; operators only. `confirm`: what it does to people, asked before.

        `then` makes the words that are shown of the answer (None: "done").
        """
        self.console.order(what, carry_out, then, confirm=confirm)

    def may_order(self) -> bool:
        """For orders that need more than one question: so that nobody answers them for nothing."""
        return self.console.may_order()

    # --- the frame ---------------------------------------------------------------------------------

    @property
    def active_bindings(self) -> dict[str, ActiveBinding]:
        """What footer, help and palette offer: without orders where this console only looks.

        Whoever presses such a key all the same is told why nothing happens.
        """
        found = super().active_bindings
        if not self.console.why_no_orders:
            return found
        return {key: one for key, one in found.items() if not _is_order(one)}

    def compose(self) -> ComposeResult:
        yield TopLine()
        yield Crumbs()
        yield from self.body()
        if self.HAS_FILTER:
            yield FilterLine(placeholder="filter: words, !not, /regex/", select_on_focus=False, compact=True)
        yield SaidLine()
        yield Footer(compact=True, show_command_palette=False)

    def on_screen_resume(self) -> None:
        self.redraw()

    @property
    def is_whole(self) -> bool:
        """It has its widgets: no more while it is taken off the screen."""
        return self.is_mounted and not self._pruning and bool(self.query(TopLine))

    def redraw(self) -> None:
        """With the newest picture, as far as there is one."""
        self.tell_line()
        snapshot = self.console.snapshot
        if not self.is_whole:
            return
        if snapshot is None:
            self.tell_unknown(plain(self.console.link.state.error) or "asking the gateway ...")
            return
        try:
            self.show(snapshot)
        except Exception:  # the edge of one screen: the technician keeps the others
            log.exception("bug while drawing %s", self.NAME)
            self.notify(
                f"a bug in the console while drawing {self.NAME}; its log says where", severity="error"
            )

    def tell_unknown(self, why: str) -> None:
        """Without any picture a list must not say that there is nothing: nobody knows."""
        for table in self.query(VirtualTable):
            table.show((), why)

    def tell_line(self) -> None:
        """The lines above."""
        if not self.is_whole:
            return
        self.query_one(TopLine).tell(self.console.top_line())
        marks = [f"/{self.filter.text}"] if self.filter.text else []
        if self.filter.complaint:
            marks.append("not understood: all is shown" if self.filter.wrong else SLOW)
        if self.faults_only:
            marks.append("faults only")
        marks += self.marks
        if self.console.why_no_orders:
            marks.append(LOOKS if not self.console.where.operator else LOOKS_BY_TOKEN)
        self.query_one(Crumbs).tell_trail(self.trail, *marks)
        self.tell_said()

    def tell_said(self) -> None:
        """The line below."""
        if self.is_whole:
            self.query_one(SaidLine).tell(self.console.said_lines())

    # --- filter ------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "filter":
            return self.HAS_FILTER
        if action == "faults_only":
            return self.HAS_FAULTS_ONLY
        return super().check_action(action, parameters)

    def action_filter(self) -> None:
        line = self.query_one(FilterLine)
        line.add_class("-shown")
        line.focus(scroll_visible=False)

    def action_faults_only(self) -> None:
        self.faults_only = not self.faults_only
        self.redraw()

    def action_back(self) -> None:
        """Out of the filter, else out of the screen."""
        if self.HAS_FILTER and (self.filter.text or self.query_one(FilterLine).has_focus):
            self._set_filter("")
            self._close_filter()
        else:
            self.console.go_back()

    def on_input_changed(self, event: Input.Changed) -> None:
        if isinstance(event.input, FilterLine):
            self._set_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if isinstance(event.input, FilterLine):
            self._close_filter()
            if self.filter.complaint:
                self.notify(self.filter.complaint, severity="warning", markup=False)

    def _set_filter(self, text: str) -> None:
        if text == self.filter.text:
            return
        self.filter = parse(text)
        self.redraw()

    def _close_filter(self) -> None:
        line = self.query_one(FilterLine)
        line.value = self.filter.text
        line.remove_class("-shown")
        self.focus_next("VirtualTable")

    # --- help --------------------------------------------------------------------------------------

    def help_text(self) -> Text:
        """Of what has the focus, and of this screen."""
        focused = self.focused
        own = getattr(focused, "HELP", None) if focused is not None else None
        text = Text()
        if own:
            text.append(f"{flowed(own)}\n\n")
        text.append(f"{flowed(self.ABOUT)}\n\n")
        text.append(self.keys_text())
        return text

    def keys_text(self) -> Text:
        """What is in the footer first; several keys that do the same are one line."""
        keys: dict[str, list[str]] = {}
        for active in sorted(self.active_bindings.values(), key=lambda one: not one.binding.show):
            binding = active.binding
            if active.enabled and binding.description and not binding.system and binding.action not in UNTOLD:
                keys.setdefault(binding.description, []).append(self.app.get_key_display(binding))
        text = Text()
        for description, shown in keys.items():
            text.append(f"{', '.join(shown):>16}", "bold cyan")
            text.append(f"  {description}\n")
        return text

    def action_help(self) -> None:
        self.app.push_screen(Reading(f"Help: {self.NAME}", self.help_text()))

    def action_keys(self) -> None:
        self.app.push_screen(Reading(f"Keys: {self.NAME}", self.keys_text()))


def _is_order(active: ActiveBinding) -> bool:
    action = active.binding.action.partition("(")[0].rpartition(".")[2]
    return action in getattr(active.node, "ORDERS", ())
