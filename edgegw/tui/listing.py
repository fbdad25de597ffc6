"""A screen that is a list: a table, and the full text of what is highlighted in it.

Rules of this file:
- The text stands beside the table when the terminal is wide, below it when it is not, and in front of
  everything after enter; where there is no room for both, the table stays.
- An empty table says why it is empty: nothing there, or nothing that the filter lets through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container, VerticalScroll
from textual.widgets import Static

from edgegw.control.client import ControlClient, ControlFault
from edgegw.redaction import plain
from edgegw.tui.dialogs import Reading
from edgegw.tui.frame import ConsoleScreen
from edgegw.tui.table import Column, Row, VirtualTable

WIDE = 120  # cells from which table and text stand side by side
TALL = 14  # lines from which there is room for the text below the table

T = TypeVar("T")


def or_fault(question: Callable[[ControlClient], T]) -> Callable[[ControlClient], T | ControlFault]:
    """A question that is answered in any case: for who must know that no answer is on its way any more."""

    def ask(client: ControlClient) -> T | ControlFault:
        try:
            return question(client)
        except ControlFault as fault:
            return fault

    return ask


class Pane(VerticalScroll, can_focus=True):
    """A text of any length. Tab goes there, the arrows move it."""

    HELP = "The whole of what is highlighted in the list. Up and down move it, tab leads back to the list."

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._text = Static(Text())
        self._shown = Text()

    @property
    def text(self) -> Text:
        return self._shown

    def compose(self) -> ComposeResult:
        yield self._text

    def tell(self, text: Text, *, from_top: bool) -> None:
        if text != self._shown:
            self._shown = text
            self._text.update(text)
        if from_top:
            self.scroll_home(animate=False)


class Split(Container):
    """Table and text."""


class ListScreen(ConsoleScreen):
    """Subclasses set COLUMNS and EMPTY, list rows in `show` with `list_rows`, and say `about` one of them."""

    COLUMNS: ClassVar[Sequence[Column]] = ()
    EMPTY: ClassVar[str] = "nothing here"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - Textual's type
    VERTICAL_BREAKPOINTS = [(0, "-short"), (TALL, "-tall")]  # noqa: RUF012
    DEFAULT_CSS = """
    ListScreen Split { height: 1fr; layout: vertical; }
    ListScreen Split > Pane { height: 7; border-top: solid ansi_cyan; padding: 0 1; }
    ListScreen Split > Pane { scrollbar-size-vertical: 1; }
    ListScreen Split > Pane:focus { border-top: heavy ansi_cyan; }
    ListScreen.-short Split > Pane { display: none; }
    ListScreen.-wide Split { layout: horizontal; }
    ListScreen.-wide Split > VirtualTable { width: 3fr; height: 1fr; }
    ListScreen.-wide Split > Pane { display: block; width: 2fr; height: 1fr; border-top: none; }
    ListScreen.-wide Split > Pane { border-left: solid ansi_cyan; }
    ListScreen.-wide Split > Pane:focus { border-left: heavy ansi_cyan; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = self.make_table()
        self.pane = Pane()
        self._about_key: str | None = None

    # --- for subclasses ----------------------------------------------------------------------------

    def make_table(self) -> VirtualTable:
        return VirtualTable(self.COLUMNS, empty=self.EMPTY)

    def about(self, key: str) -> Text:
        """All there is to say of a row."""
        return Text()

    def opened(self, key: str) -> None:
        """Enter."""
        self.app.push_screen(Reading(self.title_of(key), self.about(key)))

    def why_empty(self) -> str:
        """When nothing narrows the view."""
        return self.EMPTY

    def title_of(self, key: str) -> str:
        return key

    def list_rows(self, rows: Sequence[Row], *, filtered: bool = False) -> None:
        """`filtered`: the filter was asked already; `rows` are what is left."""
        shown = rows if filtered else self.filter.rows(rows)
        self.table.show(shown, self._why_empty())
        self.tell_about()

    def tell_about(self) -> None:
        """The pane, again."""
        key = self.table.key
        is_other = key != self._about_key
        self._about_key = key
        self.pane.tell(self.about(key) if key is not None else Text(), from_top=is_other)

    def _why_empty(self) -> str:
        if self.filter:
            return f"nothing fits the filter /{plain(self.filter.text)}; esc takes it away"
        return "nothing is wrong here; f shows all" if self.faults_only else self.why_empty()

    # --- the frame ---------------------------------------------------------------------------------

    def body(self) -> ComposeResult:
        with Split():
            yield self.table
            yield self.pane

    def on_mount(self) -> None:
        self.table.focus()

    def on_virtual_table_highlighted(self, event: VirtualTable.Highlighted) -> None:
        if event.table is self.table:
            self.tell_about()

    def on_virtual_table_selected(self, event: VirtualTable.Selected) -> None:
        if event.table is self.table:
            self.opened(event.key)
