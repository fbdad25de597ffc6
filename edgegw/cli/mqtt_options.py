"""Which broker a command talks to, and which tree of topics: from the site file or from options.

Rules of this file: --broker wins over the site file, and then nothing of the site file is used.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from edgegw import config as site_file
from edgegw.cli.asking import DEFAULT_CONFIG
from edgegw.config_mqtt import Mqtt
from edgegw.config_text import SiteFileFault
from edgegw.config_values import toml_key
from edgegw.mqtt.payloads import API
from edgegw.mqtt.topics import slug

EVERY = "+"


@dataclass(frozen=True, slots=True)
class Where:
    """The broker, how to log in, and the tree."""

    settings: Mqtt
    gateway: str  # as in topics; EVERY: all gateways there

    @property
    def root(self) -> str:
        """Topic, or filter when it is of every gateway."""
        return f"{self.settings.base}/{API}/{self.gateway}"


@dataclass(frozen=True)
class Given:
    """The options as they were given."""

    config: Path | None
    broker: str | None
    base: str | None
    gateway: str | None
    username: str | None
    password_file: Path | None
    ca_file: Path | None
    tls_certificate: Path | None
    tls_key: Path | None
    version: str | None

    def where(self) -> Where:
        """Raises click.UsageError, which exits with 2."""
        if self.broker is not None:
            return Where(self._from_options(), slug(self.gateway) if self.gateway else EVERY)
        if strays := [
            f"--{name.replace('_', '-')}" for name in ("base", *_LOGIN) if getattr(self, name) is not None
        ]:
            raise click.UsageError(f"{', '.join(strays)}: only with --broker; the site file has its own")
        site = self.site()
        if site.mqtt is None:
            raise click.UsageError("the site file has no [mqtt] table: the gateway publishes nothing")
        return Where(site.mqtt, slug(self.gateway or site.site.id))

    def _from_options(self) -> Mqtt:
        names = ("broker", "base", *_LOGIN)
        table = {name: value for name in names if (value := getattr(self, name)) is not None}
        plain = {name: str(value) for name, value in table.items()}
        try:
            return Mqtt.model_validate(plain, context={"folder": Path.cwd()})
        except ValidationError as fault:
            raise click.UsageError("; ".join(map(_complaint, fault.errors()))) from None

    def site(self) -> site_file.SiteConfig:
        """Raises click.UsageError."""
        named = self.config or os.environ.get("EDGEGW_CONFIG")
        path = Path(named or DEFAULT_CONFIG)
        if not named and not path.exists():
            raise click.UsageError(f"no {DEFAULT_CONFIG} here: give --config FILE or --broker URL")
        try:
            return site_file.load(path)
        except SiteFileFault as fault:
            raise click.UsageError(str(fault)) from fault


_LOGIN = ("username", "password_file", "ca_file", "tls_certificate", "tls_key", "version")


def _complaint(error: Any) -> str:
    context = error.get("ctx", {})
    key = context.get("key") or (error["loc"][0] if error["loc"] else "broker")
    text = str(context.get("error") or context.get("text") or error["msg"])
    return f"--{toml_key(str(key)).replace('_', '-')} {text}"


def names_broker(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command `(given: Given, ...)`, with the options that say where."""
    file = click.Path(path_type=Path, dir_okay=False)

    @click.option("--config", type=click.Path(path_type=Path), help="The site file with its [mqtt] table.")
    @click.option("--broker", help="Another broker, such as mqtt://10.0.0.9 or mqtts://broker.lan.")
    @click.option("--base", help="With --broker: where the tree begins; default edgegw.")
    @click.option("--gateway", help="The id of the site; default with --broker: all that are there.")
    @click.option("--username", help="With --broker.")
    @click.option("--password-file", type=file, help="With --broker: a file with one line.")
    @click.option("--ca-file", type=file, help="With --broker mqtts://: PEM, instead of the system's.")
    @click.option("--tls-certificate", type=file, help="With --broker mqtts://: of this client, PEM.")
    @click.option("--tls-key", type=file, help="With --broker mqtts://: its key.")
    @click.option("--version", type=click.Choice(["5", "3.1.1"]), help="With --broker: of MQTT; default 5.")
    @functools.wraps(command)
    def named(**given: Any) -> Any:
        own = Given(**{name: given.pop(name) for name in Given.__dataclass_fields__})
        return command(own, **given)

    return named
