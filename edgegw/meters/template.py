"""What a meter is, as data: where each value stands, in which type, order, scale and sign.

Rules of this file:
- Addresses are wire addresses, counted from 0 (a manual that says 40001 or 1 means 0).
- A value is `raw * scale` in V, A, W, Wh, Hz or 1; power and signed currents are positive on import.
- `word_order` is the order of the 16-bit words of one value; the bytes of a word are always big-endian.
- What no source says stays absent. Templates hold data, never expressions.
- Files are read by `load_templates` and `load_probe_plan` alone; every complaint is a ConfigFault that names
  file, line, key, value and what is allowed.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edgegw.config_text import Complaint, SiteFileFault, parse_toml, read_text, show_value
from edgegw.errors import ConfigFault
from edgegw.meters.template_text import TomlTable, unknown

PointType = Literal["u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64"]
TextType = Literal["ascii", "utf16"]
WordOrder = Literal["big", "little"]
Transport = Literal["tcp", "rtu", "udp"]
Confidence = Literal["high", "medium", "low"]
Sign = Literal["import_positive", "export_positive", "unknown"]
Function = Literal[3, 4]

WORDS: dict[str, int] = {"u16": 1, "i16": 1, "u32": 2, "i32": 2, "f32": 2, "u64": 4, "i64": 4, "f64": 4}
"""Registers that one value of a type takes."""

REGISTERS = 65_536
PROBE_FILE = "_probe.toml"
VOLTAGE_V = (80.0, 300.0)
"""A voltage of a phase against neutral, anywhere in the world."""
FREQUENCY_HZ = (45.0, 65.0)
RATIO_NAMES = ("ct_ratio", "vt_ratio")

Address = Annotated[int, Meta(ge=0, le=65_535)]
Count = Annotated[int, Meta(ge=1, le=125)]
UnitId = Annotated[int, Meta(ge=0, le=255)]

_ID = re.compile("[a-z0-9_]+")

READ_REGISTERS_MAX = 125  # Modbus application protocol 1.1b3, 6.3 and 6.4

_PHASED = ("voltage", "current", "power", "power_import", "power_export")
PER_PHASE = tuple(f"{kind}_l{phase}" for kind in _PHASED for phase in (1, 2, 3))

LIVE: tuple[str, ...] = (*PER_PHASE, "power", "power_import", "power_export", "frequency")
"""Points that are read in every poll."""

SLOW: tuple[str, ...] = ("import", "import_t2", "export", "export_t2")
"""Counters: read now and then."""

OTHER: tuple[str, ...] = (
    *(f"{kind}_l{phase}" for kind in ("power_factor", "import", "export") for phase in (1, 2, 3)),
    *("power_factor", "import_secondary", "export_secondary", *RATIO_NAMES),
)
"""Points that a template may have and that no poll reads for their own sake."""

POINT_NAMES: tuple[str, ...] = (*LIVE, *SLOW, *OTHER)


class Point(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One value. It takes `WORDS[type]` registers from `address` on."""

    address: Address
    type: PointType
    scale: float = 1.0
    scale_alt: float | None = (
        None  # some firmware uses this scale; taken when only it gives a plausible value
    )
    scale_from: Address | None = None  # address of an int16 exponent: times 10 ** exponent (SunSpec "_SF")
    times: tuple[str, ...] = ()  # points it is multiplied with: "ct_ratio", "vt_ratio"
    missing: tuple[int, ...] = ()  # raw values that mean "not there", beside those of the type
    optional: bool = False  # some firmware lacks it and answers with an exception: read apart from the rest

    @property
    def words(self) -> int:
        return WORDS[self.type]


