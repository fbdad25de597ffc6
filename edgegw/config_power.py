"""The tables of load balancing: `[balancing]`, `[[meter]]`, `[[circuit]]`, `[[connector]]`, `[[schedule]]`.

Rules of this file:
- Currents are amps per phase, as an electrician says them; a DC connector is given in kW of its mains side.
- What could trip a fuse is refused here, before anything runs: the values that hold when nobody steers the
  chargers must fit every circuit together with what else draws there at worst (`check_power`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from edgegw.config_values import AS_TUPLE, AbsolutePath, Identity, Table, about, duration, matches
from edgegw.meter_address import parse_address

PHASE_NAMES = ("L1", "L2", "L3")
# Of what a DC charger draws its car gets this much; a limit in watts is on the car's side.
DC_EFFICIENCY = 0.92
EV_MINIMUM_A = 6.0  # IEC 61851-1: less cannot be signalled to a car
MIDNIGHT_MIN = 24 * 60  # the end of a day

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,47}", re.ASCII)
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00", re.ASCII)

Name = Annotated[str, matches(_NAME, "must be 1 to 48 of A-Z a-z 0-9 space _ . -")]
Amps = Annotated[float, Field(ge=0, le=10_000)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


# --- kinds of values ------------------------------------------------------------------------------


def _phases(value: object) -> tuple[int, ...]:
    """ "L2 L3 L1" -> (1, 2, 0): the grid phase on the first, second and third terminal."""
    names = value.replace(",", " ").split() if isinstance(value, str) else []
    if not names or len(set(names)) != len(names) or not set(names) <= set(PHASE_NAMES):
        raise ValueError('must name grid phases in the order of the terminals, such as "L1 L2 L3" or "L2"')
    return tuple(PHASE_NAMES.index(name) for name in names)


def _three_phases(value: object) -> tuple[int, ...]:
    phases = _phases(value)
    if len(phases) != len(PHASE_NAMES):
        raise ValueError('must name all three phases in the order of the terminals, such as "L1 L2 L3"')
    return phases


def _address(value: str) -> str:
    parse_address(value)
    return value


def _minutes(value: object) -> int:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise ValueError('must be a time of day in quotes, such as "17:00"; the end of the day is "24:00"')
    hours, minutes = value.split(":")
    return int(hours) * 60 + int(minutes)


def _begins(minutes: int) -> int:
    if minutes == MIDNIGHT_MIN:
        raise ValueError('must be a time of day in quotes, such as "17:00"; the start of the day is "00:00"')
    return minutes


def _days(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or len(set(value)) != len(value):
        raise ValueError('must name each day once, such as ["sat", "sun"]; leave it out for every day')
    return value


def time_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError('must be a time zone such as "Europe/Berlin" or "UTC"') from None
    return value


# --- the tables -----------------------------------------------------------------------------------


class Balancing(Table):
    """`[balancing]`: one for the site. Only chargers with a `[[connector]]` are balanced."""

    nominal_voltage_v: float = Field(default=230.0, ge=100, le=300, alias="nominal_voltage")
    margin_a: Amps = 2.0
    stale_after_s: Annotated[float, duration("2 s", "10 min")] = 12.0
    profile_lifetime_s: Annotated[float, duration("10 s", "1 day")] = 300.0
    min_on_s: Annotated[float, duration("0 s", "1 day")] = 600.0
    min_off_s: Annotated[float, duration("0 s", "1 day")] = 300.0
    rotation_s: Annotated[float, duration("1 min", "1 day")] = 900.0
    overload_tolerance_s: Annotated[float, duration("0 s", "5 min")] = 9.0
    notify_cloud: bool = True  # 2.x NotifyChargingLimit and ClearedChargingLimit
    meters_directory: AbsolutePath | None = None
    quirks_directory: AbsolutePath | None = None


class Meter(Table):
    """`[[meter]]`: where one meter answers and what it is."""

    name: Name
    template: str = Field(description='what it is, such as template = "eastron_sdm630"; see "edgegw meter"')
    address: Annotated[str, AfterValidator(_address)] = Field(
        description='where it answers, such as address = "tcp://10.0.0.7:502"'
    )
    unit: int | None = Field(default=None, ge=0, le=255)  # None: what the template says
    poll_interval_s: Annotated[float, duration("200 ms", "1 min")] = 1.0
    timeout_s: Annotated[float, duration("50 ms", "30 s")] = 0.7
    invert: bool = False  # its transformers are the wrong way round
    phases: Annotated[tuple[int, ...], BeforeValidator(_three_phases)] = (0, 1, 2)
    frozen_after_s: Annotated[float, duration("5 s", "1 h")] = 30.0

    @model_validator(mode="after")
    def _answers_within_the_interval(self) -> Meter:
        if self.timeout_s >= self.poll_interval_s:
            raise about("timeout", "must be shorter than poll_interval")
        return self


class Circuit(Table):
    """`[[circuit]]`: one fuse. The one without a parent is the site's main fuse."""

    name: Name
    parent: Name | None = None
    fuse_a: Annotated[float, Field(gt=0, le=10_000)]
    meter: Name | None = None
    margin_a: Amps | None = None  # None: that of [balancing]
    reserve_a: Amps = 0.0
    feed_in_a: Amps = 0.0  # what solar or a battery here feeds at most, per phase
    unbalance_a: Annotated[float, Field(gt=0, le=10_000)] | None = None


