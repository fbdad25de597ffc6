"""Socket options and names that both sides share."""

from __future__ import annotations

import asyncio
import socket
import sys

TCP_KEEPALIVE_IDLE_S = 15
TCP_KEEPALIVE_INTERVAL_S = 5
# RFC 5482. Together with the keep-alive above, a peer whose line is dead shows in at most 45 s.
TCP_USER_TIMEOUT_S = 30

# linux/tcp.h struct tcp_info: tcpi_bytes_acked (RFC 4898), 64 bits.
BYTES_ACKED_AT = 120
TCP_INFO_BYTES = 136


def tune(transport: asyncio.BaseTransport) -> None:
    """No Nagle; let the kernel find a dead peer although the application is silent."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, TCP_KEEPALIVE_IDLE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, TCP_KEEPALIVE_INTERVAL_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_S * 1000)
    except OSError:
        return  # the peer is gone already; connection_lost follows


def bytes_acknowledged(transport: asyncio.BaseTransport) -> int:
    """Bytes that the peer's TCP has taken so far. A peer that does not read stops taking when it is full."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return 0
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    except OSError:
        return 0
    return int.from_bytes(info[BYTES_ACKED_AT : BYTES_ACKED_AT + 8], sys.byteorder)


def peer_name(transport: asyncio.BaseTransport) -> str:
    """`host:port` of the other end, for people."""
    address = transport.get_extra_info("peername")
    if not isinstance(address, tuple):
        return "unknown"
    return join_host_port(address[0], address[1])


def join_host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
