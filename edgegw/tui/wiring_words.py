"""Chargers at the door, and how connectors are wired: as lines of one list, and as texts to read. Pure."""

from __future__ import annotations

from rich.text import Text

from edgegw.control.wiring_models import AcceptedCharger, Stranger, WiringView
from edgegw.redaction import plain
from edgegw.tui.table import Cell, Column, Row
from edgegw.tui.words import age, amps, number

COLUMNS = (
    Column("", 1),
    Column("WHAT", 9),
    Column("CHARGER", 12, 2),
    Column("CON", 3),
    Column("CIRCUIT", 10, 1),
    Column("PHASES", 8),
    Column("MAX A", 6, right=True, rank=1),
    Column("SAFE A", 6, right=True, rank=1),
    Column("STATE", 30, 3),
)


def stranger_row(one: Stranger, now: str) -> Row:
    state = f"knocked {one.times}x, last {age(one.last_at, now)} ago, from {plain(one.peer)}"
    cells: tuple[Cell, ...] = (
        ("?", "bold yellow"), "stranger", plain(one.identity), "", "", "", "", "", (state, "yellow")
    )  # fmt: skip
    return Row(f"stranger {one.identity}", cells)


def accepted_row(one: AcceptedCharger, is_wired: bool) -> Row:
    state = "accepted" if is_wired else "accepted; its connectors are not wired yet: w walks through it"
    cells: tuple[Cell, ...] = (
        "v" if is_wired else "!",
        "accepted",
        plain(one.identity),
        "",
        "",
        "",
        "",
        "",
        state,
    )
    return Row(f"accepted {one.identity}", cells)


def wiring_row(one: WiringView) -> Row:
    trouble = plain(one.trouble)
    cells: tuple[Cell, ...] = (
        ("!", "bold yellow") if trouble else "v",
        "wired",
        plain(one.charger),
        str(one.connector),
        plain(one.circuit),
        one.phases if not one.dc else f"DC {one.phases}",
        amps(one.max_a) if not one.dc else "-",
        amps(one.safe_a) if not one.dc else "-",
        (trouble, "yellow")
        if trouble
        else f"by the {one.source}"
        if one.source == "site file"
        else one.source,
    )
    return Row(f"wired {one.charger} {one.connector}", cells)


def about_stranger(one: Stranger, now: str) -> Text:
    text = Text()
    text.append(f"? {plain(one.identity)} is not known here and was turned away\n", "bold yellow")
    text.append(
        f"It came {number(one.times, 'time')} from {plain(one.peer)}, first {age(one.first_at, now)} ago, "
        f"last {age(one.last_at, now)} ago. It speaks {plain(', '.join(one.offered)) or 'no OCPP by name'}.\n"
    )
    return text.append("a lets it in from now on. Make sure that it is the one in front of you.")


def about_accepted(one: AcceptedCharger, is_wired: bool) -> Text:
    text = Text()
    text.append(f"{plain(one.identity)} is let in", "bold")
    text.append(f", accepted by a person at {one.at}\n" if one.at else "\n")
    if not is_wired:
        text.append(
            "It is not balanced: nobody has said to which circuit and phases it is wired.\n", "yellow"
        )
    return text.append("w walks through its commissioning.")


def about_wiring(one: WiringView) -> Text:
    text = Text()
    text.append(f"{plain(one.charger)} connector {one.connector}\n", "bold")
    if one.trouble:
        text.append(f"! kept, but not in force: {plain(one.trouble)}\n", "yellow")
    text.append(f"circuit {plain(one.circuit)}, phases {one.phases}, ")
    if one.dc:
        text.append(f"DC, {amps(one.min_kw)} to {amps(one.max_kw)} kW, safe {amps(one.safe_kw)} kW\n")
    else:
        text.append(f"{amps(one.min_a)} to {amps(one.max_a)} A, safe {amps(one.safe_a)} A per phase\n")
    return text.append(f"by the {one.source}" + (f" at {one.at}" if one.at else ""), "dim")
