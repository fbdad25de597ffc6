"""What the running gateway says of itself, and everything it can show for the bundle."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edgegw import __version__
from edgegw.cli.doctor_findings import Finding, look, ok, wrong
from edgegw.cli.power import held_lines
from edgegw.control.alarm_models import AlarmList
from edgegw.control.client import ControlClient
from edgegw.control.faults import ControlFault, NotReachable
from edgegw.control.models import Health
from edgegw.control.power_models import PowerView

# name in the bundle -> what is asked for
DOCUMENTS = {
    "health.json": "/v1/health",
    "site.json": "/v1/site",
    "chargers.json": "/v1/chargers",
    "power.json": "/v1/power",
    "alarms.json": "/v1/alarms",
    "events.json": "/v1/events?limit=1000",
    "queue.json": "/v1/queue",
    "queue-rows.json": "/v1/queue/rows?limit=1000",
    "transactions.json": "/v1/transactions?limit=200",
    "firmware.json": "/v1/firmware",
    "rollouts.json": "/v1/firmware/rollouts",
    "audit.json": "/v1/audit?limit=1000",
    "metrics.txt": "/metrics",
    "log.json": "/v1/log?limit=2000",
    "frames.ndjson": "/v1/frames/export",
}
LATER = frozenset({"log.json", "frames.ndjson"})  # a gateway without the route is asked in vain, quietly


class Shown:
    """What was shown: documents by their names, and why others were not."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.missing: dict[str, str] = {}


def collect(client: ControlClient, told: Callable[[int, int], None]) -> Shown:
    """Raises NotReachable when nobody is there."""
    shown = Shown()
    for number, (name, path) in enumerate(DOCUMENTS.items(), start=1):
        try:
            shown.documents[name] = client.raw(path)
        except NotReachable:
            if not shown.documents:
                raise
            shown.missing[name] = "the gateway went away"
        except ControlFault as fault:
            shown.missing[name] = str(fault)
        told(number, len(DOCUMENTS))
    return shown


def gateway(shown: Shown) -> Iterator[Finding]:
    """The worst it knows itself."""
    health = _model(Health, shown, "health.json")
    if health is None:
        yield wrong(
            "gateway",
            f"it does not say how it is: {shown.missing.get('health.json', 'not understood')}",
            "restart the gateway",
        )
        return
    if health.version != __version__:
        yield wrong(
            "gateway",
            f"it runs edgegw {health.version} and {__version__} is installed",
            "restart the gateway",
        )
    for reason in health.reasons:
        yield wrong("gateway", reason)
    yield from (look("gateway", warning) for warning in health.warnings)
    if not health.reasons:
        yield ok("gateway", f"edgegw {health.version} runs since {health.started_at[:16]}Z")
    yield from _alarms(_model(AlarmList, shown, "alarms.json"))
    power = _model(PowerView, shown, "power.json")
    yield from _meters(power)
    yield from _held(power)
    for name, why in shown.missing.items():
        if name not in LATER:
            yield look("gateway", f"{name} is missing: {why}")


def _model(model: Any, shown: Shown, name: str) -> Any:
    try:
        return model.model_validate_json(shown.documents[name])
    except (KeyError, ValidationError):
        return None


def _alarms(found: AlarmList | None) -> Iterator[Finding]:
    for alarm in found.alarms if found else ():
        if alarm.state != "active":
            continue
        text = f"{alarm.target}: {alarm.text}" if alarm.target else alarm.text
        is_wrong = alarm.severity in ("error", "critical")
        yield wrong("alarm", text, alarm.todo) if is_wrong else look("alarm", text, alarm.todo)


def _meters(found: PowerView | None) -> Iterator[Finding]:
    for one in found.meters if found else ():
        about = f"meter {one.name}"
        yield (
            wrong(about, one.trouble, "edgegw meter probe, with the gateway stopped")
            if one.trouble
            else ok(about, "the gateway reads it")
        )


def _held(found: PowerView | None) -> Iterator[Finding]:
    """What nobody can use, because somebody cannot be lowered."""
    for one, words in zip(found.held if found else (), held_lines(found) if found else (), strict=True):
        todo = f"edgegw status {one.chargers[0]} says more; until it is back, others share what is left"
        if one.why == "has never connected":
            todo = (
                "connect them, or take them out of the wiring (site file, edgegw wiring): others go without"
            )
        yield look("power", words.removeprefix("held: "), todo)


def control_socket(path: Path, *, running: bool) -> Iterator[Finding]:
    if not path.exists():
        if running:
            yield wrong(
                "control socket",
                f"a gateway works on this store and {path} is not there",
                "restart it; it may run with another site file",
            )
        return
    about = path.stat()
    if not stat.S_ISSOCK(about.st_mode):
        yield wrong("control socket", f"{path} is no socket", "move that file away and restart the gateway")
    elif about.st_mode & 0o007:
        yield wrong("control socket", f"everyone on this machine may use {path}", f"chmod o= {path}")
    elif not os.access(path, os.W_OK):
        yield look(
            "control socket", f"this user may not use {path}", "run this as the user of edgegw, or as root"
        )
    else:
        yield ok("control socket", f"{path}")
