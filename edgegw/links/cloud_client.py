"""Dials the cloud for one charger and gives back an open leg, or says in words why not.

Rules of this file:
- The cloud sees what it would have seen from the charger: same path tail, same subprotocol list,
  same Authorization header, no User-Agent of ours.
- One deadline stands over DNS, TCP, TLS and HTTP together.
- A redirect is reported, never followed; system proxies are not asked (fault 44).
"""

from __future__ import annotations

import asyncio
import email.utils
import http.client
import io
import logging
import os
import re
import socket
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import quote, unquote, urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from edgegw.errors import ConfigFault
from edgegw.links.http_head import HeadCollector, HeadRefused
from edgegw.links.keepalive import KeepAlive
from edgegw.links.resolver import LookupFailed, Resolver
from edgegw.links.sockets import join_host_port
from edgegw.links.tls import client_context, describe_failure
from edgegw.links.websocket import LegSettings, WebSocketLeg
from edgegw.redaction import redact
from edgegw.runtime.ports import DialFailed, DialRequest

engine_log = logging.getLogger("edgegw.links.engine")
engine_log.setLevel(logging.CRITICAL)

ADDRESS_TIMEOUT_MIN_S = 2.0  # so that one dead address of several does not eat the whole deadline
RETRY_AFTER_MAX_S = 24 * 3600.0
REDIRECTS = (301, 302, 303, 307, 308)
SEGMENT = re.compile(r"[!-~]+")  # visible ASCII: anything else would break the request line

DEFLATE = ClientPerMessageDeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    client_max_window_bits=12,
    compress_settings={"memLevel": 5},
)


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """The cloud side. Times in seconds."""

    leg: LegSettings = field(default_factory=LegSettings)
    connect_timeout_s: float = 15.0
    ca_file: Path | None = None  # None: the system's trusted authorities


