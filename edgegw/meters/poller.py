"""Reads one meter at a fixed rate for as long as the gateway runs.

Rules of this file:
- Every poll reads afresh all that a decision needs, or nothing is delivered: no value of an older poll, no
  implausible one. What fails is counted by kind and told once when it changes, and once when it is over.
- Polls start on a fixed grid of monotonic instants. One that is late is skipped, never queued.
- The counters of energy steer nothing: they are read in every tenth poll.
- A line that was opened again may lead to another device: a SunSpec map is found anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from edgegw.balance.model import Reading
from edgegw.errors import ConfigFault
from edgegw.meter_address import parse_address
from edgegw.meters import sunspec
from edgegw.meters.connection import Lines, MeterFault
from edgegw.meters.decode import Block, blocks, decode
from edgegw.meters.plausible import Implausible, Plausibility
from edgegw.meters.template import LIVE, SLOW, Template
from edgegw.runtime import clock
from edgegw.runtime.histogram import Histogram
from edgegw.runtime.tasks import Tasks

log = logging.getLogger("edgegw.meters")

ENERGY_EVERY = 10
MISSES_TOLD = 3  # one lost answer is the life of a serial line; three are news
GOOD_TOLD = 3  # good readings in a row before "well again": no news at every second poll
BUGS_LOGGED_EVERY = 60
MEANINGLESS = frozenset({1, 2, 3})  # Modbus exceptions of firmware that lacks an optional register
MARKERS_MAX = 4


class PollerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """From a [[meter]] table; seconds."""

    name: str
    address: str
    unit: int | None  # None: neither the site file nor the template says
    poll_interval_s: float = 1.0
    timeout_s: float = 0.7
    pause_s: float = 0.0  # between an answer and the next request, for devices that need it


class PollerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One meter as people see it."""

    name: str
    template: str
    reading: Reading | None = None  # the last plausible one
    values: dict[str, float | None] = {}  # as last read, plausible or not; for people
    reading_age_s: float | None = None
    polls: int = 0
    good: int = 0
    misses: int = 0  # polls in a row without a usable reading
    skipped: int = 0  # polls whose time had passed before they could begin
    opened: int = 0  # times the line was opened
    errors: dict[str, int] = {}  # by kind, since the start
    latency_s: float | None = None  # of the last poll that brought a reading
    latencies: Histogram | None = None  # of all that did
    trouble: str = ""  # what is wrong now, in words


