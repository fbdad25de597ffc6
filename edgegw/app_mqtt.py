"""From the site file to the building's side of the gateway. Loaded when there is an [mqtt] table."""

from __future__ import annotations

import secrets

from edgegw import __version__
from edgegw.alarms import conditions
from edgegw.alarms.watch import AlarmWatch
from edgegw.config import SiteConfig
from edgegw.config_mqtt import Mqtt
from edgegw.control.service import Service
from edgegw.core.records import Recovery, SaveDocument, TransactionRecord
from edgegw.files.house import FileHouse
from edgegw.mqtt.building import Building
from edgegw.mqtt.snapshot_sources import SiteFacts, Sources
from edgegw.runtime.audit import AuditTrail
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.loop_lag import LoopLag
from edgegw.store.telemetry import Telemetry

SALT_KIND, SALT_BYTES = "mqtt_salt", 32


def building_from(
    config: SiteConfig,
    settings: Mqtt,
    gateway: Gateway,
    service: Service,
    recovery: Recovery,
    *,
    started_at: float,
    telemetry: Telemetry | None,
    audit: AuditTrail,
    alarms: AlarmWatch,
    lag: LoopLag,
    files: FileHouse | None,
) -> Building:
    """Not started yet; told of alarms and orders from now on."""
    site = SiteFacts(
        id=config.site.id,
        name=config.site.name,
        version=__version__,
        started_at=started_at,
        features=features(config),
        salt=_salt(gateway, recovery),
    )
    sources = Sources(alarms=lambda: alarms.alarms, loop_lag_ms=lambda: lag.worst_ms, files=files)
    building = Building(
        settings,
        site,
        gateway,
        service,
        sources,
        queue=telemetry,
        audit=audit,
        alarms=alarms,
        told=_transactions(recovery),
    )
    alarms.sources.append(lambda now: conditions.broker(building.connection))
    alarms.listeners.append(building.on_alarm)
    audit.listeners.append(building.on_order)
    return building


def features(config: SiteConfig) -> tuple[str, ...]:
    """What is switched on in the site file, for the building."""
    present = {
        "balancing": bool(config.connector),
        "cloud": config.cloud is not None,
        "files": config.files is not None,
        "meters": bool(config.meter),
        "publishing": config.publishing is not None,
        "flat": config.mqtt is not None and config.mqtt.flat,
        "homeassistant": config.mqtt is not None and config.mqtt.homeassistant,
    }
    return tuple(name for name, is_on in sorted(present.items()) if is_on)


def _salt(gateway: Gateway, recovery: Recovery) -> bytes:
    """A secret of this site: the same card has the same hash for as long as the store lives."""
    for document in recovery.documents:
        if document.kind == SALT_KIND:
            return bytes.fromhex(document.value.decode())
    salt = secrets.token_bytes(SALT_BYTES)
    gateway.commit_site([SaveDocument(kind=SALT_KIND, charger="", key="", value=salt.hex().encode())])
    return salt


def _transactions(recovery: Recovery) -> list[TransactionRecord]:
    kept = recovery.chargers
    return [record for one in kept for record in (*one.open_transactions, *one.ended_transactions)]
