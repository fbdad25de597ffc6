"""What a charger reported, in plain words and with what to do."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from edgegw.control.event_models import EventView
from edgegw.redaction import plain
from edgegw.tui.screens.charger_panel import ListPanel, Seen
from edgegw.tui.table import Column, Row
from edgegw.tui.words import SEVERITY_SIGNS, SEVERITY_STYLES, age, number


class EventsPanel(ListPanel):
    KEY, NAME = "e", "Events"
    ABOUT = (
        "What it reported, newest first: faults, events and security events, decoded. 'over': it cleared it."
    )
    EMPTY = "it has reported nothing"
    COLUMNS = (
        Column("", 1),
        Column("AGO", 4, right=True),
        Column("CON", 4),
        Column("CODE", 20, 1),
        Column("TIMES", 5, right=True, rank=1),
        Column("WHAT", 30, 3),
    )

    def __init__(self) -> None:
        super().__init__()
        self._events: dict[str, EventView] = {}
        self._now = ""

    def rows(self, seen: Seen) -> Sequence[Row]:
        self._now = seen.now
        events = seen.detail.events if seen.detail is not None else ()
        self._events = {f"{one.first_at} {one.connector} {one.code} {one.cleared}": one for one in events}
        return [_row(key, one, seen.now) for key, one in self._events.items()]

    def about(self, key: str) -> Text:
        one = self._events.get(key)
        return about(one, self._now) if one is not None else Text()


def _row(key: str, one: EventView, now: str) -> Row:
    style = "dim" if one.cleared else SEVERITY_STYLES[one.severity]
    sign = "v" if one.cleared else SEVERITY_SIGNS[one.severity]
    code = " ".join(plain(word) for word in (one.code, one.vendor_code) if word)
    what = f"over: {plain(one.text)}" if one.cleared else plain(one.text)
    cells = ((sign, style), age(one.at, now), plain(one.connector), (code, style), f"{one.count}x", what)
    return Row(key, cells)


def about(one: EventView, now: str) -> Text:
    text = Text(f"{plain(one.text)}\n", "bold")
    if one.todo:
        text.append("do: ", "bold")
        text.append(f"{plain(one.todo)}\n", "not bold")
    if one.info:
        text.append(f"it adds: {plain(one.info)}\n", "not bold")
    vendor = f", maker's code {plain(one.vendor_code)}" if one.vendor_code else ""
    times = f"{number(one.count, 'time')}, first {age(one.first_at, now)} ago, last {age(one.at, now)} ago"
    text.append(f"{plain(one.code)}{vendor}; {times}", "not bold dim")
    if not one.known:
        text.append("; not in the catalogue: ask the maker what it means", "not bold dim")
    return text
