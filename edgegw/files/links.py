"""The addresses at which chargers find the doors of this box, one per protocol that is served. Pure."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from edgegw.files.addresses import decoded


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
    """`wanted` is the cloud's address: a folder when it ends with a slash, else one file with a name."""
    path = wanted.partition("?")[0].partition("#")[0]
    last = path.rpartition("/")[2] if path.count("/") > 2 else ""
    name = quote(decoded(last)[:100], safe="") if last else ""
    return tuple(f"{door}/up/{token}/{name}" for door in doors.all)