class Identify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A read that tells this meter from others, or at least says who it is (no `values`, no `prefix`)."""

    function: Function
    address: Address
    count: Count
    type: PointType | TextType
    meaning: str
    values: tuple[int | str, ...] = ()  # any of these; texts are compared without trailing blanks
    prefix: str = ""


class Serial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Factory settings of the serial line; what is None was in no source."""

    baud: int | None = None
    parity: Literal["N", "E", "O"] | None = None
    stopbits: int = 1
    baud_options: tuple[int, ...] = ()


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of meter. With `models` its addresses count from the start of a SunSpec model and have to be
    found first (`sunspec.discover`); without, they are the wire's."""

    id: str
    name: str
    confidence: Confidence
    transports: tuple[Transport, ...]
    function: Function
    word_order: WordOrder
    sign: Sign
    points: dict[str, Point]
    unit_id: UnitId | None = None  # None: no fixed one, the installer has to say
    unit_id_alt: tuple[UnitId, ...] = ()
    port: Address = 502
    serial: Serial | None = None
    function_alt: tuple[Function, ...] = ()
    max_registers_per_read: Annotated[int, Meta(ge=4, le=125)] = READ_REGISTERS_MAX
    # Registers without a point that one read may run over. 0: a gap may be answered with an exception.
    gap_max: Annotated[int, Meta(ge=0, le=125)] = 0
    min_interval_s: Annotated[float, Meta(ge=0, le=60)] = (
        0.0  # between two polls; faster ones make it drop the connection
    )
    missing_high_word: Address | None = None  # a value whose most significant word is this one is not there
    models: tuple[int, ...] = ()  # SunSpec model ids
    identify: tuple[Identify, ...] = ()
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def named(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `names` that this meter has."""
        return tuple(name for name in names if name in self.points)


class ProbeStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One cheap read that tells meters apart. It matches on one of `values`, or within `low`..`high`."""

    function: Function
    address: Address
    count: Count
    type: PointType | TextType
    leads_to: tuple[str, ...]
    word_order: WordOrder = "big"
    values: tuple[int | str, ...] = ()
    low: float | None = None
    high: float | None = None


class ProbePlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an unknown meter is found, most specific step first, and what a plausible answer looks like."""

    voltage_v: tuple[float, float]
    frequency_hz: tuple[float, float]
    baud: tuple[int, ...]
    parity: tuple[Literal["N", "E"], ...]
    unit_ids: tuple[int, ...]
    steps: tuple[ProbeStep, ...]


def protects_phases(template: Template) -> bool:
    """Whether its values give a current per phase: from its currents, or from power and voltage per phase.

    A single-phase meter protects the one phase it has. One that shows totals only protects no phase, and
    one without voltages makes a current out of power only by guessing. A template with `models` says what
    such meters have as a rule; ask again with the one that was discovered.
    """
    measured = [phase for phase in (1, 2, 3) if phase_has_current(template, phase)]
    return measured in ([1], [1, 2, 3])


def phase_has_current(template: Template, phase: int) -> bool:
    """Whether the current of the meter's phase 1, 2 or 3 is measured or follows from power and voltage."""
    points = template.points
    power = f"power_l{phase}" in points or f"power_import_l{phase}" in points
    return f"current_l{phase}" in points or (power and f"voltage_l{phase}" in points)


# --- files ----------------------------------------------------------------------------------------


def load_templates(own: Path | None = None) -> dict[str, Template]:
    """All templates by id: the packaged ones, and those of the operator's folder `own` (*.toml), which
    override them. A folder that does not exist has none. Raises ConfigFault with all complaints of a file."""
    templates = dict(_packaged())
    origin: dict[str, Path] = {}
    for file in sorted(own.glob("*.toml")) if own else ():
        template = parse_template(read_text(file), file)
        if template.id in origin:
            words = f"is in {origin[template.id].name} too; one of the two has to go"
            raise SiteFileFault((Complaint(str(file), 0, "id", show_value(template.id), words),))
        origin[template.id] = file
        templates[template.id] = template
    return templates


def load_template(id: str, own: Path | None = None) -> Template:
    """One template, without reading the others of the package. Raises ConfigFault."""
    file = _folder() / f"{id}.toml"
    if (own and own.is_dir()) or not _ID.fullmatch(id) or not file.is_file():
        return find(load_templates(own), id)
    return parse_template(file.read_text("utf-8"), Path(file.name))


def find(templates: dict[str, Template], id: str) -> Template:
    """Raises ConfigFault, with the nearest id, when there is none of that id."""
    if template := templates.get(id):
        return template
    near = difflib.get_close_matches(id, templates, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(sorted(templates))}"
    raise ConfigFault(f"template = {show_value(id)}: no such meter; {hint}")


def load_probe_plan() -> ProbePlan:
    """How `edgegw meter probe` goes about it."""
    file = _folder() / PROBE_FILE
    plan = _read(file, ProbePlan)
    assert plan is not None
    return plan


def parse_template(text: str, file: Path) -> Template:
    """One template out of TOML text; `file` is for the complaints. Raises ConfigFault with all of them."""
    content, table = parse_toml(text, file), TomlTable(text, file)
    points = content.pop("points", None)
    template = table.convert({**content, "points": {}}, Template)
    if not isinstance(points, dict) or not points:
        table.complain(("points",), None, "is required: a table of the meter's values")
        points = {}
    found = {name: table.convert(value, Point, ("points", name)) for name, value in points.items()}
    for name, point in found.items():
        _check_point(table, name, point, found)
    if template:
        _check_template(table, template)
    table.fail()
    assert template is not None
    return msgspec.structs.replace(template, points=found)


def _check_point(
    table: TomlTable, name: str, point: Point | None, points: Mapping[str, Point | None]
) -> None:
    path = ("points", name)
    if name not in POINT_NAMES:
        table.complain(path, None, unknown("point", name, POINT_NAMES))
    if point is None:
        return
    if point.address + point.words > REGISTERS:
        table.complain((*path, "address"), point.address, f"a {point.type} there goes beyond {REGISTERS - 1}")
    if point.scale == 0 or not math.isfinite(point.scale):
        table.complain((*path, "scale"), point.scale, "must be a number other than 0")
    for factor in point.times:
        if factor not in RATIO_NAMES:
            table.complain((*path, "times"), factor, f"must be {' or '.join(RATIO_NAMES)}")
        elif factor not in points:
            table.complain((*path, "times"), factor, f"there is no point {factor} in [points]")
    if point.times and name in RATIO_NAMES:
        table.complain((*path, "times"), list(point.times), "a ratio cannot depend on a ratio")


def _check_template(table: TomlTable, template: Template) -> None:
    if not _ID.fullmatch(template.id):
        table.complain(("id",), template.id, "must be letters a-z, digits and _")
    if not template.transports:
        table.complain(("transports",), [], 'must have at least one of "tcp", "rtu", "udp"')


def _read(file: Traversable, kind: type[ProbePlan]) -> ProbePlan | None:
    text, path = file.read_text("utf-8"), Path(file.name)
    table = TomlTable(text, path)
    plan = table.convert(parse_toml(text, path), kind)
    table.fail()
    return plan


def _folder() -> Traversable:
    return resources.files("edgegw.meters").joinpath("templates")


@cache
def _packaged() -> Mapping[str, Template]:
    files = [file for file in _folder().iterdir() if file.name.endswith(".toml") and file.name != PROBE_FILE]
    found = [parse_template(file.read_text("utf-8"), Path(file.name)) for file in files]
    return {template.id: template for template in sorted(found, key=lambda template: template.id)}
