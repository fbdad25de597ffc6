"""What the file service is told by the site file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgegw.files.doors import DoorSettings
from edgegw.files.front import Places
from edgegw.files.parcel import ForwardSettings
from edgegw.files.patience import AGAIN_MIN_S
from edgegw.files.source import FetchSettings


class HouseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """From the site file."""

    directory: Path
    cache_bytes: int
    fetch: FetchSettings
    doors: DoorSettings
    forward: ForwardSettings
    fetch_give_up_s: float = 900.0  # with a line, and an origin that does not answer
    fetch_again_s: float = AGAIN_MIN_S
    inward: tuple[str, ...] = ()
    upload_hosts: tuple[str, ...] = ()
    largest_upload_bytes: int
    uploads_per_charger_bytes: int
    uploads_total_bytes: int
    upload_keep_s: float
    web: tuple[str, int]
    web_url: str = ""  # what chargers dial, when it is not where the box listens
    ftp: tuple[str, int] | None = None
    ftp_host: str = ""
    ftp_ports: tuple[int, int] = (0, 0)

    @property
    def places(self) -> Places:
        return Places(
            web=self.web,
            web_url=self.web_url,
            ftp=self.ftp,
            ftp_host=self.ftp_host,
            ftp_ports=self.ftp_ports,
        )
