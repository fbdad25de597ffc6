"""A list of what keeps coming from the gateway: messages, log lines.

Rules of this file:
- It is drawn at most TAKEN_PER_S times a second, however much comes.
- The stream runs while the screen is there (a question in front of it counts as there) and ends when another
  screen takes its place; what went by meanwhile is asked for when it comes back.
- Paused, nothing moves and nothing is asked; what comes is counted.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.timer import Timer

from edgegw.control.client import ControlFault
from edgegw.redaction import plain
from edgegw.tui.listing import ListScreen
from edgegw.tui.tail_table import TailTable
from edgegw.tui.tailing import TAKEN_PER_S, Tail
from edgegw.tui.words import number

ONCE_MORE_S = 1.0  # what came between the first page and the beginning of the stream is on the second page


class TailScreen(ListScreen):
    """Subclasses make the tail, ask for the newest page, and take what came."""

    THINGS: ClassVar[str] = "line"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "pause", "Pause")]

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        self.tail = self.make_tail()
        self._flushing: Timer | None = None
        self._once_more: Timer | None = None

    # --- for subclasses ----------------------------------------------------------------------------

    @abstractmethod
    def make_tail(self) -> Tail[Any]: ...

    @abstractmethod
    def ask_newest(self) -> None:
        """The newest page, in the background."""

    @abstractmethod
    def took(self, items: list[Any], overflowed: bool) -> None:
        """What came since the last time; with `overflowed` not all of it."""

    def answered(self, answer: Any) -> bool:
        """Whether a page came; a fault is told in the line above and not as one more message."""
        if isinstance(answer, ControlFault):
            self.tail.fault = str(answer)
            return False
        self.tail.is_well()
        return True

    # --- the stream --------------------------------------------------------------------------------

    def make_table(self) -> TailTable:
        return TailTable(self.COLUMNS, empty=self.EMPTY)

    def on_mount(self) -> None:
        self._flushing = self.set_interval(1 / TAKEN_PER_S, self._flush)

    def on_screen_resume(self) -> None:
        if self._flushing is not None:
            self._flushing.resume()
        if not self._is_running():
            self.start_tail()

    def on_screen_suspend(self) -> None:
        if isinstance(self.app.screen, ModalScreen):
            return
        self.workers.cancel_group(self, "tail")
        if self._flushing is not None:
            self._flushing.pause()

    def start_tail(self) -> None:
        self.run_worker(self.tail.run(), group="tail", exclusive=True, exit_on_error=False)

    def _is_running(self) -> bool:
        return any(
            worker.group == "tail" and worker.node is self and worker.is_running for worker in self.workers
        )

    def begin(self) -> None:
        """An attempt to follow the stream begins."""
        if self.paused:
            return
        self.ask_newest()
        if self._once_more is not None:
            self._once_more.stop()
        self._once_more = self.set_timer(ONCE_MORE_S, self.ask_newest)

    def _flush(self) -> None:
        if self.paused or not self.tail.came:
            return
        overflowed = self.tail.overflowed
        self.took(self.tail.take(), overflowed)

    # --- pause -------------------------------------------------------------------------------------

    @property
    def marks(self) -> tuple[str, ...]:
        marks = []
        if self.paused:
            came = f"; {number(self.tail.came, self.THINGS)} came meanwhile" if self.tail.came else ""
            marks.append(f"PAUSED{came}; space goes on")
        if self.tail.fault:
            marks.append(f"NOTHING COMES, trying again: {plain(self.tail.fault)}")
        return tuple(marks)

    def action_pause(self) -> None:
        self.paused = not self.paused
        if not self.paused:
            self._flush()
            self.begin()
        self.tell_line()
