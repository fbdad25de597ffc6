"""`edgegw call`: send any CALL to a charger and print its answer."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from edgegw.cli.asking import OK, REFUSED, Asking, asks_gateway
from edgegw.cli.completing import charger_names
from edgegw.control.client import ControlClient
from edgegw.redaction import plain


@click.command()
@click.argument("charger", shell_complete=charger_names)
@click.argument("action")
@click.argument("payload", default="{}", metavar="[JSON|-]")
@click.option("--unchecked", is_flag=True, help="Also an action that the OCPP version does not have.")
@asks_gateway
def call(
    client: ControlClient, asking: Asking, charger: str, action: str, payload: str, unchecked: bool
) -> int:
    """Send ACTION with the payload JSON to CHARGER and print its answer; "-" reads the payload from stdin.

    Exit code 0: it answered. 1: it answered CALLERROR, or could not be asked. 4: it did not answer in time.

    \b
    edgegw call DEPOT-CP-01 Reset '{"type": "Soft"}'
    edgegw call DEPOT-CP-01 GetConfiguration
    """
    answer = client.call(charger, action, _payload(payload), unchecked=unchecked)
    if answer.outcome == "result":
        asking.tell(client, _shown(answer.payload))
        return OK
    if asking.as_json:
        asking.tell(client)
    else:
        details = f" {_shown(answer.details)}" if answer.details else ""
        text = plain(f"{answer.code}: {answer.description}".rstrip(": "))
        click.echo(f"edgegw: {charger} answered CALLERROR {text}{details}", err=True)
    return REFUSED


def _payload(text: str) -> dict[str, Any]:
    if text == "-":
        text = sys.stdin.read()
    try:
        payload = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"is not JSON: {error}", param_hint="JSON") from error
    if not isinstance(payload, dict):
        raise click.BadParameter('must be an object such as {"type": "Soft"}', param_hint="JSON")
    return payload


def _shown(value: Any) -> str:
    """JSON for people: indented, letters of all languages, no control characters."""
    lines = json.dumps(value, indent=2, ensure_ascii=False).split("\n")
    return "\n".join(plain(line) for line in lines)
