"""One alarm as a line of the list, and as a text to read. Pure."""

from __future__ import annotations

from collections.abc import Container

from rich.text import Text

from edgegw.control.alarm_models import AlarmView
from edgegw.redaction import plain
from edgegw.tui.table import Cell, Column, Row
from edgegw.tui.words import SEVERITY_SIGNS, SEVERITY_STYLES, age

COLUMNS = (
    Column("", 1),
    Column("SEVERITY", 8),
    Column("SINCE", 5, right=True),
    Column("TARGET", 12, 1),
    Column("WHAT", 36, 4),
    Column("TIMES", 5, right=True, rank=2),
    Column("SEEN", 10, 1, rank=1),
)
DIM = "dim"


def row_of(alarm: AlarmView, now: str) -> Row:
    """What somebody has seen, or what is over, is dim and loses its colour, never its sign."""
    calm = alarm.acknowledged or alarm.state == "cleared"
    style = DIM if calm else SEVERITY_STYLES[alarm.severity]
    cells: tuple[Cell, ...] = (
        ("v", DIM) if alarm.acknowledged else (SEVERITY_SIGNS[alarm.severity], style),
        ("over" if alarm.state == "cleared" else alarm.severity, style),
        age(alarm.since, now),
        plain(alarm.target) or "the site",
        (plain(f"{alarm.title}: {alarm.text}"), "" if calm else "bold"),
        f"{alarm.count}x",
        seen(alarm),
    )
    return Row(alarm.id, cells, DIM if calm else "")


def seen(alarm: AlarmView) -> str:
    if not alarm.acknowledged:
        return "-"
    return plain(alarm.acknowledged_by) or "yes"


def about(alarm: AlarmView, now: str) -> Text:
    text = Text()
    sign = SEVERITY_SIGNS[alarm.severity]
    text.append(f"{sign} {plain(alarm.title)}", SEVERITY_STYLES[alarm.severity])
    text.append(f"  {plain(alarm.target) or 'the site'}\n", "bold")
    text.append(plain(alarm.text) + "\n")
    text.append("What to do: ", "bold")
    text.append((plain(alarm.todo) or "nothing is known") + "\n")
    text.append(_life(alarm, now), "dim")
    return text


def _life(alarm: AlarmView, now: str) -> str:
    words = [f"{alarm.code}, since {alarm.since} ({age(alarm.since, now)})"]
    if alarm.count > 1:
        words.append(f"came {alarm.count} times, last {age(alarm.last_at, now)} ago")
    if alarm.state == "cleared":
        words.append(f"over since {alarm.cleared_at}; it goes from the list when somebody has seen it")
    elif alarm.latched:
        words.append("stays in the list until somebody has seen it")
    if alarm.acknowledged:
        words.append(f"seen by {plain(alarm.acknowledged_by) or 'somebody'} at {alarm.acknowledged_at}")
    return "; ".join(words)


def charger_of(target: str, known: Container[str]) -> str | None:
    """Which charger an alarm is about: "CP-7" and "CP-7/1" are; None for what is no charger."""
    if target in known:
        return target
    charger, _, _ = target.rpartition("/")
    return charger if charger in known else None
