"""`edgegw status`: is the box all right? Also what a container's health check runs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import click

from edgegw.cli.alarms import in_short
from edgegw.cli.asking import OK, REFUSED, Asking, asks_gateway
from edgegw.cli.completing import charger_names
from edgegw.cli.power import held_lines
from edgegw.cli.tables import age, facts, fit, number, size, span
from edgegw.control.alarm_models import AlarmList
from edgegw.control.client import ControlClient
from edgegw.control.models import Health, QueueCounts, SiteView
from edgegw.control.power_models import PowerView
from edgegw.redaction import plain

NOTICES_SHOWN = 5
CONNECTORS_SHOWN = 20


@click.command()
@click.argument("charger", required=False, shell_complete=charger_names)
@click.option("--follow", "-f", is_flag=True, help="Go on with what changes, a line each, until Ctrl-C.")
@asks_gateway
def status(client: ControlClient, asking: Asking, charger: str | None, follow: bool) -> int:
    """Say how the gateway is and what the site does; of CHARGER, what is the matter with it in one line.

    Exit code 0: all right, a cloud that is away included (the box is there for that). 1: it cannot do its
    work; the reason is printed. 3: it does not answer. With --follow a gateway that goes is told and waited
    for; with --json there is one JSON document per line.
    """
    if follow:
        return _follow(client, asking, charger)
    if charger is not None:
        asking.tell(client, "; ".join(_of_charger(client, charger)))
        return OK
    health = client.health()
    documents = {"health": client.last}
    if asking.url is None or asking.token_file is not None:  # without a token only health is open
        site = client.site()
        documents["site"] = client.last
        power = client.power()
        documents["power"] = client.last
        alarms = client.alarms()
        documents["alarms"] = client.last
    else:
        site, power, alarms = None, None, None
    if asking.as_json:
        click.echo(json.dumps(documents))
    else:
        click.echo(fit(_text(health, site, power, alarms)))
    return REFUSED if health.status == "degraded" else OK


def _follow(client: ControlClient, asking: Asking, charger: str | None) -> int:
    from edgegw.cli import status_follow

    if charger is not None:
        client.charger(charger)  # one that nobody knows is a mistake and nothing to wait for
    status_follow.follow(asking, charger)
    return OK


def _of_charger(client: ControlClient, charger: str) -> Iterator[str]:
    """Its verdict, and what is kept free for connectors that nobody can lower now."""
    power = client.detail(charger).power
    verdict = plain(client.charger(charger).verdict)  # the last answer is what --json prints
    yield f"{charger}: {verdict}"
    for one in power:
        if one.held_a and "kept for it" not in verdict:
            yield f"{one.held_a:g} A of {plain(one.circuit)} are kept for connector {one.connector}"


def _text(health: Health, site: SiteView | None, power: PowerView | None, alarms: AlarmList | None) -> str:
    pairs = [("status", health.status), *(("", reason) for reason in health.reasons)]
    if alarms is not None:
        pairs.append(("alarms", in_short(alarms)))
    if site is not None:
        pairs.append(("site", f"{site.id} {site.name}".strip()))
    pairs += [("edgegw", f"{health.version}, up {span(health.uptime_s)}"), ("cloud", _cloud(health))]
    if site is not None:
        pairs += _site(site)
    pairs += [("store", _store(health)), *(("warning", warning) for warning in health.warnings)]
    if power is not None and power.balanced:
        pairs += _power(power)
    lines = [facts(pairs)]
    if site is not None and site.notices:
        lines += ["", "lately:", *(_notice(n.at, n.text) for n in site.notices[:NOTICES_SHOWN])]
    return "\n".join(lines)


def _site(site: SiteView) -> list[tuple[str, str]]:
    chargers = site.chargers
    connected = f"{chargers.connected} connected of {chargers.known} known"
    running = number(site.running_transactions, "transaction")
    return [("chargers", f"{connected}, {running} running"), ("queue", queue_words(site.queue))]


def _power(power: PowerView) -> Iterator[tuple[str, str]]:
    """Each circuit, and why each connector that has a car has the limit it has."""
    for circuit in power.circuits:
        free = min(amps for amps in circuit.free_a if amps is not None)
        words = f"{circuit.name}: {max(0.0, free):.0f} A free of {circuit.fuse_a:g} A"
        if free < 0:
            words += "; more is kept for what cannot be steered, or not yet"
        yield "power", f"{words}; its meter is silent, the reserve counts" if circuit.stale else words
    shown = [c for c in power.connectors if c.fault or any(c.drawn_a or ())]
    for connector in shown[:CONNECTORS_SHOWN]:
        name = f"{connector.charger}/{connector.connector}"
        why = connector.why
        if connector.fault:  # not steered: what it was granted says nothing
            yield "", f"{name}: {why if connector.fault in why else f'{connector.fault}; {why}'}"
        else:
            yield "", f"{name} at {connector.limit_a:g} A: {why}"
    if len(shown) > CONNECTORS_SHOWN:
        yield "", f"and {number(len(shown) - CONNECTORS_SHOWN, 'connector')} more: edgegw power"
    yield from (("", words) for words in held_lines(power))
    yield from (("alarm", text) for text in power.alarms)


def queue_words(queue: QueueCounts) -> str:
    oldest = age(queue.oldest_unsent_at)
    words = f"{queue.stored} stored, {queue.in_flight} in flight, {queue.parked} parked"
    return f"{words}; the oldest unsent waits {oldest}" if oldest else words


def _cloud(health: Health) -> str:
    cloud = health.cloud
    if cloud.mode == "standalone":
        return "none: this box is the CSMS"
    if cloud.mode == "away":
        return f"away for {age(cloud.since)}"
    return f"reached, {number(cloud.connected_legs, 'connection')}"


def _store(health: Health) -> str:
    store = health.store
    if store.broken:
        return "broken"
    return f"{size(store.database_bytes)}, {size(store.free_disk_bytes)} free on its disk"


def _notice(at: str, text: str) -> str:
    return f"  {age(at):>7} ago  {plain(text)}"
