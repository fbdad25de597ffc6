"""The walk through a new charger: what happens, what to do, what was found. `commissioning` does it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer
from textual.widgets import Static

from edgegw.commissioning.driver import CommissioningRun
from edgegw.commissioning.words import Progress
from edgegw.control.live_models import Snapshot
from edgegw.tui.choosing import Choose
from edgegw.tui.dialogs import Ask, Confirm, Reading
from edgegw.tui.frame import ConsoleScreen
from edgegw.tui.saving import complaint_of, save_new
from edgegw.tui.table import VirtualTable
from edgegw.tui.walk_words import COLUMNS, about_step, now_text, readings, step_row

LOOKED_EVERY_S = 0.25
SAVED_SHOWN_S = 15.0


class WalkScreen(ConsoleScreen):
    """The run goes on when one leaves this screen; a new one shows it again."""

    NAME = "Commissioning"
    ABOUT = """
The steps of commissioning this charger; what to do now stands below.
Answer with y or n, or choose after enter when there is more to choose
from. s skips the step under way and asks for the reason, x ends the
walk and puts the earlier limit back. When it is over, w writes the
report.

  v passed   ! passed with a remark   x failed   - skipped   > under way
"""
    ORDERS: ClassVar[frozenset[str]] = frozenset(("answer", "skip", "abort"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer('yes')", "Yes"),
        Binding("n", "answer('no')", "No"),
        Binding("s", "skip", "Skip"),
        Binding("x", "abort", "Abort"),
        Binding("w", "report", "Report"),
    ]
    DEFAULT_CSS = """
    WalkScreen VirtualTable { height: 9; }
    WalkScreen #readings { height: 1; }
    WalkScreen #now { height: 1fr; border-top: solid ansi_cyan; padding: 0 1; }
    """

    def __init__(self, run: CommissioningRun) -> None:
        super().__init__()
        self.run_ = run
        self.table = VirtualTable(COLUMNS)
        self._readings = Static(id="readings")
        self._now = Static(id="now")
        self._looking: Timer | None = None
        self._shown: Progress | None = None

    @property
    def trail(self) -> tuple[str, ...]:
        state = self.run_.state
        return (self.NAME, f"{state.charger} connector {state.connector}")

    def body(self) -> ComposeResult:
        yield self.table
        yield self._readings
        yield self._now

    def on_mount(self) -> None:
        self._looking = self.set_interval(LOOKED_EVERY_S, self.look)
        self.table.focus()

    # --- drawing -----------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        self.look()

    def look(self) -> None:
        state = self.run_.state
        if state is self._shown:
            return
        before, self._shown = self._shown, state
        self.table.show([step_row(step) for step in state.steps])
        if before is None or state.current != before.current:
            self.table.go_to(state.current)
        self._readings.update(readings(state))
        self._tell_now()
        if before is None or (before.question, before.finished) != (state.question, state.finished):
            self.refresh_bindings()

    def _tell_now(self) -> None:
        """What happens now, and below it the whole of the step under the cursor when that one is over."""
        state = self.run_.state
        text = now_text(state)
        step = next((step for step in state.steps if step.key == self.table.key), None)
        if step is not None and step.verdict not in ("waiting", "running"):
            text.append("\n\n").append_text(about_step(step))
        self._now.update(text)

    def on_virtual_table_highlighted(self) -> None:
        self._tell_now()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        state = self.run_.state
        if action == "answer":
            return state.question is not None and any(
                choice.key in parameters for choice in state.question.choices
            )
        if action in ("skip", "abort"):
            return not state.finished
        return super().check_action(action, parameters)

    # --- keys --------------------------------------------------------------------------------------

    def on_virtual_table_selected(self, event: VirtualTable.Selected) -> None:
        """Enter: answer what is asked, or read a step in full."""
        state = self.run_.state
        if state.question is not None:
            choices = [(choice.key, choice.label, "") for choice in state.question.choices]
            self.app.push_screen(Choose(state.question.text, choices), self._chose)
            return
        step = next((step for step in state.steps if step.key == event.key), None)
        if step is not None:
            self.app.push_screen(Reading(step.title, about_step(step)))

    def _chose(self, key: str | None) -> None:
        if key is not None:
            self.action_answer(key)

    def action_answer(self, key: str) -> None:
        if self.run_.state.question is not None:
            self.run_.answer(key)
            self.look()

    def action_skip(self) -> None:
        ask = Ask(
            "Skip this step: why?",
            hint="The reason stands in the report.",
            check=lambda text: "" if text else "a reason is needed, such as: no car here",
        )
        self.app.push_screen(ask, lambda reason: self.run_.skip(reason) if reason else None)

    def action_abort(self) -> None:
        question = Confirm(
            f"End the commissioning of {self.run_.state.charger}?",
            "The limit of before is put back. What was found so far can still be written into a report.",
        )
        self.app.push_screen(question, lambda yes: self.run_.abort() if yes else None)

    def action_report(self) -> None:
        who = "".join(c for c in self.run_.state.charger if c.isalnum() or c in "-_")[:40]
        name = f"~/commissioning-{who}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        hint = "Two files: .txt to read and to print, .json for a system."
        ask = Ask("Write the report under which name?", name, hint=hint, check=_complaint_of)
        self.app.push_screen(ask, self._write)

    def _write(self, target: str | None) -> None:
        if target is None:
            return
        report = self.run_.report()
        texts = {f"{_stem(target)}.txt": report.to_text(), f"{_stem(target)}.json": report.to_json()}
        self.ask(
            lambda client: [save_new(name, partial(_put, text)) for name, text in texts.items()],
            lambda told: self.notify("saved: " + ", ".join(told), timeout=SAVED_SHOWN_S, markup=False),
            group="report",
        )


def _put(text: str, path: Path) -> None:
    path.write_text(text, "utf-8")


def _stem(target: str) -> str:
    return target.removesuffix(".txt").removesuffix(".json")


def _complaint_of(target: str) -> str:
    stem = _stem(target)
    return complaint_of(stem and f"{stem}.txt") or complaint_of(f"{stem}.json")
