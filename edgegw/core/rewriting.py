"""The few tokens that differ between charger and cloud, and nothing else of the frame.

Which fields carry a 1.6 transaction id: MeterValues.req, StopTransaction.req, the costmsg
ConnectorUnplugged upwards; RemoteStopTransaction.req, SetChargingProfile.req,
RemoteStartTransaction.req (tolerated), costmsg RunningCost and FinalCost downwards. Signed meter
values are strings elsewhere in the frame and stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from edgegw.core.state import ChargerState
from edgegw.core.transactions import REFUSED_ID
from edgegw.wire import tokens
from edgegw.wire.frames import Call
from edgegw.wire.versions import Version

COST_VENDOR = "org.openchargealliance.costmsg"  # 1.6 California pricing, OCA application note 3.0
_COST_UP = frozenset({"ConnectorUnplugged"})
_COST_DOWN = frozenset({"RunningCost", "FinalCost"})

_DOWN_PATHS: dict[str, tuple[str, ...]] = {
    "RemoteStopTransaction": ("transactionId",),
    "SetChargingProfile": ("csChargingProfiles", "transactionId"),
    "RemoteStartTransaction": ("chargingProfile", "transactionId"),
}


def for_cloud(state: ChargerState, call: Call) -> bytes:
    """The bytes the cloud must read for a live or stored CALL of the charger."""
    if state.version is not Version.V16:
        return call.raw
    ids = state.transactions
    if call.action in ("MeterValues", "StopTransaction"):
        cloud_id = ids.id_for_cloud(call.payload.get("transactionId"))
        return call.raw if cloud_id is None else _number(call.raw, ("transactionId",), cloud_id)
    if call.action == "DataTransfer":

        def known(value: object) -> int | None:
            cloud_id = ids.id_for_cloud(value)
            return None if cloud_id == REFUSED_ID else cloud_id

        return _cost_message(call, _COST_UP, known)
    return call.raw


def offline(call: Call) -> bytes:
    """A stored TransactionEvent, marked as what it is (2.x E04.FR.02, E11.FR.07)."""
    return tokens.with_member(call.raw, "offline", b"true")


def for_charger(state: ChargerState, call: Call) -> bytes:
    """The bytes the charger must read for a CALL of the cloud."""
    if state.version is not Version.V16:
        return call.raw
    if call.action == "DataTransfer":
        return _cost_message(call, _COST_DOWN, state.transactions.id_for_charger)
    path = _DOWN_PATHS.get(call.action)
    value: Any = call.payload
    for key in path or ():
        value = value.get(key) if isinstance(value, dict) else None
    local = state.transactions.id_for_charger(value)
    return call.raw if local is None or path is None else _number(call.raw, path, local)


def _number(raw: bytes, path: tuple[str, ...], value: int) -> bytes:
    return tokens.with_value(raw, path, b"%d" % value)


def _cost_message(call: Call, names: frozenset[str], translate: Callable[[object], int | None]) -> bytes:
    """DataTransfer.data is a JSON document in a string; the id in it is a number or a string of one."""
    payload = call.payload
    if payload.get("vendorId") != COST_VENDOR or payload.get("messageId") not in names:
        return call.raw
    try:
        inner = orjson.loads(payload["data"])
        told = inner["transactionId"]
        mapped = translate(int(told))
    except (KeyError, TypeError, ValueError):
        return call.raw
    if mapped is None:
        return call.raw
    token = b'"%d"' % mapped if isinstance(told, str) else b"%d" % mapped
    # The scanner edits payloads of frames, so the inner document is put in one for a moment.
    head, tail = b'[2,"","",', b"]"
    edited = tokens.with_value(head + payload["data"].encode() + tail, ("transactionId",), token)
    text = edited[len(head) : -len(tail)].decode()
    return tokens.with_value(call.raw, ("data",), orjson.dumps(text))
