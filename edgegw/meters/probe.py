"""Finds out which meter answers at an address, and writes its part of the site file.

Rules of this file:
- It only reads. Cheap reads that tell meters apart come first, in the order of the probe plan; a meter
  without a mark of its own is known by its values alone, so several templates may fit: best first.
- A meter is found when what it reads is plausible. One that shows its mark and reads nonsense is told too,
  with the reason.
- Nobody else may use the line meanwhile.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from edgegw.balance.model import Reading
from edgegw.meter_address import MeterAddress
from edgegw.meters import sunspec
from edgegw.meters.connection import MeterConnection, MeterFault
from edgegw.meters.decode import Block, blocks, decode, matches
from edgegw.meters.plausible import Implausible, MeterOptions, Plausibility
from edgegw.meters.template import LIVE, SLOW, ProbePlan, Template, load_probe_plan, load_templates
from edgegw.redaction import plain

Confidence = Literal["certain", "likely", "possible"]
RANK: dict[Confidence, int] = {"certain": 0, "likely": 1, "possible": 2}

TIMEOUT_S = 0.5
PRESENCE = (Block(4, 0, 2), Block(3, 0, 1))  # of different length: see `connection`
SILENT_MAX = 2  # reads without an answer, and a unit counts as absent
SILENT_MAX_NAMED = 5  # the installer says that it is there
NOBODY_THERE = frozenset({10, 11})  # exceptions of a gateway that got no answer

Registers = dict[tuple[int, int], int]


class Progress(NamedTuple):
    done: int
    of: int
    text: str  # what is tried now


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One value beside what is plausible."""

    name: str
    value: float | None
    unit: str
    plausible: bool | None  # None: nothing to compare it with
    expected: str = ""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One meter at one unit id, as one template reads it."""

    address: str
    unit: int
    template: str
    name: str
    confidence: Confidence
    identified: bool  # it shows the template's own mark
    function: int  # that brought plausible values; may differ from the template's
    word_order: str
    as_template: bool  # function and word order are the template's
    checks: tuple[Check, ...]
    reason: str = ""  # why its values cannot be used
    reading: Reading | None = None


async def probe(
    address: MeterAddress,
    units: Sequence[int] = (),
    progress: Callable[[Progress], None] = lambda _: None,
    *,
    templates: Mapping[str, Template] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> list[Found]:
    """All meters that answer, best first within a unit. `units` (): the usual ones. Raises MeterFault when
    the address itself cannot be reached."""
    plan = load_probe_plan()
    line = MeterConnection(address)
    found: list[Found] = []
    tried = tuple(units) or plan.unit_ids
    try:
        for number, unit in enumerate(tried):
            one = _Unit(line, unit, plan, templates or load_templates(), timeout_s)
            one.silent_max = SILENT_MAX_NAMED if units else SILENT_MAX
            one.tell = _teller(progress, number, len(tried), unit)
            found += await one.probe()
    finally:
        await line.close()
    return found


def _teller(progress: Callable[[Progress], None], done: int, of: int, unit: int) -> Callable[[str], None]:
    return lambda text: progress(Progress(done, of, f"unit {unit}: {text}"))


def line_settings(address: MeterAddress, plan: ProbePlan | None = None) -> Iterator[MeterAddress]:
    """The usual settings of a serial line, most usual first; a network address has none."""
    if address.transport != "rtu":
        yield address
        return
    plan = plan or load_probe_plan()
    for parity in plan.parity:
        for baud in plan.baud:
            yield dataclasses.replace(address, baud=baud, parity=parity)


def config_block(found: Found, name: str = "main") -> str:
    """The [[meter]] table of a site file, as TOML."""
    lines = ["[[meter]]", f"name = {json.dumps(name)}"]
    if not found.as_template:
        order = f"function {found.function} and {found.word_order} word order"
        lines.append(f"# It reads with {order}: copy the template into the meters directory with these.")
    lines += [
        f"template = {json.dumps(found.template)}  # {plain(found.name).split(' (')[0]}",
        f"address = {json.dumps(found.address)}",
        f"unit = {found.unit}",
    ]
    return "\n".join(lines) + "\n"


class _Absent(Exception):
    """Nobody answers at this unit id."""


class _Unit:
    """One unit id while it is asked."""

    def __init__(
        self,
        line: MeterConnection,
        unit: int,
        plan: ProbePlan,
        templates: Mapping[str, Template],
        timeout_s: float,
    ) -> None:
        self.unit = unit
        self.silent_max = SILENT_MAX
        self.tell: Callable[[str], None] = lambda _: None
        self._line, self._plan, self._templates, self._timeout_s = line, plan, templates, timeout_s
        self._answered = False
        self._silent = 0
        self._tried: set[str] = set()
        self._seen: dict[Block, tuple[int, ...] | None] = {}

    async def probe(self) -> list[Found]:
        try:
            return sorted(await self._probe(), key=_rank)
        except _Absent:
            return []

    async def _probe(self) -> list[Found]:
        self.tell("is anybody there?")
        for block in PRESENCE:
            if await self._read(block) is not None:
                break
        marked: list[Found] = []  # they show a mark, but what they read is nonsense
        for step in self._plan.steps:
            words = await self._read(Block(step.function, step.address, step.count))
            if words is None or not matches(step, words):
                continue
            found = await self._try(step.leads_to, identified=bool(step.values))
            if any(one.reading for one in found):
                return found
            marked += found
        rest = [id for id in self._templates if id not in self._tried]
        return await self._try(rest, identified=False) or marked

    async def _try(self, ids: Iterable[str], identified: bool) -> list[Found]:
        found: list[Found] = []
        for id in ids:
            template = self._templates.get(id)
            if template is None:
                continue
            self._tried.add(id)
            self.tell(template.name)
            if template.models:
                real = [(id, one) for one in await sunspec.discover(self._read, template.models)]
            else:
                real = [(id, template)]
            for name, one in real:
                if result := await self._one(name, one, identified):
                    found.append(result)
        return found

    async def _one(self, id: str, template: Template, identified: bool) -> Found | None:
        """What this template makes of the unit; None when it is another meter."""
        mark = await self._mark(template)
        identified = mark is not False and (identified or mark is True)
        nonsense: Found | None = None
        for variant in _variants(template):
            registers = await self._registers(variant)
            if registers is None:
                continue
            found = self._judged(id, template, variant, decode(variant, registers), identified)
            if found.reading is not None:
                return found
            nonsense = nonsense or found
        return nonsense if identified else None

    async def _mark(self, template: Template) -> bool | None:
        """Whether the unit says that it is this meter; None where it, or the template, does not say."""
        if template.models:
            return True  # its models were found
        said: list[bool] = []
        for mark in template.identify:
            if mark.values or mark.prefix:
                words = await self._read(Block(mark.function, mark.address, mark.count))
                if words is not None:
                    said.append(matches(mark, words, template.word_order))
        return all(said) if said else None

    async def _registers(self, template: Template) -> Registers | None:
        """All that a poll reads; None when a register that it must have is not there."""
        names = template.named((*LIVE, *SLOW))
        needed = set(blocks(template, [name for name in names if not template.points[name].optional]))
        registers: Registers = {}
        for block in blocks(template, names):
            words = await self._read(block)
            if words is None and block in needed:
                return None
            for offset, word in enumerate(words or ()):
                registers[block.function, block.address + offset] = word
        return registers

    def _judged(
        self, id: str, own: Template, variant: Template, values: Mapping[str, float | None], identified: bool
    ) -> Found:
        judged = Plausibility(variant, MeterOptions()).judge(values, 0.0)
        reading = None if isinstance(judged, Implausible) else judged
        if reading is None or not _shows_mains(reading):
            sure: Confidence = "possible"
        else:
            sure = "certain" if identified else "likely"
        return Found(
            address=str(self._line.address),
            unit=self.unit,
            template=id,
            name=variant.name,
            confidence=sure,
            identified=identified,
            function=variant.function,
            word_order=variant.word_order,
            as_template=(variant.function, variant.word_order) == (own.function, own.word_order),
            checks=tuple(checks(values, self._plan, judged)),
            reason=judged.text if isinstance(judged, Implausible) else "",
            reading=reading,
        )

    async def _read(self, block: Block) -> tuple[int, ...] | None:
        """None for an exception and for silence. Raises _Absent, MeterFault."""
        if block not in self._seen:
            self._seen[block] = await self._ask(block)
        return self._seen[block]

    async def _ask(self, block: Block) -> tuple[int, ...] | None:
        try:
            answer = await self._line.read(self.unit, block, self._timeout_s, (block,))
        except MeterFault as fault:
            if fault.kind == "unreachable":
                raise
            if fault.kind == "exception" and fault.code not in NOBODY_THERE:
                self._answered = True
            else:
                self._silent += 1
            if not self._answered and self._silent >= self.silent_max:
                raise _Absent from None
            return None
        self._answered = True
        return answer.registers


def _variants(template: Template) -> Iterator[Template]:
    """The template as it is, then with the other functions and the other word order it may be sold with."""
    for function in (template.function, *template.function_alt):
        for order in ("big", "little") if template.word_order == "big" else ("little", "big"):
            yield msgspec.structs.replace(template, function=function, word_order=order)


def _shows_mains(reading: Reading) -> bool:
    """Any number is a plausible power; a voltage or a frequency is not there by chance."""
    return any(reading.voltage_v) or reading.frequency_hz is not None


def _rank(found: Found) -> tuple[int, float, int]:
    known = sum(check.value is not None for check in found.checks)
    return RANK[found.confidence], -known / max(1, len(found.checks)), -known


def checks(
    values: Mapping[str, float | None], plan: ProbePlan, judged: Reading | Implausible
) -> Iterator[Check]:
    """Every value that a poll reads, beside what is plausible."""
    for name in (*LIVE, *SLOW):
        if name not in values:
            continue
        value = values[name]
        unit, low, high = _expected(name, plan)
        plausible: bool | None = None if isinstance(judged, Implausible) else True
        if value is None:
            plausible = False if low is not None else None
        elif low is not None and high is not None:
            plausible = low <= value <= high
        expected = f"{low:g} to {high:g} {unit}" if low is not None else ""
        yield Check(name=name, value=value, unit=unit, plausible=plausible, expected=expected)


def _expected(name: str, plan: ProbePlan) -> tuple[str, float | None, float | None]:
    if name.startswith("voltage"):
        return "V", *plan.voltage_v
    if name == "frequency":
        return "Hz", *plan.frequency_hz
    if name.startswith("current"):
        return "A", None, None
    return ("W" if name.startswith("power") else "Wh"), None, None
