"""What stands in front of every request: the token on the loopback door, the role, the limit of a body.

One route takes files, which its desk writes to disk as they come; every other body is held in memory.

Plain ASGI, without the web framework: whoever is turned away here never reaches a route. An answer that comes
before the whole body closes its connection, or the rest of the body, perhaps an endless one, would be read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException

from edgegw.control.doors import Token
from edgegw.control.live_models import RoleName
from edgegw.control.talks import ROLE_HEADER

BODY_BYTES_MAX = 1024 * 1024
FILE_ROUTE = ("POST", "/v1/firmware/files")
FILE_BYTES_MAX = 64 * 1024**3  # the most that [files] largest_file can be; its desk holds a file to that
CLOSE = (b"connection", b"close")
QUESTIONS = frozenset({"GET", "HEAD", "OPTIONS"})
ROLE = "edgegw_role"  # member of the scope
OPERATOR: RoleName = "operator"
READ_ONLY: RoleName = "read-only"
OPEN_PATHS = frozenset({"/v1/health", "/healthz", "/readyz"})  # a health check carries no secret

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def limited(app: Application) -> Application:
    """`app` with bodies of at most BODY_BYTES_MAX, files apart; a longer one is 413, however it is sent."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(scope, receive, send)
        await app(scope, body.receive, body.send)

    return guarded


class _Body:
    """Of one request, as it comes."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._bytes_max = _bytes_max(scope)
        self._seen_bytes = 0
        names = {name for name, _ in scope.get("headers", ())}
        self._is_whole = names.isdisjoint((b"content-length", b"transfer-encoding"))

    async def receive(self) -> Message:
        message = await self._receive()
        self._seen_bytes += len(message.get("body", b""))
        if self._seen_bytes > self._bytes_max:
            raise HTTPException(413, f"the body is longer than {self._bytes_max // 1024} KiB")
        self._is_whole = self._is_whole or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self._is_whole:
            message = {**message, "headers": [*message["headers"], CLOSE]}
        await self._send(message)


def _bytes_max(scope: Scope) -> int:
    return FILE_BYTES_MAX if (scope.get("method"), scope.get("path")) == FILE_ROUTE else BODY_BYTES_MAX


def with_token(app: Application, operator: Token, reader: Token | None = None) -> Application:
    """`app` for those who show a token, which is their role; health for everybody."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [value for name, value in scope["headers"] if name == b"authorization"]
        shown = headers[0] if len(headers) == 1 else None
        is_operator = operator.admits(shown)
        is_open = scope["path"] in OPEN_PATHS and scope["method"] in QUESTIONS
        if is_open or is_operator or (reader is not None and reader.admits(shown)):
            await app({**scope, ROLE: OPERATOR if is_operator else READ_ONLY}, receive, send)
        else:
            await _refuse(send, 401, "unauthorized", _NO_TOKEN, _BEARER)

    return guarded


_BEARER = (b"www-authenticate", b'Bearer realm="edgegw"')
_NO_TOKEN = "this door wants the token of [control] token_file: Authorization: Bearer <token>"  # noqa: S105
_NO_ORDERS = (
    "who may only read gives no orders: use the token of [control] token_file or the control socket,"
    " and `edgegw console --operator`"
)


def held_to_role(app: Application) -> Application:
    """`app`, where who may only read asks and never orders. Whoever may order can give that up, not get it.

    The role is the door's: the control socket is the operator's, by the mode of its file.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        role = scope.get(ROLE, OPERATOR)
        said = [value.strip().lower() for name, value in scope["headers"] if name == ROLE_HEADER.encode()]
        if any(word != OPERATOR.encode() for word in said):
            role = READ_ONLY
        if role == READ_ONLY and scope["method"] not in QUESTIONS:
            await _refuse(send, 403, "read_only", _NO_ORDERS)
        else:
            await app({**scope, ROLE: role}, receive, send)

    return guarded


async def _refuse(send: Send, status: int, code: str, text: str, *more: tuple[bytes, bytes]) -> None:
    body = orjson.dumps({"error": {"code": code, "text": text}})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *more,
        CLOSE,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
