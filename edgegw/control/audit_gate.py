"""Every order that comes over the local API goes into the book, with what became of it.

Rules of this file:
- Plain ASGI around the application, like `control.gate`: no route can forget it.
- Behind the token: whoever has none gives no orders, and must not be able to push real ones out of the book.
- Who may only look gives no orders either: of its refusals a few a minute are told, for the same reason.
- Questions (GET) are not orders. Bodies are looked at on their way, never held back; long ones and files
  not at all.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import msgspec

from edgegw.control.audit_text import shortened, shown_body
from edgegw.control.gate import QUESTIONS, Application, Message, Receive, Scope, Send
from edgegw.redaction import redact
from edgegw.runtime import clock
from edgegw.runtime.audit import AuditEntry, AuditLog

BODY_BYTES_MAX = 2048  # an order is short; what is longer is a file or a mistake
REFUSAL_BYTES_MAX = 4096
TARGET_MAX = 64
DOOR = "api"
READ_ONLY = "read_only"  # the refusal of `control.gate`
REFUSALS_TOLD_MAX = 20
REFUSALS_WITHIN_S = 60.0


def audited(app: Application, book: AuditLog) -> Application:
    """`app`, with every order written into `book` when it was answered."""
    refusals = _Refusals()

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in QUESTIONS:
            await app(scope, receive, send)
            return
        order = _Order(scope, receive, send)
        try:
            await app(scope, order.receive, order.send)
        finally:
            entry = refusals.folded(order.entry(), clock.now().mono)
            if entry is not None:
                book.write(entry)

    return guarded


class _Refusals:
    """Of readers: the first ones of a minute as they are, the rest as a number in the next one."""

    def __init__(self) -> None:
        self._began = float("-inf")
        self._told = 0
        self._untold = 0

    def folded(self, entry: AuditEntry, mono: float) -> AuditEntry | None:
        if entry.outcome != READ_ONLY:
            return entry
        if mono - self._began >= REFUSALS_WITHIN_S:
            self._began, self._told = mono, 0
        if self._told >= REFUSALS_TOLD_MAX:
            self._untold += 1
            return None
        self._told += 1
        untold, self._untold = self._untold, 0
        more = f"(and {untold} more before) " if untold else ""
        return msgspec.structs.replace(entry, text=shortened(more + entry.text))


class _Order:
    """One request, seen on its way in and out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._at = clock.now().wall
        self._looks = _header(scope, b"content-type").startswith(b"application/json")
        self._body = b""
        self._status = 0
        self._refusal = b""

    async def receive(self) -> Message:
        message = await self._receive()
        if self._looks and message["type"] == "http.request":
            self._body += message.get("body", b"")
            if len(self._body) > BODY_BYTES_MAX:
                self._looks, self._body = False, b""
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
        elif self._status >= 400 and len(self._refusal) <= REFUSAL_BYTES_MAX:
            self._refusal += message.get("body", b"")
        await self._send(message)

    def entry(self) -> AuditEntry:
        path = self._scope["raw_path"].decode("latin-1")  # percent-encoded: a charger may be called "a/b"
        return AuditEntry(
            at=self._at,
            door=DOOR,
            asker=_asker(self._scope),
            order=shortened(f"{self._scope['method']} {path}"),
            target=shortened(_target(path, self._body))[:TARGET_MAX],
            outcome=self._outcome(),
            text=self._text(),
        )

    def _text(self) -> str:
        if self._body:
            return shown_body(self._body)
        query = self._scope.get("query_string", b"").decode("latin-1")
        return shortened(redact(unquote(query)))

    def _outcome(self) -> str:
        """ "ok", the code of the refusal, or what is known when there is none."""
        if self._status == 0:
            return "not_answered"
        if self._status < 400:
            return "ok"
        error = _member(self._refusal, "error")
        code = error.get("code") if isinstance(error, dict) else None
        return code if isinstance(code, str) else f"http_{self._status}"


def _asker(scope: Scope) -> str:
    host, port = scope.get("client") or ("", 0)
    return f"{host}:{port}" if port else "the control socket"


def _target(path: str, body: bytes) -> str:
    """The charger of the path, else what the body names."""
    parts = path.split("/")
    if len(parts) > 3 and parts[2] in ("chargers", "alarms", "wiring"):
        return unquote(parts[3])
    for name in ("charger", "circuit"):
        named = _member(body, name)
        if isinstance(named, str) and named:
            return named
    return ""


def _member(body: bytes, name: str) -> Any:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return document.get(name) if isinstance(document, dict) else None


def _header(scope: Scope, name: bytes) -> bytes:
    return next((value for key, value in scope["headers"] if key == name), b"").lower()
