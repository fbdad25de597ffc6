"""An origin on loopback that misbehaves as told, and logs who asked for what."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
import ssl
from dataclasses import dataclass, field

from aiohttp import web

# More than clients and kernels buffer, so that a cut is a cut.
FIRMWARE = hashlib.shake_256(b"firmware").digest(3_000_000)
OTHER_FIRMWARE = bytes(reversed(FIRMWARE))
MODIFIED = "Mon, 01 Jan 2024 10:00:00 GMT"


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]

    @property
    def range(self) -> str:
        return self.headers.get("Range", "")


@dataclass
class Origin:
    """Serves `data` at every path; `plan` says what happens to the next requests instead."""

    data: bytes = FIRMWARE
    etag: str = '"v1"'
    modified: str = MODIFIED
    host: str = "127.0.0.1"
    plan: list[str] = field(default_factory=list)  # a word of `_acts`, or "redirect URL", "status 503 7"
    always: str = "serve"  # what happens when the plan is used up
    log: list[Asked] = field(default_factory=list)
    sent_bytes: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)  # "hold" has sent its half
    release: asyncio.Event = field(default_factory=asyncio.Event)  # "hold" may go on
    tls: ssl.SSLContext | None = None
    port: int = 0

    async def __aenter__(self) -> Origin:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, 0, ssl_context=self.tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release.set()
        await self._runner.cleanup()

    def url(self, path: str = "fw/charger-1.2.bin", credentials: str = "") -> str:
        return f"{'https' if self.tls else 'http'}://{credentials}{self.host}:{self.port}/{path}"

    def change(self, data: bytes, etag: str = '"v2"') -> None:
        self.data, self.etag, self.modified = data, etag, "Tue, 02 Jan 2024 10:00:00 GMT"

    # --- what happens to a request ----------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.log.append(Asked(request.method, request.raw_path, dict(request.headers)))
        act, *arguments = (self.plan.pop(0) if self.plan else self.always).split(" ")
        return await getattr(self, f"_{act}")(request, *arguments)

    def _extent(self, request: web.Request) -> tuple[int, bool]:
        """Where to begin, and whether that is a partial answer."""
        match = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        same = request.headers.get("If-Range", self.etag) in (self.etag, self.modified)
        if match is None or not same:
            return 0, False
        return int(match[1]), True

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/octet-stream"}
        if self.etag:
            headers["ETag"] = self.etag
        if self.modified:
            headers["Last-Modified"] = self.modified
        return headers

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.etag and request.headers.get("If-None-Match") == self.etag:
            return web.Response(status=304)
        if self.modified and request.headers.get("If-Modified-Since") == self.modified:
            return web.Response(status=304)
        return await self._body(request, *self._extent(request))

    async def _body(
        self, request: web.Request, start: int, partial: bool, stop: int | None = None, hold: str = ""
    ) -> web.StreamResponse:
        total = len(self.data)
        response = web.StreamResponse(status=206 if partial else 200, headers=self._headers())
        if partial:
            response.headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        response.content_length = total - start
        await response.prepare(request)
        await self._send(response, self.data[start:stop])
        if hold:
            self.arrived.set()
            await self.release.wait()
        if hold == "then go on":
            await self._send(response, self.data[stop:])
        elif stop is not None:
            request.transport.close()
        return response

    async def _send(self, response: web.StreamResponse, data: bytes) -> None:
        for at in range(0, len(data), 16_384):
            self.sent_bytes += len(data[at : at + 16_384])
            await response.write(data[at : at + 16_384])

    async def _plain(self, request: web.Request) -> web.StreamResponse:
        """Knows neither ranges nor conditions."""
        return await self._body(request, 0, False)

    async def _cut(self, request: web.Request, after: str = "") -> web.StreamResponse:
        """Half of what is missing, or so many bytes, then the connection ends."""
        start, partial = self._extent(request)
        stop = start + (int(after) if after else (len(self.data) - start) // 2)
        return await self._body(request, start, partial, stop=stop)

    async def _cut_plain(self, request: web.Request) -> web.StreamResponse:
        return await self._body(request, 0, False, stop=len(self.data) // 2)

    async def _hold(self, request: web.Request) -> web.StreamResponse:
        return await self._half(request, "then go on")

    async def _hold_and_cut(self, request: web.Request) -> web.StreamResponse:
        return await self._half(request, "then cut")

    async def _half(self, request: web.Request, hold: str) -> web.StreamResponse:
        start, partial = self._extent(request)
        middle = start + (len(self.data) - start) // 2
        return await self._body(request, start, partial, stop=middle, hold=hold)

    async def _careless_range(self, request: web.Request) -> web.StreamResponse:
        """A range of whatever is there now, If-Range or not."""
        match = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", "bytes=0-"))
        return await self._body(request, int(match[1]), "Range" in request.headers)

    async def _wrong_range(self, request: web.Request) -> web.StreamResponse:
        return await self._body(request, 7, True)

    async def _gone_range(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(self.data)}"})

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=self._headers())
        response.enable_chunked_encoding()
        await response.prepare(request)
        while True:
            await self._send(response, bytes(65_536))

    async def _chunked(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=self._headers())
        response.enable_chunked_encoding()
        await response.prepare(request)
        await self._send(response, self.data)
        return response

    async def _huge(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=self._headers())
        response.content_length = 10_000_000_000
        await response.prepare(request)
        while True:
            await self._send(response, bytes(65_536))

    async def _no_length(self, request: web.Request) -> web.StreamResponse:
        """The body ends with the connection, as HTTP/1.0 had it; this one is cut, and nobody can tell."""
        head = b"HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n"
        request.transport.write(head + self.data[: len(self.data) // 2])
        request.transport.close()
        return web.Response()

    async def _no_answer(self, request: web.Request) -> web.StreamResponse:
        request.transport.close()
        return web.Response()

    async def _bomb(self, request: web.Request) -> web.StreamResponse:
        body = gzip.compress(bytes(50_000_000))
        return web.Response(body=body, headers={**self._headers(), "Content-Encoding": "gzip"})

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=self._headers())
        response.content_length = len(self.data)
        await response.prepare(request)
        for n in range(len(self.data)):
            self.sent_bytes += 1
            await response.write(self.data[n : n + 1])
            await asyncio.sleep(0.01)
        return response

    async def _empty(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"", headers=self._headers())

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>log in</html>", content_type="text/html")

    async def _status(self, request: web.Request, status: str, after: str = "") -> web.StreamResponse:
        headers = {"Retry-After": after.replace("_", " ")} if after else {}
        return web.Response(status=int(status), headers=headers)

    async def _redirect(self, request: web.Request, target: str = "") -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": target or request.path})
