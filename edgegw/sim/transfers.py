"""Moving files as a charger does: downloads that go on where they broke off, and uploads.

Rules of this file:
- HTTP by httpx on the loop; FTP by `ftp_line` in a thread. Nothing here is shared with the gateway.
- What arrives is hashed as it arrives. A file counts as whole when the server's own length says so.
- Whatever goes wrong on the way is `TransferFailed`; a fault that a habit asks for once is `BrokenOnce`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, urlsplit, urlunsplit

import httpx

from edgegw.errors import EdgegwError
from edgegw.sim.habits import Habits

CHUNK_BYTES = 65_536
FILE_BYTES_MAX = 512 * 2**20  # more than the flash of any charger
ATTEMPTS_MAX = 100  # an order may ask for more retries than anybody waits for
RETRY_AFTER_MAX_S = 300.0  # a server may ask for less patience than this, never for more
_AGENT = "edgegw-sim"
_BOUNDARY = "----edgegw-sim-7d1b2c"
_DENIED = {401, 403}


class TransferFailed(EdgegwError):
    """kind: "broken" on the way, "refused" or "denied" by the server, "scheme" the charger does not know."""

    def __init__(self, text: str, kind: str = "broken", retry_after_s: float = 0.0) -> None:
        super().__init__(text)
        self.kind = kind
        self.retry_after_s = retry_after_s


class BrokenOnce(TransferFailed):
    """The charger itself cut the transfer, as its habits say; it goes on at once."""


class Incoming:
    """A download as far as it has come: its bytes, their hash, and by what the server knows the file.

    breaks_at: the transfer is cut once when that many bytes are here (0: never). Use as a context.
    """

    def __init__(self, breaks_at: int = 0, breaks_always: bool = False) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._breaks_at, self._breaks_always = breaks_at, breaks_always
        self.resumed = False
        self.validator = ""
        self.size_bytes = 0
        self._hash = hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self.size_bytes, self.validator, self._hash = 0, "", hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        """Raises BrokenOnce, TransferFailed."""
        cut = 0 < self._breaks_at <= self.size_bytes + len(chunk)
        if cut:
            chunk = chunk[: max(self._breaks_at - self.size_bytes, 0)]
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size_bytes += len(chunk)
        if self.size_bytes > FILE_BYTES_MAX:
            raise TransferFailed(f"more than {FILE_BYTES_MAX} bytes", "refused")
        if cut:
            self._break()

    def _break(self) -> None:
        if self._breaks_always:
            raise TransferFailed(f"broken after {self.size_bytes} bytes")
        self._breaks_at = 0
        raise BrokenOnce(f"broken once after {self.size_bytes} bytes")

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    @property
    def digest(self) -> bytes:
        return self._hash.digest()

    def first_line(self) -> bytes:
        """Without its end; at most 200 bytes are looked at."""
        self._file.seek(0)
        line = self._file.readline(200)
        self._file.seek(self.size_bytes)
        return line.rstrip(b"\r\n")


@dataclass(slots=True)
class Outgoing:
    """A file to upload. breaks_at: as with `Incoming`."""

    name: str
    content: bytes
    breaks_at: int = 0
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        self.sha256 = hashlib.sha256(self.content).hexdigest()

    def chunks(self, habits: Habits) -> Iterator[bytes]:
        """Raises BrokenOnce where it breaks."""
        breaks_at, self.breaks_at = self.breaks_at, 0
        end = min(breaks_at or len(self.content), len(self.content))
        step = chunk_bytes(habits)
        for start in range(0, end, step):
            yield self.content[start : min(start + step, end)]
        if breaks_at:
            raise BrokenOnce(f"broken once after {end} bytes")


# --- what a charger calls -------------------------------------------------------------------------


async def download(url: str, incoming: Incoming, habits: Habits) -> None:
    """One attempt; goes on from what `incoming` has. Raises TransferFailed."""
    if habits.download_fails_from and url.startswith(habits.download_fails_from):
        if not habits.download_fails_after_bytes:
            raise TransferFailed("no way to this address")
        incoming.restart()
    if _scheme(url, habits) == "ftp":
        from edgegw.sim.ftp_line import retrieve

        await retrieve(url, incoming, habits)
    else:
        await _get(url, incoming, habits)


async def upload(url: str, outgoing: Outgoing, habits: Habits) -> str:
    """One attempt. The address the file went to. Raises TransferFailed."""
    if habits.upload_fails_to and url.startswith(habits.upload_fails_to):
        raise TransferFailed("no way to this address")
    if _scheme(url, habits) == "ftp":
        from edgegw.sim.ftp_line import store

        place = place_of(url, outgoing.name, habits)
        await store(place, outgoing, habits)
        return place
    if habits.upload_method not in ("PUT", "POST"):
        raise TransferFailed(f"uploads by {habits.upload_method} only", "scheme")
    return await _send(url, outgoing, habits)


async def persist(work: Callable[[], Awaitable[Any]], attempts: int, interval_s: float) -> None:
    """Try `work` up to `attempts` times. Raises the TransferFailed of the last one."""
    for left in range(min(max(attempts, 1), ATTEMPTS_MAX) - 1, -1, -1):
        try:
            return await _past_habits(work)
        except TransferFailed as error:
            if not left or error.kind == "scheme":
                raise
            await asyncio.sleep(max(interval_s, error.retry_after_s))


async def _past_habits(work: Callable[[], Awaitable[Any]]) -> None:
    """A cut that only a habit made is no attempt."""
    with contextlib.suppress(BrokenOnce):
        await work()
        return
    await work()


def place_of(url: str, name: str, habits: Habits) -> str:
    """The address of the file itself: a folder ("/" at the end) gets its name appended."""
    parts = urlsplit(url)
    if habits.upload_appends_name or parts.path.endswith("/") or not parts.path:
        parts = parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name, safe='')}")
    return urlunsplit(parts)


def chunk_bytes(habits: Habits) -> int:
    """Small when the charger is slow, so that it is slow evenly."""
    speed = habits.speed_bytes_per_s
    return min(CHUNK_BYTES, max(speed // 10, 512)) if speed else CHUNK_BYTES


def pause_s(size_bytes: int, habits: Habits) -> float:
    return size_bytes / habits.speed_bytes_per_s if habits.speed_bytes_per_s else 0.0


def _scheme(url: str, habits: Habits) -> str:
    scheme = url.partition(":")[0].lower()
    if scheme not in ("http", "https", "ftp") or scheme.upper() not in habits.file_protocols:
        raise TransferFailed(f"unknown scheme {scheme[:10]!r}", "scheme")
    return scheme


# --- HTTP -----------------------------------------------------------------------------------------


def _client(url: str, habits: Habits) -> httpx.AsyncClient:
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and costs nothing
    if url.lower().startswith("https:"):
        trust = ssl.create_default_context(cafile=habits.file_ca or None)
    timeout = httpx.Timeout(habits.file_timeout_s)
    headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
    return httpx.AsyncClient(verify=trust, trust_env=False, timeout=timeout, headers=headers)


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
        raise TransferFailed(f"{type(error).__name__}: {error}") from error


async def _get(url: str, incoming: Incoming, habits: Habits) -> None:
    headers = {}
    if incoming.size_bytes:
        headers["Range"] = f"bytes={incoming.size_bytes}-"
        if incoming.validator:
            headers["If-Range"] = incoming.validator
    with _failures():
        async with (
            _client(url, habits) as client,
            client.stream("GET", url, headers=headers, follow_redirects=True) as response,
        ):
            _go_on_or_over(response, incoming)
            async for chunk in response.aiter_raw(chunk_bytes(habits) if habits.speed_bytes_per_s else None):
                incoming.add(chunk)
                await asyncio.sleep(pause_s(len(chunk), habits))


def _go_on_or_over(response: httpx.Response, incoming: Incoming) -> None:
    """Raises TransferFailed for an answer that is no file."""
    if response.status_code == 416:
        incoming.restart()
    _expect(response)
    begin, validator = f"bytes {incoming.size_bytes}-", _validator(response)
    if response.status_code == 206:
        begins_right = response.headers.get("Content-Range", "").startswith(begin)
        if not begins_right or validator not in ("", incoming.validator):
            incoming.restart()
            raise TransferFailed("a part that was not asked for, or of another file")
        incoming.resumed = True
        return
    incoming.restart()
    incoming.validator = validator


def _validator(response: httpx.Response) -> str:
    tag: str = response.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):  # RFC 9110 13.1.5: a weak tag proves nothing about bytes
        return tag
    return str(response.headers.get("Last-Modified", ""))


async def _send(url: str, outgoing: Outgoing, habits: Habits) -> str:
    body, headers = _Body(outgoing, habits), {"Content-Type": "application/octet-stream"}
    place = place_of(url, outgoing.name, habits)
    if habits.upload_method == "POST":
        name = outgoing.name.replace("\\", "\\\\").replace('"', "%22")
        body.wrap(
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{habits.upload_field}"; '
            f'filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n',
            f"\r\n--{_BOUNDARY}--\r\n",
        )
        headers["Content-Type"] = f"multipart/form-data; boundary={_BOUNDARY}"
        place = place if habits.upload_appends_name else url
    headers["Content-Length"] = str(body.size_bytes)
    with _failures():
        async with _client(url, habits) as client:
            _expect(await client.request(habits.upload_method, place, content=body, headers=headers))
    return place


def _expect(response: httpx.Response) -> None:
    status = response.status_code
    if not 200 <= status < 300:
        wait = response.headers.get("Retry-After", "")
        wait_s = min(float(wait), RETRY_AFTER_MAX_S) if wait.isdecimal() else 0.0
        raise TransferFailed(f"HTTP {status}", "denied" if status in _DENIED else "refused", wait_s)


class _Body:
    """The request's body, paced. No generator: one that is left half-way would wait for the collector."""

    def __init__(self, outgoing: Outgoing, habits: Habits) -> None:
        self._habits = habits
        self._chunks = outgoing.chunks(habits)
        self._head = self._tail = b""
        self.size_bytes = len(outgoing.content)

    def wrap(self, head: str, tail: str) -> None:
        self._head, self._tail = head.encode(), tail.encode()
        self.size_bytes += len(self._head) + len(self._tail)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk, self._head = self._head, b""
        if not chunk:
            chunk = next(self._chunks, b"")
        if not chunk:
            chunk, self._tail = self._tail, b""
        if not chunk:
            raise StopAsyncIteration
        await asyncio.sleep(pause_s(len(chunk), self._habits))
        return chunk
