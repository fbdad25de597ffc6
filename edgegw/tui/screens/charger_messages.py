"""The last messages of one charger; the Messages screen has all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from edgegw.control.client import ControlFault
from edgegw.control.frame_models import FrameList, FrameView
from edgegw.redaction import plain
from edgegw.tui import frame_words
from edgegw.tui.screens.charger_panel import ListPanel, Seen
from edgegw.tui.table import Row

SHOWN = 20


class MessagesPanel(ListPanel):
    KEY, NAME = "m", "Messages"
    ABOUT = (
        f"Its last {SHOWN} OCPP messages, newest last, asked for again whenever it says something. Enter"
        " shows one in full. Key 3 has all messages, with filter and export."
    )
    EMPTY = "no messages are kept of it"
    COLUMNS = frame_words.COLUMNS
    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "pause", "Pause")]

    def __init__(self) -> None:
        super().__init__()
        self._frames: dict[str, FrameView] = {}
        self._trouble = ""
        self._paused = False
        self._asked_of: str | None = None

    def opened(self) -> None:
        identity = self.page.identity
        self.ask(lambda c: c.frames(identity, limit=SHOWN), self._got, self._failed)

    def _got(self, answer: FrameList) -> None:
        if self._paused:
            return
        table = self.table
        follows = not table.rows or table.key == table.rows[-1].key
        self._frames = {frame_words.key_of(one): one for one in answer.frames}
        self._trouble = ""
        self.redraw()
        if follows:
            table.action_edge(1)

    def _failed(self, fault: ControlFault) -> None:
        self._trouble = str(fault)
        self.redraw()

    def rows(self, seen: Seen) -> Sequence[Row]:
        said = seen.row.last_seen if seen.row is not None else None
        if said != self._asked_of and not self._paused and not self.page.asks(self.NAME):
            self._asked_of = said
            self.opened()
        return [frame_words.row_of(one) for one in self._frames.values()]

    def why_empty(self, seen: Seen) -> str:
        return plain(self._trouble) or self.EMPTY

    def about(self, key: str) -> Text:
        one = self._frames.get(key)
        return frame_words.about(one) if one is not None else Text()

    def action_pause(self) -> None:
        self._paused = not self._paused
        self.notify("paused; space goes on" if self._paused else "goes on", timeout=2)
        if not self._paused:
            self.opened()
