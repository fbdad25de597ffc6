"""`edgegw events`: what chargers reported, in plain words, and what to do about it."""

from __future__ import annotations

import click

from edgegw.cli.asking import OK, Asking, asks_gateway
from edgegw.cli.completing import charger_names
from edgegw.cli.tables import minute, table
from edgegw.control.client import ControlClient
from edgegw.control.event_models import EventView

SEVERITIES = ("info", "warning", "error", "critical")


@click.command()
@click.argument("charger", required=False, shell_complete=charger_names)
@click.option("--severity", type=click.Choice(SEVERITIES), default="info", help="Only this bad or worse.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@asks_gateway
def events(client: ControlClient, asking: Asking, charger: str | None, severity: str, limit: int) -> int:
    """What all chargers reported, newest first; with CHARGER its own, and what to do."""
    found = client.events(charger, severity=severity, limit=limit).events
    if not found:
        asking.tell(client, _none(charger, severity))
    elif charger is None:
        asking.tell(client, _everybody(found))
    else:
        asking.tell(client, _one_charger(found), "", _todo(found))
    return OK


def _none(charger: str | None, severity: str) -> str:
    who = charger or "any charger"
    return f"nothing was reported by {who}" + ("" if severity == "info" else f" that is {severity} or worse")


def _everybody(found: tuple[EventView, ...]) -> str:
    columns = ("=WHEN", "CHARGER", "CON", "SEVERITY", "WHAT")
    rows = ((minute(e.at), e.charger, e.connector, e.severity, _what(e)) for e in found)
    return table(columns, rows)


def _one_charger(found: tuple[EventView, ...]) -> str:
    columns = ("=WHEN", "CON", "SEVERITY", "WHAT")
    return table(columns, ((minute(e.at), e.connector, e.severity, _what(e)) for e in found))


def _what(e: EventView) -> str:
    """`GroundFailure: The residual current device has tripped ... (30 mA), 3 times`"""
    words = f"{_code(e)}: {e.text.removesuffix('.')}"
    if e.info:
        words += f" ({e.info})"
    return words if e.count == 1 else f"{words}, {e.count} times"


def _code(e: EventView) -> str:
    return " ".join(filter(None, (e.code, e.vendor_code)))


def _todo(found: tuple[EventView, ...]) -> str:
    """Each code once, what is still so before what is over."""
    todo: dict[str, str] = {}
    for e in sorted(found, key=lambda e: e.cleared):
        todo.setdefault(_code(e), e.todo)
    return table(("CODE", "WHAT TO DO"), todo.items())
