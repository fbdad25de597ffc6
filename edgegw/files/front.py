"""The doors of the box, closed together: HTTP or HTTPS always, FTP where the site wants it.

A door that cannot be opened is tried again and keeps nobody from the other one (`runtime.shut_doors`). Until
then there are no links of it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from edgegw.config_values import Address
from edgegw.files.doors import Doorkeeper, Shelf
from edgegw.files.hosts import is_ipv4
from edgegw.files.http_server import FileServer
from edgegw.files.links import Doors
from edgegw.files.uploads import UploadStore
from edgegw.runtime.shut_doors import ShutDoors

if TYPE_CHECKING:
    from edgegw.files.ftp_server import FtpServer


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where the doors are, and what chargers dial when that is another place."""

    web: tuple[str, int]
    web_url: str = ""
    ftp: tuple[str, int] | None = None
    ftp_host: str = ""
    ftp_ports: tuple[int, int] = (0, 0)


class Front:
    def __init__(
        self, shelf: Shelf, uploads: UploadStore, keeper: Doorkeeper, wall: Callable[[], float]
    ) -> None:
        self.doors = Doors(web="")
        self._shelf = shelf
        self._uploads = uploads
        self._keeper = keeper
        self._wall = wall
        self._web = FileServer(shelf, uploads, keeper.settings, wall, keeper)
        self._ftp: FtpServer | None = None
        self._knocking = ShutDoors()

    @property
    def shut(self) -> Mapping[str, str]:
        """Doors that could not be opened yet, by their key in the site file: why, and what to do."""
        return self._knocking.shut

    async def open(self, places: Places, tls: ssl.SSLContext | None = None) -> None:
        """Returns when each door is open, or is tried again from now on."""
        knocking = self._knocking
        await knocking.open("[files] listen", Address(*places.web), lambda: self._open_web(places, tls))
        if places.ftp is not None:
            host, port = places.ftp
            opens = partial(self._open_ftp, places, host, port)
            await knocking.open("[files] ftp_listen", Address(host, port), opens)

    async def _open_web(self, places: Places, tls: ssl.SSLContext | None) -> None:
        found = await self._web.start(*places.web, tls)
        web = places.web_url or f"{'https' if tls else 'http'}://{Address(*found)}"
        self.doors = msgspec.structs.replace(self.doors, web=web)

    async def _open_ftp(self, places: Places, host: str, port: int) -> None:
        from edgegw.files.ftp_server import FtpServer  # a box without FTP does not load it

        first, last = places.ftp_ports
        server = FtpServer(
            self._shelf,
            self._uploads,
            self._keeper,
            self._wall,
            passive_ports=range(first, last + 1),
            public_ipv4=places.ftp_host if is_ipv4(places.ftp_host) else "",
        )
        host, port = await server.start(host, port)
        self._ftp = server
        self.doors = msgspec.structs.replace(
            self.doors, ftp=f"ftp://{Address(places.ftp_host or host, port)}"
        )

    async def close(self) -> None:
        """Cut what is running."""
        await self._knocking.close()
        await self._web.stop()
        if self._ftp is not None:
            await self._ftp.stop()
