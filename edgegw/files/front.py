"""The doors of the box, opened and closed together: HTTP or HTTPS always, FTP where the site wants it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from edgegw.config_values import Address
from edgegw.files.doors import Doorkeeper, Shelf
from edgegw.files.hosts import is_ipv4
from edgegw.files.http_server import FileServer
from edgegw.files.links import Doors
from edgegw.files.uploads import UploadStore

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

    async def open(self, places: Places, tls: ssl.SSLContext | None = None) -> None:
        """Raises OSError when an address is taken."""
        found = await self._web.start(*places.web, tls)
        web = places.web_url or f"{'https' if tls else 'http'}://{Address(*found)}"
        ftp = await self._open_ftp(places, *places.ftp) if places.ftp is not None else ""
        self.doors = Doors(web=web, ftp=ftp)

    async def _open_ftp(self, places: Places, host: str, port: int) -> str:
        from edgegw.files.ftp_server import FtpServer  # a box without FTP does not load it

        first, last = places.ftp_ports
        self._ftp = FtpServer(
            self._shelf,
            self._uploads,
            self._keeper,
            self._wall,
            passive_ports=range(first, last + 1),
            public_ipv4=places.ftp_host if is_ipv4(places.ftp_host) else "",
        )
        host, port = await self._ftp.start(host, port)
        return f"ftp://{Address(places.ftp_host or host, port)}"

    async def close(self) -> None:
        """Cut what is running."""
        await self._web.stop()
        if self._ftp is not None:
            await self._ftp.stop()
