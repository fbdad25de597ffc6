"""The HTTP door on the site's network: firmware out, uploads in.

    GET, HEAD  /fw/<token>/<name>        the file of a grant, whole or one range of it
    PUT, POST  /up/<token>[/[<name>]]    into the slot of an upload; see http_upload

Rules of this file:
- One handler, no routing table, no listing: a request that opens nothing gets the one 404, whatever is
  wrong with it (fault 80). The path is compared as it was sent; nothing of it ever becomes a path on disk.
- HTTP/1.0 clients are served: every body has a length, nothing is sent in chunks.
- A full house answers 503 and Retry-After before it looks at the token.
- A body is never decompressed; what a socket may cost stands in `http_connection`.
"""

from __future__ import annotations

import logging
import ssl
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from typing import Final, Literal
from urllib.parse import unquote

import msgspec
from aiohttp import web

from edgegw.files.doors import (
    Busy,
    Doorkeeper,
    DoorSettings,
    GrantView,
    OpenFile,
    Read,
    Shelf,
    Transfer,
    Unservable,
    grant_for,
    opened,
)
from edgegw.files.http_connection import DoorServer
from edgegw.files.http_upload import OUR_NAME, UploadDoor, answer_of
from edgegw.files.ranges import Span, may_join, span_of
from edgegw.files.uploads import UploadStore

log = logging.getLogger(__name__)

SHUTDOWN_S: Final = 1.0

Kind = Literal["fw", "up"]


class Target(msgspec.Struct, frozen=True):
    """What a request path names."""

    kind: Kind
    token: str
    name: str


def target_of(raw_path: str) -> Target | None:
    """Read `/fw/<token>/<name>` or `/up/<token>/<name>`; the query is ignored.

    A charger may take the address of an upload for a folder and append its own name: one name more.
    """
    parts = raw_path.partition("?")[0].split("/")
    if not 3 <= len(parts) <= 5 or parts[0]:
        return None
    token, name = parts[2], unquote(parts[-1] if len(parts) > 3 else "", errors="replace")
    if parts[1] == "fw" and name and len(parts) == 4:
        return Target("fw", token, name)
    return Target("up", token, name) if parts[1] == "up" else None


def refused() -> web.Response:
    """The one answer to everything that opens nothing."""
    return answer_of(404, "not found")


def busy(settings: DoorSettings) -> web.Response:
    response = answer_of(503, "busy")
    response.headers["Retry-After"] = str(settings.retry_after_s)
    return response


