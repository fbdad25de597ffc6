"""Reading meter values: enough of them to know how far a transaction is. Nothing here changes a value.

Both shapes (OCPP 1.6 7.33 MeterValue, OCPP 2.x 2.25 MeterValueType): a list of samples in time order,
each with a list of sampledValue. The measurand defaults to Energy.Active.Import.Register, the unit to Wh.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec

ENERGY = "Energy.Active.Import.Register"
_ENERGY_LINE = ENERGY + "\n"  # one brand ends its measurands so
_WH_PER_UNIT = {"Wh": 1.0, "kWh": 1000.0}
_PHASES = frozenset({"L1", "L2", "L3", "L1-N", "L2-N", "L3-N"})
REGISTER_MAX_WH = 10**15  # a million gigawatt hours: beyond it nobody means energy


class EnergyRead(msgspec.Struct, frozen=True, gc=False):
    """What one sample says of the register of its connector."""

    wh: int
    said_at: Any  # the charger's own text, or whatever stands there
    coarse: bool = False  # given in kWh: others of the same register may be up to one more or less


def energy_register_wh(meter_values: Any) -> int | None:
    """The last readable energy register, whole Wh; None when there is none (signed data is not read)."""
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


def energy_reads(meter_values: Any) -> Iterator[EnergyRead]:
    """Every readable energy register at the outlet, in the order given; without a total the sum of phases."""
    for meter_value in meter_values if isinstance(meter_values, list) else ():
        samples = meter_value.get("sampledValue") if isinstance(meter_value, dict) else None
        if not isinstance(samples, list):
            continue
        found = _outlet_wh(samples)
        if found is not None:
            yield EnergyRead(found[0], meter_value.get("timestamp"), found[1])


def _outlet_wh(samples: list[Any]) -> tuple[int, bool] | None:
    phased: dict[str, float] = {}
    coarse = False
    for sample in samples:
        if type(sample) is not dict:
            continue
        measurand = sample.get("measurand", ENERGY)
        if measurand != ENERGY and measurand != _ENERGY_LINE:
            continue  # most of them
        value = _value_wh(sample) if sample.get("location", "Outlet") == "Outlet" else None
        if value is None or not 0 <= value <= REGISTER_MAX_WH:
            continue
        phase = sample.get("phase")
        if phase is None:
            return round(value), _in_kwh(sample)
        if isinstance(phase, str) and phase in _PHASES:
            phased.setdefault(phase[:2], value)
            coarse = coarse or _in_kwh(sample)
    return (round(sum(phased.values())), coarse) if phased else None


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
    factor = _wh_per_unit(sample)
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
