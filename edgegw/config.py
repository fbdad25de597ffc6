"""The site file: TOML in, frozen models out.

Rules of this file:
- Everything an operator can set has its name, its default and its limits here, and nowhere else.
- An attribute carries its unit (`answer_timeout_s`, `max_message_bytes`, `replay_rate_per_s`); its TOML
  key is the same without the unit, because there the value carries it ("20 s", "4 MiB").
- A file is used whole or not at all; `load` tells everything that is wrong with it at once.
- Relative paths start at the folder of the site file.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from edgegw import units
from edgegw.config_text import SiteFileFault, complaint_from, parse_toml, read_text

UNIX_SOCKET_PATH_BYTES_MAX = 107  # sun_path of Linux holds 108 with its closing zero
IDENTITY_CHARACTERS_MAX = 48  # OCPP 2.0.1 part 2, ChargingStation identity; 1.6 sets no limit
DAY_S = 86_400.0
MIB = 1024 * 1024

# OCPP 2.x identifierString and the space some 1.6 chargers carry. Never ":": a Basic user name ends at it.
_IDENTITY = re.compile(r"[A-Za-z0-9*\-_=+|@.]([A-Za-z0-9*\-_=+|@. ]*[A-Za-z0-9*\-_=+|@.])?", re.ASCII)
_SITE_ID = re.compile(r"[A-Za-z0-9_-]{1,48}", re.ASCII)
_URL_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?", re.ASCII)
_LISTEN = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9][A-Za-z0-9.-]*)):([0-9]{1,5})", re.ASCII)


class Address(NamedTuple):
    """Where to listen. `host` without brackets; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return _is_loopback(self.host)


# --- kinds of values ------------------------------------------------------------------------------


def _duration(minimum: str, maximum: str) -> BeforeValidator:
    return _quantity(units.parse_duration, units.DURATION_ALLOWED, minimum, maximum)


def _size(minimum: str, maximum: str) -> BeforeValidator:
    return _quantity(units.parse_size, units.SIZE_ALLOWED, minimum, maximum)


def _quantity(parse: Callable[[str], float], allowed: str, minimum: str, maximum: str) -> BeforeValidator:
    low, high = parse(minimum), parse(maximum)

    def validate(value: object) -> float:
        if not isinstance(value, str):
            raise ValueError(f"must be {allowed}, in quotes")
        number = parse(value)
        if not low <= number <= high:
            raise ValueError(f'must be between "{minimum}" and "{maximum}"')
        return number

    return BeforeValidator(validate)


def _listen(value: object) -> Address:
    match = _LISTEN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be "host:port", such as "0.0.0.0:9000" for every address or "[::1]:9000"')
    host, port = match[1] or match[2], int(match[3])
    if port > 65535:
        raise ValueError("the port must be between 0 and 65535")
    if match[1]:
        ipaddress.IPv6Address(host)  # its ValueError names what is wrong
    return Address(host, port)


