"""The site file: TOML in, frozen models out.

Rules of this file:
- Everything an operator can set has its name, its default and its limits here, and nowhere else.
- An attribute carries its unit (`answer_timeout_s`, `max_message_bytes`, `replay_rate_per_s`); its TOML
  key is the same without the unit, because there the value carries it ("20 s", "4 MiB").
- A file is used whole or not at all; `load` tells everything that is wrong with it at once.
- Relative paths start at the folder of the site file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from edgegw.config_files import Files, file_warnings
from edgegw.config_mqtt import Mqtt, mqtt_warnings
from edgegw.config_power import Balancing, Circuit, Connector, Meter, Schedule, check_power, time_zone
from edgegw.config_publishing import Publishing
from edgegw.config_text import SiteFileFault, complaint_from, parse_toml, read_text
from edgegw.config_values import (
    AS_TUPLE,
    AbsolutePath,
    Address,
    Identity,
    ReadableFile,
    Table,
    TagStatus,
    about,
    absolute_path,
    all_different,
    cloud_url,
    distinct_tags,
    duration,
    is_loopback,
    listen_address,
    matches,
    size,
    socket_path,
)

DAY_S = 86_400.0
MIB = 1024 * 1024

_SITE_ID = re.compile(r"[A-Za-z0-9_-]{1,48}", re.ASCII)
_URL_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?", re.ASCII)


# --- the tables -----------------------------------------------------------------------------------


class Site(Table):
    """`[site]`"""

    id: Annotated[str, matches(_SITE_ID, "must be 1 to 48 of A-Z a-z 0-9 _ -")] = Field(
        description='a short name of this site, such as id = "depot-1"'
    )
    name: str = Field(default="", max_length=200)
    timezone: Annotated[str, AfterValidator(time_zone)] = "UTC"  # of schedules and 2.1 useLocalTime


class Chargers(Table):
    """`[chargers]`: the side that chargers dial."""

    listen: Annotated[Address, BeforeValidator(listen_address)] = Field(
        description='where chargers dial in, such as listen = "0.0.0.0:9000"'
    )
    # Kept without a closing slash: "" when the identity follows the host at once.
    path: Annotated[
        str,
        matches(_URL_PATH, 'must begin with "/" and hold only A-Z a-z 0-9 . _ ~ - between slashes'),
        AfterValidator(lambda path: path.rstrip("/")),
    ] = "/ocpp"
    # What a charger must dial to reach this box; given to a charger whose CSMS address the cloud changes.
    public_url: Annotated[str, AfterValidator(cloud_url)] | None = None
    unknown: Literal["accept", "refuse"] = "refuse"
    known: Annotated[frozenset[Identity], BeforeValidator(all_different)] = frozenset()
    missing_subprotocol: Literal["refuse", "ocpp1.6", "ocpp2.0.1", "ocpp2.1"] = "refuse"
    catalogue_directory: AbsolutePath | None = None  # your own words for what chargers report
    max_message_bytes: Annotated[int, size("64 KiB", "64 MiB")] = 4 * MIB
    handshake_timeout_s: Annotated[float, duration("1 s", "2 min")] = 10.0
    ping_interval_s: Annotated[float, duration("1 s", "1 h")] = 20.0
    answer_timeout_s: Annotated[float, duration("1 s", "10 min")] = 30.0
    heartbeat_interval_s: Annotated[float, duration("10 s", "1 day")] = 300.0
    max_connections: int = Field(default=2000, ge=1, le=100_000)
    tls_certificate: ReadableFile | None = None
    tls_key: ReadableFile | None = None

    @model_validator(mode="after")
    def _both_tls_files(self) -> Chargers:
        if (self.tls_certificate is None) != (self.tls_key is None):
            given, other = ("tls_key", "tls_certificate") if self.tls_key else ("tls_certificate", "tls_key")
            raise about(other, f"is required when {given} is set (set both or none)")
        return self


class Cloud(Table):
    """`[cloud]`: the operator's CSMS. Without this table the box is the CSMS."""

    url: Annotated[str, AfterValidator(cloud_url)] = Field(
        description='the CSMS without the identity, such as url = "wss://csms.example/ocpp"'
    )
    on_loss: Literal["serve_locally", "drop_charger"] = "serve_locally"
    answer_timeout_s: Annotated[float, duration("100 ms", "5 min")] = 20.0
    replay_rate_per_s: float = Field(
        default=10.0, ge=0, le=100_000
    )  # messages of the whole site; 0: unlimited
    connect_rate_per_s: float = Field(default=2.0, ge=0, le=100_000)  # dials of the whole site; 0: unlimited
    connect_timeout_s: Annotated[float, duration("1 s", "2 min")] = 10.0
    # OCPP 2.x part 4, 5.4: RetryBackOffWaitMinimum, ...RandomRange, ...RepeatTimes
    retry_wait_minimum_s: Annotated[float, duration("100 ms", "1 h")] = 2.0
    retry_random_range_s: Annotated[float, duration("0 s", "1 h")] = 2.0
    retry_repeat_times: int = Field(default=2, ge=0, le=20)
    ping_interval_s: Annotated[float, duration("1 s", "1 h")] = 30.0
    max_message_bytes: Annotated[int, size("64 KiB", "64 MiB")] = 8 * MIB
    ca_file: ReadableFile | None = None
    message_attempts: int = Field(default=3, ge=1, le=1000)  # OCPP 1.6 TransactionMessageAttempts
    message_retry_interval_s: Annotated[float, duration("0 s", "1 day")] = 60.0
    replay_boot: Literal["if_changed", "always"] = "if_changed"
    moves: Literal["refuse", "adopt"] = "refuse"


