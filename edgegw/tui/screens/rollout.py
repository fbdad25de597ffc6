"""One rollout, charger by charger."""

from __future__ import annotations

import time
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from edgegw.control.client import ControlFault
from edgegw.control.firmware_models import RolloutSummary, RolloutView
from edgegw.control.live_models import Snapshot
from edgegw.redaction import plain
from edgegw.tui.firmware_words import CHARGER_COLUMNS, about_rollout, charger_row, in_order
from edgegw.tui.listing import ListScreen, or_fault
from edgegw.tui.rollout_orders import hold_or_go_on, stop

AGAIN_S = 2.0


class RolloutScreen(ListScreen):
    NAME = "Firmware"
    ABOUT = """
One rollout: the chargers that failed first, then those that are at
it, those that wait, and those that have it. Enter opens a charger.
"""
    HAS_FILTER = True
    HAS_FAULTS_ONLY = True
    COLUMNS = CHARGER_COLUMNS
    EMPTY = "asking the gateway ..."
    ORDERS: ClassVar[frozenset[str]] = frozenset(("hold", "stop"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "hold", "Pause"),
        Binding("s", "stop", "Stop"),
    ]

    def __init__(self, rollout: RolloutSummary) -> None:
        super().__init__()
        self.rollout = rollout
        self._whole: RolloutView | None = None
        self._asked_at = 0.0
        self._is_old = True  # something changed since it was asked for

    @property
    def trail(self) -> tuple[str, ...]:
        return (self.NAME, f"rollout {self.rollout.id}", self.rollout.name)

    def show(self, snapshot: Snapshot) -> None:
        self.rollout = next(
            (one for one in snapshot.rollouts.rollouts if one.id == self.rollout.id), self.rollout
        )
        self._is_old = True
        self._ask_if_old()
        self._draw()

    def on_mount(self) -> None:
        self.set_interval(AGAIN_S, self._ask_if_old)  # also after the last change there is

    def _ask_if_old(self) -> None:
        is_soon = time.monotonic() < self._asked_at + AGAIN_S
        if self._is_old and not is_soon and not self.asks("rollout"):
            self._asked_at, self._is_old = time.monotonic(), False
            rollout_id = self.rollout.id
            self.ask(or_fault(lambda client: client.rollout(rollout_id)), self._got, group="rollout")

    def _got(self, answer: RolloutView | ControlFault) -> None:
        if not isinstance(answer, ControlFault):
            self._whole = answer
            self._draw()
        elif self._whole is None:
            self._is_old = True
            self.console.tell_fault(answer)

    def _draw(self) -> None:
        whole = in_order(self._whole) if self._whole is not None else []
        self.list_rows([charger_row(one) for one in whole if one.stage == "failed" or not self.faults_only])

    def about(self, key: str) -> Text:
        """Of the rollout as a whole: a charger's line holds all there is of it but a long reason."""
        one = next((one for one in self._whole.chargers if one.charger == key), None) if self._whole else None
        text = Text()
        if one is not None and one.why:
            text.append_text(Text(plain(f"{key}: {one.why}") + "\n", "bold"))
        return text.append_text(about_rollout(self.rollout))

    def opened(self, key: str) -> None:
        self.console.open_charger(key)

    def action_hold(self) -> None:
        hold_or_go_on(self, self.rollout)

    def action_stop(self) -> None:
        stop(self, self.rollout)
