"""`[files]` of the site file: firmware for chargers, diagnostics from them.

Without the table UpdateFirmware, GetDiagnostics and GetLog go through untouched.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from edgegw.config_values import (
    AS_TUPLE,
    AbsolutePath,
    Address,
    ReadableFile,
    Table,
    about,
    duration,
    listen_address,
    size,
)

MIB, GIB = 1024**2, 1024**3
DAY_S = 86_400.0
FETCH_RATE_MIN = 10_000  # bytes per second: three downloads share it, and one below 1 kB/s is given up

_HOST = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*\.?", re.ASCII)
_PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})", re.ASCII)
_WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - not bound here: recognised


def hosts(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not _HOST.fullmatch(value) and not _is_network(value):
            raise ValueError(
                f'"{value}" must be a host name ("*.example.com" for all below it), an address or a network '
                'such as "10.0.0.0/24"'
            )
    return values


def _is_network(value: str) -> bool:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return False
    return True


def port_range(value: object) -> tuple[int, int]:
    match = _PORTS.fullmatch(value) if isinstance(value, str) else None
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= first <= last <= 65535:
        raise ValueError('must be two ports such as "50000-50019"')
    return first, last


def web_url(value: str) -> str:
    url = urlsplit(value)
    plain = url.scheme in ("http", "https") and url.hostname and url.path in ("", "/")
    if not plain or "@" in url.netloc or url.query or url.fragment or not value.isascii():
        raise ValueError('must be "http://host[:port]" or "https://host[:port]", nothing behind it')
    return value.rstrip("/")


Hosts = Annotated[tuple[str, ...], AfterValidator(hosts), AS_TUPLE]


class Files(Table):
    """`[files]`"""

    listen: Annotated[Address, BeforeValidator(listen_address)] = Field(
        description='where chargers load and send files, such as listen = "10.0.0.5:9080"'
    )
    # What a charger must dial; by default http(s):// and `listen`.
    public_url: Annotated[str, AfterValidator(web_url)] | None = None
    # Beside the site file; text, because it becomes a path only there.
    directory: AbsolutePath = Field(default=cast("Path", "firmware_cache"), validate_default=True)
    tls_certificate: ReadableFile | None = None
    tls_key: ReadableFile | None = None

    # firmware
    cache_bytes: Annotated[int, size("1 MiB", "10000 GB")] = 8 * GIB
    largest_file_bytes: Annotated[int, size("64 KiB", "64 GiB")] = 2 * GIB  # the largest one
    inward: Hosts = ()  # hosts and networks on the inside that files may come from and go to
    forbidden: Literal["refuse", "relay"] = "refuse"  # an address that must not be dialled from here
    patience_s: Annotated[float, duration("0 s", "5 min")] = 5.0
    fetch_attempts: int = Field(default=6, ge=1, le=100)
    fetch_stall_s: Annotated[float, duration("1 s", "10 min")] = 30.0
    fetch_give_up_s: Annotated[float, duration("0 s", "1 day")] = 900.0  # not counted while the line is away
    fetch_rate_per_s: Annotated[int, size("0 B", "10 GB")] = (
        0  # bytes, of all downloads together; 0: no limit
    )
    fresh_s: Annotated[float, duration("0 s", "365 days")] = 600.0
    ca_file: ReadableFile | None = None
    known_hosts: ReadableFile | None = None  # of sftp servers; without it sftp is left to the charger

    # serving
    downloads: int = Field(default=64, ge=1, le=1000)  # at once
    rate_per_s: Annotated[int, size("0 B", "10 GB")] = 0  # bytes, of all transfers together; 0: no limit

    # ftp, off unless it has an address
    ftp_listen: Annotated[Address, BeforeValidator(listen_address)] | None = None
    ftp_public_host: str | None = None
    ftp_ports: Annotated[tuple[int, int], BeforeValidator(port_range)] = (50000, 50019)

    # diagnostics
    largest_upload_bytes: Annotated[int, size("64 KiB", "64 GiB")] = 256 * MIB  # the largest one
    uploads_per_charger_bytes: Annotated[int, size("64 KiB", "1000 GB")] = 512 * MIB
    uploads_total_bytes: Annotated[int, size("1 MiB", "10000 GB")] = 4 * GIB
    upload_keep_s: Annotated[float, duration("1 h", "3650 days")] = 30 * DAY_S
    upload_hosts: Hosts = ()  # where the cloud may have diagnostics sent to; empty: any public address
    upload_give_up_s: Annotated[float, duration("1 min", "365 days")] = 3 * DAY_S

    @model_validator(mode="after")
    def _both_tls_files(self) -> Files:
        if (self.tls_certificate is None) != (self.tls_key is None):
            given, other = ("tls_key", "tls_certificate") if self.tls_key else ("tls_certificate", "tls_key")
            raise about(other, f"is required when {given} is set (set both or none)")
        return self

    @model_validator(mode="after")
    def _chargers_can_dial_it(self) -> Files:
        if self.public_url is None and self.listen.host in _WILDCARDS:
            text = 'is required with a listen of every address, such as public_url = "http://10.0.0.5:9080"'
            raise about("public_url", text)
        if self.ftp_listen is not None and self.ftp_listen.host in _WILDCARDS and not self.ftp_public_host:
            text = 'is required with an ftp_listen of every address, such as ftp_public_host = "10.0.0.5"'
            raise about("ftp_public_host", text)
        return self

    @model_validator(mode="after")
    def _rate_is_one(self) -> Files:
        if 0 < self.fetch_rate_per_s < FETCH_RATE_MIN:
            raise about("fetch_rate", 'must be "0 B" (no limit) or at least "10 kB": slower is no download')
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> Files:
        if self.largest_file_bytes > self.cache_bytes:
            raise about("largest_file", "must not be larger than cache: such a file would never fit")
        if not self.largest_upload_bytes <= self.uploads_per_charger_bytes <= self.uploads_total_bytes:
            text = "must not be larger than uploads_per_charger, and that than uploads_total"
            raise about("largest_upload", text)
        return self


def file_warnings(files: Files) -> list[str]:
    found = []
    if files.tls_certificate is None and not files.listen.is_loopback:
        found.append(
            f"[files] listen = {files.listen} without tls_certificate: firmware that is not signed, and "
            "diagnostics, cross that network in the clear"
        )
    if not files.upload_hosts:
        found.append(
            "[files] upload_hosts is empty: the cloud may have diagnostics sent to any public address; list "
            "the hosts that are its own"
        )
    return found
