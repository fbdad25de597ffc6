"""The flight recorder of a running gateway, put together. It only watches: without it everything goes on."""

from __future__ import annotations

from edgegw import __version__
from edgegw.config import SiteConfig
from edgegw.runtime.flight_recorder import FlightRecorder
from edgegw.runtime.gateway import Gateway
from edgegw.store.flight import FlightFile
from edgegw.store.flight_reader import FlightReader
from edgegw.store.telemetry import Telemetry


class Flight:
    """`open` it before the first session is made, `start` it behind the last of the store's."""

    def __init__(self, recorder: FlightRecorder, file: FlightFile) -> None:
        self._file = file
        self._recorder = recorder
        self.reader = FlightReader(recorder, file)

    @classmethod
    async def open(cls, config: SiteConfig, gateway: Gateway, telemetry: Telemetry) -> Flight | None:
        """None when the site file wants none. From here on sessions that are made are recorded."""
        quota_bytes = config.store.flight_quota_bytes
        file = await FlightFile.open(telemetry, quota_bytes)
        if not quota_bytes:
            file.close()
            return None
        about = {"edgegw": __version__, "site_id": config.site.id}
        recorder = FlightRecorder(file, gateway.site, next_n=file.next_n, about=about)
        gateway.record = recorder.take
        gateway.site.new_id = recorder.ids(gateway.site.new_id)
        return cls(recorder, file)

    def start(self, gateway: Gateway) -> None:
        self._recorder.start(gateway.sessions)

    async def stop(self) -> None:
        """Behind the gateway, before the telemetry file."""
        await self._recorder.stop()
        self._file.close()
