"""The words for chargers, their connectors and transactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgegw.mqtt import payloads
from edgegw.mqtt.phrases import Context, energy, listed, power, waiting

_STATUSES = {
    "available": "is free",
    "preparing": "has a car and waits for a card",
    "occupied": "has a car",
    "charging": "charges",
    "suspendedev": "has a car that takes nothing",
    "suspendedevse": "is paused",
    "finishing": "is done, the cable is still in",
    "reserved": "is reserved",
    "unavailable": "is out of service",
    "faulted": "is faulty",
}


def _charger(seen: payloads.ChargerInfo, _: Context) -> str:
    model = " ".join(filter(None, (seen.vendor, seen.model, seen.firmware))) or "nothing known of its make"
    return f"{seen.identity}: {listed(model, seen.protocol)}; {seen.verdict}".rstrip("; ")


def _charger_cloud(seen: payloads.ChargerCloud, context: Context) -> str:
    waits = waiting(seen.queue_depth, seen.parked)
    since = f" since {context.clock(seen.since)}" if seen.since else ""
    if seen.connected:
        return listed(f"{context.charger} is connected to the cloud{since}", waits)
    why = f" ({seen.last_error})" if seen.last_error else ""
    return listed(f"{context.charger} has no connection to the cloud{since}{why}", waits)


def _connector(seen: payloads.ConnectorState, context: Context) -> str:
    drawn = _drawn(seen) if _charges(seen) else ""
    told = f"{context.connector} {_status(seen)}{drawn}"
    if seen.limit_a is None:
        return told
    told += f"{' of' if drawn else ', may draw'} {seen.limit_a:g} A"
    return f"{told}: {_reason(seen.limit_reason)}" if seen.limit_reason else told


def _charges(seen: payloads.ConnectorState) -> bool:
    """OCPP 2.x says Occupied whether current flows or not."""
    status = seen.status.casefold()
    return status == "charging" or (status == "occupied" and bool(seen.power_w))


def _status(seen: payloads.ConnectorState) -> str:
    known = "charges" if _charges(seen) else _STATUSES.get(seen.status.casefold(), seen.status)
    told = known or "has not said how it is"
    if seen.error_code in ("", "NoError"):
        return told
    return f"{told} ({seen.error_code}{f': {seen.info}' if seen.info else ''})"


def _drawn(seen: payloads.ConnectorState) -> str:
    if seen.power_w is None:
        return ""
    current = max((value for value in seen.current_l_a if value is not None), default=None)
    return f" with {power(seen.power_w)}{f' ({current:.1f} A)' if current is not None else ''}"


def _reason(text: str) -> str:
    """A code such as "site_fuse" in words; words as they are."""
    return text if " " in text else text.replace("_", " ")


def _session(seen: payloads.SessionState, context: Context) -> str:
    told = f"{context.connector}: transaction {seen.transaction}"
    if seen.state == "running":
        since = f"since {context.clock(seen.started_at)}" if seen.started_at else ""
        # in tenths, or there would be a new line every second
        so_far = f"{seen.energy_wh / 1000:.1f} kWh so far" if seen.energy_wh is not None else ""
        return listed(f"{told} runs", since, so_far)
    got = energy(seen.energy_wh) if seen.energy_wh is not None else ""
    ended = f" at {context.clock(seen.ended_at)}" if seen.ended_at else ""
    why = f" ({seen.stop_reason})" if seen.stop_reason else ""
    return listed(f"{told} ended{ended}{why}", got)


def _firmware(seen: payloads.FirmwareState, context: Context) -> str:
    state = f"{seen.state}{f' of {seen.file}' if seen.file else ''}" if seen.state else ""
    done = f"{seen.progress:.0%} loaded" if seen.progress is not None else ""
    told = listed(f"{context.charger} has firmware {seen.version or 'nobody knows which'}", state, done)
    return f"{told}: {seen.error}" if seen.error else told


TOLD: Mapping[str, Callable[[Any, Context], str]] = {
    "charger": _charger,
    "chargerCloud": _charger_cloud,
    "connector": _connector,
    "session": _session,
    "firmware": _firmware,
}
