"""The composition root: the one room that knows all rooms. It starts them in order and stops them in reverse.

Order: store (nothing is promised before it is there), decisions from what it holds, the way to the cloud,
the chargers' door, the local API.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from edgegw import app_power, app_settings, logs
from edgegw.catalogue.load import load_catalogue
from edgegw.catalogue.model import Catalogue
from edgegw.config import SiteConfig
from edgegw.config_mqtt import Mqtt
from edgegw.core.effects import Noticed
from edgegw.core.files import NO_FILES
from edgegw.core.load_control import LoadControl
from edgegw.core.records import Recovery
from edgegw.core.site import Site
from edgegw.errors import ConfigFault, StoreFault
from edgegw.links import tls
from edgegw.links.charger_server import ChargerServer, ServerSettings
from edgegw.links.cloud_client import CloudClient, CloudSettings
from edgegw.links.credentials import Verifier
from edgegw.links.keepalive import KeepAlive
from edgegw.links.rate import DialGate, LoginLimiter
from edgegw.links.websocket import LegSettings
from edgegw.runtime import clock
from edgegw.runtime.audit import AuditTrail
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.loop_lag import LoopLag
from edgegw.runtime.shut_doors import why_shut
from edgegw.runtime.wiring_book import WiringBook
from edgegw.store.journal import Journal
from edgegw.store.session import StoreAlarm
from edgegw.store.telemetry import Telemetry

if TYPE_CHECKING:
    from edgegw.alarms.watch import AlarmWatch
    from edgegw.app_flight import Flight
    from edgegw.control.file_house import FileRooms
    from edgegw.control.server import ControlServer
    from edgegw.files.house import FileHouse
    from edgegw.meters.poller import MeterPoller
    from edgegw.mqtt.building import Building
    from edgegw.runtime.own_station import StationRunner

log = logging.getLogger("edgegw")

EVENTS_KEPT_MIN = 100  # without [mqtt] nobody takes them


class App:
    """One running gateway."""

    def __init__(self, config: SiteConfig, site_file: Path | None = None) -> None:
        """`site_file`: where `config` comes from, for backups."""
        self.config = config
        self._site_file = site_file
        self.wiring = WiringBook(config, app_power.plan_from)
        self.started_at = time.time()
        self.stop_wanted = asyncio.Event()
        self.store_is_broken = False
        self._early_alarms: list[StoreAlarm] = []
        self._wheel = KeepAlive()
        self._verifier = Verifier()
        self._client: CloudClient | None = None
        self._server: ChargerServer | None = None
        self._control: ControlServer | None = None
        self.gateway: Gateway
        self.journal: Journal
        self.addresses: list[tuple[str, int]] = []
        self._pollers: list[MeterPoller] = []
        self._files: FileRooms | None = None
        self._house: FileHouse | None = None
        self._files_trouble = ""  # why nothing is done about files
        self._station: StationRunner | None = None
        self._recovery = Recovery()
        self._telemetry: Telemetry | None = None
        self._flight: Flight | None = None
        self._audit = AuditTrail(None)
        self._lag = LoopLag()
        self._log_ring = logs.LogRing()
        self._alarms: AlarmWatch
        self._catalogue: Catalogue
        self._building: Building | None = None

    async def start(self) -> None:
        config = self.config
        self._log_ring.install()
        self.journal = await Journal.open(
            config.store.directory,
            retention_s=config.store.retention_s,
            reserve_bytes=config.store.reserve_bytes,
            wall=time.time,
            on_alarm=self._store_alarm,
            on_broken=self._store_broken,
        )
        site = Site(
            app_settings.policy_from(config),
            lambda: str(uuid.uuid4()),
            app_power.policy_from(config),
            app_settings.files_policy_from(config),
        )
        self._client = self._cloud_client()
        turns = DialGate(config.cloud.connect_rate_per_s) if config.cloud is not None else None
        self.gateway = Gateway(
            site,
            app_settings.gateway_settings(config),
            self.journal,
            self._client,
            turns,
            self._verifier,
            LoginLimiter(),
        )
        for alarm in self._early_alarms:
            self._store_alarm(alarm)
        await self._open_telemetry()
        await self._open_flight()
        recovery = self._recovery = await self.journal.recover()
        self._wire(recovery)
        self.gateway.recover(recovery)
        if self._flight is not None:
            self._flight.start(self.gateway)
        await self._open_files(recovery, turns)
        self._balance(recovery)
        self._watch_alarms(recovery)
        self._server = ChargerServer(self.gateway, self._server_settings(), self._wheel)
        try:
            self.addresses = await self._server.start(*config.chargers.listen, tls=self._charger_tls())
        except OSError as error:  # the one door without which there is nothing to do
            raise ConfigFault(why_shut("[chargers] listen", config.chargers.listen, error)) from error

    async def _open_telemetry(self) -> None:
        """The second file: what is lost with it is not billed, so nothing waits for it."""
        config = self.config
        kept = config.mqtt.events_kept if config.mqtt is not None else EVENTS_KEPT_MIN
        try:
            self._telemetry = await Telemetry.open(
                config.store.directory,
                events_kept=kept,
                wall=time.time,
                reserve_bytes=config.store.reserve_bytes,
                on_damage=lambda text: self.gateway.note(Noticed("telemetry_damaged", text)),
            )
        except StoreFault as fault:
            self.gateway.note(Noticed("telemetry_unusable", f"{fault}; orders and events are not kept"))
        self._audit.book = self._telemetry

    async def _open_flight(self) -> None:
        """Before the first session: it tells the recorder from its beginning."""
        from edgegw import app_flight

        if self._telemetry is not None:
            self._flight = await app_flight.Flight.open(self.config, self.gateway, self._telemetry)

    def _watch_alarms(self, recovery: Recovery) -> None:
        from edgegw import app_alarms

        self._lag.start()
        self._catalogue = load_catalogue(self.config.chargers.catalogue_directory)
        self._alarms = app_alarms.watch_from(
            self.config,
            self._catalogue,
            self.gateway,
            self.journal,
            recovery,
            self._telemetry,
            self._lag,
            self._files,
            self._files_trouble,
        )
        if self._house is not None:
            app_alarms.watch_doors(self._alarms, self._house.shut)
        self._alarms.start()

    async def _open_files(self, recovery: Recovery, turns: DialGate | None) -> None:
        """Before the chargers' door opens: what they were told to load or send is asked for at once."""
        if self.config.files is None:
            return
        from edgegw import app_files

        try:
            self._house = await app_files.open_house(self.config.files, self.gateway)
        except app_files.FilesUnusable as fault:
            # Charging goes first: without the service everything about files is relayed.
            self.gateway.site.files = NO_FILES
            self._files_trouble = f"{fault}; firmware and logs are relayed untouched"
            self.gateway.note(Noticed("files_unusable", self._files_trouble))
            return
        self._files = app_files.rooms_of(self.config, self._house, self.gateway, recovery)
        if self.config.publishing is None or self._client is None:
            return
        from edgegw import app_station

        self._station = app_station.station_from(
            self.config,
            self.config.publishing,
            app_settings.gateway_settings(self.config),
            self.gateway,
            recovery.documents,
            self._client,
            turns,
            self._house.publisher,
        )
        self._station.start()

    @property
    def file_doors(self) -> tuple[str, ...]:
        return self._house.doors.all if self._house is not None else ()

    def _wire(self, recovery: Recovery) -> None:
        """What was commissioned counts like the site file's own, before a charger is made of the store."""
        gone, notices = self.wiring.recover(recovery.documents)
        self.gateway.site.power = app_power.policy_from(self.wiring.config)
        if gone:
            self.gateway.commit_site(list(gone))
        for notice in notices:
            self.gateway.note(notice)

    def _balance(self, recovery: Recovery) -> None:
        """Meters and the loop that steers; before the door opens, so that nobody charges unwatched.

        Also without a connector: the first one may be commissioned at any time.
        """
        config = self.wiring.config
        if not config.circuit:
            return
        control = LoadControl(app_power.plan_from(config), app_power.limits_from(config, recovery.documents))
        for words in control.recover(recovery.documents, clock.now(), not_before=clock.NOT_BEFORE):
            log.warning("%s", words)
        load = self.gateway.balance(control, tuple(meter.name for meter in self.config.meter))
        if not self.config.meter:
            return
        from edgegw import app_meters

        self._pollers = app_meters.pollers_from(self.config, load.on_reading, load.on_trouble)
        for poller in self._pollers:
            poller.start()

    def _cloud_client(self) -> CloudClient | None:
        cloud = self.config.cloud
        if cloud is None:
            return None
        leg = LegSettings(max_message_bytes=cloud.max_message_bytes, ping_interval_s=cloud.ping_interval_s)
        settings = CloudSettings(leg=leg, connect_timeout_s=cloud.connect_timeout_s, ca_file=cloud.ca_file)
        return CloudClient(settings, self._wheel)

    def _server_settings(self) -> ServerSettings:
        chargers = self.config.chargers
        leg = LegSettings(
            max_message_bytes=chargers.max_message_bytes, ping_interval_s=chargers.ping_interval_s
        )
        return ServerSettings(
            leg=leg,
            handshake_timeout_s=chargers.handshake_timeout_s,
            connections_max=chargers.max_connections,
        )

    def _charger_tls(self) -> ssl.SSLContext | None:
        chargers = self.config.chargers
        if chargers.tls_certificate is None or chargers.tls_key is None:
            return None
        return tls.server_context([tls.CertificateFiles(chargers.tls_certificate, chargers.tls_key)])

    async def start_control(self) -> None:
        """The local API. Its framework is imported here, after the chargers' door is open."""
        from edgegw import app_alarms
        from edgegw.control.server import ControlServer
        from edgegw.control.service import Service

        control = self.config.control
        site = self.config.site
        service = Service(
            self.gateway,
            self.journal,
            site_id=site.id,
            site_name=site.name,
            started_at=self.started_at,
            catalogue=self._catalogue,
            files=self._files,
            alarms=self._alarms,
            audit=self._audit,
            lag=self._lag,
            wiring=self.wiring,
            meters=lambda: (poller.status for poller in self._pollers),
            flight=self._flight.reader if self._flight is not None else None,
            door_is_open=lambda: self._server is not None and not self.gateway.stopping,
            log_ring=self._log_ring,
        )
        if self._telemetry is not None:
            telemetry = self._telemetry
            service.metrics.sources.audit_dropped = lambda: telemetry.audit_dropped
        service.backups.site_file = self._site_file
        self._control = ControlServer(service, self._audit)
        app_alarms.watch_doors(self._alarms, self._control.doors.shut)
        await self._control.start(control.socket, control.listen, control.token_file, control.read_token_file)

    def start_building(self) -> None:
        """MQTT, when the site file has it: last of all, nobody who charges waits for a broker."""
        recovery, self._recovery = self._recovery, Recovery()  # nobody else needs it any more
        if self.config.mqtt is None:
            return
        try:
            self._building = self._made_building(self.config.mqtt, recovery)
            self._building.start()
        except Exception as fault:  # the edge of what only watches: charging goes on without it
            log.exception("bug while MQTT was started")
            self.gateway.note(
                Noticed("mqtt_unusable", f"nothing is published over MQTT, see the log: {fault}")
            )

    def _made_building(self, settings: Mqtt, recovery: Recovery) -> Building:
        from edgegw import app_mqtt

        assert self._control is not None, "start_control first"
        service = self._control.service
        building = app_mqtt.building_from(
            self.config,
            settings,
            self.gateway,
            service,
            recovery,
            started_at=self.started_at,
            telemetry=self._telemetry,
            audit=self._audit,
            alarms=self._alarms,
            lag=self._lag,
            files=self._house,
        )
        service.metrics.sources.mqtt = building
        return building

    def _store_alarm(self, alarm: StoreAlarm) -> None:
        """The store has logged it; here it becomes a notice people can see."""
        if hasattr(self, "gateway"):
            self.gateway.site_noticed(f"store_{alarm.kind}", alarm.text)
        else:
            self._early_alarms.append(alarm)  # found while the file was opened

    def _store_broken(self, text: str) -> None:
        """Nothing can be promised any more: let the service manager start us again (a new process may see
        a healed disk; this one would only refuse)."""
        log.critical("the store is broken: %s", text)
        self.store_is_broken = True
        self.stop_wanted.set()

    async def stop(self) -> None:
        """In reverse order, within 5 s even when peers are dead."""
        if self._building is not None:
            await self._building.stop()
        if self._control is not None:
            await self._control.stop()
        if self._server is not None:
            await self._server.stop(timeout_s=2.0)
        for poller in self._pollers:
            await poller.stop()
        if self._files is not None:
            await self._files.rollouts.stop()
        if self._station is not None:
            await self._station.stop()
        if self._house is not None:
            await self._house.stop()
        if hasattr(self, "_alarms"):
            await self._alarms.stop()
        self._lag.stop()
        if hasattr(self, "gateway"):
            await self.gateway.stop()
        if self._client is not None:
            self._client.close()
        if self._flight is not None:
            await self._flight.stop()
        if self._telemetry is not None:
            await self._telemetry.close()
        if hasattr(self, "journal"):
            await self.journal.close()
        self._verifier.close()
        self._wheel.close()
        self._log_ring.remove()