def _path(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("must be a path in quotes")
    return Path(os.path.normpath(_folder(info) / value))


def _folder(info: ValidationInfo) -> Path:
    return Path(info.context["folder"]) if info.context else Path.cwd()


def _readable_file(value: object, info: ValidationInfo) -> Path:
    path = _path(value, info)
    try:
        with path.open("rb") as file:
            content = file.read(1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}; must be an existing file") from None
    if not content:
        raise ValueError("is empty; must be a file with content")
    return path


def _socket_path(path: Path) -> Path:
    length = len(os.fsencode(path))
    if length > UNIX_SOCKET_PATH_BYTES_MAX:
        raise ValueError(
            f"is {length} bytes long as {path}; a Unix socket allows {UNIX_SOCKET_PATH_BYTES_MAX}: "
            "set [control] socket to a shorter path"
        )
    return path


def _matches(pattern: re.Pattern[str], text: str) -> AfterValidator:
    def validate(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(text)
        return value

    return AfterValidator(validate)


def _identity(value: str) -> str:
    if ":" in value:
        raise ValueError('must not contain ":" (OCPP 2.x; it ends a user name in Basic authentication)')
    if len(value) > IDENTITY_CHARACTERS_MAX or not _IDENTITY.fullmatch(value):
        raise ValueError(
            f"must be 1 to {IDENTITY_CHARACTERS_MAX} of A-Z a-z 0-9 * - _ = + | @ . and inner spaces"
        )
    return value


def _all_different(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of identities in quotes, such as ['CP-1', 'CP-2']".replace("'", '"'))
    if twice := sorted(item for item, count in Counter(value).items() if count > 1):
        raise ValueError(f"names {', '.join(twice)} more than once")
    return frozenset(value)


def _cloud_url(value: str) -> str:
    if value != value.strip() or not value.isascii() or any(c <= " " for c in value):
        raise ValueError("must be plain ASCII without spaces")
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from None
    if url.scheme not in ("ws", "wss") or not url.hostname or port == 0:
        raise ValueError('must be "ws://host[:port]/path" or "wss://..."; the identity is appended to it')
    if "?" in value or "#" in value:
        raise ValueError(
            'must have no query ("?") and no fragment ("#"); the identity is appended to the path'
        )
    if "@" in url.netloc:
        raise ValueError("must carry no user name or password: the charger's own are passed on")
    return value.rstrip("/")


def _tags(tags: dict[str, str]) -> dict[str, str]:
    seen: dict[str, str] = {}
    for tag in tags:
        if not 1 <= len(tag) <= 255 or tag != tag.strip():
            raise ValueError(f'the tag "{tag}" must have 1 to 255 characters and no space at its ends')
        # OCPP 1.6 idTag and 2.x idToken are case-insensitive
        if (other := seen.setdefault(tag.casefold(), tag)) != tag:
            raise ValueError(f'the tags "{other}" and "{tag}" are the same one: case does not count')
    return tags


TagStatus = Literal["Accepted", "Blocked", "Expired", "Invalid"]
AbsolutePath = Annotated[Path, BeforeValidator(_path)]
ReadableFile = Annotated[Path, BeforeValidator(_readable_file)]
Identity = Annotated[str, AfterValidator(_identity)]


# --- the tables -----------------------------------------------------------------------------------


def _toml_key(attribute: str) -> str:
    return attribute.removesuffix("_per_s").removesuffix("_s").removesuffix("_bytes")


class Table(BaseModel):
    """What every table of the site file shares: frozen, strict types, no unknown keys."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", alias_generator=_toml_key, allow_inf_nan=False
    )


class Site(Table):
    """`[site]`"""

    id: Annotated[str, _matches(_SITE_ID, "must be 1 to 48 of A-Z a-z 0-9 _ -")] = Field(
        description='a short name of this site, such as id = "depot-1"'
    )
    name: str = Field(default="", max_length=200)


class Chargers(Table):
    """`[chargers]`: the side that chargers dial."""

    listen: Annotated[Address, BeforeValidator(_listen)] = Field(
        description='where chargers dial in, such as listen = "0.0.0.0:9000"'
    )
    # Kept without a closing slash: "" when the identity follows the host at once.
    path: Annotated[
        str,
        _matches(_URL_PATH, 'must begin with "/" and hold only A-Z a-z 0-9 . _ ~ - between slashes'),
        AfterValidator(lambda path: path.rstrip("/")),
    ] = "/ocpp"
    # What a charger must dial to reach this box; given to a charger whose CSMS address the cloud changes.
    public_url: Annotated[str, AfterValidator(_cloud_url)] | None = None
    unknown: Literal["accept", "refuse"] = "refuse"
    known: Annotated[frozenset[Identity], BeforeValidator(_all_different)] = frozenset()
    missing_subprotocol: Literal["refuse", "ocpp1.6", "ocpp2.0.1", "ocpp2.1"] = "refuse"
    max_message_bytes: Annotated[int, _size("64 KiB", "64 MiB")] = 4 * MIB
    handshake_timeout_s: Annotated[float, _duration("1 s", "2 min")] = 10.0
    ping_interval_s: Annotated[float, _duration("1 s", "1 h")] = 20.0
    answer_timeout_s: Annotated[float, _duration("1 s", "10 min")] = 30.0
    heartbeat_interval_s: Annotated[float, _duration("10 s", "1 day")] = 300.0
    max_connections: int = Field(default=2000, ge=1, le=100_000)
    tls_certificate: ReadableFile | None = None
    tls_key: ReadableFile | None = None

    @model_validator(mode="after")
    def _both_tls_files(self) -> Chargers:
        if (self.tls_certificate is None) != (self.tls_key is None):
            given, other = ("tls_key", "tls_certificate") if self.tls_key else ("tls_certificate", "tls_key")
            raise _about(other, f"is required when {given} is set (set both or none)")
        return self


class Cloud(Table):
    """`[cloud]`: the operator's CSMS. Without this table the box is the CSMS."""

    url: Annotated[str, AfterValidator(_cloud_url)] = Field(
        description='the CSMS without the identity, such as url = "wss://csms.example/ocpp"'
    )
    on_loss: Literal["serve_locally", "drop_charger"] = "serve_locally"
    answer_timeout_s: Annotated[float, _duration("100 ms", "5 min")] = 20.0
    replay_rate_per_s: float = Field(
        default=10.0, ge=0, le=100_000
    )  # messages of the whole site; 0: unlimited
    connect_rate_per_s: float = Field(default=2.0, ge=0, le=100_000)  # dials of the whole site; 0: unlimited
    connect_timeout_s: Annotated[float, _duration("1 s", "2 min")] = 10.0
    # OCPP 2.x part 4, 5.4: RetryBackOffWaitMinimum, ...RandomRange, ...RepeatTimes
    retry_wait_minimum_s: Annotated[float, _duration("100 ms", "1 h")] = 2.0
    retry_random_range_s: Annotated[float, _duration("0 s", "1 h")] = 2.0
    retry_repeat_times: int = Field(default=2, ge=0, le=20)
    ping_interval_s: Annotated[float, _duration("1 s", "1 h")] = 30.0
    max_message_bytes: Annotated[int, _size("64 KiB", "64 MiB")] = 8 * MIB
    ca_file: ReadableFile | None = None
    message_attempts: int = Field(default=3, ge=1, le=1000)  # OCPP 1.6 TransactionMessageAttempts
    message_retry_interval_s: Annotated[float, _duration("0 s", "1 day")] = 60.0
    replay_boot: Literal["if_changed", "always"] = "if_changed"
    moves: Literal["refuse", "adopt"] = "refuse"


class Authorization(Table):
    """`[authorization]`"""

    mode: Literal["cloud_first", "local_first", "local_only"] = "cloud_first"
    unknown_tags: Literal["accept", "refuse"] = "refuse"
    site_cache: bool = False
    cache_lifetime_s: Annotated[float, _duration("1 min", "3650 days")] = 14 * DAY_S
    tags: Annotated[Mapping[str, TagStatus], AfterValidator(_tags)] = Field(default_factory=dict)
    one_transaction_per_tag: bool = False


class Store(Table):
    """`[store]`"""

    directory: AbsolutePath = Field(
        description='where the journal lives, such as directory = "/var/lib/edgegw"'
    )
    retention_s: Annotated[float, _duration("1 day", "36500 days")] = 400 * DAY_S
    reserve_bytes: Annotated[int, _size("1 MiB", "16 GiB")] = 16 * MIB


class Control(Table):
    """`[control]`: the local API."""

    socket: Annotated[Path, BeforeValidator(_path), AfterValidator(_socket_path)]
    listen: Annotated[Address, BeforeValidator(_listen)] | None = None
    token_file: ReadableFile | None = None

    @model_validator(mode="after")
    def _loopback_with_token(self) -> Control:
        if self.listen is not None and not self.listen.is_loopback:
            raise _about(
                "listen", "must be a loopback address such as 127.0.0.1:9001: use ssh or a proxy from afar"
            )
        if self.listen is not None and self.token_file is None:
            raise _about("token_file", "is required when listen is set")
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

    @model_validator(mode="after")
    def _adopting_needs_an_address(self) -> SiteConfig:
        if self.cloud is not None and self.cloud.moves == "adopt" and not self.chargers.public_url:
            text = 'is required when [cloud] moves = "adopt", such as public_url = "ws://10.0.0.5:9000/ocpp"'
            raise _about(("chargers", "public_url"), text)
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
        if url.scheme == "ws" and not _is_loopback(url.hostname or ""):
            found.append(
                f"[cloud] url = {cloud.url} is not encrypted: charger passwords cross the line in the clear"
            )
    if (token := config.control.token_file) is not None and token.stat().st_mode & 0o077:
        found.append(f"[control] token_file = {token} can be read by other users: run chmod 600 {token}")
    return found


def _about(key: str | tuple[str, ...], text: str) -> PydanticCustomError:
    return PydanticCustomError("about_key", "{text}", {"key": key, "text": text})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"
