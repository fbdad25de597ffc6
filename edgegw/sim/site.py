"""A parking site: chargers of mixed versions and habits, cars that come and go by a seed; its meter.

Rules of this file:
- The same seed gives the same chargers, tags, energies and pauses; only message ids differ.
- Each charger has its own ledger and its own memory in the site's directory, so that a site killed with
  -9 goes on from there, as after a power cut.
- The meter at the grid connection shows the building plus what the chargers draw at the same instant,
  through the wiring: which grid phase lies on which terminal of a connector.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from edgegw.sim.building import Building, PhaseAmps
from edgegw.sim.charger import SimCharger
from edgegw.sim.habits import Habits
from edgegw.sim.meter import SimMeter
from edgegw.sim.watch import Watch

OnEvent = Callable[[str, str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Traffic:
    """How busy the site is."""

    pause_s: float = 5.0  # mean pause between two cars at a connector
    samples: tuple[int, int] = (3, 10)  # meter values per transaction
    tags: int = 20  # different drivers: TAG01, TAG02, ...


@dataclass(frozen=True, slots=True)
class Grid:
    """The electrical side of a site. meter_port: 0 lets the system choose."""

    building: Building
    meter_port: int = 0
    rotate: bool = True  # each charger's L1 on another phase, as electricians wire them


class SimSite(Watch):
    """`count` chargers named prefix + number ("CP01") that dial `url`.

    directory: for ledgers (`<identity>.jsonl`) and memories (`<identity>.memory`); None keeps neither.
    habits: what all chargers share; each adds a habit or two of its own.
    """

    def __init__(
        self,
        url: str,
        count: int,
        *,
        directory: str | Path | None = None,
        seed: int = 0,
        versions: Sequence[str] = ("1.6", "2.0.1", "2.1"),
        prefix: str = "CP",
        habits: Habits | None = None,
        traffic: Traffic | None = None,
        grid: Grid | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        super().__init__()
        self.building = grid.building if grid else Building(base_a=(0, 0, 0), loads=())
        speed = habits.energy_speed if habits else 1.0
        self.meter = (
            SimMeter(self.grid_a, port=grid.meter_port, seed=seed, energy_speed=speed) if grid else None
        )
        self.wiring: dict[tuple[str, int], tuple[int, ...]] = {}
        self.traffic = traffic or Traffic()
        self.arrivals = True
        self.transactions = 0
        self._on_event = on_event
        self._rng = random.Random(seed)
        self._tasks: list[asyncio.Task[None]] = []
        self.chargers: dict[str, SimCharger] = {}
        for number in range(1, count + 1):
            identity = f"{prefix}{number:02}"
            own = individual(replace(habits or Habits(), seed=seed), number)
            self.chargers[identity] = SimCharger(
                identity,
                versions[(number - 1) % len(versions)],
                url,
                ledger=_file(directory, identity, "jsonl"),
                memory=_file(directory, identity, "memory"),
                habits=own,
                on_event=self._heard,
            )
            turn = (number - 1) % 3 if grid and grid.rotate else 0
            for connector in range(1, own.connectors + 1):
                self.wiring[identity, connector] = tuple((turn + phase) % 3 for phase in range(own.phases))

    async def start(self) -> Self:
        if self.meter is not None:
            await self.meter.start()
        for charger in self.chargers.values():
            await charger.start()
            for connector in range(1, charger.habits.connectors + 1):
                rng = random.Random(self._rng.random())
                task = asyncio.get_running_loop().create_task(self._cars(charger, connector, rng))
                self._tasks.append(task)
        return self

    async def dial(self, url: str) -> None:
        """All chargers to another base URL; a site that has not been started is started."""
        for charger in self.chargers.values():
            charger.dial(url)
        if not self._tasks:
            await self.start()

    async def stop(self) -> None:
        """Power everything off; what is queued stays in the memories."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for charger in self.chargers.values():
            await charger.stop()
        if self.meter is not None:
            await self.meter.stop()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def finish(self, timeout_s: float = 60.0) -> None:
        """No more cars; stop what is charging and wait until every message is answered.

        Raises TimeoutError."""
        self.arrivals = False
        for charger in self.chargers.values():
            for session in list(charger.memory.sessions.values()):
                charger.wish_stop(session, "Local")
        await self.wait_for(lambda: self.charging() == 0 and self.waiting() == 0, timeout_s)

    def charging(self) -> int:
        """Running transactions."""
        return sum(len(charger.memory.sessions) for charger in self.chargers.values())

    def waiting(self) -> int:
        """Transaction messages without an answer."""
        return sum(len(charger.memory.queue) for charger in self.chargers.values())

    def online(self) -> int:
        return sum(charger.online for charger in self.chargers.values())

    # --- amps ---------------------------------------------------------------------------------

    def cars_a(self) -> PhaseAmps:
        """What all chargers draw now, per grid phase."""
        total = [0.0, 0.0, 0.0]
        for identity, charger in self.chargers.items():
            charger.power.update()
            for connector in range(1, charger.habits.connectors + 1):
                for phase, amps in zip(
                    self.wiring[identity, connector], charger.power.amps(connector), strict=True
                ):
                    total[phase] += amps
        return total[0], total[1], total[2]

    def grid_a(self) -> PhaseAmps:
        """What flows through the main fuse now."""
        cars, building = self.cars_a(), self.building.amps(time.monotonic())
        return cars[0] + building[0], cars[1] + building[1], cars[2] + building[2]

    # --- cars ---------------------------------------------------------------------------------

    async def _cars(self, charger: SimCharger, connector: int, rng: random.Random) -> None:
        while True:
            await asyncio.sleep(rng.expovariate(1 / self.traffic.pause_s))
            tag = f"TAG{rng.randint(1, self.traffic.tags):02}"
            samples = rng.randint(*self.traffic.samples)
            if self.arrivals and charger.powered and charger.accepted and charger.free(connector):
                with contextlib.suppress(KeyError):  # rebooted in mid-step: its memory tells the rest
                    self.transactions += bool(await charger.charge(connector, tag, samples))

    def _heard(self, identity: str, event: str, facts: dict[str, Any]) -> None:
        if self._on_event is not None:
            self._on_event(identity, event, facts)
        charger = self.chargers[identity]
        if charger.failure is not None:
            self.fail(charger.failure)
        self._happened()


def individual(habits: Habits, number: int) -> Habits:
    """The shared habits with the quirks of charger `number`."""
    return replace(
        habits,
        connectors=2 if number % 4 == 0 else habits.connectors,
        signed=habits.signed or number % 3 == 0,
        id_style="counter" if number % 5 == 0 else habits.id_style,
        engine="own" if number % 6 == 0 else habits.engine,
        spaced=number % 2 == 0,
    )


def _file(directory: str | Path | None, identity: str, suffix: str) -> Path | None:
    return None if directory is None else Path(directory) / f"{quote(identity, safe='')}.{suffix}"