class Authorization(Table):
    """`[authorization]`"""

    mode: Literal["cloud_first", "local_first", "local_only"] = "cloud_first"
    unknown_tags: Literal["accept", "refuse"] = "refuse"
    site_cache: bool = False
    cache_lifetime_s: Annotated[float, duration("1 min", "3650 days")] = 14 * DAY_S
    tags: Annotated[Mapping[str, TagStatus], AfterValidator(distinct_tags)] = Field(default_factory=dict)
    one_transaction_per_tag: bool = False


class Store(Table):
    """`[store]`"""

    directory: AbsolutePath = Field(
        description='where the journal lives, such as directory = "/var/lib/edgegw"'
    )
    retention_s: Annotated[float, duration("1 day", "36500 days")] = 400 * DAY_S
    reserve_bytes: Annotated[int, size("1 MiB", "16 GiB")] = 16 * MIB
    flight_quota_bytes: Annotated[int, size("0 B", "16 GiB")] = 64_000_000  # frames of the last hours; 0: off


class Control(Table):
    """`[control]`: the local API."""

    socket: Annotated[Path, BeforeValidator(absolute_path), AfterValidator(socket_path)]
    listen: Annotated[Address, BeforeValidator(listen_address)] | None = None
    token_file: ReadableFile | None = None
    read_token_file: ReadableFile | None = None  # of those who may look and order nothing

    @model_validator(mode="after")
    def _loopback_with_token(self) -> Control:
        if self.listen is not None and not self.listen.is_loopback:
            raise about(
                "listen", "must be a loopback address such as 127.0.0.1:9001: use ssh or a proxy from afar"
            )
        if self.listen is not None and self.token_file is None:
            raise about("token_file", "is required when listen is set")
        if self.read_token_file is not None and self.token_file is None:
            raise about("token_file", "is required when read_token_file is set: it is the operator's")
        if self.read_token_file is not None and self.read_token_file == self.token_file:
            raise about("read_token_file", "must not be token_file: who holds that one may order everything")
        return self


