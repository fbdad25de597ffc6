"""The device model of the box as a station of its own: what a cloud may read of it, and what it may set.

Rules of this file (OCPP 2.x use cases B05 to B08):
- Only what is true and used is in the table; everything else is unknown, and said to be so.
- Names are compared without case; a variable with an instance is found by that instance only.
- Only the attribute `Actual` exists.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edgegw.core.events import Instant
from edgegw.wire.timestamps import format_timestamp

HEARTBEAT_DEFAULT_S = 300  # until the cloud has said another one
HEARTBEAT_MIN_S = 1
HEARTBEAT_MAX_S = 7 * 86_400
ITEMS_MAX = 100  # of one GetVariables, SetVariables or GetReport: far more than there are
MODEL = VENDOR = "edgegw"

_LIST, _TEXT, _NUMBER, _TIME = "MemberList", "string", "integer", "dateTime"


class OwnFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Who the box is towards the cloud."""

    identity: str
    firmware: str  # version of edgegw
    protocols: tuple[str, ...] = ("HTTP", "HTTPS", "FTP", "SFTP")  # it can fetch a file with
    answer_timeout_s: float = 30.0


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    component: str
    name: str
    instance: str = ""
    kind: str = _TEXT  # DataEnumType
    unit: str = ""
    settable: bool = False
    summary: bool = False  # tells whether the station works (B07.FR.09)

    def address(self) -> dict[str, Any]:
        variable = {"name": self.name, "instance": self.instance} if self.instance else {"name": self.name}
        return {"component": {"name": self.component}, "variable": variable}

    def characteristics(self) -> dict[str, Any]:
        found: dict[str, Any] = {"dataType": self.kind, "supportsMonitoring": False}
        if self.unit:
            found["unit"] = self.unit
        if self.settable:
            found |= {"minLimit": HEARTBEAT_MIN_S, "maxLimit": HEARTBEAT_MAX_S}
        return found


def _row(component: str, name: str, **more: Any) -> Variable:
    return Variable(component=component, name=name, **more)


_HEARTBEAT = _row("OCPPCommCtrlr", "HeartbeatInterval", kind=_NUMBER, unit="s", settable=True)
_TIMEOUT = _row("OCPPCommCtrlr", "MessageTimeout", instance="Default", kind=_NUMBER, unit="s")
_PROTOCOLS = _row("OCPPCommCtrlr", "FileTransferProtocols", kind=_LIST)
_IDENTITY = _row("SecurityCtrlr", "Identity")
_CLOCK = _row("ClockCtrlr", "DateTime", kind=_TIME)
_AVAILABLE = _row("ChargingStation", "AvailabilityState", kind="OptionList", summary=True)
_MODEL = _row("ChargingStation", "Model")
_VENDOR = _row("ChargingStation", "VendorName")
_ITEMS = tuple(
    _row("DeviceDataCtrlr", "ItemsPerMessage", instance=name, kind=_NUMBER)
    for name in ("GetReport", "GetVariables", "SetVariables")
)
TABLE = (_AVAILABLE, _MODEL, _VENDOR, _CLOCK, *_ITEMS, _PROTOCOLS, _HEARTBEAT, _TIMEOUT, _IDENTITY)


