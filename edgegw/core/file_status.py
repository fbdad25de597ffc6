"""What a charger reports of an update or an upload: learned from; the site's own is kept from the cloud."""

from __future__ import annotations

from msgspec.structs import replace

from edgegw.core import diagnostics, file_keeping
from edgegw.core.effects import Effect, Noticed, SendCharger
from edgegw.core.events import Instant
from edgegw.core.file_orders import FirmwareOrder, Stage
from edgegw.core.files import FirmwareNews
from edgegw.core.firmware_call import fetch
from edgegw.core.speaking import speak
from edgegw.core.state import ChargerState
from edgegw.wire import frames
from edgegw.wire.frames import Call
from edgegw.wire.versions import Version

_FIRMWARE = frozenset({"FirmwareStatusNotification", "SignedFirmwareStatusNotification"})
_UPLOAD = frozenset({"DiagnosticsStatusNotification", "LogStatusNotification"})
ACTIONS = _FIRMWARE | _UPLOAD
# OCPP FirmwareStatusEnumType, all versions: nothing of this update follows
_ENDS = frozenset(
    {"Installed", "InstallationFailed", "InstallVerificationFailed", "InvalidSignature", "DownloadFailed"}
)


def on_trigger(state: ChargerState, call: Call) -> None:
    """The cloud asked for a status: should it be one of the site's, it must still hear something."""
    wanted = call.payload.get("requestedMessage")
    if isinstance(wanted, str) and wanted in ACTIONS:
        state.files.triggered.add(wanted)


def heard(state: ChargerState, call: Call, now: Instant) -> tuple[bool, list[Effect]]:
    """(whether the cloud does not hear it, what follows behind its relay or its answer)."""
    here, effects = _heard(state, call, now)
    was_triggered = call.action in state.files.triggered
    state.files.triggered.discard(call.action)
    if not here:
        return False, effects
    answer = frames.result(call.id, {})
    state.remember_answer(call.id, answer)
    effects.append(SendCharger(answer))  # what is kept is on disk before the charger hears so
    return True, effects + (speak(state, call.action, _idle(state, call), now) if was_triggered else [])


def _heard(state: ChargerState, call: Call, now: Instant) -> tuple[bool, list[Effect]]:
    if call.action in _FIRMWARE:
        here, effects = _firmware(state, call, now)
    else:
        order = diagnostics.order_of(state, call)
        here, effects = diagnostics.on_status(state, order, call, now) if order else (False, [])
    return here or _is_of_the_site(state, call), effects


def _is_of_the_site(state: ChargerState, call: Call) -> bool:
    """A word about what the site asked for, perhaps long ago. Plain 1.6 statuses have no id."""
    site = state.files.site
    if call.payload.get("requestId") in site.requests:
        return True
    if state.version is not Version.V16 or "requestId" in call.payload:
        return False
    return (site.update and call.action == "FirmwareStatusNotification") or (
        site.log and call.action == "DiagnosticsStatusNotification"
    )


def _idle(state: ChargerState, call: Call) -> dict[str, object]:
    """What the charger would say of a trigger if the site had asked for nothing."""
    order = state.files.firmware
    waits = order is not None and not order.by_site and order.stage is Stage.FETCHING and order.told
    if call.action in _FIRMWARE and waits and order is not None and order.request_id is not None:
        return {"status": "DownloadScheduled", "requestId": order.request_id}
    return {"status": "Idle"}


def _firmware(state: ChargerState, call: Call, now: Instant) -> tuple[bool, list[Effect]]:
    status = str(call.payload.get("status", ""))[:40]
    if status == "Idle":
        return _told_to_wait(state, call), []
    order = _order_of(state, call)
    if order is None:
        return False, []
    if status in _ENDS and not (status == "DownloadFailed" and _may_retry(state, order)):
        return order.by_site, file_keeping.end(state, order, status)
    news = FirmwareNews(order=order.id, status=status)
    if order is state.files.previous:
        return order.by_site, [news]
    if status == "DownloadFailed":
        return False, _try_again(state, order, now)
    stage = order.stage if order.stage is not Stage.SENT else _stage(order)
    kept = file_keeping.keep(state, replace(order, stage=stage, heard_at=now.wall))
    return order.by_site, [*kept, news]


def _told_to_wait(state: ChargerState, call: Call) -> bool:
    """The cloud was told Accepted and triggers: the charger's Idle would deny the update."""
    return call.action in state.files.triggered and _idle(state, call)["status"] != "Idle"


def _order_of(state: ChargerState, call: Call) -> FirmwareOrder | None:
    """A charger that forgets the id can only mean the one update it has."""
    for order in (state.files.previous, state.files.firmware):
        if order is not None and order.at_charger:
            about = call.payload.get("requestId", order.request_id)
            if about == order.request_id:
                return order
    return None


def _stage(order: FirmwareOrder) -> Stage:
    return Stage.ORIGINAL if order.original else Stage.LOCAL


def _may_retry(state: ChargerState, order: FirmwareOrder) -> bool:
    return not order.by_site and not order.original and order is not state.files.previous


def _try_again(state: ChargerState, order: FirmwareOrder, now: Instant) -> list[Effect]:
    """It could not load from here. Whether that was our doing the file service knows: then it gets our link
    again, else, once, the address that the cloud gave."""
    again = replace(
        order, stage=Stage.FETCHING, relayed=False, failures=order.failures + 1, heard_at=now.wall
    )
    text = f"{state.identity}: DownloadFailed from the local link"
    return [
        FirmwareNews(order=order.id, status="DownloadFailed"),
        Noticed("firmware_failed_local", text),
        *file_keeping.keep(state, again),
        fetch(state, again, now),
    ]
