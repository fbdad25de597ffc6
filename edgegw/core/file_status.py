"""What a charger reports of an update or an upload: learned from; the site's own is kept from the cloud."""

from __future__ import annotations

from msgspec.structs import replace

from edgegw.core import diagnostics, file_keeping, firmware
from edgegw.core.effects import Effect, Noticed, SendCharger
from edgegw.core.events import Instant
from edgegw.core.file_orders import FirmwareOrder, Stage
from edgegw.core.files import FirmwareNews
from edgegw.core.state import ChargerState
from edgegw.wire import frames
from edgegw.wire.frames import Call, parse

_FIRMWARE = frozenset({"FirmwareStatusNotification", "SignedFirmwareStatusNotification"})
_UPLOAD = frozenset({"DiagnosticsStatusNotification", "LogStatusNotification"})
ACTIONS = _FIRMWARE | _UPLOAD
# OCPP FirmwareStatusEnumType, all versions: nothing of this update follows
_ENDS = frozenset(
    {"Installed", "InstallationFailed", "InstallVerificationFailed", "InvalidSignature", "DownloadFailed"}
)


def heard(state: ChargerState, call: Call, now: Instant) -> tuple[bool, list[Effect]]:
    """(whether the cloud does not hear it, what follows behind its relay or its answer)."""
    if call.action in _FIRMWARE:
        here, effects = _firmware(state, call, now)
    else:
        order = diagnostics.order_of(state, call)
        here, effects = diagnostics.on_status(state, order, call, now) if order else (False, [])
    if not here and call.payload.get("requestId") not in state.files.site_requests:
        return False, effects
    answer = frames.result(call.id, {})
    state.remember_answer(call.id, answer)
    return True, [*effects, SendCharger(answer)]  # what is kept is on disk before the charger hears so


def _firmware(state: ChargerState, call: Call, now: Instant) -> tuple[bool, list[Effect]]:
    order = state.files.firmware
    status = str(call.payload.get("status", ""))[:40]
    if order is None or not order.at_charger or not _is_about(order, call) or status == "Idle":
        return False, []
    if status == "DownloadFailed" and order.stage is not Stage.ORIGINAL and _may_retry(order):
        return False, _give_original(state, order, now)
    if status in _ENDS:
        return order.by_site, file_keeping.end(state, order, status)
    kept = file_keeping.keep(state, replace(order, status=status))
    return order.by_site, [*kept, FirmwareNews(order=order.id, status=status)]


def _is_about(order: FirmwareOrder, call: Call) -> bool:
    """A charger that forgets the id can only mean the one update it has."""
    return call.payload.get("requestId", order.request_id) == order.request_id


def _may_retry(order: FirmwareOrder) -> bool:
    return not order.by_site and not order.original


def _give_original(state: ChargerState, order: FirmwareOrder, now: Instant) -> list[Effect]:
    """It could not use the local link: once, the address that the cloud gave."""
    call = parse(order.raw, state.version)
    assert isinstance(call, Call)
    why = "the charger could not load it from here"
    text = f"{state.identity}: DownloadFailed from the local link; gets the original address now"
    again = replace(order, stage=Stage.SENT, original=True, failed_local=True, relayed=False)
    return [
        FirmwareNews(order=order.id, status="DownloadFailed"),
        FirmwareNews(order=order.id, status="Original", why=why),
        Noticed("firmware_original", text),
        *firmware.send(state, again, call, call.raw, now),
    ]
