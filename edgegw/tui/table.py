"""A table that draws only what is on the screen, for lists that change every second.

Rules of this file:
- Calm: the cursor stays on its row's key, nothing moves that did not change, and a line that
  did not change is not drawn again.
- It fits: columns of a high rank go when the terminal is narrow, what is left over goes to those that grow.
- Cells are text, never markup; wide characters are counted as what they take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from textwrap import wrap
from typing import ClassVar, NamedTuple, Protocol

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

GAP = 1  # cells between columns
REGIONS_MAX = 8  # more lines than these are cheaper drawn as one
LINES_KEPT_MAX = 2_000  # drawn lines that are remembered

Cell = str | tuple[str, str]  # text, or text and a Rich style


@dataclass(frozen=True, slots=True)
class Column:
    """`width` in cells; `grow`: share of what is left; the highest `rank` goes first where it is narrow."""

    title: str
    width: int
    grow: int = 0
    right: bool = False
    rank: int = 0


class Row(NamedTuple):
    """`key` names the row from one refresh to the next; one cell per column."""

    key: str
    cells: tuple[Cell, ...]
    style: str = ""


class Line(Protocol):
    """What a table needs of a row: a `Row`, or something that makes its cells when they are seen.

    Lines that look the same are equal and have the same hash.
    """

    @property
    def key(self) -> str: ...
    @property
    def cells(self) -> tuple[Cell, ...]: ...
    @property
    def style(self) -> str: ...
    def __hash__(self) -> int: ...


class VirtualTable(ScrollView, can_focus=True):
    """Give it rows with `show`; it sends `Highlighted` and `Selected` with the key of a row."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--header", "table--cursor", "table--blurred"}
    DEFAULT_CSS = """
    VirtualTable { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    VirtualTable > .table--header { text-style: bold underline; }
    VirtualTable > .table--cursor { text-style: reverse; }
    VirtualTable > .table--blurred { text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False),
        Binding("home,g", "edge(-1)", "First", show=False),
        Binding("end,G", "edge(1)", "Last", show=False),
        Binding("enter", "select", "Open", show=False),
    ]

    class Highlighted(Message):
        """The cursor is on another row; `key` None: there is none."""

        def __init__(self, table: VirtualTable, key: str | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> VirtualTable:
            return self.table

    class Selected(Message):
        """Enter, or a click on the row under the cursor."""

        def __init__(self, table: VirtualTable, key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> VirtualTable:
            return self.table

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        empty: str = "nothing here",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`empty` is shown while there are no rows."""
        super().__init__(id=id, classes=classes)
        self._columns = tuple(columns)
        self._empty = empty
        self._rows: list[Line] = []
        self._places: dict[str, int] = {}
        self._cursor = 0
        self._layout: tuple[tuple[int, int], ...] = ()  # column, width
        self._base: Style | None = None
        self._lines: dict[tuple[Line, int], Strip] = {}

    # --- rows --------------------------------------------------------------------------------------

    @property
    def rows(self) -> Sequence[Line]:
        return self._rows

    @property
    def key(self) -> str | None:
        """Of the row under the cursor."""
        return self._rows[self._cursor].key if self._rows else None

    def show(self, rows: Sequence[Line], empty: str | None = None) -> None:
        """These are the rows now. The cursor stays on its key, or at its place when the key is gone."""
        before, key = self._rows, self.key
        if empty is not None and empty != self._empty:
            self._empty = empty
            self.refresh()
        self._rows = list(rows)
        self._places = {row.key: place for place, row in enumerate(self._rows)}
        self._cursor = self._places.get(key, self._cursor) if key is not None else 0
        self._cursor = max(0, min(self._cursor, len(self._rows) - 1))
        if len(before) != len(self._rows):
            self._measure()
            self.refresh()
        else:
            self._refresh_changed(before)
        if self.key != key:
            self.post_message(self.Highlighted(self, self.key))

    def go_to(self, key: str) -> bool:
        """Put the cursor on a row; False when it is not there."""
        place = self._places.get(key)
        if place is None:
            return False
        self._move_to(place)
        return True

    def _refresh_changed(self, before: Sequence[Line]) -> None:
        top = self.scroll_offset.y
        changed = [
            Region(0, place - top + 1, self.size.width, 1)
            for place in range(top, min(len(self._rows), top + self.size.height))
            if self._rows[place] != before[place]
        ]
        if len(changed) > REGIONS_MAX:
            self.refresh()
        elif changed:
            self.refresh(*changed)

    # --- the cursor --------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        self._move_to(self._cursor + by)

    def action_page(self, by: int) -> None:
        self._move_to(self._cursor + by * max(1, self.size.height - 2))

    def action_edge(self, to: int) -> None:
        self._move_to(0 if to < 0 else len(self._rows) - 1)

    def action_select(self) -> None:
        if self.key is not None:
            self.post_message(self.Selected(self, self.key))

    def _move_to(self, place: int) -> None:
        if not self._rows:
            return
        place = max(0, min(place, len(self._rows) - 1))
        if place != self._cursor:
            self._cursor = place
            self.refresh()
            self.post_message(self.Highlighted(self, self.key))
        self._scroll_to_cursor()

    def _scroll_to_cursor(self) -> None:
        top, shown = self.scroll_offset.y, max(1, self.size.height - 1)
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, immediate=True, force=True)
        elif self._cursor >= top + shown:
            self.scroll_to(y=self._cursor - shown + 1, animate=False, immediate=True, force=True)

    def on_click(self, event: events.Click) -> None:
        place = self.scroll_offset.y + event.y - 1
        if event.y < 1 or place >= len(self._rows):
            return
        if place == self._cursor:
            self.action_select()
        else:
            self._move_to(place)

    # --- drawing -----------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self._measure()
        self.call_after_refresh(self._scroll_to_cursor)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._lines.clear()
        self._base = None

    def _measure(self) -> None:
        width = self.scrollable_content_region.width or self.size.width
        layout = fitted(self._columns, width)
        if layout != self._layout:
            self._layout = layout
            self._lines.clear()
        self.virtual_size = Size(width, len(self._rows) + 1)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self._base
        if base is None:
            base = self._base = self.rich_style
        if y == 0:
            return self._header(width, base)
        place = self.scroll_offset.y + y - 1
        if place < len(self._rows):
            return self._line(place, width, base)
        said = wrap(self._empty, max(1, width)) if not self._rows else []
        text = said[y - 1] if y <= len(said) else ""
        return Strip([Segment(set_cell_size(text, width), base)], width)

    def _header(self, width: int, base: Style) -> Strip:
        style = base + self.get_component_rich_style("table--header")
        parts = [
            fit(self._columns[number].title, wide, self._columns[number].right)
            for number, wide in self._layout
        ]
        return Strip([Segment(set_cell_size((" " * GAP).join(parts), width), style)], width)

    def _line(self, place: int, width: int, base: Style) -> Strip:
        row = self._rows[place]
        look = 0 if place != self._cursor else 2 if self.has_focus else 1
        drawn = self._lines.get((row, look))
        if drawn is None or drawn.cell_length != width:
            drawn = self._draw(row, look, width, base)
            if len(self._lines) >= LINES_KEPT_MAX:
                self._lines.clear()
            self._lines[row, look] = drawn
        return drawn

    def _draw(self, row: Line, look: int, width: int, base: Style) -> Strip:
        style = base + style_of(row.style)
        over = Style.null()
        if look:
            over = self.get_component_rich_style(
                "table--cursor" if look == 2 else "table--blurred", partial=True
            )
        segments: list[Segment] = []
        for number, wide in self._layout:
            cell = row.cells[number]
            text, own = cell if isinstance(cell, tuple) else (cell, "")
            text = fit(text, wide, self._columns[number].right)
            segments.append(Segment(text, style + style_of(own) + over))
            segments.append(Segment(" " * GAP, style + over))
        return Strip(segments).adjust_cell_length(width, style + over)


def fitted(columns: Sequence[Column], width: int) -> tuple[tuple[int, int], ...]:
    """Which columns are shown, each with its width: (number, cells)."""
    kept = list(enumerate(columns))
    while len(kept) > 1 and _needed(kept) > width:
        worst = max(kept, key=lambda one: (one[1].rank, one[0]))
        if worst[1].rank == 0:
            break
        kept.remove(worst)
    spare = max(0, width - _needed(kept))
    shares = sum(column.grow for _, column in kept)
    layout: list[tuple[int, int]] = []
    for number, column in kept:
        more = spare * column.grow // shares if shares else 0
        layout.append((number, column.width + more))
    return tuple(layout)


def _needed(kept: Sequence[tuple[int, Column]]) -> int:
    return sum(column.width for _, column in kept) + GAP * (len(kept) - 1)


def fit(text: str, width: int, right: bool = False) -> str:
    """`text` in exactly `width` cells; what does not fit ends in an ellipsis."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else set_cell_size(text, width)
    pad = " " * (width - length)
    return pad + text if right else text + pad


@lru_cache(maxsize=256)
def style_of(name: str) -> Style:
    return Style.parse(name) if name else Style.null()
