"""One section of a charger's screen. Subclasses set KEY, NAME, ABOUT, draw in `see`, ask when `opened`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Container
from textual.widget import Widget

from edgegw.control.client import ControlClient, ControlFault
from edgegw.control.detail_models import ChargerDetail
from edgegw.control.live_models import ChargerRow, Snapshot
from edgegw.redaction import plain
from edgegw.tui.dialogs import Reading
from edgegw.tui.filtering import Filter
from edgegw.tui.listing import Pane
from edgegw.tui.table import Column, Row, VirtualTable

if TYPE_CHECKING:
    from edgegw.tui.screens.charger import ChargerScreen

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the charger now; `row`: None when it is no charger of this site (any more)."""

    identity: str
    snapshot: Snapshot
    row: ChargerRow | None
    detail: ChargerDetail | None
    filter: Filter

    @property
    def now(self) -> str:
        return self.snapshot.at


class Panel(Container):
    KEY: ClassVar[str]
    NAME: ClassVar[str]
    ABOUT: ClassVar[str] = ""
    HAS_FILTER: ClassVar[bool] = False
    ORDERS: ClassVar[frozenset[str]] = frozenset()  # as of `ConsoleScreen`

    def __init__(self) -> None:
        super().__init__(id=self.NAME.lower())

    def see(self, seen: Seen) -> None:
        """Draw the newest there is."""
        raise NotImplementedError

    def opened(self) -> None:
        """It came up: ask for what it needs beside `Seen`."""

    @property
    def page(self) -> ChargerScreen:
        from edgegw.tui.screens.charger import ChargerScreen

        screen = self.screen
        assert isinstance(screen, ChargerScreen)
        return screen

    def ask(
        self,
        question: Callable[[ControlClient], T],
        then: Callable[[T], None],
        failed: Callable[[ControlFault], None] | None = None,
    ) -> None:
        self.page.ask(question, then, group=self.NAME, failed=failed)

    def redraw(self) -> None:
        """Something of its own changed."""
        self.page.redraw()

    def focus_target(self) -> Widget:
        """What gets the keys when it comes up."""
        return next(iter(self.query("VirtualTable, Pane").results()))


class ListPanel(Panel):
    """A table, and beside or below it the full text of the row under the cursor."""

    COLUMNS: ClassVar[Sequence[Column]] = ()
    EMPTY: ClassVar[str] = "nothing here"
    HAS_FILTER = True
    SCOPED_CSS = False  # it looks at the screen's class
    DEFAULT_CSS = """
    ListPanel > Pane { height: 5; border-top: solid ansi_cyan; padding: 0 1; scrollbar-size-vertical: 1; }
    ChargerScreen.-wide ListPanel { layout: horizontal; }
    ChargerScreen.-wide ListPanel > VirtualTable { width: 3fr; }
    ChargerScreen.-wide ListPanel > Pane { width: 2fr; height: 1fr; border-top: none; }
    ChargerScreen.-wide ListPanel > Pane { border-left: solid ansi_cyan; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._key: str | None = None

    def compose(self) -> ComposeResult:
        yield VirtualTable(self.COLUMNS, empty=self.EMPTY)
        yield Pane()

    @property
    def table(self) -> VirtualTable:
        return self.query_one(VirtualTable)

    def rows(self, seen: Seen) -> Sequence[Row]:
        raise NotImplementedError

    def about(self, key: str) -> Text:
        """All there is to say of one row."""
        raise NotImplementedError

    def why_empty(self, seen: Seen) -> str:
        return self.EMPTY

    def see(self, seen: Seen) -> None:
        rows = self.rows(seen)
        shown = seen.filter.rows(rows)
        text = plain(seen.filter.text)
        empty = f"nothing fits /{text}; esc takes it away" if rows else self.why_empty(seen)
        self.table.show(shown, empty)
        self._tell()

    def _tell(self) -> None:
        key = self.table.key
        is_other, self._key = key != self._key, key
        self.query_one(Pane).tell(self.about(key) if key is not None else Text(), from_top=is_other)

    def on_virtual_table_highlighted(self, event: VirtualTable.Highlighted) -> None:
        self._tell()

    def on_virtual_table_selected(self, event: VirtualTable.Selected) -> None:
        self.open_row(event.key)

    def open_row(self, key: str) -> None:
        """Enter."""
        self.app.push_screen(Reading(f"{self.page.identity}: {self.NAME}", self.about(key)))
