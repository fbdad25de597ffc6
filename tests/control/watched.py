"""A house of which everything can be measured: balanced, with meter, broker, alarms and a timed loop."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from edgegw.balance.model import Reading
from edgegw.core.alarms import Alarm
from edgegw.meters.poller import PollerStatus
from edgegw.runtime.histogram import Histogram
from edgegw.runtime.loop_lag import LoopLag
from tests.control.house import GARAGE, House, Wire

Labels = tuple[tuple[str, str], ...]


class Broker:
    """As far as it is counted."""

    def __init__(self) -> None:
        self.up = True
        self.counters: Mapping[str, int] = {"published": 120, "events_dropped": 3, "commands": 7}
        self.command_seconds = Histogram()


class Alarms:
    """As far as they are counted."""

    def __init__(self, *alarms: Alarm) -> None:
        self.alarms: Sequence[Alarm] = alarms
        self.bugs = 0


def alarm(code: str, severity: str, *, state: str = "active", acknowledged: bool = False) -> Alarm:
    return Alarm(
        id=code.replace("_", "-"), code=code, target="", severity=severity, title="t", text="t", todo="t",
        state=state, acknowledged=acknowledged, since=1.8e9, last_at=1.8e9,
    )  # fmt: skip


class Watched(House):
    def __init__(self, folder: Path, **parts: object) -> None:
        self.broker = Broker()
        self.alarms = Alarms(alarm("cloud_away", "warning"), alarm("over_limit", "critical"))
        self.lag = LoopLag()
        latencies = Histogram()
        latencies.observe(0.02)
        self.poller = PollerStatus(
            name="grid", template="sdm630", polls=10, good=7, misses=2, latencies=latencies,
            errors={"no_answer": 3},
        )  # fmt: skip
        super().__init__(
            folder,
            plan=GARAGE,
            known=frozenset({"CP-1", "CP-2"}),
            lag=self.lag,
            alarms=self.alarms,
            mqtt=self.broker,
            meters=lambda: [self.poller],
            **parts,
        )

    async def start(self, *, tcp: bool = False) -> None:
        await super().start(tcp=tcp)
        self.lag.start()

    async def stop(self) -> None:
        self.lag.stop()
        await super().stop()

    async def works(self) -> Wire:
        """A charger that charges, a meter that reads: whatever can be measured has a value."""
        charger = await self.boots("CP-1")
        volts = (230.0, 231.0, 229.5)
        reading = Reading(
            at=time.monotonic(), current_a=(20.0, 21.0, 22.5), voltage_v=volts, power_w=14_500.0
        )
        self.load.on_reading("grid", reading)
        self.load.step()
        self.load.limits_changed()
        self.load.control.limits.set("janitor", now_wall=0.0, circuit="garage", limit_a=16.0)
        self.cloud.goes_down()
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
        await self.told(charger, charger.calls("StatusNotification", status))
        transaction_id = await self.starts(charger)
        sample = {"value": "10.5", "measurand": "Current.Import", "phase": "L1", "unit": "A"}
        energy = {"value": "1700", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
        values = {"timestamp": "2026-11-20T10:05:00Z", "sampledValue": [sample, energy]}
        sampled = {"connectorId": 1, "transactionId": transaction_id, "meterValue": [values]}
        await self.told(charger, charger.calls("MeterValues", sampled))
        await self.all_is_stored()
        self.gateway.site_noticed("tested", "for the counter")
        return charger

    async def scrape(self, accept: str = "") -> str:
        async with self.http() as http:
            answer = await http.get("/metrics", headers={"accept": accept})
        assert answer.status_code == 200, answer.text
        return answer.text

    async def measured(self) -> Measured:
        return Measured(await self.scrape())


class Measured:
    """One scrape, to be asked."""

    def __init__(self, text: str) -> None:
        self.samples: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = tuple(sorted(sample.labels.items()))
                self.samples.setdefault(sample.name, {})[labels] = sample.value

    def __call__(self, name: str, **labels: str) -> float:
        return self.samples[name][tuple(sorted(labels.items()))]

    def all_of(self, name: str) -> list[dict[str, str]]:
        """The labels of every series."""
        return [dict(labels) for labels in self.samples.get(name, {})]
