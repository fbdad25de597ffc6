"""Settings of a charger between OCPP and people: names, values, types, and what its answers mean. Pure.

A name of 2.x is "Component.Variable", with instances behind "/" and the EVSE behind "@":
"SampledDataCtrlr.TxUpdatedInterval", "Connector/left.AvailabilityState@1/1". Nothing a charger wrote is
trusted to be of any type.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from edgegw.control import detail_models as models
from edgegw.control.masking import mask_tag
from edgegw.control.setting_rules import is_card, is_secret, note_on
from edgegw.redaction import plain, redact

SETTINGS_MAX = 5000  # of one charger; more is no configuration
VALUE_SHOWN_MAX = 2500
TYPE_SHOWN_MAX = 30
OTHER_ATTRIBUTES = ("Target", "MinSet", "MaxSet")  # beside "Actual" (2.x AttributeEnumType)

# What is asked one by one where a charger makes no report.
USUAL = (
    ("AlignedDataCtrlr", "Interval"), ("AuthCtrlr", "Enabled"), ("AuthCtrlr", "LocalAuthorizeOffline"),
    ("AuthCtrlr", "LocalPreAuthorize"), ("ChargingStation", "AvailabilityState"),
    ("ChargingStation", "Model"), ("ClockCtrlr", "DateTime"), ("ClockCtrlr", "TimeSource"),
    ("LocalAuthListCtrlr", "Enabled"), ("OCPPCommCtrlr", "HeartbeatInterval"),
    ("OCPPCommCtrlr", "MessageAttempts"), ("OCPPCommCtrlr", "NetworkConfigurationPriority"),
    ("OCPPCommCtrlr", "OfflineThreshold"), ("OCPPCommCtrlr", "WebSocketPingInterval"),
    ("SampledDataCtrlr", "TxUpdatedInterval"), ("SampledDataCtrlr", "TxUpdatedMeasurands"),
    ("SecurityCtrlr", "Identity"), ("SecurityCtrlr", "SecurityProfile"), ("SmartChargingCtrlr", "Enabled"),
    ("SmartChargingCtrlr", "PeriodsPerSchedule"), ("SmartChargingCtrlr", "ProfileStackLevel"),
    ("SmartChargingCtrlr", "RateUnit"), ("TxCtrlr", "EVConnectionTimeOut"),
    ("TxCtrlr", "StopTxOnEVSideDisconnect"), ("TxCtrlr", "StopTxOnInvalidId"), ("TxCtrlr", "TxStartPoint"),
    ("TxCtrlr", "TxStopPoint"),
)  # fmt: skip
USUAL_AT_ONCE = 5  # of one GetVariables: what the smallest chargers take


# --- 1.6 --------------------------------------------------------------------------------------------


def of_16(payload: Mapping[str, Any]) -> tuple[models.Setting, ...]:
    """From GetConfiguration.conf."""
    keys = payload.get("configurationKey")
    found = [_of_key(key) for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
    return by_name(found)


def _of_key(key: Mapping[str, Any]) -> models.Setting:
    return _setting(str(key.get("key", "")), key.get("value"), read_only=key.get("readonly") is True)


# --- 2.x --------------------------------------------------------------------------------------------


def of_report(parts: Iterable[Mapping[str, Any]]) -> tuple[models.Setting, ...]:
    """From the reportData of a NotifyReport, as it came."""
    return tuple(setting for part in parts for setting in _of_part(part))


def _of_part(part: Mapping[str, Any]) -> Iterator[models.Setting]:
    name = name_of(part.get("component"), part.get("variable"))
    told = part.get("variableAttribute")
    traits = part.get("variableCharacteristics")
    traits = traits if isinstance(traits, dict) else {}
    attributes = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    told_of = {str(one.get("type")): one.get("value") for one in reversed(attributes)}
    others = {kind: told_of[kind] for kind in OTHER_ATTRIBUTES if told_of.get(kind) is not None}
    actual = [one for one in attributes if one.get("type", "Actual") == "Actual"]
    for attribute in (actual or [{"mutability": "ReadOnly"}] if others else actual) if name else ():
        may = attribute.get("mutability", "ReadWrite")
        fixed = may == "ReadOnly" or attribute.get("constant") is True
        write_only = "it cannot be read" if may == "WriteOnly" else ""
        note = ", ".join(filter(None, (write_only, _traits(traits))))
        setting = _setting(name, attribute.get("value"), fixed, str(traits.get("dataType", "")), note)
        yield setting.model_copy(update={"others": _others(name, attribute.get("value"), others)})


def _others(name: str, actual: object, others: Mapping[str, object]) -> dict[str, str]:
    """Where they say something else."""
    found = {kind: _shown(name, value) for kind, value in others.items() if value != actual}
    return {kind: shown for kind, shown in found.items() if shown is not None}


def _traits(traits: Mapping[str, Any]) -> str:
    unit, low, high = (traits.get(key) for key in ("unit", "minLimit", "maxLimit"))
    words = [str(unit)[:20]] if unit else []
    if low is not None or high is not None:
        words.append(f"{'' if low is None else low} to {'' if high is None else high}".strip())
    if traits.get("valuesList"):
        words.append(f"one of {str(traits['valuesList'])[:300]}")
    return plain(", ".join(words))


def of_variables(payload: Mapping[str, Any]) -> tuple[models.Setting, ...]:
    """From GetVariables.conf: those it has."""
    results = payload.get("getVariableResult")
    found = []
    for result in results if isinstance(results, list) else ():
        if isinstance(result, dict) and result.get("attributeStatus") == "Accepted":
            name = name_of(result.get("component"), result.get("variable"))
            found.append(_setting(name, result.get("attributeValue"), read_only=False))
    return tuple(found)


def name_of(component: object, variable: object) -> str:
    """ "" when it has none."""
    if not isinstance(component, dict) or not isinstance(variable, dict):
        return ""
    evse = component.get("evse")
    where = ""
    if isinstance(evse, dict):
        where = f"@{evse.get('id')}" + (f"/{evse['connectorId']}" if "connectorId" in evse else "")
    return plain(f"{_with_instance(component)}.{_with_instance(variable)}{where}")[: models.SETTING_NAME_MAX]


def _with_instance(named: Mapping[str, Any]) -> str:
    instance = named.get("instance")
    return f"{named.get('name', '')}/{instance}" if instance else str(named.get("name", ""))


def parts_of(name: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """(component, variable) of such a name; None when it is none."""
    rest, _, where = name.partition("@")
    component, dot, variable = rest.partition(".")
    if not component or not dot or not variable:
        return None
    found = _split(component)
    if where:
        evse, _, connector = where.partition("/")
        if not evse.isdecimal() or not (connector or "0").isdecimal():
            return None
        found["evse"] = {"id": int(evse), **({"connectorId": int(connector)} if connector else {})}
    return found, _split(variable)


def _split(text: str) -> dict[str, Any]:
    name, slash, instance = text.partition("/")
    return {"name": name, "instance": instance} if slash else {"name": name}


# --- both -------------------------------------------------------------------------------------------


def _setting(name: str, value: object, read_only: bool, kind: str = "", note: str = "") -> models.Setting:
    return models.Setting(
        name=plain(name)[: models.SETTING_NAME_MAX],
        value=_shown(name, value),
        read_only=read_only,
        type=plain(kind)[:TYPE_SHOWN_MAX],
        note="; ".join(filter(None, (note_on(name), note))),
    )


def _shown(name: str, value: object) -> str | None:
    """None: there is none, or it is nobody's business."""
    shown = None if value is None or is_secret(name) else redact(plain(str(value)[:VALUE_SHOWN_MAX]))
    return mask_tag(shown) if shown is not None and is_card(name) else shown


def by_name(found: list[models.Setting]) -> tuple[models.Setting, ...]:
    return tuple(sorted(found[:SETTINGS_MAX], key=lambda setting: setting.name.casefold()))


_MEANINGS: Mapping[str, str] = {
    "Accepted": "it is set",
    "RebootRequired": "it is set and holds after the next restart of the charger: edgegw charger reset",
    "Rejected": "the charger does not take this value: is it read-only, another type, out of range?",
    "NotSupported": "the charger has no such setting",
    "UnknownVariable": "the charger has no such variable in this component",
    "UnknownComponent": "the charger has no such component",
    "NotSupportedAttributeType": "the charger has no such value to set",
}


def meaning_of(status: str) -> str:
    return _MEANINGS.get(status, f"the charger answered {status or 'without a status'}")
