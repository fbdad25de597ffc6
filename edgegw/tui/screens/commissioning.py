"""Commissioning: strangers that knock, how connectors are wired, and the walk through a new one."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.timer import Timer

from edgegw.commissioning.driver import CommissioningRun
from edgegw.control.client import ControlClient, ControlFault
from edgegw.control.live_models import Snapshot
from edgegw.control.wiring_models import AcceptedCharger, Stranger, StrangerList, WiringList, WiringView
from edgegw.tui.listing import ListScreen, or_fault
from edgegw.tui.screens.walk import WalkScreen
from edgegw.tui.table import Row
from edgegw.tui.walking import BeginWalk
from edgegw.tui.wiring_words import (
    COLUMNS,
    about_accepted,
    about_stranger,
    about_wiring,
    accepted_row,
    stranger_row,
    wiring_row,
)

AGAIN_S = 2.0
ENDED_WITHIN_S = 5.0  # then its limits end by themselves
Thing = Stranger | AcceptedCharger | WiringView


class CommissioningScreen(ListScreen):
    NAME = "Commissioning"
    ABOUT = """
New chargers. At the top those that knocked and were turned away because
nobody has named them (?): a lets the highlighted one in. Below, chargers
that a person has let in, and how connectors are wired.

w walks through the commissioning of the highlighted charger, n through
that of one that is not in the list: it is let in and wired, the limit is stepped while
the meter and the charger answer, phases and fall-back are checked. It
ends in a report. Leaving the screen does not end the walk, leaving the
console does.
"""
    HAS_FILTER = True
    COLUMNS = COLUMNS
    EMPTY = "no unknown charger has knocked; enter this box's address into the charger"
    ORDERS: ClassVar[frozenset[str]] = frozenset(("accept", "walk", "walk_other", "take_back"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "accept", "Accept"),
        Binding("w", "walk", "Walk"),
        Binding("n", "walk_other", "Other"),
        Binding("u", "take_back", "Take back"),
        Binding("c", "open_charger", "Its charger screen", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._things: dict[str, Thing] = {}
        self._strangers = StrangerList(strangers=(), accepted=())
        self._wiring = WiringList(wiring=(), circuits=())
        self._again: Timer | None = None
        self._fault = ""
        self._run: CommissioningRun | None = None

    @property
    def marks(self) -> tuple[str, ...]:
        walk = self._walk_words()
        return (*((walk,) if walk else ()), *((self._fault,) if self._fault else ()))

    # --- asking ------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        self._again = self.set_interval(AGAIN_S, self._ask_now_and_then)

    def on_screen_resume(self) -> None:
        if self._again is not None:
            self._again.resume()
        self.ask_again()

    def on_screen_suspend(self) -> None:
        if self._again is not None:
            self._again.pause()

    def _ask_now_and_then(self) -> None:
        if not self.asks("strangers"):
            self.ask_again()

    def ask_again(self) -> None:
        self.ask(or_fault(_both), self._got, group="strangers")

    def _got(self, answer: tuple[StrangerList, WiringList] | ControlFault) -> None:
        if isinstance(answer, ControlFault):
            self._fault = str(answer)
        else:
            self._fault = ""
            self._strangers, self._wiring = answer
        self.redraw()

    # --- drawing -----------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        wired = {one.charger for one in self._wiring.wiring}
        rows: list[tuple[Row, Thing]] = [
            *((stranger_row(one, snapshot.at), one) for one in self._strangers.strangers),
            *((accepted_row(one, one.identity in wired), one) for one in self._strangers.accepted),
            *((wiring_row(one), one) for one in self._wiring.wiring),
        ]
        self._things = {row.key: thing for row, thing in rows}
        self.list_rows([row for row, _ in rows])

    def about(self, key: str) -> Text:
        snapshot = self.console.snapshot
        match self._things.get(key):
            case Stranger() as stranger if snapshot is not None:
                return about_stranger(stranger, snapshot.at)
            case AcceptedCharger() as accepted:
                wired = {one.charger for one in self._wiring.wiring}
                return about_accepted(accepted, accepted.identity in wired)
            case WiringView() as wiring:
                return about_wiring(wiring)
        return Text()

    def title_of(self, key: str) -> str:
        return self._charger_of(key) or key

    def _charger_of(self, key: str | None) -> str | None:
        match self._things.get(key or ""):
            case (
                Stranger(identity=identity)
                | AcceptedCharger(identity=identity)
                | WiringView(charger=identity)
            ):
                return identity
        return None

    # --- keys --------------------------------------------------------------------------------------

    def action_open_charger(self) -> None:
        charger = self._charger_of(self.table.key)
        if charger is not None:
            self.console.open_charger(charger)

    def action_accept(self) -> None:
        thing = self._things.get(self.table.key or "")
        if not isinstance(thing, Stranger):
            self.notify("put the cursor on a stranger (?)")
            return
        self.order(
            f"Let {thing.identity} in",
            lambda client: client.accept(thing.identity),
            lambda done: self._told(f"{done.identity} may come in when it knocks next"),
            confirm=f"It comes from {thing.peer}. From now on its messages go to the cloud like everybody's.",
        )

    # --- the walk ----------------------------------------------------------------------------------

    def _walk_words(self) -> str:
        if self._run is None:
            return ""
        state = self._run.state
        how = state.result if state.finished else "under way"
        return f"{state.charger} connector {state.connector}: {how}, w shows it"

    def action_walk(self) -> None:
        """Of the charger under the cursor."""
        thing = self._things.get(self.table.key or "")
        connector = thing.connector if isinstance(thing, WiringView) else None
        self._walk(self._charger_of(self.table.key) or "", connector)

    def action_walk_other(self) -> None:
        """Of one that is not in the list."""
        self._walk("", None)

    def _walk(self, charger: str, connector: int | None) -> None:
        """To the walk that is under way: there is one at a time. Else to a new one."""
        if not self.may_order():
            return
        if self._run is not None and not self._run.state.finished:
            self.app.push_screen(WalkScreen(self._run))
        else:
            self.ask(
                lambda client: client.wiring(),
                lambda told: self._begin(told, charger, connector),
                group="walk",
            )

    def _begin(self, told: WiringList, charger: str, connector: int | None) -> None:
        wired = {(one.charger, one.connector) for one in told.wiring}
        BeginWalk(self.app, self.console.where.client, self._begun, wired).ask(charger, connector)

    def _begun(self, run: CommissioningRun) -> None:
        self._run = run
        run.start()
        self.app.push_screen(WalkScreen(run))

    async def on_unmount(self) -> None:
        """The console ends: so does the walk, and what it limited is free again."""
        run = self._run
        if run is not None and not run.state.finished:
            run.abort()
            await asyncio.to_thread(run.join, ENDED_WITHIN_S)

    def action_take_back(self) -> None:
        thing = self._things.get(self.table.key or "")
        if not isinstance(thing, AcceptedCharger):
            self.notify("put the cursor on a charger that was accepted here")
            return
        self.order(
            f"Let {thing.identity} in no more",
            lambda client: client.take_back(thing.identity),
            lambda done: self._told(f"{done.identity} is a stranger again"),
            confirm="It is disconnected and turned away from now on.",
        )

    def _told(self, words: str) -> str:
        """In the thread of the order."""
        self.app.call_from_thread(self.ask_again)
        return words


def _both(client: ControlClient) -> tuple[StrangerList, WiringList]:
    return client.strangers(), client.wiring()
