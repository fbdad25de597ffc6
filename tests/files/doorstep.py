"""Both doors of the box on loopback, a shelf with real files, and peers that speak as badly as they like."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from edgegw.errors import EdgegwError
from edgegw.files.doors import DoorSettings
from edgegw.files.http_server import FileServer
from edgegw.files.uploads import UploadStore

DEADLINE_S = 30  # how long a test waits for what must come
NOW = 1_800_000_000.0
TOKEN = "q8Zl0tJ1yFq2nX0mE5dW7kPa"
OTHER_TOKEN = "b1B9cVw6RrT3sKQ0uHhN8xYz"
NAME = "wallbox-2.4.1.bin"


class FakeGrant(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    charger: str
    sha256: str
    name: str
    expires_at: float
    order: str


class FakeShelf:
    """Grants in a dict, files in a folder; the clock is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOW
        self.grants: dict[str, FakeGrant] = {}
        self.paths: dict[str, Path] = {}
        self.opened = 0

    def put(self, data: bytes, *, token: str = TOKEN, name: str = NAME, charger: str = "CP-1") -> FakeGrant:
        sha256 = hashlib.sha256(data).hexdigest()
        self.paths[sha256] = self.folder / sha256
        self.paths[sha256].write_bytes(data)
        grant = FakeGrant(
            token=token,
            charger=charger,
            sha256=sha256,
            name=name,
            expires_at=NOW + 3600,
            order=f"o-{charger}",
        )
        self.grants[token] = grant
        return grant

    def grant_of(self, token: str) -> FakeGrant | None:
        grant = self.grants.get(token)
        return grant if grant is not None and grant.expires_at > self.now else None

    async def open_verified(self, sha256: str) -> Path:
        self.opened += 1
        data = self.paths[sha256].read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise EdgegwError("tampered")
        return self.paths[sha256]


class Doorstep:
    """The HTTP door with its shelf and its uploads."""

    def __init__(self, server: FileServer, shelf: FakeShelf, uploads: UploadStore, port: int) -> None:
        self.server = server
        self.shelf = shelf
        self.uploads = uploads
        self.port = port

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def ask(self, head: str, body: bytes = b"", *, finish: bool = False) -> bytes:
        """Send one request as it is written here; everything that comes back until the door closes."""
        async with Wire.to(self.port) as wire:
            await wire.send(head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)
            if finish:
                wire.writer.write_eof()
            return await wire.rest()

    async def get(self, path: str, *headers: str, method: str = "GET") -> tuple[str, dict[str, str], bytes]:
        lines = [f"{method} {path} HTTP/1.1", "Host: box", "Connection: close", *headers]
        return split_answer(await self.ask("\n".join(lines)))


class Wire:
    """One TCP connection to a door."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator[Wire]:
        wire = cls(*await asyncio.open_connection("127.0.0.1", port))
        try:
            yield wire
        finally:
            wire.writer.transport.abort()

    async def send(self, data: bytes) -> None:
        try:
            self.writer.write(data)
        except RuntimeError as error:  # uvloop, when the door has closed it already
            raise ConnectionResetError(str(error)) from None
        await self.writer.drain()

    async def rest(self) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.read()

    async def until(self, what: bytes) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await self.reader.readuntil(what)


def split_answer(answer: bytes) -> tuple[str, dict[str, str], bytes]:
    """Status line, headers in lower case, body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return first, {name.lower(): value for name, value in pairs}, body


async def open_uploads(directory: Path, **limits: object) -> UploadStore:
    wanted = {
        "file_bytes_max": 4_000_000,
        "charger_quota_bytes": 8_000_000,
        "total_quota_bytes": 16_000_000,
        "keep_s": 30 * 86_400.0,
        "wall": lambda: NOW,
        "free_bytes_min": 0,
        **limits,
    }
    return await UploadStore.open(directory, **wanted)


@asynccontextmanager
async def doorstep(
    tmp_path: Path, settings: DoorSettings | None = None, **limits: object
) -> AsyncIterator[Doorstep]:
    (tmp_path / "shelf").mkdir(exist_ok=True)
    shelf = FakeShelf(tmp_path / "shelf")
    uploads = await open_uploads(tmp_path / "uploads", **limits)
    server = FileServer(shelf, uploads, settings or DoorSettings(), lambda: NOW)
    try:
        _, port = await server.start("127.0.0.1", 0)
        yield Doorstep(server, shelf, uploads, port)
    finally:
        await server.stop()
        await uploads.close()