class CloudClient:
    """Satisfies `runtime.ports.CloudDialler`."""

    def __init__(
        self,
        settings: CloudSettings | None = None,
        wheel: KeepAlive | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        """Raises ConfigFault for a CA file that cannot be used."""
        self._settings = settings or CloudSettings()
        self._wheel = KeepAlive() if wheel is None else wheel
        self._own_wheel = wheel is None
        self._resolver = resolver or Resolver()
        self._tls: ssl.SSLContext | None = None
        if self._settings.ca_file is not None:
            self._tls = client_context(self._settings.ca_file)

    async def dial(self, request: DialRequest) -> WebSocketLeg:
        """Open a cloud leg; `listener.on_open` was called when it returns. Raises DialFailed.

        Frames that the cloud sent right after its 101 are delivered after the caller's next await.
        """
        target = _target(request)
        timeout_s = self._settings.connect_timeout_s
        stage = _Stage()
        try:
            async with asyncio.timeout(timeout_s):
                return await self._dial(request, target, stage)
        except TimeoutError:
            raise DialFailed(f"{stage.name}: no answer from {target.place} within {timeout_s:g} s") from None

    def close(self) -> None:
        """Let go of threads and timer. Legs are the caller's to close."""
        self._resolver.close()
        if self._own_wheel:
            self._wheel.close()

    async def _dial(self, request: DialRequest, target: _Target, stage: _Stage) -> WebSocketLeg:
        engine = _engine(request, target, self._settings.leg.max_message_bytes)
        handshake = await self._connect(target, stage)
        stage.name = "HTTP"
        try:
            handshake.send(_request_bytes(engine, request))
            await handshake.head_read
            _judge(engine, handshake.head, request)
            if handshake.lost:
                raise DialFailed(f"HTTP: {target.place} closed right after its answer")
        except HeadRefused as refusal:
            raise DialFailed(f"HTTP: {target.place} {refusal.reason}") from None
        else:
            leg = WebSocketLeg(engine, request.listener, self._settings.leg, self._wheel)
            transport, early = handshake.hand_over(leg)
            transport.set_protocol(leg)
            leg.start(transport, early)
            return leg
        finally:
            handshake.close()

    async def _connect(self, target: _Target, stage: _Stage) -> ClientHandshake:
        """The first address that answers. Raises DialFailed with the failure of the first one."""
        timeout_s = self._settings.connect_timeout_s
        try:
            addresses = await self._resolver.resolve(target.host, timeout_s)
        except LookupFailed as exc:
            raise DialFailed(f"DNS: {exc}") from None
        stage.name = "TLS" if target.secure else "TCP"
        each_s = max(timeout_s / len(addresses), min(ADDRESS_TIMEOUT_MIN_S, timeout_s))
        failures: list[DialFailed] = []
        for address in addresses:
            try:
                async with asyncio.timeout(each_s):
                    return await self._connect_address(address, target)
            except TimeoutError:
                place = join_host_port(address, target.port)
                failures.append(DialFailed(f"{stage.name}: no answer from {place} within {each_s:.3g} s"))
            except DialFailed as failure:
                failures.append(failure)
        raise failures[0]

    async def _connect_address(self, address: str, target: _Target) -> ClientHandshake:
        loop = asyncio.get_running_loop()
        tls = self._tls_context() if target.secure else None
        place = join_host_port(address, target.port)
        sock = None
        try:
            sock = await _tcp(loop, address, target.port)
            _, handshake = await loop.create_connection(
                ClientHandshake, sock=sock, ssl=tls, server_hostname=target.host if tls else None
            )
            sock = None
        except (ssl.SSLError, ssl.CertificateError) as exc:
            raise DialFailed(f"TLS: {place}: {describe_failure(exc, target.host)}") from None
        except OSError as exc:
            if sock is not None and tls is not None:
                raise DialFailed(f"TLS: {place}: {describe_failure(exc, target.host)}") from None
            raise DialFailed(f"TCP: {place}: {_os_words(exc)}") from None
        finally:
            if sock is not None:
                sock.close()
        return handshake

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = client_context()
        return self._tls


class ClientHandshake(asyncio.Protocol):
    """A connection until its leg opens: sends the request, collects the head of the answer."""

    def __init__(self) -> None:
        self.head_read: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False
        self._collector = HeadCollector()
        self._transport: asyncio.Transport | None = None
        self._leg: WebSocketLeg | None = None

    @property
    def head(self) -> bytes:
        return self._collector.head

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by inheritance.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._collector.feed(data)
        except HeadRefused as refusal:
            self._fail(f"sent {refusal.reason}")
            return
        if self._collector.complete and not self.head_read.done():
            self.head_read.set_result(None)
            if self._transport is not None and not self._transport.is_closing():
                self._transport.pause_reading()  # the leg reads on

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._leg is not None:
            self._leg.connection_lost(exc)
        self._fail("closed without an answer" if exc is None else f"closed without an answer ({exc})")

    def send(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def hand_over(self, leg: WebSocketLeg) -> tuple[asyncio.Transport, bytes]:
        assert self._transport is not None
        transport, self._transport = self._transport, None
        self._leg = leg
        return transport, bytes(self._collector.rest)

    def close(self) -> None:
        """Drop the connection, unless it was handed over."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def _fail(self, reason: str) -> None:
        if not self.head_read.done():
            self.head_read.set_exception(HeadRefused(reason, None))
            self.head_read.exception()  # the dial may have given up already


@dataclass(slots=True)
class _Stage:
    """What the dial is busy with, for the text of a timeout."""

    name: str = "DNS"


@dataclass(frozen=True, slots=True)
class _Target:
    secure: bool
    host: str
    port: int
    path: str
    query: str
    user_info: tuple[str, str] | None

    @property
    def place(self) -> str:
        return join_host_port(self.host, self.port)


def check_base_url(url: str) -> None:
    """Raises ConfigFault with what is wrong with a cloud URL."""
    try:
        parts = urlsplit(url)
        port_known = parts.port is None or parts.port > 0
    except ValueError as exc:
        raise ConfigFault(f"{redact(url)}: {exc}") from None
    if parts.scheme not in ("ws", "wss"):
        raise ConfigFault(f"{redact(url)}: must begin with ws:// or wss://")
    if not parts.hostname or not port_known:
        raise ConfigFault(f"{redact(url)}: has no host or no valid port")
    if parts.fragment:
        raise ConfigFault(f"{redact(url)}: must not have a #fragment")


def _target(request: DialRequest) -> _Target:
    """Base URL + "/" + the charger's own path segment, byte for byte (OCPP-J 3.1)."""
    try:
        check_base_url(request.base_url)
    except ConfigFault as exc:
        raise DialFailed(f"cloud URL {exc}") from None
    if not SEGMENT.fullmatch(request.raw_segment) or any(c in request.raw_segment for c in "/?#"):
        raise DialFailed("the charger's path segment cannot stand in a URL")
    base = urlsplit(request.base_url)
    secure = base.scheme == "wss"
    host = base.hostname or ""
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            raise DialFailed(f"DNS: {host} is not a host name") from None
    path = quote(base.path, safe="/%:@!$&'()*+,;=~").rstrip("/") + "/" + request.raw_segment
    user_info = None
    if base.username is not None:
        user_info = (unquote(base.username), unquote(base.password or ""))
    return _Target(secure, host, base.port or (443 if secure else 80), path, base.query, user_info)


def _engine(request: DialRequest, target: _Target, max_message_bytes: int) -> ClientProtocol:
    # The charger's own credentials go before those of the site's cloud URL.
    user, password = target.user_info if target.user_info and request.authorization is None else (None, None)
    return ClientProtocol(
        WebSocketURI(target.secure, target.host, target.port, target.path, target.query, user, password),
        extensions=[DEFLATE] if request.compression else None,
        subprotocols=[Subprotocol(name) for name in request.subprotocols] or None,
        max_size=max_message_bytes,
        logger=engine_log,
    )


def _request_bytes(engine: ClientProtocol, request: DialRequest) -> bytes:
    upgrade = engine.connect()
    if request.authorization is not None:
        upgrade.headers["Authorization"] = request.authorization
    engine.send_request(upgrade)
    return b"".join(engine.data_to_send())


async def _tcp(loop: asyncio.AbstractEventLoop, address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _os_words(exc: OSError) -> str:
    return os.strerror(exc.errno).lower() if exc.errno else str(exc)


def _judge(engine: ClientProtocol, head: bytes, request: DialRequest) -> None:
    """Raises DialFailed unless the answer opens the leg with a subprotocol that was offered."""
    status, headers = _status_and_headers(head)
    if status != 101:
        raise _http_failure(status, headers)
    engine.receive_data(head)
    events = engine.events_received()
    if engine.handshake_exc is not None or not events or not isinstance(events[0], Response):
        raise DialFailed(f"HTTP: not a WebSocket answer: {_words(engine.handshake_exc)}")
    if request.subprotocols and engine.subprotocol is None:
        text = "HTTP: the cloud accepts none of the OCPP versions " + ", ".join(request.subprotocols)
        raise DialFailed(text, status=status)


def _words(exc: Exception | None) -> str:
    cause = exc.__cause__ if isinstance(exc, InvalidHandshake) and exc.__cause__ else exc
    return str(cause)[:200]


def _status_and_headers(head: bytes) -> tuple[int, http.client.HTTPMessage]:
    line, _, rest = head.partition(b"\r\n")
    found = re.match(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: |$)", line)
    if found is None:
        raise DialFailed("HTTP: the answer is not HTTP/1.1")
    try:
        return int(found[1]), http.client.parse_headers(io.BytesIO(rest))
    except http.client.HTTPException:
        raise DialFailed("HTTP: the answer has broken headers", status=int(found[1])) from None


def _http_failure(status: int, headers: http.client.HTTPMessage) -> DialFailed:
    text = f"HTTP: {status} {http.client.responses.get(status, '')}".rstrip()
    location = headers.get("Location")
    if status in REDIRECTS and location:
        text += f" to {_without_secrets(location)}; redirects are not followed"
    return DialFailed(text, status=status, retry_after_s=_retry_after_s(headers))


def _without_secrets(url: str) -> str:
    return redact("".join(c for c in url.partition("?")[0] if c.isprintable())[:200])


def _retry_after_s(headers: http.client.HTTPMessage) -> float | None:
    """Retry-After as seconds (RFC 9110 10.2.3): a number, or a date against the answer's own clock."""
    value = (headers.get("Retry-After") or "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), RETRY_AFTER_MAX_S)
    then = _date(value)
    if then is None:
        return None
    now = _date(headers.get("Date") or "")
    return min(max(0.0, then - (time.time() if now is None else now)), RETRY_AFTER_MAX_S)


def _date(value: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
