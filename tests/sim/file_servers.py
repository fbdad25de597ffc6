"""Real servers on loopback that chargers fetch from and upload to, and what they were asked."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any, NamedTuple, Self

import aioftp
from aiohttp import web


class Asked(NamedTuple):
    method: str
    path: str
    range: str


class Upload(NamedTuple):
    method: str
    path: str
    name: str
    field: str
    content: bytes


class Origin:
    """An HTTP server over a folder: Range, If-Range and ETag by aiohttp; uploads are kept in `uploads`.

    ranges: off, and Range is ignored; if_ranges: on, and If-Range is obeyed, which aiohttp's FileResponse
    does for dates only. refusals: statuses that the next requests are answered with.
    cuts: after so many bytes the connection of the next downloads breaks.
    """

    def __init__(self, folder: Path, tls: ssl.SSLContext | None = None) -> None:
        self.folder, self._tls = folder, tls
        self.ranges = self.if_ranges = True
        self.refusals: list[int] = []
        self.cuts: list[int] = []
        self.asked: list[Asked] = []
        self.uploads: list[Upload] = []
        self.gate = asyncio.Event()  # uploads and downloads wait for it
        self.gate.set()
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=16 * 2**20)
        app.router.add_get("/{path:.*}", self._get)
        app.router.add_put("/{path:.*}", self._take)
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"{'https' if self._tls else 'http'}://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def _note(self, request: web.Request) -> None:
        self.asked.append(Asked(request.method, request.raw_path, request.headers.get("Range", "")))

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        await self.gate.wait()
        if self.refusals:
            return web.Response(status=self.refusals.pop(0), text="no")
        file = self.folder / request.match_info["path"]
        if not file.is_file():
            return web.Response(status=404, text="not here")
        if self.cuts:
            return await self._cut(request, file.read_bytes(), self.cuts.pop(0))
        tag = f'"{file.stat().st_mtime_ns:x}-{file.stat().st_size:x}"'
        changed = self.if_ranges and request.headers.get("If-Range", tag) != tag
        if not self.ranges or changed:
            return web.Response(body=file.read_bytes())
        return web.FileResponse(file)

    async def _cut(self, request: web.Request, content: bytes, cut: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(content)), "ETag": '"broken"'})
        await response.prepare(request)
        await response.write(content[:cut])
        assert request.transport is not None
        request.transport.close()
        return response

    async def _take(self, request: web.Request) -> web.Response:
        self._note(request)
        await self.gate.wait()
        if self.refusals:
            return web.Response(status=self.refusals.pop(0), text="no")
        name, field, content = "", "", b""
        if request.content_type == "multipart/form-data":
            part: Any = await (await request.multipart()).next()
            name, field, content = part.filename, part.name, await part.read()
        else:
            content = await request.read()
        self.uploads.append(Upload(request.method, request.raw_path, name, field, bytes(content)))
        return web.Response(status=201)


class FtpServer(aioftp.Server):
    """aioftp over a folder, anybody may read and write; `asked` has the commands about files."""

    def __init__(self, folder: Path) -> None:
        super().__init__([aioftp.User(base_path=folder)], wait_future_timeout=30)
        self.asked: list[str] = []
        self.knows_rest = True
        for name in ("rest", "retr", "stor"):
            self.commands_mapping[name] = self._noting(name, self.commands_mapping[name])

    def _noting(self, name: str, work: Any) -> Any:
        async def noting(connection: Any, rest: Any) -> bool:
            self.asked.append(f"{name.upper()} {rest}")
            if name == "rest" and not self.knows_rest:
                connection.response("502", "no such command")
                return True
            done: bool = await work(connection, rest)
            return done

        return noting

    async def __aenter__(self) -> Self:
        await self.start("127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def url(self) -> str:
        return f"ftp://127.0.0.1:{self.server_port}"