class Connector(Table):
    """`[[connector]]`: where a car plugs in, and how it is wired."""

    charger: Identity
    connector: int = Field(default=1, ge=1, le=100)  # 1.6 connectorId, 2.x evseId
    circuit: Name
    phases: Annotated[tuple[int, ...], BeforeValidator(_phases)] = (0, 1, 2)
    min_a: Amps = EV_MINIMUM_A
    max_a: Amps = 32.0
    safe_a: Amps = EV_MINIMUM_A
    step_a: Annotated[float, Field(ge=0.1, le=100)] = 1.0
    priority: int = Field(default=0, ge=-9, le=9)
    weight: float = Field(default=1.0, gt=0, le=100)
    dc: bool = False
    min_kw: Annotated[float, Field(ge=0, le=2000)] | None = None
    max_kw: Annotated[float, Field(gt=0, le=2000)] | None = None
    safe_kw: Annotated[float, Field(ge=0, le=2000)] | None = None

    @property
    def id(self) -> str:
        return f"{self.charger}/{self.connector}"

    @model_validator(mode="after")
    def _limits_in_order(self) -> Connector:
        if self.dc:
            return self._dc_in_order()
        if given := [key for key in ("min_kw", "max_kw", "safe_kw") if getattr(self, key) is not None]:
            raise about(given[0], "is for a connector with dc = true; give amps")
        if self.min_a < EV_MINIMUM_A:
            raise about("min", f"must be at least {EV_MINIMUM_A:g}: a car cannot be told less (IEC 61851-1)")
        if self.max_a < self.min_a:
            raise about("max", f"must be at least min ({self.min_a:g})")
        if self.safe_a and not self.min_a <= self.safe_a <= self.max_a:
            raise about("safe", f"must be 0, or between min ({self.min_a:g}) and max ({self.max_a:g})")
        return self

    def _dc_in_order(self) -> Connector:
        if len(self.phases) != len(PHASE_NAMES):
            raise about("phases", "must be all three for a connector with dc = true")
        if self.max_kw is None:
            raise about("max_kw", "is required for a connector with dc = true: what it draws from the mains")
        low, safe = self.min_kw or 0.0, self.safe_kw or 0.0
        if low > self.max_kw or safe > self.max_kw or 0 < safe < low:
            raise about("safe_kw", "must be 0, or between min_kw and max_kw")
        return self

    def limits_a(self, nominal_v: float) -> tuple[float, float, float]:
        """(min, max, safe) in amps per phase."""
        if not self.dc:
            return self.min_a, self.max_a, self.safe_a
        per_a = nominal_v * len(PHASE_NAMES) / 1000
        assert self.max_kw is not None
        return (self.min_kw or 0.0) / per_a, self.max_kw / per_a, (self.safe_kw or 0.0) / per_a


class Schedule(Table):
    """`[[schedule]]`: a lower limit at times of the day, in the site's own time zone."""

    name: Name
    circuit: Name
    from_: Annotated[int, BeforeValidator(_minutes), AfterValidator(_begins)] = Field(alias="from")
    to: Annotated[int, BeforeValidator(_minutes)]  # minutes since midnight, both
    days: Annotated[tuple[Weekday, ...], AS_TUPLE, AfterValidator(_days)] = get_args(Weekday)
    limit_a: Annotated[float, Field(ge=0, le=10_000)]


