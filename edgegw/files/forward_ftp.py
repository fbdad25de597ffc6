"""The way on over FTP: STOR, into a folder or under a name.

Rules of this file:
- Control and data connection go to the one address that was checked, whatever PASV answers.
- A path is relative to where the log-in leads, as RFC 1738 has it. OCPP 1.6 calls the address of
  diagnostics a directory: a path that is a folder over there gets the charger's own file name, with or
  without a slash.
- Only the server's "226" tells that the file is whole.
"""

from __future__ import annotations

import asyncio
from contextlib import closing

import aioftp

from edgegw.files.addresses import Location, decoded
from edgegw.files.disk import Disk
from edgegw.files.ftp_client import ANONYMOUS, FAILURES, dialled, words
from edgegw.files.parcel import ForwardSettings, Parcel, Unwanted
from edgegw.files.source import Retry


class FtpSender:
    def __init__(self, settings: ForwardSettings, disk: Disk) -> None:
        self._settings = settings

    async def __call__(self, location: Location, addresses: list[str], parcel: Parcel) -> None:
        """See `parcel.Sender`."""
        try:
            timeouts = {
                "connect_timeout_s": self._settings.connect_timeout_s,
                "stall_timeout_s": self._settings.stall_timeout_s,
            }
            with closing(await dialled(location, addresses, **timeouts)) as client:
                user, password = (location.username, location.password) if location.username else ANONYMOUS
                await client.login(user, password)
                await self._store(client, await _place(client, location, parcel.name), parcel)
        except aioftp.StatusCodeError as error:
            code = str(error.received_codes[-1])[:3]
            if code.startswith("5") and code not in ("500", "552"):  # 552: its disk may be emptied
                raise Unwanted(f"the other side answers {code}") from None
            raise Retry(f"the other side answers {code}") from None
        except FAILURES as error:
            raise Retry(f"{location.host}: {words(error)}") from None

    async def _store(self, client: aioftp.Client, path: str, parcel: Parcel) -> None:
        stall_s = self._settings.stall_timeout_s
        stream = await client.get_stream(f"STOR {path}", "1xx")
        async with asyncio.timeout(stall_s) as patience:
            async for block in parcel.blocks(patience, stall_s):
                await stream.write(block)
            await stream.finish()


async def _place(client: aioftp.Client, location: Location, name: str) -> str:
    """What STOR is given, after going into the folder where the path is one."""
    path = decoded(location.path.partition("?")[0].removeprefix("/"))
    if not path:
        return name
    try:
        await client.command(f"CWD {path}", "2xx")
    except aioftp.StatusCodeError:
        return path + name if path.endswith("/") else path
    return name
