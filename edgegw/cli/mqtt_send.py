"""`edgegw mqtt send`: one command to the gateway through the broker, as the building would send it."""

from __future__ import annotations

import json
import re
import secrets
import sys
import time
from datetime import UTC, datetime
from typing import Any

import click

from edgegw.cli.asking import NO_ANSWER, OK, REFUSED
from edgegw.cli.mqtt_broker import Broker, BrokerFault, Lost
from edgegw.cli.mqtt_options import EVERY, Given, Where, names_broker
from edgegw.cli.mqtt_watch import complain
from edgegw.mqtt import words

_VERB = re.compile(r"[a-z_]+(/[a-z_]+)*")
_FIELD = re.compile(r"([a-z_]\w*)=(.*)", re.DOTALL)


@click.command()
@click.argument("verb")
@click.argument("fields", nargs=-1, metavar="KEY=VALUE...")
@names_broker
@click.option("--within", "within_s", type=click.FloatRange(0.1, 3600), default=10.0, show_default=True,
              help="Seconds to wait for the answer.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The answer as it came.")
def send(given: Given, verb: str, fields: tuple[str, ...], within_s: float, as_json: bool) -> None:
    """Send a command such as

        edgegw mqtt send limit/set source=bms limit_a=63 expires_s=120

    and wait for what became of it. A value that is JSON is sent as such, any other as text. `transaction` and
    `ts` are added. [mqtt] commands of the site file says which verbs the gateway takes.

    Exit code 0 done; 1 refused, by gateway or broker; 3 the broker cannot be reached; 4 no answer in time.
    """
    if not _VERB.fullmatch(verb):
        raise click.UsageError(f'"{verb}" is not a verb such as limit/set')
    request = {"transaction": f"cli-{secrets.token_hex(6)}", "ts": _now(), **_request(fields)}
    where = given.where()
    if where.gateway == EVERY:
        raise click.UsageError("--broker needs --gateway too: a command is for one gateway")
    try:
        answer = _exchange(where, verb, request, within_s)
    except (BrokerFault, Lost) as fault:
        complain(str(fault))
        sys.exit(fault.exit_code if isinstance(fault, BrokerFault) else NO_ANSWER)
    click.echo(words.raw(answer) if as_json else words.line(f"response/{verb}", answer))
    sys.exit(OK if _status(answer) == "ok" else REFUSED)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _request(fields: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for field in fields:
        named = _FIELD.fullmatch(field)
        if named is None:
            raise click.UsageError(f'"{field}" is not KEY=VALUE')
        found[named[1]] = _json(named[2])
    return found


def _json(text: str) -> Any:
    """What it is as JSON, else the text itself."""
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text


def _exchange(where: Where, verb: str, request: dict[str, Any], within_s: float) -> bytes:
    """The answer. Raises BrokerFault, Lost."""
    broker = Broker(where.settings, "send")
    try:
        broker.open()
        broker.subscribe([f"{where.root}/response/{verb}"])
        if not broker.publish(f"{where.root}/request/{verb}", json.dumps(request).encode()):
            raise BrokerFault(
                f"nobody listens at {where.root}/request/{verb}: does the gateway run, and are there "
                "[mqtt] commands in its site file?",
                REFUSED,
            )
        return _answer(broker, request["transaction"], within_s)
    finally:
        broker.close()


def _answer(broker: Broker, transaction: str, within_s: float) -> bytes:
    ends = time.monotonic() + within_s
    while (left_s := ends - time.monotonic()) > 0:
        for message in broker.turn(left_s):
            if _member(message.payload, "transaction") == transaction:
                return message.payload
    raise BrokerFault(f"no answer within {within_s:g} s: it is not known whether it was done", NO_ANSWER)


def _status(payload: bytes) -> Any:
    return _member(payload, "status")


def _member(payload: bytes, name: str) -> Any:
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return found.get(name) if isinstance(found, dict) else None
