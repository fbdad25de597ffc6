"""What a connector draws, in amps per phase, from the meter values its charger sends.

Rules of this file:
- Both shapes (OCPP 1.6 7.33 MeterValue, OCPP 2.x 2.25 MeterValueType); the newest that says anything counts.
- What cannot be read is None, never zero. Signed data is not read, nor what the car says of itself.
- Best first: current per phase; power per phase over voltage; one current; total power over voltage. The
  last two leave open how many phases the car uses: the fewest that fit the limit it was told are assumed.
- A DC connector is reckoned by its power: its amps are the car's, at the car's voltage.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

Drawn = tuple[float | None, ...]
"""Amps on the connector's own L1..L3, or on its one phase."""

_PHASES = {"L1": 0, "L2": 1, "L3": 2, "L1-N": 0, "L2-N": 1, "L3-N": 2}
_UNITS = {
    "Current.Import": {"A": 1.0, "mA": 0.001, "kA": 1000.0},
    "Power.Active.Import": {"W": 1.0, "kW": 1000.0},
    "Voltage": {"V": 1.0},
}
_DEFAULT_UNIT = {"Current.Import": "A", "Power.Active.Import": "W", "Voltage": "V"}
_CURRENT = "Current.Import"
_ELSEWHERE = frozenset({"EV", "Body"})  # locations that are not between mains and cable
MULTIPLIER_MAX = 9
CURRENT_MAX_A = 2000.0  # no connector has more; whoever says so speaks of something else
POWER_MAX_W = 2_000_000.0
VOLTAGE_A_PHASE_V = (80.0, 300.0)  # phase to neutral, anywhere
OVER_FACTOR, OVER_A = 1.1, 1.5  # a car at its limit may measure that much more


class _Sample:
    """The readable values of one meterValue: measurand -> phase (None: no phase) -> value."""

    def __init__(self, sampled: list[Any]) -> None:
        self.values: dict[str, dict[int | None, float]] = {}
        for measurand, phase, value in _readable(sampled):
            self.values.setdefault(measurand, {})[phase] = value

    def phased(self, measurand: str) -> dict[int, float]:
        found = self.values.get(measurand, {})
        return {phase: value for phase, value in found.items() if phase is not None}

    def single(self, measurand: str) -> float | None:
        return self.values.get(measurand, {}).get(None)


def drawn_amps(
    meter_values: Any,
    *,
    phases: int,
    nominal_v: float,
    max_a: float,
    limit_a: float,
    dc: bool = False,
    efficiency: float = 1.0,
) -> Drawn | None:
    """Amps per phase, as many as `phases`; None when nothing in `meter_values` says.

    `max_a`: the most the connector can give; `limit_a`: what it was told.
    """
    if not isinstance(meter_values, list):
        return None
    for meter_value in reversed(meter_values):
        sampled = meter_value.get("sampledValue") if isinstance(meter_value, dict) else None
        if not isinstance(sampled, list):
            continue
        sample = _Sample(sampled)
        if dc:
            drawn = _of_dc(sample, phases, nominal_v, efficiency)
        else:
            drawn = _of_ac(sample, phases, nominal_v, max_a, limit_a)
        if drawn is not None:
            return drawn
    return None


class Said(NamedTuple):
    """What a charger says of one connector, as it says it."""

    power_w: float | None
    current_l_a: Drawn  # its own L1, L2, L3; only what it names a phase of


def said(meter_values: Any, nominal_v: float) -> Said | None:
    """For people and displays: nothing is assumed. None when the newest sample says neither."""
    if not isinstance(meter_values, list):
        return None
    for meter_value in reversed(meter_values):
        sampled = meter_value.get("sampledValue") if isinstance(meter_value, dict) else None
        if not isinstance(sampled, list):
            continue
        sample = _Sample(sampled)
        currents = sample.phased("Current.Import")
        power_w = _power_w(sample, currents, nominal_v)
        if power_w is not None or currents:
            return Said(power_w, tuple(currents.get(phase) for phase in range(3)))
    return None


def said_amps(meter_values: Any) -> Drawn | None:
    """The currents of `said` alone: its own L1, L2, L3."""
    if not isinstance(meter_values, list):
        return None
    for meter_value in reversed(meter_values):
        sampled = meter_value.get("sampledValue") if isinstance(meter_value, dict) else None
        if not isinstance(sampled, list):
            continue
        currents = [
            item for item in sampled if isinstance(item, dict) and _CURRENT in str(item.get("measurand"))
        ]
        found = {phase: value for _, phase, value in _readable(currents) if phase is not None}
        if found:
            return found.get(0), found.get(1), found.get(2)
    return None


def _power_w(sample: _Sample, currents: dict[int, float], nominal_v: float) -> float | None:
    total, powers = sample.single("Power.Active.Import"), sample.phased("Power.Active.Import")
    if total is not None or powers:
        return total if total is not None else sum(powers.values())
    if not currents:
        return None
    return sum(amps * _voltage(sample, phase, nominal_v) for phase, amps in currents.items())


def _of_ac(sample: _Sample, phases: int, nominal_v: float, max_a: float, limit_a: float) -> Drawn | None:
    currents = sample.phased("Current.Import")
    if currents:
        return _on_phases(currents, phases)
    powers = sample.phased("Power.Active.Import")
    if powers:
        amps = {phase: power / _voltage(sample, phase, nominal_v) for phase, power in powers.items()}
        return _on_phases(amps, phases)
    current = sample.single("Current.Import")
    if current is not None:
        # More than one phase can carry is the sum of all of them.
        return _alike(current / phases if current > max_a * OVER_FACTOR + OVER_A else current, phases)
    power = sample.single("Power.Active.Import")
    if power is None:
        return None
    return _alike(_by_fewest_phases(power / _voltage(sample, None, nominal_v), phases, limit_a), phases)


