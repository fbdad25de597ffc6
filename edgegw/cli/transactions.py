"""`edgegw transactions`: what was charged, newest first; or one transaction with its card id."""

from __future__ import annotations

import click

from edgegw.cli.asking import OK, Asking, asks_gateway
from edgegw.cli.completing import charger_names
from edgegw.cli.tables import facts, minute, table
from edgegw.control.client import ControlClient
from edgegw.control.models import TransactionView


@click.command()
@click.argument("charger", required=False, shell_complete=charger_names)
@click.argument("transaction_id", required=False)
@click.option("--running/--ended", default=None, help="Only those that run, or that ended.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--before", type=int, help="Go on behind a page: its last row.")
@asks_gateway
def transactions(
    client: ControlClient,
    asking: Asking,
    charger: str | None,
    transaction_id: str | None,
    running: bool | None,
    limit: int,
    before: int | None,
) -> int:
    """Transactions, newest first; with CHARGER its own, with TRANSACTION_ID that one in detail."""
    if charger is not None and transaction_id is not None:
        asking.tell(client, _detail(client.transaction(charger, transaction_id)))
        return OK
    page = client.transactions(charger=charger, running=running, limit=limit, before=before)
    lines = [_table(page.transactions) if page.transactions else "no transactions"]
    if page.next_before is not None:
        lines.append(f"more: --before {page.next_before}")
    asking.tell(client, *lines)
    return OK


def _table(found: tuple[TransactionView, ...]) -> str:
    columns = ("CHARGER", "ID", "CON", "TAG", "=RECEIVED", ">WH", "STATE")
    return table(
        columns,
        (
            (t.charger, t.id, _place(t), t.id_tag, minute(t.received_at), t.energy_wh, _state(t))
            for t in found
        ),
    )


def _place(t: TransactionView) -> str:
    return f"{t.evse}.{t.connector}" if t.evse else str(t.connector or "")


def _state(t: TransactionView) -> str:
    words = ["running" if t.running else t.stop_reason or "ended", *t.flags]
    return ", ".join([*words, "offline"] if t.offline else words)


def _detail(t: TransactionView) -> str:
    return facts(
        [
            ("transaction", t.id),
            ("charger", t.charger),
            ("cloud id", t.cloud_id or "the cloud has not said"),
            ("connector", _place(t)),
            ("card", t.id_tag),
            ("state", _state(t)),
            ("started", t.started_at),
            ("stopped", t.stopped_at),
            ("meter start", _wh(t.meter_start_wh)),
            ("meter last", _wh(t.meter_last_wh)),
            ("meter stop", _wh(t.meter_stop_wh)),
            ("energy", _wh(t.energy_wh)),
        ]
    )


def _wh(value: int | None) -> str:
    return "" if value is None else f"{value} Wh"
