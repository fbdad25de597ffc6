"""How the console writes numbers, times and states: short, with a sign beside every colour. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from edgegw.control.event_models import SeverityName
from edgegw.wording import number as number
from edgegw.wording import seconds_since, short_span
from edgegw.wording import size as size

span = short_span  # a table has five cells for it

# A state is told by a sign and a colour: 16 colours, or none, must do.
SEVERITY_STYLES: dict[SeverityName | None, str] = {
    None: "",
    "info": "cyan",
    "warning": "yellow",
    "error": "bold red",
    "critical": "bold white on red",
}
SEVERITY_SIGNS: dict[SeverityName | None, str] = {
    None: " ",
    "info": "i",
    "warning": "!",
    "error": "x",
    "critical": "X",
}


def age(time: str | None, now: str | None = None) -> str:
    """How long ago an RFC 3339 time was, in five cells at most: "12s", "5m", "3h", "2d"; "-" for none.

    `now`: the gateway's own time, so that the clock of this terminal does not matter.
    """
    if not time:
        return "-"
    return span(seconds_since(time, datetime.fromisoformat(now) if now else datetime.now(UTC)))


class Ages:
    """`age` of many times, all seen from one `now`."""

    def __init__(self, now: str) -> None:
        self._now = datetime.fromisoformat(now).timestamp()

    def of(self, time: str | None) -> str:
        if not time:
            return "-"
        return span(max(0.0, self._now - datetime.fromisoformat(time).timestamp()))


def clock(time: str | None) -> str:
    """HH:MM:SS of an RFC 3339 time in UTC; "-" for none."""
    return time[11:19] if time else "-"


def amps(value: float | None) -> str:
    """ "6.0", "32", "-"."""
    if value is None:
        return "-"
    return f"{value:.1f}" if abs(value) < 100 and value != int(value) else f"{value:.0f}"


def energy(wh: float | None) -> str:
    """ "730Wh", "12.3kWh", "-"."""
    if wh is None:
        return "-"
    return f"{wh:.0f}Wh" if abs(wh) < 1000 else f"{wh / 1000:.1f}kWh"


def phases(values: Sequence[float | None]) -> str:
    """ "12.1/10.0/9.8" of L1 to L3."""
    return "/".join(amps(value) for value in values)


def flowed(text: str) -> str:
    """A text of the source, its paragraphs as one line each: the pane wraps them. Indented lines stay."""
    lines: list[str] = []
    for line in text.strip().splitlines():
        if lines and lines[-1] and line and not line.startswith(" ") and not lines[-1].startswith(" "):
            lines[-1] += f" {line}"
        else:
            lines.append(line)
    return "\n".join(lines)
