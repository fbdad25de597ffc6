"""From the site file to the running file service and its rollouts. Loaded when there is a [files] table."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from edgegw.config import SiteConfig
from edgegw.config_files import Files
from edgegw.control.file_house import FileRooms
from edgegw.core import file_links
from edgegw.core.files import FilesOpened
from edgegw.core.records import Recovery
from edgegw.errors import EdgegwError
from edgegw.files import disk
from edgegw.files.doors import DoorSettings
from edgegw.files.forwarding import ForwardSettings
from edgegw.files.house import FileHouse, HouseSettings
from edgegw.files.source import FetchSettings
from edgegw.links import tls
from edgegw.runtime import clock
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.log_orders import LogOrders
from edgegw.runtime.rollouts import Rollouts


class FilesUnusable(EdgegwError):
    """What is in the folder of [files], or its disk, does not let the file service start."""


UNKNOWN_ORIGINAL = "http:"  # a charger that never said what it knows is taken to know http


def settings_from(files: Files) -> HouseSettings:
    return HouseSettings(
        directory=files.directory,
        cache_bytes=files.cache_bytes,
        fetch=FetchSettings(
            file_bytes_max=files.largest_file_bytes,
            attempts=files.fetch_attempts,
            stall_timeout_s=files.fetch_stall_s,
            fresh_s=files.fresh_s,
            rate_bytes_per_s=float(files.fetch_rate_per_s),
            known_hosts=files.known_hosts,
            ca_file=files.ca_file,
        ),
        doors=DoorSettings(downloads_max=files.downloads, rate_bytes_per_s=float(files.rate_per_s)),
        forward=ForwardSettings(
            give_up_s=files.upload_give_up_s, known_hosts=files.known_hosts, ca_file=files.ca_file
        ),
        fetch_give_up_s=files.fetch_give_up_s,
        inward=files.inward,
        upload_hosts=files.upload_hosts,
        largest_upload_bytes=files.largest_upload_bytes,
        uploads_per_charger_bytes=files.uploads_per_charger_bytes,
        uploads_total_bytes=files.uploads_total_bytes,
        upload_keep_s=files.upload_keep_s,
        web=(files.listen.host, files.listen.port),
        web_url=files.public_url or "",
        ftp=(files.ftp_listen.host, files.ftp_listen.port) if files.ftp_listen is not None else None,
        ftp_host=files.ftp_public_host or "",
        ftp_ports=files.ftp_ports,
    )


async def open_house(files: Files, gateway: Gateway) -> FileHouse:
    """The file service, known to the gateway; a door that is taken is tried again. Raises FilesUnusable."""

    def choose(identity: str, links: Sequence[str]) -> str | None:
        session = gateway.sessions.get(identity)
        return file_links.choose(session.charger.state, links, UNKNOWN_ORIGINAL) if session else None

    def online() -> bool:
        return not gateway.cloud.exists or not gateway.cloud.is_away()

    try:
        house = await FileHouse.open(settings_from(files), gateway.tell, choose, clock.now, online)
    except (EdgegwError, OSError, RecursionError) as error:
        words = disk.fault(error, files.directory) if isinstance(error, OSError) else error
        raise FilesUnusable(f"[files] {files.directory} cannot be used: {words}") from error
    try:
        await house.start(_tls(files))
    except EdgegwError as fault:
        await house.stop()
        raise FilesUnusable(f"[files] tls_certificate cannot be used: {fault}") from fault
    except BaseException:
        await house.stop()
        raise
    gateway.files = house
    for session in list(gateway.sessions.values()):
        session.handle(FilesOpened())
    return house


def rooms_of(config: SiteConfig, house: FileHouse, gateway: Gateway, recovery: Recovery) -> FileRooms:
    """With the rollouts that were under way, which go on."""
    zone = ZoneInfo(config.site.timezone)
    rollouts = Rollouts(gateway.sessions, house, gateway.commit, gateway.note, zone)
    rollouts.recover(recovery.documents)
    logs = LogOrders(gateway.sessions, house)
    gateway.file_listeners += [rollouts.on_news, logs.on_news]
    rollouts.start()
    return FileRooms(house, rollouts, logs)


def _tls(files: Files) -> ssl.SSLContext | None:
    if files.tls_certificate is None or files.tls_key is None:
        return None
    return tls.server_context([tls.CertificateFiles(files.tls_certificate, files.tls_key)])
