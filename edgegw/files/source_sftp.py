"""Files from SSH servers.

Rules of this file:
- Without a known_hosts file nothing is fetched: a server that anybody can play is no origin.
- The version of a file is its size and mtime.
- A path is absolute; `/~/` at its start makes it relative to where the log-in leads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol, cast

import asyncssh

from edgegw.files.addresses import Location, decoded
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
from edgegw.files.ssh_client import dialled, hang_up, words
from edgegw.files.throttle import BLOCK_BYTES_MIN


class _SftpFile(Protocol):
    """An asyncssh.SFTPClientFile that was opened for bytes."""

    async def read(self, size: int, offset: int) -> bytes: ...


class SftpSource:
    def __init__(self, lookup: CheckedLookup, settings: FetchSettings) -> None:
        self._lookup = lookup
        self._settings = settings

    @asynccontextmanager
    async def open(
        self, location: Location, offset: int, known: Validators | None, revalidate: bool
    ) -> AsyncIterator[Opened]:
        """See `Source.open`."""
        known_hosts = self._settings.known_hosts
        if known_hosts is None:
            raise FetchFailed("refused", "sftp needs a known_hosts file: name one in [files]")
        path = file_path(location)
        async with AsyncExitStack() as stack:
            sftp = await self._log_in(stack, location, known_hosts)
            file, version = await self._look(sftp, path)
            if revalidate and known is not None and version.same_as(known):
                yield Opened(blocks=no_blocks(), unchanged=True)
                return
            if offset and known is not None and not version.same_as(known):
                raise StartOver("the file changed at the origin between two attempts")
            yield Opened(validators=version, start=offset, blocks=self._blocks(file, offset))

    async def _log_in(
        self, stack: AsyncExitStack, location: Location, known_hosts: Path
    ) -> asyncssh.SFTPClient:
        timeout_s = self._settings.connect_timeout_s
        addresses = await self._lookup.addresses(location.host, timeout_s)
        try:
            connection = await dialled(location, addresses, known_hosts, timeout_s)
            stack.push_async_callback(hang_up, connection, timeout_s)
            async with asyncio.timeout(timeout_s):  # the library waits for ever
                return await connection.start_sftp_client()
        except asyncssh.HostKeyNotVerifiable:
            raise FetchFailed(
                "forbidden", f"the key of {location.host} is not in {known_hosts.name}: add it there"
            ) from None
        except asyncssh.PermissionDenied:
            raise FetchFailed("refused", "the origin refuses the log-in") from None
        except (asyncssh.Error, OSError, ValueError) as error:
            raise Retry(f"{location.host}: {words(error)}") from None

    async def _look(self, sftp: asyncssh.SFTPClient, path: str) -> tuple[_SftpFile, Validators]:
        try:
            async with asyncio.timeout(self._settings.stall_timeout_s):
                file = await sftp.open(path, "rb", block_size=0)  # parallel reads leave tasks behind when cut
                about = await file.stat()
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPPermissionDenied):
            raise FetchFailed("refused", "the origin does not have the file, or not for this user") from None
        except (asyncssh.Error, OSError) as error:
            raise Retry(f"the origin: {words(error)}") from None
        changed = "" if about.mtime is None else f"mtime {about.mtime}"
        return cast(_SftpFile, file), Validators(last_modified=changed, total_bytes=about.size)

    async def _blocks(self, file: _SftpFile, offset: int) -> AsyncGenerator[bytes, None]:
        settings = self._settings
        # A read is answered whole: at the lowest rate it must be through before the origin counts as silent.
        in_time = int(settings.rate_min_bytes_per_s * settings.stall_timeout_s * 0.8)
        size_bytes = min(settings.block_bytes, max(BLOCK_BYTES_MIN, in_time))
        try:
            while True:
                async with asyncio.timeout(self._settings.stall_timeout_s):
                    block = await file.read(size_bytes, offset)
                if not block:
                    return
                offset += len(block)
                yield block
        except (asyncssh.Error, OSError) as error:
            raise Retry(f"the connection broke: {words(error)}") from None


def file_path(location: Location) -> str:
    """What is opened. Raises FetchFailed."""
    path = decoded(location.path.partition("?")[0])
    path = path.removeprefix("/~/") if path.startswith("/~/") else path
    if not path or path.endswith("/"):
        raise FetchFailed("refused", "the address names a folder, not a file")
    return path
