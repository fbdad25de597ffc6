"""From the site file to the box's own station at the cloud. Loaded when there is a [publishing] table."""

from __future__ import annotations

from edgegw import __version__
from edgegw.config import SiteConfig
from edgegw.config_publishing import Publishing, read_password
from edgegw.core.own_variables import OwnFacts
from edgegw.core.records import Document
from edgegw.runtime.cloud_way import GatewaySettings
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.own_station import StationRunner, StationSettings
from edgegw.runtime.ports import CloudDialler, DialTurns
from edgegw.runtime.publisher import Publisher
from edgegw.wire.versions import Version


def station_from(
    config: SiteConfig,
    publishing: Publishing,
    settings: GatewaySettings,
    gateway: Gateway,
    documents: tuple[Document, ...],
    dialler: CloudDialler,
    turns: DialTurns | None,
    publisher: Publisher,
) -> StationRunner:
    """Not started yet. `settings` are those of the chargers' legs: the same cloud, the same pace."""
    password = read_password(publishing.password_file) if publishing.password_file is not None else None
    knows_sftp = config.files is not None and config.files.known_hosts is not None
    fetches = ("HTTP", "HTTPS", "FTP", "SFTP") if knows_sftp else ("HTTP", "HTTPS", "FTP")
    timeout_s = config.cloud.answer_timeout_s if config.cloud is not None else 30.0
    return StationRunner(
        StationSettings(
            cloud_url=settings.cloud_url,
            version=Version(publishing.version),
            password=password,
            backoff=settings.backoff,
        ),
        OwnFacts(
            identity=publishing.identity,
            firmware=__version__,
            protocols=fetches,
            answer_timeout_s=timeout_s,
        ),
        documents,
        dialler,
        publisher,
        gateway.commit,
        turns=turns,
        noticed=gateway.note,
    )
