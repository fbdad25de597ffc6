"""`edgegw queue`: what waits for the cloud, message by message if wanted; and sending parked ones again."""

from __future__ import annotations

import click

from edgegw.cli.asking import OK, Asking, asks_gateway
from edgegw.cli.completing import charger_names
from edgegw.cli.status import queue_words
from edgegw.cli.tables import age, minute, number, table
from edgegw.control.client import ControlClient
from edgegw.control.models import QueueRow

STATES = ("stored", "in_flight", "parked", "delivered", "recorded")


@click.group(invoke_without_command=True)
@click.option("--rows", is_flag=True, help="Message by message, newest first.")
@click.option("--state", type=click.Choice(STATES), help="With --rows: only these.")
@click.option("--charger", shell_complete=charger_names, help="With --rows: only of this charger.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--before", type=int, help="Go on behind a page: its last row.")
@click.option("--raw", is_flag=True, help="With --rows: the frames too, card ids and passwords masked.")
@asks_gateway
def queue(
    client: ControlClient,
    asking: Asking,
    rows: bool,
    state: str | None,
    charger: str | None,
    limit: int,
    before: int | None,
    raw: bool,
) -> int:
    """What waits for the cloud."""
    if not rows:
        if state or charger or before or raw:
            raise click.UsageError("--state, --charger, --before and --raw go with --rows")
        found = client.queue()
        columns = ("CHARGER", ">STORED", ">IN FLIGHT", ">PARKED", "OLDEST")
        lines = (
            (q.charger, q.stored, q.in_flight, q.parked, age(q.oldest_unsent_at)) for q in found.chargers
        )
        asking.tell(client, queue_words(found), *([table(columns, lines)] if found.chargers else []))
        return OK
    page = client.queue_rows(state=state, charger=charger, limit=limit, before=before, raw=raw)
    told = [_table(page.rows, raw) if page.rows else "no messages"]
    if page.next_before is not None:
        told.append(f"more: --before {page.next_before}")
    asking.tell(client, *told)
    return OK


def _table(rows: tuple[QueueRow, ...], raw: bool) -> str:
    columns = ("CHARGER", ">SEQ", "STATE", "ACTION", "=RECEIVED", "WHY", *(("FRAME",) if raw else ()))
    return table(
        columns,
        (
            (
                row.charger,
                row.seq,
                row.state.replace("_", " "),
                row.action,
                minute(row.received_at),
                _why(row),
                *((row.raw,) if raw else ()),
            )
            for row in rows
        ),
    )


def _why(row: QueueRow) -> str:
    refused = f"refused {number(row.attempts, 'time')}: {row.error}" if row.attempts else row.error
    return ", ".join(part for part in (refused, *row.flags) if part)


@queue.command()
@click.argument("charger", shell_complete=charger_names)
@click.argument("seqs", metavar="[SEQ]...", type=click.IntRange(1), nargs=-1)
@asks_gateway
def resend(client: ControlClient, asking: Asking, charger: str, seqs: tuple[int, ...]) -> int:
    """Send parked messages of CHARGER to the cloud again: those given, or all."""
    done = client.resend(charger, list(seqs) or None)
    sent = f"{number(done.resent, 'message')} of {charger} on the way to the cloud again"
    asking.tell(
        client, sent if done.resent else f"nothing of {charger} is parked; what waits goes up by itself"
    )
    return OK
