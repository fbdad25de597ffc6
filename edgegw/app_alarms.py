"""From the site file to the watch over the site: the catalogue of alarms, and all that is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgegw.alarms import conditions, firmware
from edgegw.alarms.disk import DiskEyes
from edgegw.alarms.power import lapsed
from edgegw.alarms.watch import AlarmWatch
from edgegw.catalogue.alarms import load_alarms
from edgegw.catalogue.model import Catalogue
from edgegw.config import SiteConfig
from edgegw.control.file_house import FileRooms
from edgegw.core.records import Recovery
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.loop_lag import LoopLag
from edgegw.store.journal import Journal
from edgegw.store.telemetry import Telemetry


def watch_from(
    config: SiteConfig,
    catalogue: Catalogue,
    gateway: Gateway,
    journal: Journal,
    recovery: Recovery,
    telemetry: Telemetry | None,
    lag: LoopLag,
    files: FileRooms | None,
    files_trouble: str = "",
) -> AlarmWatch:
    """Not started yet; who comes later adds to `sources`. Raises SiteFileFault (the catalogue)."""
    own = config.chargers.catalogue_directory
    watch = AlarmWatch(
        gateway,
        journal,
        load_alarms(own),
        catalogue=catalogue,
        documents=recovery.documents,
        certificates=certificates(config),
    )
    watch.sources += [
        lambda now: conditions.loop_lag(lag.worst_ms),
        lambda now: conditions.telemetry(_trouble(telemetry)),
        lambda now: conditions.files_unusable(files_trouble),
    ]
    if files is not None:
        watch.sources.append(lambda now: firmware.rollouts(files.rollouts.known.values()))
    if config.files is not None:
        watch.sources.append(DiskEyes(config.files.directory, config.store.directory, watch.tasks).look)
    sources = limit_sources(config)
    if sources:
        watch.sources.append(lambda now: lapsed(gateway.load, sources))
    return watch


def watch_doors(watch: AlarmWatch, shut: Mapping[str, str]) -> None:
    """`shut` is looked at again and again: `runtime.shut_doors.ShutDoors.shut`."""
    watch.sources.append(lambda now: conditions.doors_shut(shut))


def limit_sources(config: SiteConfig) -> frozenset[str]:
    """Who sets limits over MQTT, and renews them."""
    mqtt = config.mqtt
    if mqtt is None or "limit/set" not in mqtt.commands:
        return frozenset()
    return frozenset(mqtt.limit_sources)


def _trouble(telemetry: Telemetry | None) -> str:
    return "it could not be opened, see the log" if telemetry is None else telemetry.trouble


def certificates(config: SiteConfig) -> dict[str, Path]:
    """Those whose expiry stops something, by what they are for: our own, and whose word we take."""
    cloud, files, mqtt = config.cloud, config.files, config.mqtt
    found = {
        "chargers": config.chargers.tls_certificate,
        "files": files.tls_certificate if files is not None else None,
        "mqtt": mqtt.tls_certificate if mqtt is not None else None,
        "cloud-ca": cloud.ca_file if cloud is not None else None,
        "files-ca": files.ca_file if files is not None else None,
        "mqtt-ca": mqtt.ca_file if mqtt is not None else None,
    }
    return {purpose: path for purpose, path in found.items() if path is not None}
