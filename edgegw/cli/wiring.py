"""`edgegw wiring` prints what was commissioned as tables of a site file; `edgegw strangers` who knocks."""

from __future__ import annotations

import json

import click

from edgegw.cli.asking import OK, Asking, asks_gateway
from edgegw.cli.tables import table
from edgegw.control.client import ControlClient
from edgegw.control.wiring_models import StrangerList, WiringList, WiringView
from edgegw.redaction import plain


@click.command()
@click.option("--all", "everything", is_flag=True, help="Those of the site file too, as a list.")
@asks_gateway
def wiring(client: ControlClient, asking: Asking, everything: bool) -> int:
    """The connectors that were commissioned, as [[connector]] tables to put into the site file.

    Once they stand there, and edgegw was started again, the site file's hold and these are forgotten.
    """
    found = client.wiring()
    asking.tell(client, _list(found) if everything else _tables(found))
    return OK


def _tables(found: WiringList) -> str:
    commissioned = [one for one in found.wiring if one.source == "commissioned"]
    if not commissioned:
        return "# nothing was commissioned: every connector is wired by the site file"
    return "\n\n".join(toml_of(one) for one in commissioned)


def toml_of(one: WiringView) -> str:
    """The table that says the same in a site file."""
    head = [f"# commissioned {one.at or ''}".rstrip()]
    if one.trouble:
        head.append(f"# not in force: {plain(one.trouble)}")
    lines = [*head, "[[connector]]", f"charger = {json.dumps(one.charger)}"]
    if one.connector != 1:
        lines.append(f"connector = {one.connector}")
    lines += [f"circuit = {json.dumps(one.circuit)}", f"phases = {json.dumps(one.phases)}"]
    if one.dc:
        powers = {"min_kw": one.min_kw, "max_kw": one.max_kw, "safe_kw": one.safe_kw}
        lines += ["dc = true", *(f"{key} = {value:g}" for key, value in powers.items() if value is not None)]
    else:
        lines += [f"min = {one.min_a:g}", f"max = {one.max_a:g}", f"safe = {one.safe_a:g}"]
    return "\n".join(lines)


def _list(found: WiringList) -> str:
    rows = (
        (
            f"{one.charger}/{one.connector}",
            one.circuit,
            one.phases,
            f"{one.max_kw or 0:g} kW" if one.dc else f"{one.max_a:g}",
            one.source,
            plain(one.trouble) or "in force",
        )
        for one in found.wiring
    )
    return table(("CONNECTOR", "CIRCUIT", "PHASES", ">MAX A", "BY", "STATE"), rows)


@click.command()
@click.option("--accept", metavar="CHARGER", help="Let this charger in from now on.")
@click.option("--take-back", metavar="CHARGER", help="Let it in no more.")
@asks_gateway
def strangers(client: ControlClient, asking: Asking, accept: str | None, take_back: str | None) -> int:
    """Chargers that knocked and are not known, and those that a person let in."""
    if accept is not None and take_back is not None:
        raise click.UsageError("give --accept or --take-back")
    if accept is not None:
        client.accept(accept)
        asking.tell(client, f"{plain(accept)} is let in from now on")
    elif take_back is not None:
        client.take_back(take_back)
        asking.tell(client, f"{plain(take_back)} is not let in any more")
    else:
        asking.tell(client, _strangers(client.strangers()))
    return OK


def _strangers(found: StrangerList) -> str:
    parts = []
    if found.strangers:
        rows = (
            (one.identity, one.peer, str(one.times), one.last_at, " ".join(one.offered) or "none")
            for one in found.strangers
        )
        parts.append(table(("STRANGER", "FROM", ">TIMES", "LAST", "OFFERS"), rows))
    if found.accepted:
        rows_in = ((one.identity, one.at or "-") for one in found.accepted)
        parts.append(table(("ACCEPTED", "SINCE"), rows_in))
    return "\n\n".join(parts) or "nobody knocked who is not known"
