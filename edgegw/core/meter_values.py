"""Reading meter values: enough of them to know how far a transaction is. Nothing here changes a value.

Both shapes (OCPP 1.6 7.33 MeterValue, OCPP 2.x 2.25 MeterValueType): a list of samples in time order,
each with a list of sampledValue. The measurand defaults to Energy.Active.Import.Register, the unit to Wh.
"""

from __future__ import annotations

import math
from typing import Any

ENERGY = "Energy.Active.Import.Register"
_WH_PER_UNIT = {"Wh": 1.0, "kWh": 1000.0}


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


def _energy_wh(sample: Any) -> int | None:
    if not isinstance(sample, dict):
        return None
    if sample.get("measurand", ENERGY) != ENERGY:
        return None
    if "phase" in sample or sample.get("format") == "SignedData":
        return None
    unit: Any = sample.get("unit", "Wh")
    power_of_ten: Any = 0
    of_measure = sample.get("unitOfMeasure")
    if isinstance(of_measure, dict):
        unit, power_of_ten = of_measure.get("unit", "Wh"), of_measure.get("multiplier", 0)
    factor = _WH_PER_UNIT.get(unit) if isinstance(unit, str) else None
    if factor is None or not isinstance(power_of_ten, int) or abs(power_of_ten) > 9:
        return None
    try:
        value = float(sample["value"]) * factor * 10.0**power_of_ten
    except (KeyError, TypeError, ValueError):
        return None  # chargers send "", "NaN" and worse; a missing reading is not zero
    return round(value) if math.isfinite(value) and abs(value) < 2**62 else None
