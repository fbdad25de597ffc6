"""Alarms: what is wrong now, the worst first, and what to do about it."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from edgegw.control.alarm_models import Acknowledged, AlarmList, AlarmView
from edgegw.control.live_models import Snapshot
from edgegw.tui.alarm_words import COLUMNS, about, charger_of, row_of
from edgegw.tui.listing import ListScreen
from edgegw.tui.table import Row
from edgegw.tui.words import number

BY = "console"
DRAWN_EVERY = 10  # pictures: the ages in a long list need not be right to the second
LONG = 200


class AlarmsScreen(ListScreen):
    NAME = "Alarms"
    ABOUT = """
What is wrong now, the worst first. Below or beside the list: what
it means and what to do.

  X critical   x error   ! warning   i information   v somebody has seen it

"Seen" (acknowledged) takes nothing away that is still wrong: it
becomes dim. What is over and seen goes. f shows only what nobody
has seen. Enter on the alarm of a charger opens that charger.
"""
    HAS_FILTER = True
    HAS_FAULTS_ONLY = True
    COLUMNS = COLUMNS
    EMPTY = "no alarms: all is well"
    ORDERS: ClassVar[frozenset[str]] = frozenset(("acknowledge", "acknowledge_all"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "faults_only", "Unseen"),
        Binding("a", "acknowledge", "Seen"),
        Binding("A", "acknowledge_all", "All seen", key_display="A"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._alarms: dict[str, AlarmView] = {}
        self._drawn: tuple[object, ...] = ()
        self._since_drawn = 0

    def show(self, snapshot: Snapshot) -> None:
        found = snapshot.alarms
        drawn = (id(found), self.filter.text, self.filter.complaint, self.faults_only)
        self._since_drawn += 1
        if drawn == self._drawn and len(found.alarms) > LONG and self._since_drawn < DRAWN_EVERY:
            return
        self._drawn, self._since_drawn = drawn, 0
        self._alarms = {alarm.id: alarm for alarm in found.alarms}
        self.list_rows(self._rows(found, snapshot.at))

    def _rows(self, found: AlarmList, now: str) -> list[Row]:
        return [row_of(alarm, now) for alarm in found.alarms if not (self.faults_only and alarm.acknowledged)]

    def about(self, key: str) -> Text:
        snapshot, alarm = self.console.snapshot, self._alarms.get(key)
        return about(alarm, snapshot.at) if alarm is not None and snapshot is not None else Text()

    def title_of(self, key: str) -> str:
        alarm = self._alarms.get(key)
        return alarm.title if alarm is not None else key

    def opened(self, key: str) -> None:
        snapshot, alarm = self.console.snapshot, self._alarms.get(key)
        known = {row.identity for row in snapshot.chargers} if snapshot is not None else set()
        charger = charger_of(alarm.target, known) if alarm is not None else None
        if charger is not None:
            self.console.open_charger(charger)
        else:
            super().opened(key)

    def action_acknowledge(self) -> None:
        """Without a question: it takes nothing away that is still wrong."""
        alarm = self._alarms.get(self.table.key or "")
        if alarm is None:
            return
        if alarm.acknowledged:
            self.notify("somebody has seen this one already")
            return
        self.order(f"Seen: {alarm.title}", lambda client: client.acknowledge(alarm.id, by=BY), told)

    def action_acknowledge_all(self) -> None:
        unseen = sum(not alarm.acknowledged for alarm in self._alarms.values())
        if not unseen:
            self.notify("nothing here that nobody has seen")
            return
        self.order(
            f"Mark {number(unseen, 'alarm')} as seen",
            lambda client: client.acknowledge(by=BY),
            told,
            confirm="All alarms, those outside the filter too. What is over goes from the list.",
        )


def told(done: Acknowledged) -> str:
    return f"{number(len(done.alarms), 'alarm')} marked as seen"
