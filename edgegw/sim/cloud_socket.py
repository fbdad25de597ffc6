"""Below the simulated cloud: its sockets, its frames, and what it keeps of a connection and a CALL."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import dataclass, field
from typing import Any

import orjson
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from edgegw.sim.desk import CallRefused, Payload


class NotConnected(CallRefused):
    """The charger has no connection to the cloud, or lost it before it answered."""

    def __init__(self, identity: str) -> None:
        super().__init__("NotConnected", identity)


@dataclass(frozen=True, slots=True)
class Received:
    """One CALL or SEND as the cloud got it."""

    identity: str
    action: str
    id: str
    payload: Payload
    raw: str
    conn: int


@dataclass(slots=True)
class CloudConnection:
    """One connection, also after its end. `authorization` is the header as it came."""

    ws: ServerConnection
    number: int
    identity: str
    raw_segment: str
    path: str
    offered: tuple[str, ...]
    subprotocol: str | None
    authorization: str | None
    open: bool = True
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    pending: dict[str, tuple[str, asyncio.Future[Payload]]] = field(default_factory=dict)


def bound(host: str, port: int) -> socket.socket:
    """A bound TCP socket. SO_REUSEPORT lets one that never listens keep the number while the cloud is
    cut, so that no other process can take it."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, port))
    return sock


def offered(request: Request) -> tuple[str, ...]:
    lists = request.headers.get_all("Sec-WebSocket-Protocol")
    return tuple(name.strip() for name in ",".join(lists).split(",") if name.strip())


def dumps(frame: list[Any]) -> str:
    try:
        return orjson.dumps(frame).decode()
    except TypeError:  # integers beyond 64 bits, lone surrogates
        return json.dumps(frame, separators=(",", ":"))


def break_connection(ws: ServerConnection, last: bytes) -> None:
    """End the TCP connection in mid-frame, after these bytes."""
    if last:
        ws.transport.write(last)
        ws.transport.close()  # abort could take the bytes back
    else:
        ws.transport.abort()


def frame_bytes(text: str) -> bytes:
    """An unmasked final text frame (RFC 6455 5.2)."""
    data = text.encode()
    if len(data) < 126:
        return bytes((0x81, len(data))) + data
    return bytes((0x81, 126)) + len(data).to_bytes(2, "big") + data
