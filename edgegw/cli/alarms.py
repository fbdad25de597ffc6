"""`edgegw alarms`: what is wrong at the site and what to do about it; and that somebody has seen it."""

from __future__ import annotations

import getpass
from collections.abc import Iterator

import click

from edgegw.cli.asking import OK, Asking, asks_gateway
from edgegw.cli.tables import minute, number, table
from edgegw.control.alarm_models import Acknowledged, AlarmCatalogue, AlarmList, AlarmView
from edgegw.control.client import ControlClient
from edgegw.units import format_duration

SEVERITIES = ("info", "warning", "error", "critical")


@click.group(invoke_without_command=True)
@click.option("--state", type=click.Choice(("active", "cleared")), help="Only those that are on, or over.")
@click.option("--severity", type=click.Choice(SEVERITIES), help="Only this bad or worse.")
@asks_gateway
def alarms(client: ControlClient, asking: Asking, state: str | None, severity: str | None) -> int:
    """What is wrong, the worst first, and what to do about it."""
    found = client.alarms(state=state, severity=severity)
    asking.tell(client, *_parts(found))
    return OK


@alarms.command()
@click.argument("alarm", metavar="ID", required=False)
@click.option("--all", "everything", is_flag=True, help="All that nobody has seen.")
@click.option("--by", default="", help="Who has seen it; else the name you are logged in with.")
@asks_gateway
def ack(client: ControlClient, asking: Asking, alarm: str | None, everything: bool, by: str) -> int:
    """Acknowledge one alarm, or all: somebody has seen it. One that is over then leaves the list."""
    if (alarm is None) != everything:
        raise click.UsageError("give the ID of one alarm, or --all")
    asking.tell(client, *_acknowledged(client.acknowledge(alarm, by=by or _me())))
    return OK


@alarms.command()
@asks_gateway
def catalogue(client: ControlClient, asking: Asking) -> int:
    """All alarms there can be, when they come and when they go."""
    asking.tell(client, _catalogue(client.alarm_catalogue()))
    return OK


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container whose user has no name
        return ""


def _parts(found: AlarmList) -> Iterator[str]:
    if not found.alarms:
        yield "no alarms" if not found.active else "no such alarms"
        return
    columns = ("SEVERITY", "=SINCE", "WHERE", "WHAT")
    yield table(columns, ((a.severity, minute(a.since), a.target, _what(a)) for a in found.alarms))
    yield ""
    yield table(("ID, AND WHAT TO DO",), ((line,) for line in _todo(found.alarms)))


def _what(a: AlarmView) -> str:
    """`CP-7 is not connected, 3 times (over; seen by Jo)`"""
    words = f"{a.text.removesuffix('.')}, {a.count} times" if a.count > 1 else a.text
    notes = ["over" if a.state == "cleared" else "", f"seen by {a.acknowledged_by}" if a.acknowledged else ""]
    told = "; ".join(filter(None, notes))
    return f"{words} ({told})" if told else words


def _todo(found: tuple[AlarmView, ...]) -> Iterator[str]:
    """What is the same to do stands once, below all alarms it is for."""
    ids: dict[str, list[str]] = {}
    for a in found:
        ids.setdefault(a.todo, []).append(a.id)
    for todo, same in ids.items():
        yield from same
        yield f"  {todo}"


def _acknowledged(done: Acknowledged) -> Iterator[str]:
    if not done.alarms:
        yield "there was nothing to acknowledge"
    for a in done.alarms:
        left = "; it is over and leaves the list" if a.state == "cleared" else ""
        yield f"{a.id}: seen by {a.acknowledged_by}{left}"


def _catalogue(found: AlarmCatalogue) -> str:
    columns = ("=CODE", "SEVERITY", ">AFTER", ">GONE FOR", "WHAT")
    rows = (
        (
            rule.code,
            rule.severity,
            format_duration(rule.raise_after_s),
            format_duration(rule.clear_after_s),
            rule.title + (" (stays until it is seen)" if rule.latched else ""),
        )
        for rule in found.alarms
    )
    return table(columns, rows)


def in_short(found: AlarmList) -> str:
    """For `edgegw status`: "2 on, the worst is critical: ...; 1 not seen yet"."""
    if not found.active and not found.unacknowledged:
        return ""
    on = f"{number(found.active, 'alarm')} on"
    worst = f", the worst is {found.worst}" if found.worst else ""
    unseen = f"; {found.unacknowledged} not seen yet: edgegw alarms" if found.unacknowledged else ""
    return f"{on}{worst}{unseen}"