class OwnVariables:
    __slots__ = ("_facts", "heartbeat_s")

    def __init__(self, facts: OwnFacts) -> None:
        self._facts = facts
        self.heartbeat_s = HEARTBEAT_DEFAULT_S

    def read(self, payload: dict[str, Any], now: Instant) -> dict[str, Any]:
        """GetVariables."""
        return {"getVariableResult": [self._read(asked, now) for asked in payload["getVariableData"]]}

    def write(self, payload: dict[str, Any]) -> dict[str, Any]:
        """SetVariables, one after the other."""
        return {"setVariableResult": [self._write(asked) for asked in payload["setVariableData"]]}

    def base_report(self, base: str, now: Instant) -> list[dict[str, Any]]:
        """GetBaseReport."""
        chosen = {
            "FullInventory": TABLE,
            "ConfigurationInventory": tuple(row for row in TABLE if row.settable),
            "SummaryInventory": tuple(row for row in TABLE if row.summary),
        }[base]
        return [self._reported(row, now) for row in chosen]

    def report(self, payload: dict[str, Any], now: Instant) -> list[dict[str, Any]]:
        """GetReport. No component here has Active, Available, Enabled or Problem: the first three hold of all
        that have no such variable, Problem of none (B08.FR.07 to 10)."""
        criteria = payload.get("componentCriteria")
        if criteria and set(criteria) == {"Problem"}:
            return []
        wanted = payload.get("componentVariable")
        chosen = [row for row in TABLE if not wanted or any(_is_meant(row, asked) for asked in wanted)]
        return [self._reported(row, now) for row in chosen]

    # --- inside ----------------------------------------------------------------------------------

    def _read(self, asked: dict[str, Any], now: Instant) -> dict[str, Any]:
        status, row = _find(asked)
        result = _result(asked, status)
        if row is not None and status == "Accepted":
            result["attributeValue"] = self._value(row, now)
        return result

    def _write(self, asked: dict[str, Any]) -> dict[str, Any]:
        status, row = _find(asked)
        if row is None or status != "Accepted":
            return _result(asked, status)
        why = self._set_heartbeat(asked["attributeValue"]) if row is _HEARTBEAT else "ReadOnly"
        result = _result(asked, "Rejected" if why else "Accepted")
        if why:
            result["attributeStatusInfo"] = {"reasonCode": why}
        return result

    def _set_heartbeat(self, text: str) -> str:
        """Why not, as a reason code."""
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            return "InvalidValue"
        if int(text) < HEARTBEAT_MIN_S:
            return "ValueTooLow"
        if int(text) > HEARTBEAT_MAX_S:
            return "ValueTooHigh"
        self.heartbeat_s = int(text)
        return ""

    def _reported(self, row: Variable, now: Instant) -> dict[str, Any]:
        attribute: dict[str, Any] = {
            "type": "Actual",
            "value": self._value(row, now),
            "mutability": "ReadWrite" if row.settable else "ReadOnly",
            "persistent": False,
            "constant": False,
        }
        return {
            **row.address(),
            "variableAttribute": [attribute],
            "variableCharacteristics": row.characteristics(),
        }

    def _value(self, row: Variable, now: Instant) -> str:
        facts = self._facts
        if row is _CLOCK:
            return format_timestamp(now.wall)
        if row in _ITEMS:
            return str(ITEMS_MAX)
        return {
            _HEARTBEAT: str(self.heartbeat_s),
            _TIMEOUT: str(round(facts.answer_timeout_s)),
            _PROTOCOLS: ",".join(facts.protocols),
            _IDENTITY: facts.identity,
            _AVAILABLE: "Available",
            _MODEL: MODEL,
            _VENDOR: VENDOR,
        }[row]


def _find(asked: dict[str, Any]) -> tuple[str, Variable | None]:
    component, variable = asked["component"], asked["variable"]
    # The box has no EVSE, and none of its components comes in instances.
    is_here = not component.get("evse") and not component.get("instance")
    rows = [row for row in TABLE if is_here and _same(row.component, component["name"])]
    if not rows:
        return "UnknownComponent", None
    instance = variable.get("instance") or ""
    found = [row for row in rows if _same(row.name, variable["name"]) and _same(row.instance, instance)]
    if not found:
        return "UnknownVariable", None
    if asked.get("attributeType", "Actual") != "Actual":
        return "NotSupportedAttributeType", None
    return "Accepted", found[0]


def _is_meant(row: Variable, asked: dict[str, Any]) -> bool:
    """B08.FR.20 to 25: what is left out stands for all there are."""
    component, variable = asked["component"], asked.get("variable")
    if component.get("evse") or component.get("instance") or not _same(row.component, component["name"]):
        return False
    if variable is None:
        return True
    instance = variable.get("instance")
    return _same(row.name, variable["name"]) and (not instance or _same(row.instance, instance))


def _result(asked: dict[str, Any], status: str) -> dict[str, Any]:
    """B05.FR.02, 03, 12 and B06: the same component, variable and attribute as in the question."""
    return {
        "attributeStatus": status,
        "attributeType": asked.get("attributeType", "Actual"),
        "component": asked["component"],
        "variable": asked["variable"],
    }


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
