"""CALLs of the cloud that would take a charger away from this box, and passwords changed in passing.

A charger that is told another CSMS address leaves the site's control at its next connect. Policy:
`refuse` answers the cloud the way a charger does that does not accept the value; `adopt` gives the
charger our address instead and connects it onward to the new one.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import orjson

from edgegw.core.state import ChargerState
from edgegw.wire import tokens
from edgegw.wire.frames import Call

_URL = re.compile(r"\s*wss?://", re.IGNORECASE)
_PASSWORD_KEYS = frozenset({"authorizationkey", "basicauthpassword"})
_DONE = frozenset({"Accepted", "RebootRequired"})


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`answer`: refuse with this payload. Else send `raw`, and on success adopt `cloud_url`."""

    answer: dict[str, Any] | None = None
    raw: bytes = b""
    cloud_url: str = ""


def judge(state: ChargerState, call: Call) -> Verdict:
    url_path = _url_path(call)
    if url_path is None:
        if _switches_network(call) and not state.site.policy.adopt_moves:
            return Verdict(answer=_rejected(call))
        return Verdict(raw=call.raw)
    policy = state.site.policy
    if not policy.adopt_moves or not policy.gateway_url or _urls(call) > 1:
        return refuse(call)  # of two addresses the second would pass
    url = _at(call.payload, url_path)
    if isinstance(url, str) and url.strip() == policy.gateway_url:
        return Verdict(raw=call.raw)  # it dials us already; the box must not become its own cloud
    ours = tokens.with_value(call.raw, url_path, orjson.dumps(policy.gateway_url))
    return Verdict(raw=ours, cloud_url=str(url).strip())


def refuse(call: Call) -> Verdict:
    """Answer the cloud as a charger does that does not accept the value."""
    return Verdict(answer=_rejected(call))


def is_taken(call: Call, answer: dict[str, Any]) -> bool:
    """Did the charger take the address it was given?"""
    if call.action != "SetVariables":
        return answer.get("status") in _DONE
    path = _url_path(call)
    results = answer.get("setVariableResult")
    index = path[1] if path is not None else None
    if not isinstance(results, list) or not isinstance(index, int) or index >= len(results):
        return False
    result = results[index]
    return isinstance(result, dict) and result.get("attributeStatus") in _DONE


def _urls(call: Call) -> int:
    return sum(_is_url(item.get("attributeValue")) for item in _variables(call))


def moves(call: Call) -> bool:
    """Would this CALL change where the charger connects?"""
    return _url_path(call) is not None or _switches_network(call)


def _url_path(call: Call) -> tuple[str | int, ...] | None:
    """Where in the payload a WebSocket address stands. Vendors name the key as they like; the value tells."""
    payload = call.payload
    if call.action == "ChangeConfiguration" and _is_url(payload.get("value")):
        return ("value",)
    if call.action == "SetNetworkProfile":
        data = payload.get("connectionData")
        return ("connectionData", "ocppCsmsUrl") if isinstance(data, dict) and "ocppCsmsUrl" in data else None
    if call.action == "SetVariables":
        for index, item in enumerate(_variables(call)):
            if _is_url(item.get("attributeValue")):
                return ("setVariableData", index, "attributeValue")
    return None


def _switches_network(call: Call) -> bool:
    """2.x: another slot of network profiles may lead elsewhere (B09, B10)."""
    return any(_name(item, "variable") == "networkconfigurationpriority" for item in _variables(call))


def _rejected(call: Call) -> dict[str, Any]:
    if call.action != "SetVariables":
        return {"status": "Rejected"}
    results = []
    for item in _variables(call):
        names = ("attributeType", "component", "variable")
        kept: dict[str, Any] = {name: item[name] for name in names if name in item}
        results.append({"attributeStatus": "Rejected", **kept})
    return {"setVariableResult": results}


def new_password(call: Call, answer: dict[str, Any]) -> str | None:
    """The password the charger has just accepted (1.6 AuthorizationKey, 2.x A01)."""
    if call.action == "ChangeConfiguration":
        key = str(call.payload.get("key", "")).casefold()
        value = call.payload.get("value")
        done = answer.get("status") in _DONE
        return value if done and key in _PASSWORD_KEYS and isinstance(value, str) else None
    results = answer.get("setVariableResult")
    for index, item in enumerate(_variables(call)):
        result = results[index] if isinstance(results, list) and index < len(results) else {}
        done = isinstance(result, dict) and result.get("attributeStatus") in _DONE
        if done and _name(item, "variable") in _PASSWORD_KEYS:
            return str(item.get("attributeValue", ""))
    return None


def heartbeat_wish(call: Call) -> int | None:
    """The heartbeat interval this CALL sets, if it does."""
    if call.action == "ChangeConfiguration" and call.payload.get("key") == "HeartbeatInterval":
        return _int(call.payload.get("value"))
    for item in _variables(call):
        if _name(item, "variable") == "heartbeatinterval":
            return _int(item.get("attributeValue"))
    return None


def _variables(call: Call) -> list[dict[str, Any]]:
    data = call.payload.get("setVariableData") if call.action == "SetVariables" else None
    return [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []


def _name(item: dict[str, Any], what: str) -> str:
    named = item.get(what)
    return str(named.get("name", "")).casefold() if isinstance(named, dict) else ""


def _is_url(value: object) -> bool:
    return isinstance(value, str) and _URL.match(value) is not None


def _int(value: object) -> int | None:
    text = str(value)
    return int(text) if text.isdecimal() and len(text) < 10 else None


def _at(payload: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        payload = payload[key]
    return payload
