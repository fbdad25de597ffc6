"""The words for the box itself: health, the way to the cloud, alarms, events, answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgegw.mqtt import payloads
from edgegw.mqtt.phrases import Context, fields, listed, number, span, waiting


def _info(seen: payloads.Info, _: Context) -> str:
    commands = f"takes {', '.join(seen.commands)}" if seen.commands else "takes no commands"
    things = listed(number(len(seen.chargers), "charger"), number(len(seen.meters), "meter"))
    name = f"{seen.name} ({seen.gateway})" if seen.name else seen.gateway
    return f"{name}: edgegw {seen.version} on {seen.hostname}, {things}; {commands}"


def _health(seen: payloads.Health, _: Context) -> str:
    how = {"ok": "all is well", "away": "without the cloud", "degraded": "not well"}[seen.status]
    why = "; ".join((*seen.reasons, *seen.warnings))
    waits = waiting(seen.queue_depth or 0, seen.parked or 0)
    alarms = number(seen.alarms, "alarm") if seen.alarms else ""
    lost = f"{number(seen.events_dropped, 'event')} lost" if seen.events_dropped else ""
    warm = f"{seen.cpu_temp_c:.0f} °C" if seen.cpu_temp_c is not None else ""
    state = listed(f"up {span(seen.uptime_s)}", waits, alarms, lost, warm)
    return f"box: {how}{f' ({why})' if why else ''}; {state}"


def _cloud(seen: payloads.CloudState, context: Context) -> str:
    waits = waiting(seen.queue_depth, seen.parked)
    if seen.mode == "standalone":
        return "no cloud: the box is the CSMS of the site"
    if seen.mode == "serving":
        return listed(f"cloud {seen.url_host} serves {number(seen.connected_legs, 'charger')}", waits)
    since = f" since {context.clock(seen.since)}" if seen.since else ""
    why = f" ({seen.last_error})" if seen.last_error else ""
    return listed(f"cloud away{since}{why}", waits)


def _alarm(seen: payloads.AlarmState, _: Context) -> str:
    what = f"{seen.severity}, {seen.target or 'site'}: {seen.text or seen.title}"
    if seen.state == "cleared":
        return f"alarm over, to be acknowledged: {what}"
    if seen.acknowledged:
        return f"alarm, acknowledged by {seen.acknowledged_by or 'somebody'}: {what}"
    again = f" ({seen.count} times)" if seen.count > 1 else ""
    return f"alarm raised{again}: {what}{f' - {seen.todo}' if seen.todo else ''}"


def _event(seen: payloads.Event, _: Context) -> str:
    how = "" if seen.severity == "info" else f"{seen.severity}: "
    who = f"{seen.target}: " if seen.target and seen.target not in seen.text else ""
    return f"{how}{who}{seen.text or seen.kind}"


def _log(seen: payloads.LogLine, _: Context) -> str:
    return f"log {seen.level}: {seen.logger}: {seen.text}"


def _response(seen: payloads.Response, context: Context) -> str:
    asked = f"{context.parts['verb']}{f' ({seen.transaction})' if seen.transaction else ''}"
    if seen.error is not None:
        return f"{asked} refused: {seen.error.text or seen.error.code}"
    return f"{asked} done in {seen.took_ms:.0f} ms{f': {fields(seen.data)}' if seen.data else ''}"


TOLD: Mapping[str, Callable[[Any, Context], str]] = {
    "info": _info,
    "health": _health,
    "cloud": _cloud,
    "alarm": _alarm,
    "event": _event,
    "log": _log,
    "response": _response,
}