class MeterPoller:
    """Polls from `start` to `stop`."""

    def __init__(
        self,
        settings: PollerSettings,
        template: Template,
        plausibility: Plausibility,
        on_reading: Callable[[str, Reading], None],
        on_trouble: Callable[[str, str, str], None],
        lines: Lines | None = None,
    ) -> None:
        """`on_trouble(name, kind, text)`: kind "meter_ok" ends what was wrong. Meters on one serial line or
        behind one converter need the same `lines`. Raises ConfigFault."""
        self.settings = settings
        self._template, self._plausibility = template, plausibility
        self._on_reading, self._on_trouble = on_reading, on_trouble
        self._unit = _unit(settings, template)
        try:
            address = parse_address(settings.address)
            self._line = (lines or Lines()).connection(address, settings.pause_s)
        except ValueError as error:
            raise ConfigFault(f"[[meter]] {settings.name}: address {error}") from None
        self._interval_s = max(settings.poll_interval_s, template.min_interval_s)
        self._map = _Map(template)
        self._tasks = Tasks()
        self._reading: Reading | None = None
        self._values: dict[str, float | None] = {}
        self._latency_s: float | None = None
        self._latencies = Histogram()
        self._errors: Counter[str] = Counter()
        self._polls = self._good = self._skipped = self._bugs = 0
        self._misses = self._good_in_a_row = 0
        self._told: set[str] = set()  # what is wrong since the last "well again"
        self._trouble = ""

    def start(self) -> None:
        self._tasks.spawn(self._run(), f"meter {self.settings.name}")

    async def stop(self) -> None:
        await self._tasks.cancel()
        await self._line.close()

    @property
    def status(self) -> PollerStatus:
        reading = self._reading
        return PollerStatus(
            name=self.settings.name,
            template=self._map.template.id,
            reading=reading,
            values=self._values,
            reading_age_s=None if reading is None else clock.now().mono - reading.at,
            polls=self._polls,
            good=self._good,
            misses=self._misses,
            skipped=self._skipped,
            opened=self._line.opened,
            errors=dict(self._errors),
            latency_s=self._latency_s,
            latencies=self._latencies,
            trouble=self._trouble,
        )

    # --- the grid of instants --------------------------------------------------------------------

    async def _run(self) -> None:
        due = clock.now().mono
        while True:
            await self._poll_and_tell()
            due += self._interval_s
            late_s = clock.now().mono - due
            if late_s > 0:
                skipped = int(late_s / self._interval_s) + 1
                self._skipped += skipped
                due += skipped * self._interval_s
            await asyncio.sleep(due - clock.now().mono)

    async def _poll_and_tell(self) -> None:
        try:
            await self.poll()
        except Exception:  # the poller's edge: a bug in one poll must not end the next
            self._bugs += 1
            self._count("bug", "a bug in the gateway; its log says more")
            if self._bugs % BUGS_LOGGED_EVERY == 1:
                log.exception("bug while polling meter %s (%d times)", self.settings.name, self._bugs)

    # --- one poll --------------------------------------------------------------------------------

    async def poll(self) -> None:
        """Read the meter once and tell what came of it."""
        begun = clock.now().mono
        energy = self._polls % ENERGY_EVERY == 0
        self._polls += 1
        try:
            registers, at = await self._registers(energy)
        except MeterFault as fault:
            self._count(fault.kind, str(fault))
            return
        values = decode(self._map.template, registers)
        counters = {name: self._values[name] for name in SLOW if name in self._values}
        self._values = counters | values
        found = self._plausibility.judge(values, at)
        if isinstance(found, Implausible):
            self._count("implausible", found.text, detail=found.kind)
            return
        self._latency_s = clock.now().mono - begun
        self._latencies.observe(self._latency_s)
        self._good += 1
        self._well(found)

    async def _registers(self, energy: bool) -> tuple[dict[tuple[int, int], int], float]:
        """(registers by function and address, instant of the last answer). Raises MeterFault."""
        if self._template.models and not (self._line.is_open and self._map.opened == self._line.opened):
            await self._discover()
        registers: dict[tuple[int, int], int] = {}
        at = 0.0
        for block in self._map.reads((*LIVE, *SLOW) if energy else LIVE):
            words = await self._block(block)
            if words is None:
                continue
            registers.update(((block.function, block.address + n), word) for n, word in enumerate(words[0]))
            at = words[1]
        if self._template.models and self._map.opened != self._line.opened:
            raise MeterFault("no_answer", "the line was opened again while the meter was read")
        return registers, at

    async def _block(self, block: Block) -> tuple[tuple[int, ...], float] | None:
        """None for an optional block that this firmware does not have."""
        try:
            return await self._line.read(self._unit, block, self.settings.timeout_s, self._map.markers)
        except MeterFault as fault:
            if block in self._map.optional and fault.code in MEANINGLESS:
                self._map.absent.add(block)
                return None
            raise

    async def _discover(self) -> None:
        """Find the meter model. Raises MeterFault when the device shows none."""

        async def read(block: Block) -> Sequence[int] | None:
            try:
                return (await self._line.read(self._unit, block, self.settings.timeout_s)).registers
            except MeterFault as fault:
                if fault.kind == "exception":
                    return None
                raise

        found = await sunspec.discover(read, self._template.models)
        if not found:
            models = ", ".join(map(str, self._template.models))
            raise MeterFault("wrong_answer", f"the device shows no SunSpec meter (models {models})")
        self._map = _Map(found[0], self._line.opened)
        self._plausibility = Plausibility(found[0], self._plausibility.options)

    # --- what is told ----------------------------------------------------------------------------

    def _well(self, reading: Reading) -> None:
        self._reading = reading
        self._misses, self._trouble = 0, ""
        self._good_in_a_row += 1
        if self._told and self._good_in_a_row >= GOOD_TOLD:
            self._told.clear()
            self._on_trouble(self.settings.name, "meter_ok", "reads well again")
        self._on_reading(self.settings.name, reading)

    def _count(self, kind: str, text: str, detail: str = "") -> None:
        self._errors[detail or kind] += 1
        self._misses += 1
        self._good_in_a_row = 0
        self._trouble = text
        if (detail or kind) not in self._told and (kind == "implausible" or self._misses >= MISSES_TOLD):
            self._told.add(detail or kind)
            self._on_trouble(self.settings.name, f"meter_{kind}", text)


class _Map:
    """Where the values stand in this device, and which reads bring them."""

    def __init__(self, template: Template, opened: int = -1) -> None:
        self.template = template
        self.opened = opened  # of the line, when the map was found
        self.absent: set[Block] = set()
        self.optional: set[Block] = set()
        self.markers = markers(template)
        self._reads: dict[tuple[str, ...], tuple[Block, ...]] = {}

    def reads(self, names: tuple[str, ...]) -> list[Block]:
        if names not in self._reads:
            all_of_them = self._reads[names] = blocks(self.template, names)
            has_it = [name for name in self.template.named(names) if not self.template.points[name].optional]
            self.optional |= set(all_of_them) - set(blocks(self.template, has_it))
        return [block for block in self._reads[names] if block not in self.absent]


def markers(template: Template) -> tuple[Block, ...]:
    """Reads of different lengths that this meter takes, shortest first: see `connection`."""
    found: dict[int, Block] = {}
    needed = [name for name in template.named(LIVE) if not template.points[name].optional]
    for last in range(len(needed)):
        for block in blocks(template, needed[: last + 1]):
            found.setdefault(block.count, block)
    return tuple(found[count] for count in sorted(found))[:MARKERS_MAX]


def _unit(settings: PollerSettings, template: Template) -> int:
    unit = template.unit_id if settings.unit is None else settings.unit
    if unit is None:
        text = f"{template.id} has no usual unit id; add unit = 1 or what the meter is set to"
        raise ConfigFault(f"[[meter]] {settings.name}: {text}")
    return unit
