"""One transaction as a line of the list, and as a text to read. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.text import Text

from edgegw.control.models import TransactionView
from edgegw.redaction import plain
from edgegw.tui.stop_words import is_usual, stop_words
from edgegw.tui.table import Column, Row
from edgegw.tui.words import energy, span

COLUMNS = (
    Column("", 1),
    Column("BEGAN", 11),
    Column("CHARGER", 8, 1),
    Column("CON", 4),
    Column("ENERGY", 8, right=True),
    Column("TOOK", 6, right=True),
    Column("STATE", 26, 3),
    Column("CARD", 10, rank=1),
    Column("ID", 10, 1, rank=2),
)


def key_of(t: TransactionView) -> str:
    return f"{t.charger}\n{t.id}"  # an identity holds no line end


def is_odd(t: TransactionView) -> bool:
    """It did not end as transactions should, or something about it is noted."""
    return bool(t.flags) or not is_usual(t.stop_reason)


def in_order(found: Iterable[TransactionView]) -> list[TransactionView]:
    """The running ones first; of each kind the newest first."""
    return sorted(found, key=lambda t: (t.running, t.received_at or "", t.row or 0), reverse=True)


def row_of(t: TransactionView, now: str) -> Row:
    state, style = state_of(t)
    cells = (
        (">", "bold green") if t.running else ("!", "yellow") if is_odd(t) else " ",
        began(t),
        plain(t.charger),
        place_of(t),
        energy(t.energy_wh),
        took(t, now),
        (state, style),
        plain(t.id_tag),
        plain(t.id),
    )
    return Row(key_of(t), cells)


def state_of(t: TransactionView) -> tuple[str, str]:
    if t.running:
        return "charging" + _more(t), "green"
    return stop_words(t.stop_reason) + _more(t), "yellow" if is_odd(t) else ""


def _more(t: TransactionView) -> str:
    return "".join(f", {plain(word)}" for word in (*t.flags, *(("without cloud",) if t.offline else ())))


def place_of(t: TransactionView) -> str:
    return f"{t.evse}.{t.connector}" if t.evse else str(t.connector or "-")


def began(t: TransactionView) -> str:
    """ "11-30 21:05", by the clock of the box where the charger's cannot be read."""
    at = _time(t.started_at) or _time(t.received_at)
    return f"{at:%m-%d %H:%M}" if at is not None else "-"


def took(t: TransactionView, now: str) -> str:
    """ "1h05", "12m", "33s"; of one that runs, until now. "?" when a charger's clock makes nonsense of it."""
    begin, end = _time(t.started_at), _time(now if t.running else t.stopped_at)
    if begin is None or end is None:
        return "-"
    seconds = int((end - begin).total_seconds())
    if seconds < -60:
        return "?"
    if seconds < 120:
        return span(max(0, seconds))
    hours, rest = divmod(seconds // 60, 60)
    return f"{hours}h{rest:02}" if hours else f"{rest}m"


def _time(text: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(text) if text else None
    except ValueError:  # as the charger wrote it
        return None
    return at if at is not None and at.tzinfo is not None else None


def about(t: TransactionView, now: str) -> Text:
    state, style = state_of(t)
    text = Text()
    text.append(state + "\n", f"bold {style}".strip())
    reason = f" ({plain(t.stop_reason)})" if t.stop_reason else ""
    for name, value in (
        ("transaction", f"{t.id} at {t.charger}, connector {place_of(t)}"),
        ("of the cloud", t.cloud_id or "the cloud has not said"),
        ("card", t.id_tag or "none"),
        ("energy", f"{energy(t.energy_wh)} in {took(t, now)}"),
        ("began", t.started_at or "-"),
        ("ended", (t.stopped_at or ("it runs" if t.running else "-")) + reason),
        (
            "meter",
            f"{_wh(t.meter_start_wh)} first, {_wh(t.meter_last_wh)} last, {_wh(t.meter_stop_wh)} at the end",
        ),
        ("heard", t.received_at or "-"),
    ):
        text.append(f"{name:>13}  ", "cyan")
        text.append(plain(value) + "\n")
    text.rstrip()
    return text


def _wh(value: int | None) -> str:
    return "-" if value is None else f"{value} Wh"
