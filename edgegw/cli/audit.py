"""`edgegw audit`: who ordered what of this box, and what became of it."""

from __future__ import annotations

import click

from edgegw.cli.asking import OK, Asking, asks_gateway
from edgegw.cli.tables import second, table
from edgegw.control.audit_models import AuditEntryView, AuditList
from edgegw.control.client import ControlClient

COLUMNS = ("=WHEN", "WHO", "ORDER", "=OUTCOME", "WHAT")


@click.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--before", type=click.IntRange(1), help="The page before: what the last one named.")
@asks_gateway
def audit(client: ControlClient, asking: Asking, limit: int, before: int | None) -> int:
    """Orders from the local API and the building's broker, newest first."""
    found = client.audit(limit=limit, before=before)
    asking.tell(client, *_text(found))
    return OK


def _text(found: AuditList) -> list[str]:
    if not found.entries:
        return ["no orders were given"]
    lines = [table(COLUMNS, (_row(entry) for entry in found.entries))]
    if found.next_before is not None:
        lines.append(f"older ones: edgegw audit --before {found.next_before}")
    return lines


def _row(entry: AuditEntryView) -> tuple[str, str, str, str, str]:
    """The path of an order names its charger already; one over MQTT does not."""
    who = f"{entry.door}: {entry.asker}"
    named = entry.target and entry.target not in entry.order
    order = f"{entry.order} {entry.target}" if named else entry.order
    return second(entry.at), who, order, entry.outcome, entry.text
