"""`edgegw chargers`: all of them in a table, or one in detail."""

from __future__ import annotations

from collections.abc import Mapping

import click

from edgegw.cli.asking import OK, Asking, asks_gateway
from edgegw.cli.completing import charger_names
from edgegw.cli.status import queue_words
from edgegw.cli.tables import age, facts, minute, number, table
from edgegw.control.client import ControlClient
from edgegw.control.models import ChargerView, Quarantine

COMPLAINTS_SHOWN = 10


@click.command()
@click.argument("charger", required=False, shell_complete=charger_names)
@click.option("--quarantine", is_flag=True, help="Messages of CHARGER that were no OCPP-J.")
@asks_gateway
def chargers(client: ControlClient, asking: Asking, charger: str | None, quarantine: bool) -> int:
    """All chargers, or one in detail."""
    if quarantine and charger is None:
        raise click.UsageError("--quarantine needs a CHARGER")
    if charger is None:
        reasons = {} if asking.as_json else {c.identity: c.handshake for c in client.snapshot().chargers}
        found = client.chargers().chargers
        asking.tell(client, _table(found, reasons) if found else "no charger was here yet")
    elif quarantine:
        asking.tell(client, _quarantine(client.quarantine(charger)))
    else:
        asking.tell(client, described(client.charger(charger)))
    return OK


def _table(found: tuple[ChargerView, ...], reasons: Mapping[str, str]) -> str:
    """`reasons`: why the last attempt of a charger to connect failed; "" when it did not."""
    columns = ("CHARGER", "OCPP", "SEEN", "CLOUD", ">TX", ">QUEUE", "WHAT")
    return table(
        columns,
        (
            (
                c.identity,
                c.version.removeprefix("ocpp") if c.last_seen else "-",
                age(c.last_seen),
                "up" if c.cloud.up else "-",
                len(c.transactions),
                c.queue.stored + c.queue.in_flight,
                c.verdict
                if c.connected or not reasons.get(c.identity)
                else f"{c.verdict}: {reasons[c.identity]}",
            )
            for c in found
        ),
    )


def described(c: ChargerView) -> str:
    queue = queue_words(c.queue)
    made = " ".join(part for part in (c.vendor, c.model) if part)
    serial = f"serial {c.serial}" if c.serial else ""
    firmware = f"firmware {c.firmware}" if c.firmware else ""
    head = [
        ("charger", c.identity),
        ("", c.verdict),
        ("device", ", ".join(part for part in (made, serial, firmware) if part)),
        ("protocol", c.version),
        ("connection", _connection(c)),
        ("cloud", _cloud(c)),
        ("registration", c.registration),
        ("queue", queue),
        ("lists", _lists(c)),
    ]
    connectors = [("connector", f"{k.id}: {k.status} {k.error_code} {k.info}".rstrip()) for k in c.connectors]
    running = [
        ("transaction", f"{t.id}: connector {t.connector}, {t.energy_wh or 0} Wh since {t.started_at}")
        for t in c.transactions
    ]
    breaks = [("schema", f"{x.count} x {x.rule}") for x in c.complaints[:COMPLAINTS_SHOWN]]
    if c.quarantined:
        breaks.append(("quarantine", f"{number(c.quarantined, 'message')}: see --quarantine"))
    return facts([*head, *connectors, *running, *breaks])


def _connection(c: ChargerView) -> str:
    if c.connected:
        return f"from {c.peer_ip} since {minute(c.since)}, last heard {age(c.last_seen)} ago"
    return f"none; last heard {age(c.last_seen)} ago" if c.last_seen else "none"


def _cloud(c: ChargerView) -> str:
    state = "connected" if c.cloud.up else "not connected"
    since = f" since {minute(c.cloud.since)}" if c.cloud.since else ""
    return f"{state}{since}{': ' + c.cloud.error if c.cloud.error else ''}"


def _lists(c: ChargerView) -> str:
    lists = c.lists
    return f"{number(lists.listed, 'listed tag')} (version {lists.list_version}), {lists.cached} cached"


def _quarantine(found: Quarantine) -> str:
    if not found.frames:
        return f"no message of {found.charger} was refused"
    return table(("=WHEN", "WHY", "MESSAGE"), ((minute(f.at), f.why, f.text) for f in found.frames))
