"""HTTP clients that never speak TLS. Reading the machine's authorities takes 50 ms, for each client anew."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody


def through(socket: Path) -> httpx.AsyncHTTPTransport:
    """The way to a local API at its Unix socket."""
    return httpx.AsyncHTTPTransport(uds=str(socket), verify=NO_TLS)
