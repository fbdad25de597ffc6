"""What fetching and sending by HTTP share: checked addresses for the connector, log-ins, errors in words."""

from __future__ import annotations

import base64
from socket import AddressFamily

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from edgegw.files.addresses import Location
from edgegw.files.source import socket_words


class CheckedAddresses(AbstractResolver):
    """Gives the connector the addresses that were checked for this hop, and no others."""

    def __init__(self) -> None:
        self._by_host: dict[str, list[str]] = {}

    def allow(self, host: str, addresses: list[str]) -> None:
        self._by_host[host] = addresses

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET
    ) -> list[ResolveResult]:
        found = self._by_host.get(host, [])
        if not found:
            raise OSError(0, f"{host} was not checked")
        return [_result(host, address, port) for address in found]

    async def close(self) -> None:
        self._by_host.clear()


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = AddressFamily.AF_INET6 if ":" in address else AddressFamily.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)


def authorization(location: Location) -> dict[str, str]:
    if not location.username:
        return {}
    pair = f"{location.username}:{location.password}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def words(error: Exception) -> str:
    """Of a library's error, without the URL that some of them carry."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return socket_words(error.os_error)
    if isinstance(error, OSError):
        return socket_words(error)
    if isinstance(error, aiohttp.ClientResponseError):
        return "an answer that cannot be read, or with more headers than are read"
    return type(error).__name__.removeprefix("Client")
