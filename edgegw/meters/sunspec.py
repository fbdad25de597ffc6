"""Finds the meter models in a SunSpec device and makes a template with real addresses out of them.

Rules of this file:
- Where a point stands in a model, its type and its scale factor come from the definitions that pysunspec2
  carries; here is only which SunSpec point is which of ours.
- The device is read through the caller's `read`: no connection, no clock here.
- A point that the device does not implement is not in the template, counters excepted: theirs may still be 0.

Source: SunSpec Device Information Model Specification (marker, model chain, "not implemented" values).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from importlib import resources
from typing import Any, Literal

import msgspec

from edgegw.meters.decode import Block, decode, text
from edgegw.meters.template import Point, PointType, Template

Read = Callable[[Block], Awaitable[Sequence[int] | None]]
"""Reads one block; None when the device answers with an exception. A timeout may raise."""

Definition = dict[str, tuple[int, dict[str, Any]]]
"""Point of a model -> (offset from the model's id, what pysunspec2 says of it)."""

BASES = (40000, 50000, 0)
MARKER = (0x5375, 0x6E53)  # "SunS"
COMMON = 1  # who made it
END = 0xFFFF
METER_MODELS = (201, 202, 203, 204, 211, 212, 213, 214)

FUNCTION: Literal[3] = 3
MODELS_MAX = 200  # a chain longer than this is no chain; 60 models have been seen in one device
COMMON_NAMES_WORDS = 34  # id, length, manufacturer (16), model (16)
READ_MAX = 100

_TYPES: dict[str, PointType] = {"int16": "i16", "float32": "f32", "acc32": "u32"}
_PHASES = {"l1": "A", "l2": "B", "l3": "C"}
_KINDS = {"current": "A", "voltage": "V", "power": "W"}
_NAMES: dict[str, str] = {
    **{f"current_{ours}": f"Aph{theirs}" for ours, theirs in _PHASES.items()},
    **{f"voltage_{ours}": f"PhVph{theirs}" for ours, theirs in _PHASES.items()},
    **{f"power_{ours}": f"Wph{theirs}" for ours, theirs in _PHASES.items()},
    **{"power": "W", "frequency": "Hz", "power_factor": "PF", "import": "TotWhImp", "export": "TotWhExp"},
}
_COUNTERS = ("import", "export")


async def discover(read: Read, models: Sequence[int] = METER_MODELS) -> tuple[Template, ...]:
    """One template for each meter model of the device, in the order of its chain; () when there is none.

    A template has the id "sunspec_203" (its model), the device's own name, and addresses of the wire.
    """
    for base in BASES:
        if await _words(read, base, 2) == list(MARKER):
            return await _walk(read, base + 2, models)
    return ()


async def _walk(read: Read, address: int, wanted: Sequence[int]) -> tuple[Template, ...]:
    found: list[Template] = []
    name = "SunSpec meter"
    for _ in range(MODELS_MAX):
        header = await _words(read, address, 2)
        if len(header) < 2 or header[0] == END:
            break
        model, length = header
        if model == COMMON:
            name = _device_name(await _words(read, address, COMMON_NAMES_WORDS)) or name
        elif model in wanted:
            template = _template(model, address, length, name)
            found.append(await _implemented(read, template, address, length + 2))
        address += 2 + length
    return tuple(found)


async def _words(read: Read, address: int, count: int) -> list[int]:
    """The words there; fewer when the device does not give them."""
    words: list[int] = []
    while len(words) < count and address + count <= 65_536:
        block = Block(FUNCTION, address + len(words), min(READ_MAX, count - len(words)))
        answer = await read(block)
        if answer is None or len(answer) != block.count:
            break
        words += answer
    return words


def _device_name(common: Sequence[int]) -> str:
    return " ".join(filter(None, (text(common[2:18], "ascii"), text(common[18:34], "ascii"))))


async def _implemented(read: Read, template: Template, address: int, count: int) -> Template:
    """The template without the points that the device does not implement."""
    words = await _words(read, address, count)
    values = decode(template, {(FUNCTION, address + offset): word for offset, word in enumerate(words)})
    points = {
        name: point
        for name, point in template.points.items()
        if name in _COUNTERS or values.get(name) is not None
    }
    return msgspec.structs.replace(template, points=points)


def _template(model: int, address: int, length: int, name: str) -> Template:
    """What the definition of `model` says, for one that begins at `address`. A device may have a shorter
    one than the definition; what lies beyond is left out."""
    defined = definition(model)
    points = {ours: _point(defined, theirs, address) for ours, theirs in _NAMES.items() if theirs in defined}
    end = address + 2 + length
    return Template(
        id=f"sunspec_{model}",
        name=name,
        confidence="high",
        transports=("tcp", "rtu"),
        function=FUNCTION,
        word_order="big",
        sign="import_positive",
        gap_max=READ_MAX,  # within a model there is a register at every address
        points={ours: point for ours, point in points.items() if point.address + point.words <= end},
    )


def _point(defined: Definition, name: str, address: int) -> Point:
    offset, point = defined[name]
    factor = point.get("sf")
    return Point(
        address=address + offset,
        type=_TYPES[point["type"]],
        scale_from=address + defined[factor][0] if factor else None,
        missing=(0,) if point["type"] == "acc32" else (),  # an accumulator of 0 is "not implemented"
    )


@cache
def definition(model: int) -> Definition:
    """The points of one model, as pysunspec2 defines them."""
    file = resources.files("sunspec2").joinpath("models", "json", f"model_{model}.json")
    found: Definition = {}
    offset = 0
    for point in json.loads(file.read_text("utf-8"))["group"]["points"]:
        found[point["name"]] = (offset, point)
        offset += point["size"]
    return found
