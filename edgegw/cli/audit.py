"""`edgegw audit`: who ordered what of this box, and what became of it."""

from __future__ import annotations

import json

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
    return second(entry.at), who, order.replace(" /v1/", " /"), entry.outcome, _said(entry.text)


def _said(text: str) -> str:
    """A JSON object as words, without what was left open; anything else as it is."""
    try:
        said = json.loads(text)
    except ValueError:
        return text
    if not isinstance(said, dict):
        return text
    words = (value if isinstance(value, str) else json.dumps(value) for value in said.values())
    pairs = zip(said, words, strict=True)
    return " ".join(f"{name}={word}" for name, word in pairs if word not in ("", "null"))
