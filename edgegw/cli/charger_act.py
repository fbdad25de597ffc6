"""Actions on one charger: reset, unlock, availability, start, stop, trigger.

Exit code 0: it does it. 1: it says no, or cannot be asked. 4: it did not answer in time, and may still do it.
"""

from __future__ import annotations

from typing import get_args

import click

from edgegw.cli import charger_options as options
from edgegw.cli.asking import OK, REFUSED, Asking, asks_gateway
from edgegw.control.client import ControlClient
from edgegw.control.detail_models import ActionAnswer, TriggerName
from edgegw.redaction import plain


def _tell(client: ControlClient, asking: Asking, identity: str, answer: ActionAnswer) -> int:
    told = f"{plain(identity)}: {plain(answer.status) or 'no status'}: {plain(answer.text)}"
    if answer.accepted or asking.as_json:
        asking.tell(client, told)
    else:
        click.echo(f"edgegw: {told}", err=True)
    return OK if answer.accepted else REFUSED


@click.command()
@options.identity
@click.option("--hard", is_flag=True, help="At once, as by its switch; else when it is ready for it.")
@click.option("--force", is_flag=True, help="Also while somebody charges, whose transaction it ends.")
@options.yes
@asks_gateway
def reset(client: ControlClient, asking: Asking, identity: str, hard: bool, force: bool, yes: bool) -> int:
    """Restart CHARGER."""
    options.ask_before(asking, f"restart {identity}?", yes=yes)
    answer = client.reset(identity, "hard" if hard else "soft", force=force)
    return _tell(client, asking, identity, answer)


@click.command()
@options.identity
@options.one_connector
@options.yes
@asks_gateway
def unlock(client: ControlClient, asking: Asking, identity: str, connector: int, yes: bool) -> int:
    """Open the lock of a plug; a car that charges there is stopped."""
    options.ask_before(asking, f"unlock connector {connector} of {identity}?", yes=yes)
    return _tell(client, asking, identity, client.unlock(identity, connector))


@click.command()
@options.identity
@click.argument("state", type=click.Choice(("operative", "inoperative")))
@options.connector
@options.yes
@asks_gateway
def availability(
    client: ControlClient, asking: Asking, identity: str, state: str, connector: int | None, yes: bool
) -> int:
    """Take CHARGER or one connector out of service, or into it."""
    if state == "inoperative":
        options.ask_before(asking, f"take {identity} out of service?", yes=yes)
    answer = client.set_availability(identity, state == "operative", connector or 0)
    return _tell(client, asking, identity, answer)


@click.command()
@options.identity
@click.argument("id_tag", metavar="CARD")
@options.one_connector
@asks_gateway
def start(client: ControlClient, asking: Asking, identity: str, id_tag: str, connector: int) -> int:
    """Start a transaction at CHARGER with the card id CARD."""
    return _tell(client, asking, identity, client.start(identity, id_tag, connector))


@click.command()
@options.identity
@click.argument("transaction", required=False)
@options.connector
@options.yes
@asks_gateway
def stop(
    client: ControlClient,
    asking: Asking,
    identity: str,
    transaction: str | None,
    connector: int | None,
    yes: bool,
) -> int:
    """Stop TRANSACTION at CHARGER, or whatever runs on --connector."""
    if (transaction is None) == (connector is None):
        raise click.UsageError("give a TRANSACTION or --connector")
    options.ask_before(asking, f"stop charging at {identity}?", yes=yes)
    answer = client.stop(identity, transaction, connector=connector)
    return _tell(client, asking, identity, answer)


@click.command()
@options.identity
@click.argument("message", type=click.Choice(get_args(TriggerName)))
@options.connector
@asks_gateway
def trigger(
    client: ControlClient, asking: Asking, identity: str, message: TriggerName, connector: int | None
) -> int:
    """Let CHARGER send MESSAGE now."""
    return _tell(client, asking, identity, client.trigger(identity, message, connector))