def _of_dc(sample: _Sample, phases: int, nominal_v: float, efficiency: float) -> Drawn | None:
    power = sample.single("Power.Active.Import")
    if power is None:
        current, voltage = sample.single("Current.Import"), sample.single("Voltage")
        if current is None or voltage is None:
            return None
        power = current * voltage
    return _alike(power / efficiency / (nominal_v * phases), phases)


def _by_fewest_phases(total_a: float, phases: int, limit_a: float) -> float:
    for used in range(1, phases):
        if total_a / used <= limit_a * OVER_FACTOR + OVER_A:
            return total_a / used
    return total_a / phases


def _on_phases(amps: dict[int, float], phases: int) -> Drawn:
    if phases == 1:  # it has one, whatever it calls it
        return (max(amps.values()),)
    return tuple(amps.get(phase) for phase in range(phases))


def _alike(amps: float, phases: int) -> Drawn:
    return (amps,) * phases


def _voltage(sample: _Sample, phase: int | None, nominal_v: float) -> float:
    measured = sample.phased("Voltage")
    volts = measured.get(phase) if phase is not None else None
    if volts is None:
        volts = sample.single("Voltage")
    low, high = VOLTAGE_A_PHASE_V
    return volts if volts is not None and low <= volts <= high else nominal_v


# --- one message as it came, for who looks at hundreds of chargers a second --------------------------


class _Unit(msgspec.Struct, gc=False):
    unit: str = "A"
    multiplier: int = 0


class _Item(msgspec.Struct, gc=False, rename="camel"):
    value: str | float
    measurand: str = ""
    phase: str = ""
    location: str = ""
    format: str = ""
    unit: str = "A"
    unit_of_measure: _Unit | None = None


class _MeterValue(msgspec.Struct, gc=False, rename="camel"):
    sampled_value: list[_Item]


class _Metered(msgspec.Struct, gc=False, rename="camel"):
    meter_value: list[_MeterValue]


_as_usual = msgspec.json.Decoder(tuple[int, str, str, _Metered]).decode


def amps_in_frame(raw: bytes) -> Drawn | None:
    """What `said_amps` says of the meterValue of this CALL.

    Raises msgspec.MsgspecError for what is not of the usual shape: `said_amps` must decide what it says.
    """
    for meter_value in reversed(_as_usual(raw)[3].meter_value):
        found: dict[int, float] = {}
        for item in meter_value.sampled_value:
            phase = _PHASES.get(item.phase) if _CURRENT in item.measurand else None
            if phase is not None and (amps := _current_a(item)) is not None:
                found[phase] = amps
        if found:
            return found.get(0), found.get(1), found.get(2)
    return None


def _current_a(item: _Item) -> float | None:
    if item.format == "SignedData" or item.location in _ELSEWHERE or item.measurand.strip() != _CURRENT:
        return None
    factor = 1.0 if item.unit == "A" and item.unit_of_measure is None else _factor(item)
    if factor is None:
        return None
    try:
        amps = float(item.value) * factor
    except (ValueError, OverflowError):
        return None
    if -1.0 < amps <= CURRENT_MAX_A:
        return amps if amps > 0.0 else 0.0
    return None


def _factor(item: _Item) -> float | None:
    of_measure = item.unit_of_measure
    unit, power_of_ten = (item.unit, 0) if of_measure is None else (of_measure.unit, of_measure.multiplier)
    factor = _UNITS[_CURRENT].get(unit)
    return None if factor is None or abs(power_of_ten) > MULTIPLIER_MAX else factor * 10.0**power_of_ten


# --- one sampledValue ------------------------------------------------------------------------------


def _readable(sampled: list[Any]) -> Iterator[tuple[str, int | None, float]]:
    for item in sampled:
        if not isinstance(item, dict) or item.get("format") == "SignedData":
            continue
        if str(item.get("location", "")) in _ELSEWHERE:
            continue
        measurand = str(item.get("measurand", "")).strip()  # one brand ends it with a new line
        value = _value(item, measurand)
        phase = item.get("phase")
        if value is None or (phase is not None and str(phase) not in _PHASES):
            continue
        yield measurand, None if phase is None else _PHASES[str(phase)], value


def _value(item: dict[str, Any], measurand: str) -> float | None:
    units = _UNITS.get(measurand)
    if units is None:
        return None
    unit = item.get("unit", _DEFAULT_UNIT[measurand])
    power_of_ten: Any = 0
    of_measure = item.get("unitOfMeasure")
    if isinstance(of_measure, dict):
        unit = of_measure.get("unit", _DEFAULT_UNIT[measurand])
        power_of_ten = of_measure.get("multiplier", 0)
    factor = units.get(unit) if isinstance(unit, str) else None
    if factor is None or not isinstance(power_of_ten, int) or abs(power_of_ten) > MULTIPLIER_MAX:
        return None
    raw = item.get("value")
    if isinstance(raw, bool) or not isinstance(raw, (str, int, float)):
        return None
    try:
        value = float(raw) * factor * 10.0**power_of_ten
    except (ValueError, OverflowError):
        return None
    return _plausible(value, measurand)


def _plausible(value: float, measurand: str) -> float | None:
    if not math.isfinite(value):
        return None
    if measurand == "Current.Import":
        # A little below zero is the noise of an idle meter.
        return max(value, 0.0) if -1.0 < value <= CURRENT_MAX_A else None
    if measurand == "Power.Active.Import":
        return max(value, 0.0) if -250.0 < value <= POWER_MAX_W else None
    return value
