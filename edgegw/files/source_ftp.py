"""Files from FTP servers.

Rules of this file:
- Control and data connection go to the one address that was checked, whatever PASV answers.
- The version of a file is its size and MDTM; a server without MDTM is never resumed.
- A path is relative to where the log-in leads, as RFC 1738 has it; `//` or `%2F` at its start makes it
  absolute.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import NoReturn

import aioftp

from edgegw.files.addresses import Location, decoded
from edgegw.files.ftp_client import ANONYMOUS, FAILURES, PinnedClient, dialled, words
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

_SIZE = re.compile(r"\d{1,15}", re.ASCII)
_MDTM = re.compile(r"\d{14}(\.\d{1,9})?", re.ASCII)


class FtpSource:
    def __init__(self, lookup: CheckedLookup, settings: FetchSettings) -> None:
        self._lookup = lookup
        self._settings = settings

    @asynccontextmanager
    async def open(
        self, location: Location, offset: int, known: Validators | None, revalidate: bool
    ) -> AsyncIterator[Opened]:
        """See `Source.open`."""
        path = file_path(location)
        addresses = await self._lookup.addresses(location.host, self._settings.connect_timeout_s)
        with closing(await self._connect(addresses, location)) as client:
            version = await self._ask(client, path, location)
            if revalidate and known is not None and version.tells and version.same_as(known):
                yield Opened(blocks=no_blocks(), unchanged=True)
                return
            if offset and known is not None and not version.same_as(known):
                raise StartOver("the file changed at the origin between two attempts")
            stream = await self._begin(client, path, offset)
            blocks = _blocks(client, stream, version, offset, self._settings.block_bytes)
            yield Opened(validators=version, start=offset, blocks=blocks)

    async def _connect(self, addresses: list[str], location: Location) -> PinnedClient:
        try:
            return await dialled(
                location,
                addresses,
                connect_timeout_s=self._settings.connect_timeout_s,
                stall_timeout_s=self._settings.stall_timeout_s,
            )
        except FAILURES as error:
            raise Retry(f"{location.host}: {words(error)}") from None

    async def _ask(self, client: PinnedClient, path: str, location: Location) -> Validators:
        """Log in and see which version the file is of."""
        user, password = (location.username, location.password) if location.username else ANONYMOUS
        with _asking():
            await client.login(user, password)
        with _asking():
            await client.command("TYPE I", "200")
            _, size = await client.command(f"SIZE {path}", ("213", "500", "502", "504"))
            _, changed = await client.command(f"MDTM {path}", ("213", "500", "502", "504", "550"))
        size_text, changed_text = size[-1].strip(), changed[-1].strip()
        return Validators(
            last_modified=f"MDTM {changed_text}" if _MDTM.fullmatch(changed_text) else "",
            total_bytes=int(size_text) if _SIZE.fullmatch(size_text) else None,
        )

    async def _begin(
        self, client: PinnedClient, path: str, offset: int
    ) -> aioftp.DataConnectionThrottleStreamIO:
        try:
            with _asking():
                return await client.download_stream(path, offset=offset)
        except FetchFailed:
            if offset:  # a server without REST says 5xx; from the start it may do
                raise StartOver("the origin cannot continue a file") from None
            raise


class _asking:
    """Turns what a server answers to a command into our failures."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, aioftp.StatusCodeError):
            _refused(error)
        if isinstance(error, FAILURES):
            raise Retry(f"the origin: {words(error)}") from None


def _refused(error: aioftp.StatusCodeError) -> NoReturn:
    code = str(error.received_codes[-1])[:3]
    if code.startswith("5"):
        what = {"530": "the origin refuses the log-in", "550": "the origin does not have the file"}
        raise FetchFailed("refused", f"{what.get(code, 'the origin refuses')} ({code})") from None
    raise Retry(f"the origin answers {code}") from None


def file_path(location: Location) -> str:
    """What RETR is given. Raises FetchFailed."""
    path = decoded(location.path.partition("?")[0].removeprefix("/"))
    if not path or path.endswith("/"):
        raise FetchFailed("refused", "the address names a folder, not a file")
    return path


async def _blocks(
    client: PinnedClient,
    stream: aioftp.DataConnectionThrottleStreamIO,
    version: Validators,
    offset: int,
    size_bytes: int,
) -> AsyncGenerator[bytes, None]:
    received = offset
    with _asking():
        while block := await stream.read(size_bytes):
            received += len(block)
            yield block
        if version.total_bytes != received:
            # Only the server's word tells a whole file from a cut one when there is no SIZE.
            await stream.finish()
