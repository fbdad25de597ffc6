"""A charger in one line of a table, and in two below it. Pure.

Rules of this file:
- "Why" is the most telling thing of a charger: why it does not connect, its fault, why it has its limit.
- Every state has a sign beside its colour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from rich.text import Text

from edgegw.control.live_models import ChargerRow, Snapshot
from edgegw.control.models import Notice
from edgegw.redaction import plain
from edgegw.tui.table import Cell, Column, Line, Row
from edgegw.tui.words import SEVERITY_SIGNS, SEVERITY_STYLES, Ages, age, amps, energy, number

STRANGER = "\0"  # begins the key of a row that is no charger of this site; no identity holds it
BAD_CONTROL = frozenset(("refuses", "disobeys", "silent"))

KEPT = "kept for it"  # what the gateway says of a connector that nobody can lower now

COLUMNS = (
    Column("", 1),
    Column("CHARGER", 12, grow=1),
    Column("STATUS", 13),
    Column("A", 5, right=True),
    Column("LIMIT", 5, right=True),
    Column("WHY", 26, grow=12),
    Column("LAST", 4, right=True),
    Column("CLOUD", 5, rank=1),
    Column("ENERGY", 8, right=True, rank=2),
    Column("ALARMS", 6, right=True, rank=3),
    Column("MODEL", 14, rank=4),
    Column("OCPP", 5, rank=5),
    Column("QUEUE", 5, right=True, rank=6),
    Column("FIRMWARE", 9, rank=7),
)

STATUS_STYLES = {
    "Charging": "green",
    "SuspendedEV": "green",
    "SuspendedEVSE": "yellow",
    "Preparing": "cyan",
    "Finishing": "cyan",
    "Occupied": "cyan",
    "Reserved": "cyan",
    "Unavailable": "magenta",
    "Faulted": "bold red",
}


class Sort(NamedTuple):
    name: str
    key: Callable[[ChargerRow], Any]


_SEVERITIES = ("critical", "error", "warning", "info", None)

SORTS = (
    Sort("name", lambda row: row.identity),
    Sort("trouble", lambda row: (not is_fault(row), _SEVERITIES.index(row.severity), row.identity)),
    Sort("current", lambda row: (-(row.current_a if row.current_a is not None else -1.0), row.identity)),
    Sort("last message", lambda row: (row.last_seen or "", row.identity)),
)


def is_fault(row: ChargerRow) -> bool:
    """Whether somebody should look at it: what faults-only shows."""
    return (
        not row.connected
        or bool(row.error or row.handshake or row.parked or row.severity)
        or row.status == "Faulted"
        or row.control in BAD_CONTROL
    )


def sign(row: ChargerRow) -> tuple[str, str]:
    """Sign and style."""
    if row.error or row.status == "Faulted" or row.severity in ("error", "critical"):
        return "x", "bold red"
    if not row.connected:
        return "o", "magenta"
    if row.control in BAD_CONTROL or row.severity == "warning" or row.parked or row.handshake:
        return "!", "yellow"
    return " ", ""


def why(row: ChargerRow) -> str:
    if not row.connected:
        return row.handshake or (row.why if KEPT in row.why else "not connected")
    if row.error:
        return row.error
    if row.control in BAD_CONTROL:
        return f"{row.control}: {row.why}" if row.why else f"it {row.control}"
    if row.control == "bypassed":
        return row.why or "left out of balancing"
    return row.why


def cells_of(row: ChargerRow, last: str) -> tuple[Cell, ...]:
    """`last`: the age of its last message."""
    mark, style = sign(row)
    status = row.status if row.connected else "offline"
    queue = f"{row.queue}{'!' if row.parked else ''}" if row.queue or row.parked else ""
    alarms: Cell = (f"{SEVERITY_SIGNS[row.severity]} {row.alarms}", SEVERITY_STYLES[row.severity])
    return (
        (mark, style),
        (plain(row.identity), "bold" if row.connected else "magenta"),
        (plain(status) or "-", STATUS_STYLES.get(status, "magenta" if not row.connected else "")),
        amps(row.current_a) if row.transactions or row.current_a else "",
        amps(row.limit_a) if row.limit_a is not None else "",
        (plain(why(row)), style),
        last,
        _cloud(row),
        energy(row.energy_wh) if row.energy_wh is not None else "",
        alarms if row.alarms else "",
        plain(f"{row.vendor} {row.model}".strip()),
        plain(row.version.removeprefix("ocpp")),
        queue,
        plain(row.firmware),
    )


def _cloud(row: ChargerRow) -> Cell:
    if row.cloud == "none":
        return "-"
    return "" if not row.connected else "up" if row.cloud == "up" else ("away", "yellow")


class ChargerLine:
    """A line of the table whose cells are made when somebody sees them."""

    __slots__ = ("_cells", "key", "last", "row")
    style = ""

    def __init__(self, row: ChargerRow, last: str) -> None:
        """`last`: the age of its last message."""
        self.key = row.identity
        self.row = row
        self.last = last
        self._cells: tuple[Cell, ...] | None = None

    @property
    def cells(self) -> tuple[Cell, ...]:
        if self._cells is None:
            self._cells = cells_of(self.row, self.last)
        return self._cells

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ChargerLine) or self.last != other.last:
            return False
        return self.row is other.row or self.cells == other.cells

    def __hash__(self) -> int:
        return hash((self.key, self.last))


class RowBook:
    """Lines by charger, so that only what changed is made again."""

    def __init__(self) -> None:
        self._made: dict[str, ChargerLine] = {}

    def lines(self, chargers: Iterable[ChargerRow], now: str, faults_only: bool = False) -> list[Line]:
        before, self._made = self._made, {}
        ages = Ages(now)
        lines: list[Line] = []
        for row in chargers:
            last = ages.of(row.last_seen)
            line = before.get(row.identity)
            if line is None or line.row is not row or line.last != last:
                line = ChargerLine(row, last)
            self._made[row.identity] = line
            if not faults_only or is_fault(row):
                lines.append(line)
        return lines


def verdict(row: ChargerRow, now: str) -> Text:
    """Everything of one charger that people ask for, in a few lines."""
    mark, style = sign(row)
    text = Text()
    text.append(f"{mark} {plain(row.identity)}: ".lstrip(), style or "bold")
    text.append(plain(row.verdict))
    if row.error and row.error not in row.verdict:
        text.append(f"; {plain(row.error)}", "bold red")
    if row.handshake:
        text.append("\nlast attempt to connect: ", "bold")
        text.append(plain(row.handshake), "yellow")
    facts = [f"{row.vendor} {row.model}".strip(), row.firmware, row.version]
    text.append(f"\n{plain(' '.join(fact for fact in facts if fact))}", "dim")
    text.append(
        f", last message {age(row.last_seen, now)} ago" if row.last_seen else ", no message yet", "dim"
    )
    if row.alarms:
        text.append(f", {number(row.alarms, 'alarm')}", SEVERITY_STYLES[row.severity])
    if row.queue or row.parked:
        text.append(f", {number(row.queue, 'message')} for the cloud here, {row.parked} refused by it", "dim")
    return text


# --- those that are not known -----------------------------------------------------------------------


def strangers(snapshot: Snapshot) -> dict[str, Notice]:
    """Who failed to connect and is no charger of this site: the newest notice of each, the newest first."""
    known = {row.identity for row in snapshot.chargers}
    found: dict[str, Notice] = {}
    for one in snapshot.site.handshake_failures:
        if one.charger not in known:
            found.setdefault(one.charger, one)
    return found


def stranger_rows(snapshot: Snapshot) -> list[Row]:
    rows = []
    for name, notice in strangers(snapshot).items():
        cells: list[Cell] = [("?", "magenta"), (plain(name), "magenta"), ("not known", "magenta"), "", ""]
        cells += [plain(notice.text), age(notice.at, snapshot.at)]
        rows.append(Row(STRANGER + name, (*cells, *[""] * (len(COLUMNS) - len(cells)))))
    return rows


def stranger_verdict(snapshot: Snapshot, key: str) -> Text:
    notice = strangers(snapshot).get(key.removeprefix(STRANGER))
    if notice is None:
        return Text()
    text = Text(f"? {plain(notice.charger)} ", "magenta")
    text.append(f"tried to connect {age(notice.at, snapshot.at)} ago: {plain(notice.text)}", "default")
    return text
