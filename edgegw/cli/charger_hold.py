"""`edgegw charger limit` and `bypass`: for a while at most so much, or left out of balancing."""

from __future__ import annotations

from collections.abc import Iterator

import click

from edgegw.cli import charger_options as options
from edgegw.cli.asking import OK, Asking, asks_gateway
from edgegw.cli.tables import minute, span
from edgegw.control.client import ControlClient
from edgegw.control.detail_models import BYPASS_DEFAULT_S, LIMIT_DEFAULT_S, ConnectorOrders

_end = click.option("--end", is_flag=True, help="End it now.")


def order_lines(found: ConnectorOrders) -> Iterator[str]:
    for order in found.orders:
        what = f"at most {order.limit_a:g} A" if order.limit_a is not None else "left out of balancing"
        until = f"for {span(order.left_s)} more, until {minute(order.until)}"
        yield f"connector {order.connector}: {what} {until}"
    if not found.orders:
        yield "nothing is ordered for its connectors"


@click.command()
@options.identity
@click.argument("amps", type=click.FloatRange(0, 10_000), required=False)
@options.connector
@click.option(
    "--for", "for_s", type=options.Duration(), default=LIMIT_DEFAULT_S, help='Such as "2 h"; 1 h without it.'
)
@_end
@asks_gateway
def limit(
    client: ControlClient,
    asking: Asking,
    identity: str,
    amps: float | None,
    connector: int | None,
    for_s: float,
    end: bool,
) -> int:
    """Give each connector of CHARGER at most AMPS per phase for a while; below what a car needs it waits."""
    if (amps is None) != end:
        raise click.UsageError("give AMPS, or --end")
    if amps is None:
        found = client.end_connector_limit(identity, connector)
    else:
        found = client.limit_connector(identity, amps, connector, for_s)
    asking.tell(client, *order_lines(found))
    return OK


@click.command()
@options.identity
@options.connector
@click.option(
    "--for",
    "for_s",
    type=options.Duration(),
    default=BYPASS_DEFAULT_S,
    help='Such as "10 min", at most 4 h; 30 min without it.',
)
@_end
@options.yes
@asks_gateway
def bypass(
    client: ControlClient,
    asking: Asking,
    identity: str,
    connector: int | None,
    for_s: float,
    end: bool,
    yes: bool,
) -> int:
    """Leave CHARGER out of balancing for a while: it may have its maximum, the others give way.

    Refused when its maximum does not fit under the fuses beside the least of all others.
    """
    if end:
        found = client.end_bypass(identity, connector)
    else:
        options.ask_before(asking, f"leave {identity} out of balancing for {span(for_s)}?", yes=yes)
        found = client.bypass(identity, connector, for_s)
    asking.tell(client, *order_lines(found))
    return OK
