"""`edgegw charger detail` and `profile`: all that is known of a charger, and what it may draw."""

from __future__ import annotations

from collections.abc import Iterator

import click

from edgegw.cli import charger_options as options
from edgegw.cli.asking import OK, Asking, asks_gateway
from edgegw.cli.charger_hold import order_lines
from edgegw.cli.chargers import described
from edgegw.cli.tables import facts, minute, second, span, table
from edgegw.control.client import ControlClient
from edgegw.control.detail_models import ChargerDetail, ConnectorOrders, ProfileView
from edgegw.control.power_models import ConnectorPowerView

CLOCK_SUSPECT_S = 60.0  # so far off, times in its records mislead


@click.command()
@options.identity
@asks_gateway
def detail(client: ControlClient, asking: Asking, identity: str) -> int:
    """All that is known of CHARGER: state, limits and why, failed connections, alarms, events."""
    asking.tell(client, "\n\n".join(_parts(client.detail(identity))))
    return OK


def _parts(found: ChargerDetail) -> Iterator[str]:
    yield "\n".join(filter(None, (described(found.charger), facts(_more(found)))))
    if found.power:
        columns = (">CON", ">MAY A", ">HAS A", "DRAWS A", "WHY")
        yield table(columns, (_power(one) for one in found.power))
    if found.orders:
        yield "\n".join(order_lines(ConnectorOrders(orders=found.orders)))
    if found.alarms:
        yield table(("ALARM", "SINCE", "WHAT", "WHAT TO DO"),
                    ((a.severity, minute(a.since), a.text, a.todo) for a in found.alarms))  # fmt: skip
    if found.handshake_failures:
        lines = ((second(one.at), one.text) for one in found.handshake_failures)
        yield table(("FAILED TO CONNECT", "WHY, AND WHAT TO DO"), lines)
    if found.profile_answers:
        answers = (
            (second(a.at), a.connector, a.method, _amps(a.limit_a), a.answer) for a in found.profile_answers
        )
        yield table(("PROFILE SENT", ">CON", "HOW", ">A", "ANSWER"), answers)
    if found.events:
        told = ((minute(e.at), e.connector, e.severity, f"{e.code}: {e.text}", e.todo) for e in found.events)
        yield table(("EVENT", "CON", "SEVERITY", "WHAT", "WHAT TO DO"), told)


def _more(found: ChargerDetail) -> Iterator[tuple[str, str]]:
    boot = found.boot
    if boot is not None:
        reason = f", {boot.reason}" if boot.reason else ""
        yield "boot", f"{minute(boot.at) or 'before edgegw noted it'}{reason}"
    offset_s = found.clock_offset_s
    if offset_s is not None:
        side = "ahead of" if offset_s > 0 else "behind"
        is_right = abs(offset_s) < CLOCK_SUSPECT_S
        yield "clock", "right" if is_right else f"{span(abs(offset_s))} {side} ours: set it"


def _power(seen: ConnectorPowerView) -> tuple[str | int, ...]:
    drawn = "-" if seen.drawn_a is None else " ".join(_amps(amps) for amps in seen.drawn_a)
    why = f"{seen.control}: {seen.fault}" if seen.fault else seen.why
    return seen.connector, _amps(seen.limit_a), _amps(seen.accepted_a), drawn, why


def _amps(amps: float | None) -> str:
    return "-" if amps is None else f"{amps:g}"


@click.command()
@options.identity
@options.one_connector
@click.option("--span", "span_s", type=options.Duration(), default=14_400.0, help='How far, such as "8 h".')
@asks_gateway
def profile(client: ControlClient, asking: Asking, identity: str, connector: int, span_s: float) -> int:
    """What a connector of CHARGER may draw from now on, and what binds it."""
    asking.tell(client, _profile(client.profile(identity, connector, max(1, int(span_s)))))
    return OK


def _profile(found: ProfileView) -> str:
    lines = (
        ("now" if not step.from_s else f"in {span(step.from_s)}", _amps(step.limit_a), step.binds)
        for step in found.steps
    )
    return table(("FROM", ">A", "WHAT BINDS IT"), lines)
