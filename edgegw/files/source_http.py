"""Files from web servers.

Rules of this file:
- Redirects are followed by hand: every hop is read, looked up and checked like the first. Never from
  https to http, never to another protocol, and credentials go to no other server.
- The connection goes to the address that was checked; the connector never looks a name up itself.
- The body is taken as it is; `http_answers` says what an answer means, `web_wire` how much there may be.
- Under uvloop, aiohttp 3.14 loses what it holds when it has stopped reading and the origin ends the TLS
  connection. So connections are kept alive, and the end of a file that was lost is taken without a stop.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urljoin

import aiohttp
import msgspec
from yarl import URL

from edgegw.files.addresses import Location, parse_location
from edgegw.files.dead_peers import give_up_after
from edgegw.files.disk import Disk
from edgegw.files.http_answers import check_body, extent, request_headers, retry_after_s, version_tag
from edgegw.files.lookup import CheckedLookup
from edgegw.files.source import (
    FetchFailed,
    FetchSettings,
    Opened,
    Retry,
    StartOver,
    Validators,
    no_blocks,
)
from edgegw.files.web_client import CheckedAddresses, authorization, words
from edgegw.files.web_wire import CountedConnector, Rambling
from edgegw.redaction import plain

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
TRY_AGAIN: Final = frozenset({408, 425, 429})  # the only 4xx that waiting can change
BUFFER_BYTES: Final = 64 * 1024  # at twice this reading stops; a connection that breaks takes it along
TAIL_BYTES: Final = 1024 * 1024  # more than can be lost with it: twice the above and one read of uvloop
REASON_CHARS_MAX: Final = 100
_WEB = frozenset({"http", "https"})


class HttpSource:
    def __init__(
        self, lookup: CheckedLookup, settings: FetchSettings, disk: Disk, wall: Callable[[], float]
    ) -> None:
        self._lookup = lookup
        self._settings = settings
        self._disk = disk
        self._wall = wall
        self._tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def open(
        self, location: Location, offset: int, known: Validators | None, revalidate: bool
    ) -> AsyncIterator[Opened]:
        """See `Source.open`."""
        addresses = CheckedAddresses()
        headers = request_headers(offset, known, revalidate)
        total = known.total_bytes if known is not None else None
        is_tail = total is not None and total - offset <= TAIL_BYTES
        buffer_bytes = TAIL_BYTES if is_tail else BUFFER_BYTES
        async with self._session(addresses, await self._tls_context(), buffer_bytes) as session:
            response = await self._follow(session, addresses, location, headers)
            try:
                yield self._opened(response, offset, known, revalidate, location.name)
            finally:
                response.close()

    def _session(
        self, addresses: CheckedAddresses, tls: ssl.SSLContext, buffer_bytes: int
    ) -> aiohttp.ClientSession:
        settings = self._settings
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=settings.connect_timeout_s, sock_read=settings.stall_timeout_s
        )
        connector = CountedConnector(
            resolver=addresses,
            use_dns_cache=False,
            ssl=tls,
            limit=1,
            socket_factory=self._make_socket,
        )
        return aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            read_bufsize=buffer_bytes,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=timeout,
            trust_env=False,
        )

    def _make_socket(self, found: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, *_ = found
        made = socket.socket(family, kind, protocol)
        give_up_after(made, self._settings.stall_timeout_s)
        if self._settings.window_bytes:  # before it connects: the window is agreed on then
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._settings.window_bytes)
        return made

    async def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            try:
                # In a thread: reading the system's authorities takes tens of milliseconds.
                self._tls = await self._disk.run(ssl.create_default_context, cafile=self._settings.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise FetchFailed("refused", f"{self._settings.ca_file}: cannot be read ({error})") from None
        return self._tls

    # --- hops -------------------------------------------------------------------------------------

    async def _follow(
        self,
        session: aiohttp.ClientSession,
        addresses: CheckedAddresses,
        location: Location,
        headers: dict[str, str],
    ) -> aiohttp.ClientResponse:
        for _ in range(self._settings.hops_max + 1):
            addresses.allow(
                location.host, await self._lookup.addresses(location.host, self._settings.connect_timeout_s)
            )
            response = await self._ask(session, location, headers)
            if response.status not in REDIRECTS:
                return response
            target = response.headers.get("Location", "")
            response.close()
            location = next_hop(location, target)
        raise FetchFailed("refused", f"the origin redirects more than {self._settings.hops_max} times")

    async def _ask(
        self, session: aiohttp.ClientSession, location: Location, headers: dict[str, str]
    ) -> aiohttp.ClientResponse:
        headers = {**headers, **authorization(location)}
        try:
            # Headers that drip in keep every time-out between bytes happy, so there is one over all.
            async with asyncio.timeout(self._settings.connect_timeout_s + self._settings.stall_timeout_s):
                return await session.get(
                    URL(location.bare, encoded=True), headers=headers, allow_redirects=False
                )
        except aiohttp.ClientConnectorCertificateError as error:
            why = getattr(error.certificate_error, "verify_message", "") or "not trusted"
            raise FetchFailed("refused", f"the certificate of {location.host}: {why}") from None
        except Rambling as error:
            raise FetchFailed("refused", f"{location.host} was hung up on: {error}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Retry(f"{location.host}: {words(error)}") from None

    # --- the answer -------------------------------------------------------------------------------

    def _opened(
        self,
        response: aiohttp.ClientResponse,
        offset: int,
        known: Validators | None,
        revalidate: bool,
        name: str,
    ) -> Opened:
        if revalidate and response.status == 304:
            return Opened(blocks=no_blocks(), unchanged=True)
        if offset and response.status in (412, 416):
            raise StartOver("the origin no longer has the part of the file that is missing here")
        if response.status not in (200, 206) or (response.status == 206 and not offset):
            self._refused(response)
        check_body(response, name)
        start, total = extent(response, offset)
        validators = Validators(
            etag=version_tag(response.headers.get("ETag", "")),
            last_modified=version_tag(response.headers.get("Last-Modified", "")),
            total_bytes=total,
        )
        if revalidate and known is not None and validators.tells and validators.same_as(known):
            return Opened(blocks=no_blocks(), unchanged=True)  # it does not know conditional requests
        return Opened(
            validators=validators, start=start, blocks=_blocks(response, self._settings.block_bytes)
        )

    def _refused(self, response: aiohttp.ClientResponse) -> None:
        reason = plain(response.reason or "")[:REASON_CHARS_MAX]
        text = f"the origin answers {response.status} {reason}".rstrip()
        if response.status >= 500 or response.status in TRY_AGAIN:
            raise Retry(text, retry_after_s(response.headers.get("Retry-After", ""), self._wall()))
        raise FetchFailed("refused", text)


def next_hop(location: Location, target: str) -> Location:
    """Where a redirect leads. Raises FetchFailed, AddressRefused."""
    if not target:
        raise FetchFailed("refused", "the origin redirects to nowhere")
    hop = parse_location(urljoin(location.bare, target), _WEB)
    if location.scheme == "https" and hop.scheme == "http":
        raise FetchFailed("forbidden", "the origin redirects from https to http")
    same_server = (hop.scheme, hop.host, hop.port) == (location.scheme, location.host, location.port)
    if same_server and not hop.username:
        return msgspec.structs.replace(hop, username=location.username, password=location.password)
    return hop


async def _blocks(response: aiohttp.ClientResponse, size_bytes: int) -> AsyncGenerator[bytes, None]:
    try:
        async for block in response.content.iter_chunked(size_bytes):
            yield block
    except Rambling as error:
        raise FetchFailed("refused", f"the origin was hung up on: {error}") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise Retry(f"the connection broke: {words(error)}") from None
