"""`edgegw power` shows who may draw what and why; `edgegw limit` lowers a circuit for a while."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import click

from edgegw.cli.asking import OK, REFUSED, Asking, asks_gateway
from edgegw.cli.tables import number, span, table
from edgegw.control.client import ControlClient
from edgegw.control.power_models import CircuitView, ConnectorPowerView, LimitView, PhaseAmps, PowerView
from edgegw.redaction import plain
from edgegw.units import parse_duration


@click.command()
@asks_gateway
def power(client: ControlClient, asking: Asking) -> int:
    """What each circuit carries, what each connector may draw, and why.

    Exit code 1 when nothing is balanced: the site file has no [[connector]].
    """
    found = client.power()
    if not found.balanced:
        asking.tell(client, "nothing is balanced here: the site file has no [[connector]]")
        return REFUSED
    asking.tell(client, "\n\n".join(_parts(found)))
    return OK


def _parts(found: PowerView) -> Iterator[str]:
    yield table(
        ("CIRCUIT", ">FUSE A", "LIMIT", "MEASURED A", "BUILDING A", "CHARGERS A", "FREE A", "READ"),
        (_circuit(circuit) for circuit in found.circuits),
    )
    if troubles := [f"meter {meter.name}: {meter.trouble}" for meter in found.meters if meter.trouble]:
        yield "\n".join(troubles)
    yield table(
        ("CONNECTOR", ">MAY A", ">HAS A", "DRAWS A", "WHY"),
        (_connector(connector) for connector in found.connectors),
    )
    if found.held:
        yield "\n".join(held_lines(found))
    if found.limits:
        lines = (
            (
                limit.source,
                limit.circuit,
                _amount(limit),
                "chargers" if limit.chargers_only else "all",
                _until(limit),
            )
            for limit in found.limits
        )
        yield table(("LIMIT BY", "CIRCUIT", "AT", "FOR", "UNTIL"), lines)
    if found.alarms:
        yield "\n".join(f"alarm: {text}" for text in found.alarms)


def _amount(limit: LimitView) -> str:
    is_asked = limit.asked_w is not None and limit.state == "holds"
    return f"{limit.asked_w:g} W" if is_asked else f"{_three(limit.limit_a)} A"


def _until(limit: LimitView) -> str:
    if limit.state == "fallback":
        return "expired, fallback holds"
    then = f", then {limit.fallback_a:g} A" if limit.fallback_a is not None else ""
    return f"{limit.until or 'cleared'}{then}"


def _circuit(seen: CircuitView) -> tuple[str, ...]:
    limit = "fuse" if seen.limit_source == "fuse" else f"{_three(seen.limit_a)} {seen.limit_source}"
    read = "-" if seen.reading_age_s is None else f"{seen.reading_age_s:.0f} s ago"
    return (
        seen.name,
        f"{seen.fuse_a:g}",
        limit,
        _three(seen.measured_a),
        _three(seen.building_a),
        _three(seen.granted_a),
        _three(seen.free_a),
        f"{read}, silent: reserve counts" if seen.stale else read,
    )


def _connector(seen: ConnectorPowerView) -> tuple[str, ...]:
    return (
        f"{seen.charger}/{seen.connector}",
        f"{seen.limit_a:g}",
        "-" if seen.accepted_a is None else f"{seen.accepted_a:g}",
        "-" if seen.drawn_a is None else _three(seen.drawn_a),
        _why(seen),
    )


def _why(seen: ConnectorPowerView) -> str:
    if not seen.fault:
        return seen.why
    words = f"{seen.control}: {seen.fault}"
    return f"{words}; {seen.held_a:g} A are kept for it" if seen.held_a else words


def held_lines(found: PowerView) -> Iterator[str]:
    """What circuits keep free for who cannot be lowered now, and so nobody else can use."""
    for one in found.held:
        names = ", ".join(plain(name) for name in one.chargers)
        more = f" ({number(one.connectors, 'connector')})" if one.connectors > len(one.chargers) else ""
        yield f"held: {one.circuit} keeps {_three(one.held_a)} A free for {names}{more}: {plain(one.why)}"


def _three(amps: PhaseAmps | tuple[float | None, ...]) -> str:
    return " ".join("-" if value is None else f"{value:.0f}" for value in amps)


class _Amount(click.FloatRange):
    """`FloatRange` lets "nan" through: it compares as neither too small nor too large."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


@click.group()
def limit() -> None:
    """Lower a circuit below its fuse, for a time or until cleared."""


@limit.command("set")
@click.argument("circuit")
@click.option("--amps", type=_Amount(0, 10_000), help="Per phase, for everything on the circuit.")
@click.option("--watts", type=_Amount(0, 10_000_000), help="For all phases together.")
@click.option("--for", "for_text", help='How long, such as "2 h"; without it until cleared.')
@click.option(
    "--fallback", type=_Amount(0, 10_000), help="Amps per phase after --for, until set anew or cleared."
)
@click.option("--source", default="building", show_default=True, help="Who sets it: one limit each.")
@click.option(
    "--priority",
    type=click.IntRange(0, 100),
    default=0,
    show_default=True,
    help="Who is named first; the lowest limit holds.",
)
@click.option("--chargers-only", is_flag=True, help="For the chargers alone, not for what the meter shows.")
@click.option("--floor-14a", is_flag=True, help="Never below what §14a EnWG leaves the chargers.")
@asks_gateway
def set_limit(
    client: ControlClient,
    asking: Asking,
    circuit: str,
    amps: float | None,
    watts: float | None,
    for_text: str | None,
    fallback: float | None,
    source: str,
    priority: int,
    chargers_only: bool,
    floor_14a: bool,
) -> int:
    """Set the limit of SOURCE on CIRCUIT; one that was there before is replaced."""
    if (amps is None) == (watts is None):
        raise click.UsageError("give --amps or --watts")
    try:
        for_s = parse_duration(for_text) if for_text else None
    except ValueError as error:
        raise click.UsageError(f"--for {for_text}: {error}") from error
    if fallback is not None and for_s is None:
        raise click.UsageError("--fallback needs --for: it holds once the limit has expired")
    client.set_limit(
        circuit,
        source=source,
        limit_a=amps,
        limit_w=watts,
        for_s=for_s,
        chargers_only=chargers_only,
        floor_14a=floor_14a,
        priority=priority,
        fallback_a=fallback,
    )
    told = f"{amps:g} A" if amps is not None else f"{watts:g} W"
    until = f"for {span(for_s)}" if for_s else "until it is cleared"
    if fallback is not None:
        until += f", then {fallback:g} A until it is set anew or cleared"
    asking.tell(client, f"{circuit}: {told} by {source}, {until}")
    return OK


@limit.command("clear")
@click.argument("circuit", required=False)
@click.option("--source", help="Only the limits of this source.")
@asks_gateway
def clear_limit(client: ControlClient, asking: Asking, circuit: str | None, source: str | None) -> int:
    """Clear limits that were set: of CIRCUIT, or of all."""
    done = client.clear_limits(circuit=circuit, source=source)
    asking.tell(client, f"{number(done.cleared, 'limit')} cleared")
    return OK
