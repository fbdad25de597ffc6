"""The way on over SSH.

Rules of this file:
- Without a known_hosts file nothing is sent: a server that anybody can play gets no diagnostics.
- A path is absolute, `/~/` at its start makes it relative to where the log-in leads. A path that is a
  folder over there gets the charger's own file name.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol, cast

import asyncssh

from edgegw.files.addresses import Location, decoded
from edgegw.files.disk import Disk
from edgegw.files.parcel import ForwardSettings, Parcel, Unwanted
from edgegw.files.source import Retry
from edgegw.files.ssh_client import dialled, hang_up, words

_NO = (asyncssh.SFTPPermissionDenied, asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)


class _SftpFile(Protocol):
    """An asyncssh.SFTPClientFile that was opened for bytes."""

    async def write(self, data: bytes, offset: int) -> int: ...
    async def close(self) -> None: ...


class SftpSender:
    def __init__(self, settings: ForwardSettings, disk: Disk) -> None:
        self._settings = settings
        self._disk = disk

    async def __call__(self, location: Location, addresses: list[str], parcel: Parcel) -> None:
        """See `parcel.Sender`."""
        known_hosts = self._settings.known_hosts
        if known_hosts is None:
            raise Unwanted("sftp needs a known_hosts file; name one in the configuration")
        if not await self._disk.run(known_hosts.is_file):
            raise Unwanted(f"{known_hosts.name}, which tells the keys of servers, is not there")
        try:
            await self._send(location, addresses, parcel, known_hosts)
        except asyncssh.HostKeyNotVerifiable:
            raise Unwanted(f"the key of {location.host} is not in {known_hosts.name}: add it there") from None
        except asyncssh.PermissionDenied:
            raise Unwanted("the other side refuses the log-in") from None
        except _NO:
            raise Unwanted("the other side does not let this user write there") from None
        except (asyncssh.Error, OSError, ValueError) as error:
            raise Retry(f"{location.host}: {words(error)}") from None

    async def _send(
        self, location: Location, addresses: list[str], parcel: Parcel, known_hosts: Path
    ) -> None:
        timeout_s = self._settings.connect_timeout_s
        connection = await dialled(location, addresses, known_hosts, timeout_s)
        try:
            async with asyncio.timeout(timeout_s):  # the library waits for ever
                sftp = await connection.start_sftp_client()
            await self._put(sftp, location, parcel)  # it ends with the server's word that the file is closed
        finally:
            await hang_up(connection, timeout_s)

    async def _put(self, sftp: asyncssh.SFTPClient, location: Location, parcel: Parcel) -> None:
        stall_s = self._settings.stall_timeout_s
        position = 0
        async with asyncio.timeout(stall_s) as patience:
            file = cast(_SftpFile, await sftp.open(await _place(sftp, location, parcel.name), "wb"))
            async for block in parcel.blocks(patience, stall_s):
                await file.write(block, position)
                position += len(block)
            await file.close()


async def _place(sftp: asyncssh.SFTPClient, location: Location, name: str) -> str:
    path = decoded(location.path.partition("?")[0])
    if path.startswith("/~/"):
        path = path.removeprefix("/~/") or "."
    if path.endswith("/"):
        return path + name
    return f"{path}/{name}" if await sftp.isdir(path) else path
