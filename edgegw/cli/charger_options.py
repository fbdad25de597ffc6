"""What the commands about one charger share: its name, a connector, asking before they cut it off."""

from __future__ import annotations

import sys
from typing import Any

import click

from edgegw.cli.asking import REFUSED, Asking
from edgegw.cli.completing import charger_names
from edgegw.units import parse_duration

identity = click.argument("identity", metavar="CHARGER", shell_complete=charger_names)
connector = click.option(
    "--connector", type=click.IntRange(1, 1000), help="1.6: connectorId, 2.x: EVSE; else all of it."
)
one_connector = click.option(
    "--connector",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="1.6: connectorId, 2.x: EVSE.",
)
yes = click.option("--yes", is_flag=True, help="Do not ask before.")


class Duration(click.ParamType[float]):
    """ "30 min" in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def ask_before(asking: Asking, question: str, *, yes: bool) -> None:
    """Ends the command unless the person at the terminal says yes. In a script nobody is asked."""
    if yes or asking.as_json or not sys.stdin.isatty():
        return
    if not click.confirm(question, err=True):
        click.echo("edgegw: nothing was ordered", err=True)
        sys.exit(REFUSED)
