"""The addresses at which chargers find the doors of this box, one per protocol that is served. Pure."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import msgspec

from edgegw.files.addresses import decoded

UPLOAD_NAME_CHARS_MAX: Final = 100  # leaves room for a token and a host in OCPP's 512


NO_DOOR: Final = "no door for files is open on this box, see its alarms"


class Doors(msgspec.Struct, frozen=True, kw_only=True):
    """What a charger must dial; "" for a door that is closed."""

    web: str  # "http://10.0.0.5:9080", or https
    ftp: str = ""  # "ftp://10.0.0.5:2121"

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(door for door in (self.web, self.ftp) if door)

    @property
    def protocols(self) -> tuple[str, ...]:
        """As OCPP calls them (2.x FileTransferProtocols)."""
        return tuple(door.partition(":")[0].upper() for door in self.all)


def download_links(doors: Doors, token: str, name: str) -> tuple[str, ...]:
    """The file keeps its name and ending: some chargers look at them."""
    return tuple(f"{door}/fw/{token}/{quote(name, safe='')}" for door in doors.all)


def upload_links(doors: Doors, token: str, wanted: str) -> tuple[str, ...]:
    """Where a charger may send what the cloud wants at the address `wanted`."""
    name = quote(upload_name(wanted), safe="")
    return tuple(f"{door}/up/{token}/{name}" for door in doors.all)


def upload_name(wanted: str) -> str:
    """The last name of the cloud's address, "" when it ends with a slash.

    It may be a file's or a folder's (OCPP 1.6 5.8: "the location (directory)"): nobody can tell.
    """
    path = wanted.partition("?")[0].partition("#")[0]
    return decoded(path.rpartition("/")[2])[:UPLOAD_NAME_CHARS_MAX] if path.count("/") > 2 else ""
