"""The way on over HTTP: as the charger did it, PUT or POST, raw or as a form.

Rules of this file:
- The connection goes to the addresses that were checked; nothing is looked up again.
- A redirect is followed on the same server only: what a charger knows about a site goes to nobody whom the
  cloud has not named.
- Every body has a length: object stores refuse chunks.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from collections.abc import AsyncGenerator
from typing import Final
from urllib.parse import quote, urljoin

import aiohttp
import msgspec
from yarl import URL

from edgegw import __version__
from edgegw.files.addresses import AddressRefused, Location, parse_location
from edgegw.files.dead_peers import give_up_after
from edgegw.files.disk import Disk
from edgegw.files.parcel import ForwardSettings, Parcel, Unwanted
from edgegw.files.source import Retry
from edgegw.files.web_client import CheckedAddresses, authorization, words
from edgegw.files.web_wire import CountedConnector, Rambling

HOPS_MAX: Final = 3  # a slash that was missing, a bucket's region
TRY_AGAIN: Final = frozenset({408, 409, 423, 425, 429})  # 4xx that waiting can change
REDIRECTS: Final = frozenset({307, 308})  # the only ones that keep method and body
PLAIN: Final = "application/octet-stream"


class HttpSender:
    def __init__(self, settings: ForwardSettings, disk: Disk) -> None:
        self._settings = settings
        self._disk = disk
        self._tls: ssl.SSLContext | None = None

    async def __call__(self, location: Location, addresses: list[str], parcel: Parcel) -> None:
        """See `parcel.Sender`."""
        tls = await self._tls_context() if location.scheme == "https" else False
        checked = CheckedAddresses()
        checked.allow(location.host, addresses)
        connector = CountedConnector(
            resolver=checked,
            use_dns_cache=False,
            force_close=True,
            ssl=tls,
            limit=1,
            socket_factory=self._make_socket,
        )
        async with aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._settings.connect_timeout_s),
            trust_env=False,
        ) as session:
            target = _with_name(location, parcel)
            for _ in range(HOPS_MAX + 1):
                onward = await self._put(session, target, parcel)
                if not onward:
                    return
                target = _same_server(target, onward)
        raise Unwanted("the other side redirects in circles")

    def _make_socket(self, found: aiohttp.AddrInfoType) -> socket.socket:
        made = socket.socket(*found[:3])
        give_up_after(made, self._settings.stall_timeout_s)
        return made

    async def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            # In a thread: reading the system's authorities takes tens of milliseconds.
            try:
                self._tls = await self._disk.run(ssl.create_default_context, cafile=self._settings.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise Unwanted(f"{self._settings.ca_file}: cannot be read ({error})") from None
        return self._tls

    async def _put(self, session: aiohttp.ClientSession, target: Location, parcel: Parcel) -> str:
        """One request. Returns where a redirect leads, "" when the file was taken."""
        body = _Body(parcel)
        stall_s = self._settings.stall_timeout_s
        try:
            async with (
                asyncio.timeout(self._settings.connect_timeout_s + stall_s) as patience,
                session.request(
                    "POST" if parcel.slot.method == "POST" else "PUT",
                    URL(target.bare, encoded=True),
                    data=body.parts(parcel, patience, stall_s),
                    headers={**body.headers, **authorization(target)},
                    allow_redirects=False,
                ) as response,
            ):
                return _judged(response.status, response.headers.get("Location", ""))
        except aiohttp.ClientConnectorCertificateError as error:
            why = getattr(error.certificate_error, "verify_message", "") or "not trusted"
            raise Unwanted(f"the certificate of {target.host}: {why}") from None
        except Rambling as error:
            raise Unwanted(f"{target.host} was hung up on: {error}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Retry(f"{target.host}: {words(error)}") from None


class _Body:
    """What is sent around the file, and the headers that describe it."""

    def __init__(self, parcel: Parcel) -> None:
        slot = parcel.slot
        kind = _header_safe(slot.content_type) or PLAIN
        self.head = self.tail = b""
        self.headers = {"Accept": "*/*", "User-Agent": f"edgegw/{__version__}", "Content-Type": kind}
        if slot.field:
            boundary = secrets.token_hex(16)
            self.head, self.tail = _form(boundary, slot.field, parcel.name, kind)
            self.headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
        else:
            as_sent = {"Content-Encoding": slot.content_encoding, "Content-Disposition": slot.disposition}
            self.headers |= {name: value for name, value in as_sent.items() if _header_safe(value)}
        self.headers["Content-Length"] = str(len(self.head) + parcel.size_bytes + len(self.tail))

    async def parts(
        self, parcel: Parcel, patience: asyncio.Timeout, stall_s: float
    ) -> AsyncGenerator[bytes, None]:
        if self.head:
            yield self.head
        async for block in parcel.blocks(patience, stall_s):
            yield block
        if self.tail:
            yield self.tail


def _form(boundary: str, field: str, name: str, kind: str) -> tuple[bytes, bytes]:
    """A form with one file in it, as browsers write it."""
    head = (
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{_quotable(field)}"; filename="{_quotable(name)}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    return head.encode(), f"\r\n--{boundary}--\r\n".encode()


def _quotable(text: str) -> str:
    return "".join(c for c in text if c.isprintable()).replace("\\", "_").replace('"', "%22")


def _header_safe(text: str) -> str:
    """A charger's word as a header of ours, or nothing."""
    return text if text.isascii() and text.isprintable() else ""


def _with_name(location: Location, parcel: Parcel) -> Location:
    path, mark, query = location.path.partition("?")
    if not path.endswith("/"):
        return location
    return msgspec.structs.replace(location, path=f"{path}{quote(parcel.name, safe='')}{mark}{query}")


def _same_server(location: Location, onward: str) -> Location:
    try:
        hop = parse_location(urljoin(location.bare, onward), frozenset({"http", "https"}))
    except AddressRefused as error:
        raise Unwanted(f"the other side redirects to no address: {error.text}") from None
    if (hop.scheme, hop.host, hop.port) != (location.scheme, location.host, location.port):
        raise Unwanted(
            f"the other side redirects to {hop.host}; uploads follow no redirect to another server"
        )
    return msgspec.structs.replace(hop, username=location.username, password=location.password)


def _judged(status: int, onward: str) -> str:
    if 200 <= status < 300:
        return ""
    if status in REDIRECTS and onward:
        return onward
    if status >= 500 or status in TRY_AGAIN:
        raise Retry(f"the other side answers {status}")
    raise Unwanted(f"the other side answers {status}")
