"""Kinds of values of a site file, and what all its tables share. Nothing here is the name of a key.

Rules of this file: a check raises ValueError in words that say what is allowed; `about` names another key
than the one that was checked.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationInfo
from pydantic_core import PydanticCustomError

from edgegw import units

UNIX_SOCKET_PATH_BYTES_MAX = 107  # sun_path of Linux holds 108 with its closing zero
IDENTITY_CHARACTERS_MAX = 48  # OCPP 2.0.1 part 2, ChargingStation identity; 1.6 sets no limit

# OCPP 2.x identifierString and the space some 1.6 chargers carry. Never ":": a Basic user name ends at it.
_IDENTITY = re.compile(r"[A-Za-z0-9*\-_=+|@.]([A-Za-z0-9*\-_=+|@. ]*[A-Za-z0-9*\-_=+|@.])?", re.ASCII)
_LISTEN = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9][A-Za-z0-9.-]*)):([0-9]{1,5})", re.ASCII)


class Address(NamedTuple):
    """Where to listen. `host` without brackets; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)


# --- kinds of values ------------------------------------------------------------------------------


def duration(minimum: str, maximum: str) -> BeforeValidator:
    return _quantity(units.parse_duration, units.DURATION_ALLOWED, minimum, maximum)


def size(minimum: str, maximum: str) -> BeforeValidator:
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


def listen_address(value: object) -> Address:
    match = _LISTEN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be "host:port", such as "0.0.0.0:9000" for every address or "[::1]:9000"')
    host, port = match[1] or match[2], int(match[3])
    if port > 65535:
        raise ValueError("the port must be between 0 and 65535")
    if match[1]:
        ipaddress.IPv6Address(host)  # its ValueError names what is wrong
    return Address(host, port)


def absolute_path(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("must be a path in quotes")
    return Path(os.path.normpath(_folder(info) / value))


def _folder(info: ValidationInfo) -> Path:
    return Path(info.context["folder"]) if info.context else Path.cwd()


def readable_file(value: object, info: ValidationInfo) -> Path:
    path = absolute_path(value, info)
    try:
        with path.open("rb") as file:
            content = file.read(1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}; must be an existing file") from None
    if not content:
        raise ValueError("is empty; must be a file with content")
    return path


def socket_path(path: Path) -> Path:
    length = len(os.fsencode(path))
    if length > UNIX_SOCKET_PATH_BYTES_MAX:
        raise ValueError(
            f"is {length} bytes long as {path}; a Unix socket allows {UNIX_SOCKET_PATH_BYTES_MAX}: "
            "set [control] socket to a shorter path"
        )
    return path


def matches(pattern: re.Pattern[str], text: str) -> AfterValidator:
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


def all_different(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of identities in quotes, such as ['CP-1', 'CP-2']".replace("'", '"'))
    if twice := sorted(item for item, count in Counter(value).items() if count > 1):
        raise ValueError(f"names {', '.join(twice)} more than once")
    return frozenset(value)


def cloud_url(value: str) -> str:
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


def distinct_tags(tags: dict[str, str]) -> dict[str, str]:
    seen: dict[str, str] = {}
    for tag in tags:
        if not 1 <= len(tag) <= 255 or tag != tag.strip():
            raise ValueError(f'the tag "{tag}" must have 1 to 255 characters and no space at its ends')
        # OCPP 1.6 idTag and 2.x idToken are case-insensitive
        if (other := seen.setdefault(tag.casefold(), tag)) != tag:
            raise ValueError(f'the tags "{other}" and "{tag}" are the same one: case does not count')
    return tags


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


AS_TUPLE = BeforeValidator(_tuple)  # TOML knows lists only
TagStatus = Literal["Accepted", "Blocked", "Expired", "Invalid"]
AbsolutePath = Annotated[Path, BeforeValidator(absolute_path)]
ReadableFile = Annotated[Path, BeforeValidator(readable_file)]
Identity = Annotated[str, AfterValidator(_identity)]


def toml_key(attribute: str) -> str:
    """The unit is left out: in the file the value carries it, or the comment beside the key."""
    for unit in ("_per_s", "_s", "_bytes", "_a", "_v"):
        if attribute.endswith(unit):
            return attribute.removesuffix(unit)
    return attribute


class Table(BaseModel):
    """What every table of the site file shares: frozen, strict types, no unknown keys."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", alias_generator=toml_key, allow_inf_nan=False
    )


def about(key: str | tuple[str | int, ...], text: str) -> PydanticCustomError:
    return PydanticCustomError("about_key", "{text}", {"key": key, "text": text})


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"
