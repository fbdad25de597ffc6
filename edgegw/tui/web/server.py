"""textual-serve with our page, our door and an end to how many visitors there can be.

`textual_serve.server.Server` makes the application and speaks with the browser; replaced here are its page
(its own loads a font from elsewhere), its log (which prints local variables) and its start.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import ssl
from pathlib import Path
from typing import Any

import aiohttp_jinja2
from aiohttp import WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.server import Server

from edgegw.tui.web import messages
from edgegw.tui.web.doors import NONCE, guard, harden

LEAVES_WITHIN_S = 5.0
VISITORS_MAX = 8  # each is a process of some 60 MiB
PAGES = Path(__file__).parent
TITLE = "edgegw console"


class WebConsole(Server):
    """`await serve_on(door, stop)`. `command` is run by a shell for every visitor: quote it."""

    def __init__(self, command: str, token: str, names: frozenset[str] = frozenset()) -> None:
        super().__init__(command, title=TITLE, templates_path=str(PAGES))
        self._token = token
        self._names = names
        self._visitors = 0
        self._consoles: set[AppService] = set()  # whose process may still run

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(guard(self._token, self._names))
        app.on_response_prepare.append(harden)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Nothing to print: whoever started it has said where it is."""

    @aiohttp_jinja2.template("page.html")
    async def handle_index(self, request: web.Request) -> dict[str, Any]:
        return {"nonce": request[NONCE], "title": TITLE}

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        if self._visitors >= VISITORS_MAX:
            raise web.HTTPServiceUnavailable(text=f"{VISITORS_MAX} consoles are open: close one first\n")
        if not all(messages.is_size(request.query.get(side, "80")) for side in ("width", "height")):
            raise web.HTTPBadRequest(text="no terminal has such a size\n")
        self._visitors += 1
        try:
            return await super().handle_websocket(request)
        finally:
            self._visitors -= 1

    async def _process_messages(self, websocket: web.WebSocketResponse, app_service: AppService) -> None:
        """What the page sends, held to what a person can mean; anything else is left out."""
        self._consoles.add(app_service)
        try:
            async for message in websocket:
                said = messages.read(message.data) if message.type is WSMsgType.TEXT else None
                if isinstance(said, messages.Typed):
                    await app_service.send_bytes(said.text)
                elif isinstance(said, messages.Resized):
                    await app_service.set_terminal_size(said.width, said.height)
                elif isinstance(said, messages.Ping):
                    await websocket.send_json(["pong", said.word])
                elif said == "blur":
                    await app_service.blur()
                elif said == "focus":
                    await app_service.focus()
        finally:
            asyncio.get_running_loop().call_later(LEAVES_WITHIN_S, self._end, app_service)

    async def serve_on(
        self, door: socket.socket, stop: asyncio.Event, tls: ssl.SSLContext | None = None
    ) -> None:
        """Until `stop` is set; open consoles are ended then."""
        runner = web.AppRunner(await self._make_app(), access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        try:
            await web.SockSite(runner, door, ssl_context=tls).start()
            await stop.wait()
        finally:
            await runner.cleanup()
            await self._end_all()

    def _end(self, console: AppService) -> None:
        """One that does not leave when it is told to would keep its seat."""
        self._consoles.discard(console)
        process = console._process
        if process is not None and process.returncode is None:
            process.kill()

    async def _end_all(self) -> None:
        """The library waits for nobody when it is stopped: a console would live on without its server."""
        ended = [console._process for console in self._consoles if console._process is not None]
        for console in list(self._consoles):
            self._end(console)
        for process in ended:
            await process.wait()


def new_token() -> str:
    return secrets.token_urlsafe(24)


def quiet_library(level: int = logging.ERROR) -> None:
    """textual-serve logs every visit."""
    logging.getLogger("textual-serve").setLevel(level)