# --- all of it together ---------------------------------------------------------------------------


def check_power(
    meters: Sequence[Meter],
    circuits: Sequence[Circuit],
    connectors: Sequence[Connector],
    schedules: Sequence[Schedule],
    balancing: Balancing,
) -> None:
    """Raise what is wrong with the tables as a whole: names that lead nowhere, sums that do not fit."""
    for fault in _faults(meters, circuits, connectors, schedules, balancing):
        raise fault


def _faults(
    meters: Sequence[Meter],
    circuits: Sequence[Circuit],
    connectors: Sequence[Connector],
    schedules: Sequence[Schedule],
    balancing: Balancing,
) -> Iterator[PydanticCustomError]:
    yield from _twice("meter", "name", [meter.name for meter in meters])
    yield from _twice("circuit", "name", [circuit.name for circuit in circuits])
    yield from _twice("connector", "connector", [connector.id for connector in connectors])
    names = {circuit.name for circuit in circuits}
    if connectors and not circuits:
        yield about("circuit", "is required when there is a [[connector]]: the fuse it hangs on")
        return
    yield from _tree_faults(circuits, names)
    for number, circuit in enumerate(circuits):
        if circuit.meter is not None and circuit.meter not in {meter.name for meter in meters}:
            yield about(("circuit", number, "meter"), f'there is no [[meter]] named "{circuit.meter}"')
    hanging = {"connector": [c.circuit for c in connectors], "schedule": [s.circuit for s in schedules]}
    for table, named in hanging.items():
        for number, name in enumerate(named):
            if name not in names:
                yield about((table, number, "circuit"), f'there is no [[circuit]] named "{name}"')
    yield from _safe_faults(circuits, connectors, balancing.nominal_voltage_v)


def _twice(table: str, key: str, names: list[str]) -> Iterator[PydanticCustomError]:
    for name, count in Counter(names).items():
        if count > 1:
            number = len(names) - 1 - names[::-1].index(name)
            yield about((table, number, key), f'"{name}" is there more than once')


def _tree_faults(circuits: Sequence[Circuit], names: set[str]) -> Iterator[PydanticCustomError]:
    parents = {circuit.name: circuit.parent for circuit in circuits}
    roots = [circuit.name for circuit in circuits if circuit.parent is None]
    if circuits and len(roots) != 1:
        told = ", ".join(roots) or "none"
        yield about("circuit", f"exactly one must have no parent, the main fuse of the site; now: {told}")
    for number, circuit in enumerate(circuits):
        path = ("circuit", number, "parent")
        if circuit.parent is not None and circuit.parent not in names:
            yield about(path, f'there is no [[circuit]] named "{circuit.parent}"')
        elif circuit.name in ancestors(circuit.name, parents):
            yield about(path, "leads back to the circuit itself")


def ancestors(name: str, parents: dict[str, str | None]) -> list[str]:
    """The circuits above `name`, nearest first; ends where it would go round."""
    above: list[str] = []
    at = parents.get(name)
    while at is not None and at not in above:
        above.append(at)
        at = parents.get(at)
    return above


def _safe_faults(
    circuits: Sequence[Circuit], connectors: Sequence[Connector], nominal_v: float
) -> Iterator[PydanticCustomError]:
    """Nobody steers, every car draws its safe value, everything else draws its worst: it must hold."""
    parents = {circuit.name: circuit.parent for circuit in circuits}
    for number, circuit in enumerate(circuits):
        below = [c for c in connectors if circuit.name in (c.circuit, *ancestors(c.circuit, parents))]
        for phase, name in enumerate(PHASE_NAMES):
            safe = sum(c.limits_a(nominal_v)[2] for c in below if phase in c.phases)
            if safe + circuit.reserve_a > circuit.fuse_a + 1e-6:  # sums of kW do not come out even
                text = (
                    f"circuit {circuit.name}, {name}: the safe values of {len(below)} connectors are "
                    f"{safe:g} A together, with reserve {circuit.reserve_a:g} A they make "
                    f"{safe + circuit.reserve_a:g} A, more than its fuse of {circuit.fuse_a:g} A; "
                    "lower safe (0 pauses a car that nobody steers) or reserve"
                )
                yield about(("circuit", number, "fuse"), text)
                break
