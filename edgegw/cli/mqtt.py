"""`edgegw mqtt`: what the gateway publishes at the building's broker, and what it takes from there."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgegw import config as site_file
from edgegw.cli.mqtt_send import send
from edgegw.cli.mqtt_watch import watch
from edgegw.cli.tables import table
from edgegw.config_mqtt import VERBS
from edgegw.config_text import SiteFileFault
from edgegw.mqtt.payloads import API
from edgegw.mqtt.topics import CHANNELS, Channel, Tree
from edgegw.units import format_duration

ANY_ROOT = f"<base>/{API}/<gateway>"


@click.group()
def mqtt() -> None:
    """MQTT: watch what is published, see the tree of topics, send a command."""


mqtt.add_command(watch)
mqtt.add_command(send)


@mqtt.command("topics")
@click.option("--config", type=click.Path(path_type=Path), help="The site file: its base and gateway.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def show_topics(config: Path | None, as_json: bool) -> None:
    """The tree of topics: what is on each, and how it is kept."""
    root = _root(config) if config is not None else ANY_ROOT
    if as_json:
        click.echo(json.dumps({"root": root, "channels": [_facts(channel) for channel in CHANNELS]}))
        return
    rows = [_row(channel) for channel in CHANNELS]
    rows.append(("request/{verb}", "", 1, "", f"a command to the gateway, of: {', '.join(VERBS)}"))
    click.echo(f"below {root}/\n\n" + table(("=TOPIC", "KEPT", "QOS", "=EXPIRES", "WHAT"), rows))


def _root(config: Path) -> str:
    """Raises click.UsageError."""
    try:
        site = site_file.load(config)
    except SiteFileFault as fault:
        raise click.UsageError(str(fault)) from fault
    if site.mqtt is None:
        raise click.UsageError(f"{config} has no [mqtt] table: the gateway publishes nothing")
    return Tree(site.mqtt.base, site.site.id).root


def _row(channel: Channel) -> tuple[str, str, int, str, str]:
    expires = format_duration(channel.expiry_s) if channel.expiry_s is not None else ""
    return channel.address, "retained" if channel.retain else "", channel.qos, expires, channel.about


def _facts(channel: Channel) -> dict[str, object]:
    facts: dict[str, object] = {"name": channel.name, "topic": channel.address, "retain": channel.retain}
    return {**facts, "qos": channel.qos, "expiry_s": channel.expiry_s, "about": channel.about}


@mqtt.command()
@click.argument("name", required=False)
def schema(name: str | None) -> None:
    """The AsyncAPI document of the tree; with NAME a JSON schema, such as of "connector" or "limit/set".

    They stand in docs/mqtt too.
    """
    from edgegw.mqtt import asyncapi, schemas

    if name is None:
        click.echo(asyncapi.text(asyncapi.document()), nl=False)
        return
    known = {**{schemas.request_name(verb): verb for verb in VERBS}, **{c.name: c.name for c in CHANNELS}}
    wanted = schemas.request_name(name) if name in VERBS else name
    if wanted not in known:
        raise click.UsageError(f'there is no "{name}"; there are: {", ".join(known.values())}')
    click.echo(asyncapi.text(schemas.files()[wanted]), nl=False)
