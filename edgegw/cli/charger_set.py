"""`edgegw charger settings` and `set`: the configuration of a charger, searched and changed."""

from __future__ import annotations

from collections.abc import Iterator

import click

from edgegw.cli import charger_options as options
from edgegw.cli.asking import OK, REFUSED, Asking, asks_gateway
from edgegw.cli.tables import minute, table
from edgegw.control.client import ControlClient
from edgegw.control.detail_models import Setting, Settings
from edgegw.redaction import plain

DONE = ("Accepted", "RebootRequired")


@click.command()
@options.identity
@click.argument("search", default="")
@click.option("--fresh", is_flag=True, help="Ask the charger, whatever is known already.")
@asks_gateway
def settings(client: ControlClient, asking: Asking, identity: str, search: str, fresh: bool) -> int:
    """The configuration of CHARGER, or what of it holds SEARCH. A report of OCPP 2.x takes up to a minute."""
    found = client.settings(identity, search, fresh=fresh)
    asking.tell(client, *_parts(found, search))
    return OK


def _parts(found: Settings, search: str) -> Iterator[str]:
    if found.settings:
        yield table(("=NAME", "VALUE", "NOTE"), (_line(setting) for setting in found.settings))
    else:
        yield f"nothing of it holds {plain(search)!r}" if search else "it told no settings"
    yield f"as told at {minute(found.asked_at)}{f'; {plain(found.text)}' if found.text else ''}"


def _line(setting: Setting) -> tuple[str, ...]:
    note = ", ".join(filter(None, ("read-only" if setting.read_only else "", setting.note)))
    return setting.name, setting.in_words if setting.others else setting.value or "", note


@click.command("set")
@options.identity
@click.argument("name")
@click.argument("value")
@options.yes
@asks_gateway
def set_value(client: ControlClient, asking: Asking, identity: str, name: str, value: str, yes: bool) -> int:
    """Set NAME of CHARGER to VALUE. NAME: the key of 1.6, "Component.Variable" of 2.x.

    Exit code 1 when the charger does not take it, or when it is none to be set from here.
    """
    options.ask_before(asking, f"set {plain(name)} of {identity} to {plain(value)}?", yes=yes)
    answer = client.set_setting(identity, name, value)
    told = f"{plain(identity)}: {plain(answer.name)}: {plain(answer.status)}: {plain(answer.text)}"
    if answer.status in DONE or asking.as_json:
        asking.tell(client, told)
    else:
        click.echo(f"edgegw: {told}", err=True)
    return OK if answer.status in DONE else REFUSED
