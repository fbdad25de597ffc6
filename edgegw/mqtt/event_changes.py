"""What happened between two views of the site, as events: who came and went, faults, cloud, firmware, limits.

Rules of this file:
- Pure. Without a view before there is one event: that the gateway started.
- A charger that was not there before is compared with one that is away and well.
- A limit that is renewed is no event; only what it limits to is.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from edgegw.mqtt.events import Happening, of_connector, said
from edgegw.mqtt.payloads import ConnectorState, FirmwareState, Info, LimitOnCircuit, LimitState
from edgegw.mqtt.view import ChargerFacts, View

_WELL = ("", "NoError")
_FAILED = ("fail", "invalid", "refused", "abort", "error")  # in whatever word a charger has for it


def changes(before: View | None, after: View, at: float) -> list[Happening]:
    """`at`: wall clock of `after`."""
    if before is None:
        return [_boot(after.info, at)]
    of_chargers = (
        _of_charger(identity, before.chargers.get(identity), facts, at)
        for identity, facts in after.chargers.items()
    )
    sources = sorted(before.limits.keys() | after.limits.keys())
    of_limits = (_of_limits(s, before.limits.get(s), after.limits.get(s), at) for s in sources)
    cloud_at_once = before.cloud.mode != after.cloud.mode  # then nobody is told for each charger
    clouds = (
        ()
        if cloud_at_once
        else (
            _of_charger_cloud(identity, before.chargers.get(identity), facts, at)
            for identity, facts in after.chargers.items()
        )
    )
    return list(chain(_of_cloud(before, after, at), *of_chargers, *clouds, *of_limits))


def _boot(info: Info, at: float) -> Happening:
    data = {"version": info.version, "started_at": info.started_at}
    return Happening(at=at, kind="boot", text=f"edgegw {info.version} started", data=data)


# --- the cloud --------------------------------------------------------------------------------------


def _of_cloud(before: View, after: View, at: float) -> Iterator[Happening]:
    modes = (before.cloud.mode, after.cloud.mode)
    data = {"url_host": after.cloud.url_host, "queue_depth": after.cloud.queue_depth}
    if modes == ("serving", "away"):
        why = f": {after.cloud.last_error}" if after.cloud.last_error else ""
        yield Happening(
            at=at, kind="cloud_away", severity="warning", text=f"the cloud is away{why}", data=data
        )
    elif modes == ("away", "serving"):
        text = f"the cloud is back; {after.cloud.queue_depth} messages wait for it"
        yield Happening(at=at, kind="cloud_back", text=text, data=data)


def _of_charger_cloud(
    identity: str, before: ChargerFacts | None, after: ChargerFacts, at: float
) -> Iterator[Happening]:
    """Of one charger alone, while it stayed connected itself."""
    if before is None or not before.online or not after.online:
        return
    if before.cloud.connected == after.cloud.connected:
        return
    data = {"url_host": after.cloud.url_host, "queue_depth": after.cloud.queue_depth}
    if after.cloud.connected:
        text = f"{identity}: connected to the cloud again"
        yield Happening(at=at, kind="cloud_back", target=identity, text=text, data=data)
        return
    why = f": {after.cloud.last_error}" if after.cloud.last_error else ""
    text = f"{identity}: no connection to the cloud{why}"
    yield Happening(at=at, kind="cloud_away", target=identity, severity="warning", text=text, data=data)


# --- chargers ---------------------------------------------------------------------------------------


def _of_charger(
    identity: str, before: ChargerFacts | None, after: ChargerFacts, at: float
) -> Iterator[Happening]:
    was_online = before is not None and before.online
    if after.online and not was_online:
        data = {"protocol": after.info.protocol, "firmware": after.info.firmware}
        yield Happening(at=at, kind="connected", target=identity, text=f"{identity} connected", data=data)
    elif was_online and not after.online:
        text = f"{identity} disconnected"
        yield Happening(at=at, kind="disconnected", target=identity, severity="warning", text=text)
    for number, connector in after.connectors.items():
        known = before.connectors.get(number) if before is not None else None
        yield from _of_connector(identity, known, connector, at)
    if before is not None:
        yield from _of_firmware(identity, before.firmware, after.firmware, at)


def _fault(connector: ConnectorState | None) -> str:
    """ "" for one that is well, or was not known."""
    if connector is None:
        return ""
    if connector.error_code not in _WELL:
        return connector.error_code
    return connector.status if connector.status == "Faulted" else ""


def _of_connector(
    identity: str, before: ConnectorState | None, after: ConnectorState, at: float
) -> Iterator[Happening]:
    was, now = _fault(before), _fault(after)
    if was == now:
        return
    where = of_connector(identity, after.connector)
    info = f" ({after.info})" if after.info and now else ""
    data = {"connector": after.connector, "error_code": said(now or was), "status": said(after.status)}
    yield Happening(
        at=at,
        kind="fault" if now else "fault_over",
        target=where,
        severity="error" if now else "info",
        text=f"{where} reports {now}{info}" if now else f"{where} no longer reports {was}",
        data=data,
    )


def _of_firmware(
    identity: str, before: FirmwareState, after: FirmwareState, at: float
) -> Iterator[Happening]:
    """How far a download is, the state says; a new word of the charger, or a new version, is an event."""
    is_new_state = after.state != before.state and bool(after.state)
    is_new_version = after.version != before.version and bool(before.version)
    if not is_new_state and not is_new_version:
        return
    failed = bool(after.error) or any(word in after.state.lower() for word in _FAILED)
    how = f"firmware {after.state}" if is_new_state else f"runs firmware {after.version} now"
    why = f": {after.error}" if after.error else ""
    yield Happening(
        at=at,
        kind="firmware",
        target=identity,
        severity="error" if failed and is_new_state else "info",
        text=f"{identity}: {how}{why}",
        data={"state": said(after.state), "version": said(after.version), "file": said(after.file)},
    )


# --- limits -----------------------------------------------------------------------------------------


def _of_limits(
    source: str, before: LimitState | None, after: LimitState | None, at: float
) -> Iterator[Happening]:
    was = {limit.circuit: limit for limit in before.limits} if before is not None else {}
    now = {limit.circuit: limit for limit in after.limits} if after is not None else {}
    for circuit in sorted(was.keys() | now.keys()):
        happened = _of_limit(source, was.get(circuit), now.get(circuit), at)
        if happened is not None:
            yield happened


def _of_limit(
    source: str, was: LimitOnCircuit | None, now: LimitOnCircuit | None, at: float
) -> Happening | None:
    if now is None:
        assert was is not None
        text = f"the limit of {source} on {was.circuit} ended"
        return Happening(at=at, kind="limit_ended", target=source, text=text, data=_limit_data(was))
    if now.state == "fallback":
        if was is not None and was.state == "fallback" and _limits_to(was) == _limits_to(now):
            return None
        text = f"{source} went silent: {now.circuit} falls back to {now.limit_a:g} A"
        return Happening(
            at=at, kind="limit_fallback", target=source, severity="warning", text=text, data=_limit_data(now)
        )
    if was is not None and was.state == "holds" and _limits_to(was) == _limits_to(now):
        return None
    text = f"{source} limits {now.circuit} to {now.limit_a:g} A"
    return Happening(at=at, kind="limit_set", target=source, text=text, data=_limit_data(now))


def _limits_to(limit: LimitOnCircuit) -> tuple[object, ...]:
    return limit.limit_l_a, limit.chargers_only, limit.priority, limit.fallback_a


def _limit_data(limit: LimitOnCircuit) -> dict[str, Any]:
    return {
        "circuit": limit.circuit,
        "limit_a": limit.limit_a,
        "until": limit.until,
        "fallback_a": limit.fallback_a,
    }
