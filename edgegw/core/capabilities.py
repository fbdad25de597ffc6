"""What a charger says of its smart charging: which CALL asks it, what its answer means.

Chargers answer with words of their own ("A" for Current, "power" in lower case, 999 stack levels, numbers
where text belongs): what cannot be read counts as not said, and what was not said as the usual.
"""

from __future__ import annotations

from typing import Any

from edgegw.core.power import Capabilities
from edgegw.wire.versions import Version

STACK_LEVEL_SANE = 99  # nobody has more; one brand says 999 and means that it does not know

# OCPP 1.6 9.4 (Smart Charging profile) and 9.1 (SupportedFeatureProfiles)
_KEYS = (
    "ChargeProfileMaxStackLevel",
    "ChargingScheduleAllowedChargingRateUnit",
    "ChargingScheduleMaxPeriods",
    "MaxChargingProfilesInstalled",
    "SupportedFeatureProfiles",
)
# OCPP 2.x part 2, referenced components and variables: SmartChargingCtrlr
_VARIABLES = ("ProfileStackLevel", "RateUnit", "PeriodsPerSchedule")
_AMPS, _WATTS = frozenset({"current", "a", "amps"}), frozenset({"power", "w", "watt", "watts"})


def request(version: Version) -> tuple[str, dict[str, Any]]:
    """(action, payload) of the CALL that reads them."""
    if not version.is_2x:
        return "GetConfiguration", {"key": list(_KEYS)}
    component = {"name": "SmartChargingCtrlr"}
    wanted: list[dict[str, Any]] = [
        {"component": component, "variable": {"name": name}} for name in _VARIABLES
    ]
    entries = {"name": "Entries", "instance": "ChargingProfiles"}
    wanted.append({"component": component, "variable": entries, "attributeType": "MaxSet"})
    return "GetVariables", {"getVariableData": wanted}


def parse(answer: dict[str, Any]) -> Capabilities:
    """From the payload of the CALLRESULT, whatever it holds."""
    words = _words(answer)
    units = {
        unit.strip().casefold()
        for unit in _first(words, "rateunit", "chargingscheduleallowedchargingrateunit").split(",")
    }
    amps, watts = bool(units & _AMPS), bool(units & _WATTS)
    features = words.get("supportedfeatureprofiles", "")
    return Capabilities(
        read=True,
        stack_level_max=_number(
            _first(words, "chargeprofilemaxstacklevel", "profilestacklevel"), STACK_LEVEL_SANE
        ),
        amps=amps or not watts,
        watts=watts or not amps,
        periods_max=_number(_first(words, "chargingschedulemaxperiods", "periodsperschedule"), 10_000),
        profiles_max=_number(_first(words, "maxchargingprofilesinstalled", "entries"), 10_000),
        smart_charging=not features or "smartcharging" in features.casefold(),
    )


def _words(answer: dict[str, Any]) -> dict[str, str]:
    """Key or variable name in lower case -> value as text."""
    words: dict[str, str] = {}
    for item in _list(answer.get("configurationKey")):
        if item.get("value") is not None:
            words[str(item.get("key", "")).strip().casefold()] = str(item["value"])
    for item in _list(answer.get("getVariableResult")):
        variable = item.get("variable")
        name = variable.get("name", "") if isinstance(variable, dict) else ""
        if item.get("attributeStatus") == "Accepted" and item.get("attributeValue") is not None:
            words[str(name).strip().casefold()] = str(item["attributeValue"])
    return words


def _list(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _first(words: dict[str, str], *names: str) -> str:
    return next((words[name] for name in names if name in words), "")


def _number(text: str, most: int) -> int | None:
    try:
        value = int(float(text))
    except (ValueError, OverflowError):
        return None
    return value if 0 <= value <= most else None
