"""What a source of files is, whichever protocol it speaks, and how it fails.

Rules of this file:
- A source opens one connection, says where the bytes begin and how many there are in all, and hands them
  out. It never writes to disk, waits between attempts or decides whether a file is whole.
- Three ways to fail: `Retry` (another attempt may do better), `StartOver` (what is here already does not
  belong to what the origin has now) and `FetchFailed` (no attempt will do better).
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from edgegw.errors import EdgegwError
from edgegw.files.addresses import Location
from edgegw.files.throttle import block_bytes

BLOCK_BYTES_MAX: Final = 128 * 1024  # what is handed on at once: few thread switches, little memory
# What TCP lets an origin send ahead stands in the queue of the site's line, and OCPP behind it: with a rate
# it is no more than goes through in this time. An origin further away than that is read more slowly.
WINDOW_S: Final = 0.125
WINDOW_BYTES_MIN: Final = 16 * 1024

FailKind = Literal["unreachable", "refused", "too_large", "no_room", "changed", "checksum", "forbidden"]


class FetchFailed(EdgegwError):
    """A download that ended without a file. The text is for people and names no secret."""

    def __init__(self, kind: FailKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text


class Retry(EdgegwError):
    """This attempt failed; `after_s` is what the origin asked to wait, None when it did not say."""

    def __init__(self, text: str, after_s: float | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.after_s = after_s


class StartOver(EdgegwError):
    """The bytes that are here do not belong to the file that the origin has now."""


class FetchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of downloads. Each bounds what one origin can cost the box."""

    file_bytes_max: int = 2_000_000_000
    connect_timeout_s: float = 10.0  # look-up, TCP, TLS and each step of a log-in
    stall_timeout_s: float = 30.0  # without one byte
    hops_max: int = 5
    attempts: int = 5  # in a row without getting further
    retry_wait_s: float = 5.0  # doubles with every attempt
    retry_wait_max_s: float = 300.0
    retry_after_max_s: float = 3600.0  # what an origin may ask for
    fresh_s: float = 600.0  # so long the origin is not asked again whether the file changed
    rate_bytes_per_s: float = 0.0  # of all downloads together, 0: no limit; OCPP shares the line
    rate_min_bytes_per_s: int = 1000  # averaged over `rate_window_s`: slower is not a download
    rate_window_s: float = 60.0
    time_max_s: float = 12 * 3600.0  # all attempts of one file
    progress_bytes: int = 256 * 1024  # so much further, and the attempts count anew
    mark_bytes: int = 4 * 1024 * 1024  # synced at least so often: what a power cut may cost
    mark_interval_s: float = 5.0
    known_hosts: Path | None = None  # without it nothing is fetched by sftp
    ca_file: Path | None = None  # instead of the system's authorities

    @property
    def block_bytes(self) -> int:
        """What a source reads at once: at a low rate less, or the line would be filled in bursts."""
        return block_bytes(self.rate_bytes_per_s, BLOCK_BYTES_MAX)

    @property
    def window_bytes(self) -> int:
        """For SO_RCVBUF, 0 leaves it to the system, which sees no other traffic than this."""
        return max(WINDOW_BYTES_MIN, int(self.rate_bytes_per_s * WINDOW_S)) if self.rate_bytes_per_s else 0


class Validators(msgspec.Struct, frozen=True, kw_only=True):
    """What an origin says about the version of a file. Empty where it says nothing."""

    etag: str = ""
    last_modified: str = ""  # HTTP: as sent; FTP: MDTM; SFTP: mtime
    total_bytes: int | None = None

    @property
    def tells(self) -> bool:
        """Whether a changed file would be noticed. The length alone is no sign: images are often padded."""
        return bool(self.etag or self.last_modified)

    def same_as(self, other: Validators) -> bool:
        """Whether both are of one version; what one of them does not say counts for neither."""
        pairs = (
            (self.etag, other.etag),
            (self.last_modified, other.last_modified),
            (self.total_bytes, other.total_bytes),
        )
        return all(a == b for a, b in pairs if a not in ("", None) and b not in ("", None))


NOTHING_SAID: Final = Validators()


@dataclass(slots=True, kw_only=True)
class Opened:
    """An answer of the origin. `unchanged`: it still has what we have, and there are no blocks."""

    validators: Validators = NOTHING_SAID
    start: int = 0  # where in the file the first block belongs
    blocks: AsyncGenerator[bytes, None]
    unchanged: bool = False


class Source(Protocol):
    def open(
        self, location: Location, offset: int, known: Validators | None, revalidate: bool
    ) -> AbstractAsyncContextManager[Opened]:
        """Open the file at `offset`; `known` is the version the bytes before it are of, as far as known.

        With `revalidate` the offset is 0 and `known` is the version of the file in the cache.
        Raises Retry, StartOver, FetchFailed, AddressRefused.
        """


def socket_words(error: OSError) -> str:
    """Why a connection failed, without the addresses that some libraries write into it."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or 'no agreement'}"
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return "the connection ended" if isinstance(error, ConnectionError) else "no connection"


async def no_blocks() -> AsyncGenerator[bytes, None]:
    """The body of an answer that has none."""
    nothing: tuple[bytes, ...] = ()
    for block in nothing:
        yield block
