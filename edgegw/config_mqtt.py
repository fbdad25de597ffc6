"""`[mqtt]` of the site file: the building's broker. Without the table nothing is published.

Rules of this file: publish-only unless `commands` names verbs; a password is in a file, never in the site
file.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from edgegw.config_values import (
    AS_TUPLE,
    ReadableFile,
    Table,
    about,
    duration,
    is_loopback,
    matches,
)

_BASE = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*", re.ASCII)
_PREFIX = _BASE

Verb = Literal[
    "limit/set",
    "limit/release",
    "charger/availability",
    "charger/reset",
    "charger/unlock",
    "charger/start",
    "charger/stop",
    "charger/trigger",
    "alarm/ack",
    "firmware/update",
    "diagnostics/get",
    "queue/resend",
    "health_check",
]
VERBS: tuple[Verb, ...] = get_args(Verb)


def _broker(value: str) -> str:
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from None
    plain = url.scheme in ("mqtt", "mqtts") and url.hostname and url.path in ("", "/") and port != 0
    if not plain or "@" in url.netloc or url.query or url.fragment or not value.isascii():
        raise ValueError('must be "mqtt://host[:port]" or "mqtts://host[:port]"; the user goes into username')
    return value.rstrip("/")


def _verbs(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) != len(values):
        raise ValueError("names a verb more than once")
    return values


class Mqtt(Table):
    """`[mqtt]`"""

    broker: Annotated[str, AfterValidator(_broker)] = Field(
        description='the building\'s broker, such as broker = "mqtt://10.0.0.9" or "mqtts://broker.lan:8883"'
    )
    version: Literal["5", "3.1.1"] = "5"
    client_id: Annotated[str, Field(max_length=65)] = ""  # "": edgegw-<site id>
    username: str | None = Field(default=None, min_length=1, max_length=256)
    password_file: ReadableFile | None = None
    ca_file: ReadableFile | None = None  # instead of the system's certificate authorities
    tls_certificate: ReadableFile | None = None  # of this client, PEM
    tls_key: ReadableFile | None = None
    keep_alive_s: Annotated[float, duration("5 s", "1 h")] = 30.0

    base: Annotated[
        str, matches(_BASE, "must hold only A-Z a-z 0-9 _ - between slashes, and begin and end with none")
    ] = "edgegw"
    interval_s: Annotated[float, duration("200 ms", "1 min")] = 1.0  # of states, at most
    flat: bool = False  # bare scalars below v/ beside the JSON
    log: Literal["off", "warning", "info"] = "off"  # lines of the log on the topic log
    card_ids: Literal["hashed", "plain"] = "hashed"
    events_kept: int = Field(default=10_000, ge=100, le=1_000_000)  # while the broker is away

    commands: Annotated[tuple[Verb, ...], AS_TUPLE, AfterValidator(_verbs)] = ()
    require_timestamp: bool = True  # a command carries `ts`, at most 30 s old
    limit_sources: Annotated[tuple[str, ...], AS_TUPLE] = ("bms",)  # who may set limits
    limit_expiry_s: Annotated[float, duration("10 s", "1 day")] = 300.0  # of a limit that names none
    limit_fallback_a: Annotated[float, Field(ge=0, le=10_000)] | None = None  # of a limit that names none

    homeassistant: bool = False
    discovery_prefix: Annotated[
        str, matches(_PREFIX, "must hold only A-Z a-z 0-9 _ - between slashes, and begin and end with none")
    ] = "homeassistant"

    @property
    def tls(self) -> bool:
        return self.broker.startswith("mqtts:")

    @property
    def host(self) -> str:
        return urlsplit(self.broker).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.broker).port or (8883 if self.tls else 1883)

    @model_validator(mode="after")
    def _keys_go_together(self) -> Mqtt:
        if (self.tls_certificate is None) != (self.tls_key is None):
            given, other = ("tls_key", "tls_certificate") if self.tls_key else ("tls_certificate", "tls_key")
            raise about(other, f"is required when {given} is set (set both or none)")
        if not self.tls and (
            only := next((k for k in ("ca_file", "tls_certificate") if getattr(self, k)), None)
        ):
            raise about(only, 'is for TLS: write broker = "mqtts://..."')
        if self.password_file is not None and self.username is None:
            raise about("username", "is required when password_file is set")
        return self

    @model_validator(mode="after")
    def _topics_do_not_meet(self) -> Mqtt:
        if self.homeassistant and self.base.split("/")[0] == self.discovery_prefix.split("/")[0]:
            raise about("base", "must not lie in discovery_prefix: Home Assistant would read it as discovery")
        return self


def mqtt_warnings(mqtt: Mqtt) -> list[str]:
    found = []
    if not mqtt.tls and not is_loopback(mqtt.host):
        found.append(
            f"[mqtt] broker = {mqtt.broker} is not encrypted: everyone on that network can read it"
            + (" and send commands" if mqtt.commands else "")
        )
    if mqtt.commands and mqtt.username is None and mqtt.tls_certificate is None:
        found.append(
            "[mqtt] commands without username or tls_certificate: whoever reaches the broker may command"
        )
    if "limit/set" in mqtt.commands and mqtt.limit_fallback_a is None:
        found.append(
            "[mqtt] limit/set without limit_fallback: a limit that names no fallback just ends when the "
            "building goes silent: set limit_fallback"
        )
    if mqtt.card_ids == "plain":
        found.append(
            '[mqtt] card_ids = "plain": card ids are personal data; everyone on the broker sees them'
        )
    return found