class Log(Table):
    """`[log]`"""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class SiteConfig(Table):
    """The whole site file."""

    site: Site = Field(description='begin with [site] and id = "..."')
    chargers: Chargers = Field(description='write [chargers] and listen = "host:port"')
    cloud: Cloud | None = None
    authorization: Authorization = Authorization()
    store: Store = Field(description='write [store] and directory = "..."')
    control: Control
    log: Log = Log()
    files: Files | None = None
    publishing: Publishing | None = None
    mqtt: Mqtt | None = None
    balancing: Balancing = Balancing()
    meter: Annotated[tuple[Meter, ...], AS_TUPLE] = ()
    circuit: Annotated[tuple[Circuit, ...], AS_TUPLE] = ()
    connector: Annotated[tuple[Connector, ...], AS_TUPLE] = ()
    schedule: Annotated[tuple[Schedule, ...], AS_TUPLE] = ()

    @model_validator(mode="after")
    def _adopting_needs_an_address(self) -> SiteConfig:
        if self.cloud is not None and self.cloud.moves == "adopt" and not self.chargers.public_url:
            text = 'is required when [cloud] moves = "adopt", such as public_url = "ws://10.0.0.5:9000/ocpp"'
            raise about(("chargers", "public_url"), text)
        return self

    @model_validator(mode="after")
    def _publishing_has_what_it_needs(self) -> SiteConfig:
        if self.publishing is None:
            return self
        if self.cloud is None or self.files is None:
            missing = "[cloud]" if self.cloud is None else "[files]"
            raise about(("publishing", "identity"), f"publishes firmware for a cloud: needs {missing} too")
        if self.publishing.identity in self.chargers.known:
            raise about(("publishing", "identity"), "must not be one of [chargers] known")
        return self

    @model_validator(mode="after")
    def _power_fits(self) -> SiteConfig:
        check_power(self.meter, self.circuit, self.connector, self.schedule, self.balancing)
        return self

    @model_validator(mode="before")
    @classmethod
    def _control_socket_beside_the_store(cls, data: dict[str, Any]) -> dict[str, Any]:
        store, control = data.get("store"), data.get("control", {})
        directory = store.get("directory") if isinstance(store, dict) else None
        if isinstance(control, dict):
            data = {**data, "control": {"socket": f"{directory or '.'}/edgegw.sock", **control}}
        return data


# --- in and out -----------------------------------------------------------------------------------


def load(path: str | os.PathLike[str]) -> SiteConfig:
    """Read a site file. Raises SiteFileFault (a ConfigFault) with everything that is wrong with it."""
    file = Path(path)
    return loads(read_text(file), file)


def loads(text: str, file: Path = Path("site.toml")) -> SiteConfig:
    """The same from text. `file` gives complaints their name and relative paths their folder."""
    data = parse_toml(text, file)
    try:
        return SiteConfig.model_validate(data, context={"folder": file.absolute().parent})
    except ValidationError as fault:
        found = (complaint_from(e, file=file, text=text, root=SiteConfig) for e in fault.errors())
        complaints = sorted(found, key=lambda complaint: (complaint.line, complaint.key, complaint.value))
        raise SiteFileFault(tuple(complaints)) from None


def warnings(config: SiteConfig) -> list[str]:
    """What works but should not stay so, in words for the installer. Nothing here stops the box."""
    chargers, cloud, found = config.chargers, config.cloud, []
    if not chargers.listen.is_loopback:
        if chargers.tls_certificate is None:
            found.append(
                f"[chargers] listen = {chargers.listen} without tls_certificate: everyone on that "
                "network can read and change what chargers say; OCPP allows it on a trusted network only"
            )
        if chargers.unknown == "accept":
            found.append(
                f'[chargers] unknown = "accept" on {chargers.listen}: whatever dials in is '
                "treated as a charger; list the chargers in known"
            )
    if cloud is not None:
        url = urlsplit(cloud.url)
        if url.scheme == "ws" and not is_loopback(url.hostname or ""):
            found.append(
                f"[cloud] url = {cloud.url} is not encrypted: charger passwords cross the line in the clear"
            )
    found += _power_warnings(config)
    if config.files is not None:
        found += file_warnings(config.files)
    if config.mqtt is not None:
        found += mqtt_warnings(config.mqtt)
    for key in ("token_file", "read_token_file"):
        token: Path | None = getattr(config.control, key)
        if token is not None and token.stat().st_mode & 0o077:
            found.append(f"[control] {key} = {token} can be read by other users: run chmod 600 {token}")
    return found


def _power_warnings(config: SiteConfig) -> list[str]:
    found = []
    for circuit in config.circuit:
        if circuit.parent is None and circuit.meter is None and config.connector:
            found.append(
                f"[[circuit]] {circuit.name} has no meter: whatever draws beside the chargers is only known "
                f"by its reserve of {circuit.reserve_a:g} A"
            )
        elif circuit.meter is not None and not circuit.reserve_a:
            found.append(
                f"[[circuit]] {circuit.name} has reserve 0: a silent meter leaves all of it to the chargers"
            )
    strangers = {c.charger for c in config.connector} - config.chargers.known
    if config.chargers.unknown == "refuse" and strangers:
        names = ", ".join(sorted(strangers)[:5])
        found.append(f"[[connector]] names chargers that are not in [chargers] known: {names}")
    return found
