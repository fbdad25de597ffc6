"""What the site screen says, line by line, made of a snapshot. Pure.

Rules of this file: the most urgent thing first; a sign beside every colour; every line stands for itself, so
that lines which do not fit can be left out from the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from edgegw.control.live_models import LivePower, Snapshot
from edgegw.control.models import Notice
from edgegw.control.power_models import CircuitView, HeldView, PhaseAmps
from edgegw.redaction import plain
from edgegw.tui.table import Cell, Column, Row
from edgegw.tui.words import SEVERITY_SIGNS, SEVERITY_STYLES, age, amps, clock, number, span

TIGHT_A = 6.0  # less is no room for one more car
FULL_A = 1.0
OVER, FULL, TIGHT, STALE = "over", "full", "tight", "no meter"

CIRCUIT_COLUMNS = (
    Column("CIRCUIT", 14, grow=2),
    Column("STATE", 10),
    Column("L1 NOW/MAX +FREE", 16, grow=1, right=True),
    Column("L2 NOW/MAX +FREE", 16, grow=1, right=True),
    Column("L3 NOW/MAX +FREE", 16, grow=1, right=True),
    Column("HELD BY", 12, grow=2, rank=1),
)


def circuit_rows(power: LivePower) -> list[Row]:
    """As a tree: children below their parent, indented."""
    return [_circuit_row(circuit, depth) for depth, circuit in tree(power.circuits)]


def tree(circuits: Sequence[CircuitView]) -> Iterator[tuple[int, CircuitView]]:
    """(depth, circuit), parents first. One whose parent is not there counts as a root."""
    names = {one.name for one in circuits}
    children: dict[str, list[CircuitView]] = {}
    for one in circuits:
        children.setdefault(one.parent if one.parent in names else "", []).append(one)
    waiting = [(0, one) for one in reversed(children.get("", []))]
    seen: set[str] = set()
    while waiting:
        depth, one = waiting.pop()
        if one.name in seen:
            continue
        seen.add(one.name)
        yield depth, one
        waiting += [(depth + 1, child) for child in reversed(children.get(one.name, []))]


def flowing(circuit: CircuitView) -> PhaseAmps:
    """What its meter shows now: nothing while it is silent, its last numbers are not those of now."""
    return (None, None, None) if circuit.stale else circuit.measured_a


def state_of(circuit: CircuitView) -> str:
    """One word for how tight it is; "" with room."""
    pairs = zip(flowing(circuit), circuit.limit_a, strict=True)
    if any(a is not None and limit is not None and a > limit + 0.5 for a, limit in pairs):
        return OVER
    free = min((value for value in circuit.free_a if value is not None), default=None)
    if free is not None and free < TIGHT_A:
        return FULL if free < FULL_A else TIGHT
    return STALE if circuit.stale else ""


def _circuit_row(circuit: CircuitView, depth: int) -> Row:
    state = state_of(circuit)
    style = {OVER: "bold red", FULL: "yellow", TIGHT: "yellow", STALE: "magenta"}.get(state, "")
    branch = "  " * (depth - 1) + "└ " if depth else ""
    sign = {OVER: "X ", FULL: "! ", TIGHT: "! ", STALE: "? "}.get(state, "")
    cells: tuple[Cell, ...] = (
        branch + plain(circuit.name),
        (sign + state, style),
        *(
            (_phase(*three), style if three[2] is not None and three[2] < TIGHT_A else "")
            for three in zip(flowing(circuit), circuit.limit_a, circuit.free_a, strict=True)
        ),
        plain(circuit.limit_source),
    )
    return Row(circuit.name, cells)


def _phase(measured: float | None, limit: float | None, free: float | None) -> str:
    return f"{amps(measured)}/{amps(limit)} {'+' + amps(free) if free is not None else '':>5}"


def circuit_words(circuit: CircuitView) -> str:
    """All of one circuit in one line."""
    words = [f"{plain(circuit.name)}: fuse {amps(circuit.fuse_a)} A"]
    if circuit.limit_source not in ("", "fuse"):
        words.append(f"limited by {plain(circuit.limit_source)}")
    words.append(f"chargers {_three(circuit.granted_a)} A")
    words.append(f"building {_three(circuit.building_a)} A")
    if circuit.stale:
        words.append("its meter is silent: the reserve counts as the building")
    elif circuit.reading_age_s is not None:
        words.append(f"read {span(circuit.reading_age_s)} ago")
    return ", ".join(words)


def _three(values: Sequence[float | None]) -> str:
    """One number when all are the same."""
    return amps(values[0]) if len(set(values)) == 1 else "/".join(amps(value) for value in values)


def phase_line(circuit: CircuitView, span_name: str, volts: Sequence[float | None] | None) -> Text:
    """The title of the plot, with what flows now; `volts`: in kW instead of A."""
    unit = "A" if volts is None else "kW"
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f" {plain(circuit.name)}", "bold")
    text.append(f"  last {span_name}, {unit}:")
    factors = [(one or 0.0) / 1000 for one in volts] if volts is not None else [1.0, 1.0, 1.0]
    styles = ("yellow", "green", "cyan")
    for phase, (value, factor, style) in enumerate(zip(flowing(circuit), factors, styles, strict=True), 1):
        text.append(f"  L{phase} {_in_unit(value, factor, volts is not None)}", f"bold {style}")
    limits = [one for one in circuit.limit_a if one is not None]
    if limits:
        text.append(f"  - limit {_in_unit(min(limits), max(factors), volts is not None)}", "bold red")
    return text


def _in_unit(value: float | None, factor: float, is_kw: bool) -> str:
    return amps(value) if value is None or not is_kw else f"{value * factor:.1f}"


# --- the lines below --------------------------------------------------------------------------------


def cloud_lines(snapshot: Snapshot) -> list[Text]:
    cloud, queue = snapshot.site.cloud, snapshot.queue
    waits = queue.stored + queue.in_flight
    kept = f"{number(waits, 'message')} waiting"
    if queue.oldest_unsent_at:
        kept += f", the oldest {age(queue.oldest_unsent_at, snapshot.at)} old"
    parked = f", {number(queue.parked, 'message')} refused by the cloud (key 5)" if queue.parked else ""
    if cloud.mode == "standalone":
        return [_line("Cloud  ", "none is configured: this box decides alone")]
    since = f" for {age(cloud.since, snapshot.at)}" if cloud.since else ""
    if cloud.mode == "serving":
        legs = (
            f"{cloud.connected_legs} of {number(snapshot.site.chargers.connected, 'charger')} through to it"
        )
        return [_line("Cloud  ", f"reached{since}; {legs}; {kept}{parked}", "yellow" if queue.parked else "")]
    why = f": {plain(cloud.error)}" if cloud.error else ""
    return [
        _line("Cloud  ", f"! AWAY{since}{why}", "bold yellow"),
        _line("       ", f"cars charge on; {kept}, sent when it is back{parked}", "yellow"),
    ]


def health_lines(snapshot: Snapshot) -> list[Text]:
    """What the box says of itself."""
    health = snapshot.health
    reasons = health.reasons if health.status == "degraded" else ()
    lines = [_line("Box    ", f"X {plain(reason)}", "bold red") for reason in reasons]
    return lines + [_line("Box    ", f"! {plain(warning)}", "yellow") for warning in health.warnings]


def meter_lines(power: LivePower) -> list[Text]:
    lines = []
    for meter in power.meters:
        name = plain(meter.name)
        if meter.trouble:
            lines.append(_line("Meter  ", f"x {name}: {plain(meter.trouble)}", "bold red"))
            continue
        watts = f", {meter.power_w / 1000:.1f} kW" if meter.power_w is not None else ""
        volts = f", {_three([v and round(v) for v in meter.voltage_v])} V" if any(meter.voltage_v) else ""
        old = span(meter.age_s) if meter.age_s is not None else "-"
        lines.append(_line("Meter  ", f"{name}: {_three(meter.current_a)} A{watts}{volts}, read {old} ago"))
    return lines


def held_lines(power: LivePower) -> list[Text]:
    """Amps that nobody can use, because somebody cannot be lowered."""
    lines: list[Text] = []
    for one in power.held:
        words = f"! {plain(one.circuit)} keeps {_three(one.held_a)} A free for {held_names(one)}"
        lines.append(_line("Held   " if not lines else "       ", f"{words}: {plain(one.why)}", "yellow"))
    return lines


def held_names(one: HeldView) -> str:
    names = ", ".join(plain(name) for name in one.chargers)
    return (
        names if one.connectors <= len(one.chargers) else f"{names} ({number(one.connectors, 'connector')})"
    )


def limit_lines(power: LivePower, now: str) -> list[Text]:
    lines = []
    for limit in power.limits:
        until = f" until {clock(limit.until)}Z" if limit.until else ""
        if limit.state == "fallback":
            until = ", its fallback: it was not renewed"
        words = f"{plain(limit.source)} holds {plain(limit.circuit)} at {_three(limit.limit_a)} A{until}"
        lines.append(_line("Limit  ", words, "cyan"))
    return lines


def alarm_lines(snapshot: Snapshot, room: int) -> list[Text]:
    """The worst ones, and how many more there are."""
    alarms = [one for one in snapshot.alarms.alarms if one.state == "active"]
    if not alarms:
        return [_line("Alarms ", "none")] if not snapshot.alarms.active else []
    shown = alarms if len(alarms) <= room else alarms[: max(1, room - 1)]
    lines = []
    for place, one in enumerate(shown):
        target = f"{plain(one.target)}: " if one.target else ""
        words = f"{SEVERITY_SIGNS[one.severity]} {target}{plain(one.text or one.title)}"
        head = "Alarms " if not place else "       "
        lines.append(_line(head, f"{words} ({age(one.since, snapshot.at)})", SEVERITY_STYLES[one.severity]))
    more = snapshot.alarms.active - len(shown)
    if more > 0:
        lines.append(_line("       ", f"and {number(more, 'more alarm')}: key 6", "yellow"))
    return lines


def notice_lines(notices: Sequence[Notice], now: str, room: int) -> list[Text]:
    lines = []
    for place, one in enumerate(notices[: max(0, room)]):
        who = f"{plain(one.charger)}: " if one.charger and not one.text.startswith(one.charger) else ""
        lines.append(
            _line("Lately " if not place else "       ", f"{age(one.at, now):>4} {who}{plain(one.text)}")
        )
    return lines


def _line(head: str, words: str, style: str = "") -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f" {head}", "bold")
    text.append(words, style)
    return text
