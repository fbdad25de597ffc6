"""One of a list, found by typing a part of its name. Works without a mouse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from edgegw.redaction import plain
from edgegw.tui.filtering import parse
from edgegw.tui.table import Column, Row, VirtualTable


class Choose(ModalScreen[str | None]):
    """Answers with the key of a row; None when nothing was wanted. `choices`: key, name, what it is."""

    DEFAULT_CSS = """
    Choose { align: center middle; }
    Choose > Vertical { width: 64; max-width: 95%; height: 80%; border: heavy ansi_cyan; padding: 0 1; }
    Choose Input { border: none; height: 1; background: transparent; text-style: reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(self, question: str, choices: Sequence[tuple[str, str, str]], current: str = "") -> None:
        super().__init__()
        self._question = question
        self._rows = [Row(key, (plain(name), (plain(what), "dim"))) for key, name, what in choices]
        self._current = current
        self._table = VirtualTable((Column("", 12, 1), Column("", 10, 2, rank=1)), empty="no such name")

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(plain(self._question), "bold"))
            yield Input(placeholder="type a part of the name", compact=True)
            yield self._table
            yield Static(Text("up/down move    enter takes it    esc leaves it", "cyan"))

    def on_mount(self) -> None:
        self._table.show(self._rows)
        self._table.go_to(self._current)
        self._table.can_focus = False
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._table.show(parse(event.value).rows(self._rows))

    def on_input_submitted(self) -> None:
        if self._table.key is not None:
            self.dismiss(self._table.key)

    def on_virtual_table_selected(self, event: VirtualTable.Selected) -> None:
        self.dismiss(event.key)

    def on_key(self, event: events.Key) -> None:
        """The list moves while the cursor is in the text."""
        moves = {"up": -1, "down": 1}
        if event.key in moves:
            self._table.action_move(moves[event.key])
        elif event.key in ("pageup", "pagedown"):
            self._table.action_page(-1 if event.key == "pageup" else 1)

    def action_cancel(self) -> None:
        self.dismiss(None)
