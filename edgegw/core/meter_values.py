"""Reading meter values: enough of them to know how far a transaction is. Nothing here changes a value.

Both shapes (OCPP 1.6 7.33 MeterValue, OCPP 2.x 2.25 MeterValueType): a list of samples in time order,
each with a list of sampledValue. The measurand defaults to Energy.Active.Import.Register, the unit to Wh.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from edgegw.wire.timestamps import parse_timestamp

ENERGY = "Energy.Active.Import.Register"
_ENERGY_LINE = ENERGY + "\n"  # one brand ends its measurands so
_ENERGY_NAMES = (ENERGY, _ENERGY_LINE)
_WH_PER_UNIT = {"Wh": 1.0, "kWh": 1000.0}
_PHASES = frozenset({"L1", "L2", "L3", "L1-N", "L2-N", "L3-N"})
REGISTER_MAX_WH = 10**15  # a million gigawatt hours: beyond it nobody means energy
# Outside of 2010 to 2100 a clock was never set, and its times say nothing of what came first.
SAID_MIN, SAID_MAX = 1_262_304_000.0, 4_102_444_800.0


class EnergyRead(msgspec.Struct, frozen=True, gc=False):
    """What one sample says of the register of its connector."""

    wh: int
    said_at: Any  # the charger's own text, or whatever stands there
    coarse: bool = False  # given in kWh: others of the same register may be up to one more or less


def energy_register_wh(meter_values: Any) -> int | None:
    """The last readable energy register, whole Wh; None when there is none (signed data is not read)."""
    plain = plain_read(meter_values)
    if plain is not None:
        return plain[0]
    if not isinstance(meter_values, list):
        return None
    for meter_value in reversed(meter_values):
        samples = meter_value.get("sampledValue") if isinstance(meter_value, dict) else None
        if not isinstance(samples, list):
            continue
        for sample in samples:
            energy = _energy_wh(sample)
            if energy is not None:
                return energy
    return None


def plain_read(meter_values: Any) -> tuple[int, Any] | None:
    """(Wh, time) that `energy_reads` finds, when that is one register of the commonest shape: at a third of
    the cost. None: read on with `energy_reads`.
    """
    try:
        (meter_value,) = meter_values
        for sample in meter_value["sampledValue"]:
            measurand = sample["measurand"]
            if measurand in _ENERGY_NAMES:
                break
        else:
            return None
        if "phase" in sample or "unitOfMeasure" in sample or sample.get("unit", "Wh") != "Wh":
            return None
        if sample.get("location", "Outlet") != "Outlet" or sample.get("format", "Raw") != "Raw":
            return None
        value = float(sample["value"])
        fits = 0 <= value <= REGISTER_MAX_WH
        return (round(value), meter_value["timestamp"]) if fits else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def energy_reads(meter_values: Any) -> list[EnergyRead]:
    """Every readable energy register at the outlet, in the order given; without a total the sum of phases."""
    if type(meter_values) is not list:
        return []
    reads = []
    for meter_value in meter_values:
        samples = meter_value.get("sampledValue") if type(meter_value) is dict else None
        found = _outlet_wh(samples, meter_value.get("timestamp")) if type(samples) is list else None
        if found is not None:
            reads.append(found)
    return reads


def _outlet_wh(samples: list[Any], said_at: object) -> EnergyRead | None:
    phased: list[dict[str, Any]] = []
    for sample in samples:
        if type(sample) is not dict:
            continue
        measurand = sample.get("measurand", ENERGY)
        if measurand != ENERGY and measurand != _ENERGY_LINE:
            continue  # most of them
        if sample.get("location", "Outlet") != "Outlet":
            continue
        if sample.get("phase") is not None:
            phased.append(sample)
            continue
        value = _value_wh(sample)
        if value is not None and 0 <= value <= REGISTER_MAX_WH:
            return EnergyRead(round(value), said_at, _in_kwh(sample))
    return _sum_wh(phased, said_at) if phased else None


def _sum_wh(samples: Iterable[dict[str, Any]], said_at: object) -> EnergyRead | None:
    phases: dict[str, float] = {}
    coarse = False
    for sample in samples:
        phase, value = sample["phase"], _value_wh(sample)
        if value is not None and 0 <= value <= REGISTER_MAX_WH and type(phase) is str and phase in _PHASES:
            phases.setdefault(phase[:2], value)
            coarse = coarse or _in_kwh(sample)
    return EnergyRead(round(sum(phases.values())), said_at, coarse) if phases else None


def said_s(text: object) -> float | None:
    """Seconds since 1970; None for what is no time, or makes no sense."""
    if type(text) is not str:
        return None
    try:
        moment = datetime.fromisoformat(text)  # nearly always; a tenth of the time of what reads all
        said_at = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        parsed = parse_timestamp(text)
        if parsed is None:
            return None
        said_at = parsed[0]
    return said_at if SAID_MIN <= said_at < SAID_MAX else None


def _in_kwh(sample: dict[str, Any]) -> bool:
    of_measure = sample.get("unitOfMeasure")
    unit = of_measure.get("unit") if isinstance(of_measure, dict) else sample.get("unit")
    return unit == "kWh"


def _energy_wh(sample: Any) -> int | None:
    if not isinstance(sample, dict):
        return None
    measurand = sample.get("measurand", ENERGY)
    if (measurand != ENERGY and measurand != _ENERGY_LINE) or "phase" in sample:
        return None
    value = _value_wh(sample)
    return round(value) if value is not None and abs(value) < 2**62 else None


def _value_wh(sample: dict[str, Any]) -> float | None:
    """The number of one sampledValue, of whatever phase and place; None when it has none."""
    if sample.get("format") == "SignedData":
        return None
    is_plain = sample.get("unit") == "Wh" and "unitOfMeasure" not in sample
    factor = 1.0 if is_plain else _wh_per_unit(sample)
    if factor is None:
        return None
    try:
        value = float(sample["value"]) * factor
    except (KeyError, TypeError, ValueError, OverflowError):
        return None  # chargers send "", "NaN" and worse; a missing reading is not zero
    return value if math.isfinite(value) else None


def _wh_per_unit(sample: dict[str, Any]) -> float | None:
    of_measure = sample.get("unitOfMeasure")
    if not isinstance(of_measure, dict):
        unit = sample.get("unit", "Wh")
        return _WH_PER_UNIT.get(unit) if isinstance(unit, str) else None
    unit, power_of_ten = of_measure.get("unit", "Wh"), of_measure.get("multiplier", 0)
    factor = _WH_PER_UNIT.get(unit) if isinstance(unit, str) else None
    if factor is None or not isinstance(power_of_ten, int) or abs(power_of_ten) > 9:
        return None
    return factor * 10.0**power_of_ten