class FileServer:
    """The HTTP door; `start` may be called once per address (http and https)."""

    def __init__(
        self,
        shelf: Shelf,
        uploads: UploadStore,
        settings: DoorSettings,
        wall: Callable[[], float],
        keeper: Doorkeeper | None = None,
    ) -> None:
        self.keeper = keeper or Doorkeeper(settings, wall)
        self._own_keeper = keeper is None
        self._shelf = shelf
        self._settings = settings
        self._wall = wall
        self._upload_door = UploadDoor(self.keeper, uploads, wall)
        self._runner: web.ServerRunner | None = None

    @property
    def transfers(self) -> deque[Transfer]:
        """Running and recent ones, oldest first; the FTP door's too when it shares the keeper."""
        return self.keeper.transfers

    @property
    def sockets(self) -> int:
        """Connections that are open, idle ones included."""
        server = self._runner.server if self._runner is not None else None
        return len(server.connections) if server is not None else 0

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Open the door; returns where it is. Raises OSError when the address cannot be had."""
        if self._runner is None:
            self._runner = web.ServerRunner(
                DoorServer(self._answer, self._settings), handle_signals=False, shutdown_timeout=SHUTDOWN_S
            )
            await self._runner.setup()
        known = set(map(str, self._runner.addresses))
        site = web.TCPSite(self._runner, host, port, ssl_context=tls)
        try:
            await site.start()
        except OSError:
            await site.stop()  # the runner would keep every one that was tried
            raise
        address = next(a for a in self._runner.addresses if str(a) not in known)
        return str(address[0]), int(address[1])

    async def stop(self) -> None:
        """Cut what is running and close the door. A keeper that was given stays open."""
        self.keeper.stopping = True
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._own_keeper:
            self.keeper.close()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        target = target_of(request.raw_path)
        direction: Literal["down", "up"] = "up" if target is not None and target.kind == "up" else "down"
        try:
            async with self.keeper.seat(direction):  # before the token is looked at: 503 is no oracle
                return await self._answer_seated(request, target)
        except Busy:
            self._note_refused(request, target)
            return busy(self._settings)

    def _note_refused(self, request: web.BaseRequest, target: Target | None) -> None:
        if target is not None and target.kind == "fw":
            grant = grant_for(self._shelf, target.token, target.name)
            if grant is not None:
                self.keeper.note_refused(self._transfer(request, grant))

    async def _answer_seated(self, request: web.BaseRequest, target: Target | None) -> web.StreamResponse:
        if request.transport is None:  # it hung up while it waited for its seat
            self._note_refused(request, target)
        elif target is not None:
            if target.kind == "up" and request.method in ("PUT", "POST"):
                return await self._upload_door.answer(request, target.token, target.name) or refused()
            if target.kind == "fw" and request.method in ("GET", "HEAD"):
                return await self._download(request, target)
        return refused()

    # --- downloads --------------------------------------------------------------------------------

    async def _download(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        grant = grant_for(self._shelf, target.token, target.name)
        if grant is None:
            return refused()
        try:
            with self.keeper.share(grant.token):
                async with opened(self.keeper, self._shelf, grant.sha256) as file:
                    return await self._serve(request, grant, file)
        except Unservable as error:
            self.keeper.note_refused(self._transfer(request, grant))
            log.warning("%s asked for %s: %s", grant.charger, grant.name, error)
            return refused()

    async def _serve(self, request: web.BaseRequest, grant: GrantView, file: OpenFile) -> web.StreamResponse:
        headers = {
            **OUR_NAME,
            "Content-Type": "application/octet-stream",
            "Accept-Ranges": "bytes",
            "ETag": f'"{grant.sha256}"',
            "Last-Modified": formatdate(file.modified_at, usegmt=True),
        }
        span = _asked_span(request, headers, file.size_bytes)
        if span is None:
            headers["Content-Range"] = f"bytes */{file.size_bytes}"
            return web.Response(status=416, headers=headers)
        response = web.StreamResponse(status=206 if span.partial else 200, headers=headers)
        response.content_length = span.size_bytes
        if span.partial:
            response.headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{file.size_bytes}"
        if request.method == "HEAD":
            return response
        transfer = self._transfer(request, grant)
        transfer.total_bytes = span.size_bytes
        with self.keeper.listed(transfer):
            await self._send(request, response, file.reader(span.start, span.stop), transfer)
        return response

    async def _send(
        self,
        request: web.BaseRequest,
        response: web.StreamResponse,
        read: Read,
        transfer: Transfer,
    ) -> None:
        """The body. A peer that left, stands still or asks for a file that shrank is cut off."""
        try:
            await response.prepare(request)
            await self.keeper.move(transfer, read, response.write)
        except OSError as error:
            log.info("download of %s by %s was cut: %s", transfer.name, transfer.charger, error)
        if transfer.bytes_moved == transfer.total_bytes:
            transfer.state = "done"
        elif request.transport is not None:
            request.transport.abort()  # only so does the charger see that the body is not whole

    def _transfer(self, request: web.BaseRequest, grant: GrantView) -> Transfer:
        return Transfer(
            charger=grant.charger,
            name=grant.name,
            order=grant.order,
            direction="down",
            protocol="https" if request.secure else "http",
            peer_ip=request.remote or "",
            started_at=self._wall(),
        )


def _asked_span(request: web.BaseRequest, headers: dict[str, str], size_bytes: int) -> Span | None:
    """What a GET wants. Range means nothing to other methods (RFC 9110 14.2)."""
    wanted = request.headers.getall("Range", [])
    joins = may_join(request.headers.get("If-Range", ""), headers["ETag"], headers["Last-Modified"])
    if request.method != "GET" or len(wanted) != 1 or not joins:
        return span_of("", size_bytes)
    return span_of(wanted[0], size_bytes)
