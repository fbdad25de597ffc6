"""From one session to what people see of it in detail: pure builders of `detail_models`. Read only."""

from __future__ import annotations

from edgegw.control import detail_models as models
from edgegw.control.view import utc
from edgegw.core.power import ProfileAnswer
from edgegw.core.state import ChargerState
from edgegw.redaction import plain
from edgegw.wire import frames
from edgegw.wire.frames import Call, FrameRefused
from edgegw.wire.timestamps import format_timestamp

REASON_SHOWN_MAX = 40


def boot_view(state: ChargerState) -> models.BootView | None:
    """None for a charger that never booted here."""
    profile = state.profile
    if not profile.boot:
        return None
    return models.BootView(
        at=utc(profile.booted_at),
        reason=_reason(state),
        vendor=plain(profile.vendor),
        model=plain(profile.model),
        serial=plain(profile.serial),
        firmware=plain(profile.firmware),
    )


def _reason(state: ChargerState) -> str:
    """2.x: `reason` of the BootNotification; 1.6 has none."""
    try:
        frame = frames.parse(state.profile.boot, state.version)
    except FrameRefused:
        return ""
    reason = frame.payload.get("reason") if isinstance(frame, Call) else None
    return plain(reason)[:REASON_SHOWN_MAX] if isinstance(reason, str) else ""


def answer_views(state: ChargerState) -> tuple[models.ProfileAnswer, ...]:
    """Newest first."""
    return tuple(_answer(answer) for answer in reversed(tuple(state.power.answers)))


def _answer(answer: ProfileAnswer) -> models.ProfileAnswer:
    return models.ProfileAnswer(
        at=format_timestamp(answer.at),
        connector=answer.connector,
        method=answer.method,
        limit_a=None if answer.limit_a is None else round(answer.limit_a, 1),
        answer=plain(answer.answer),
    )


def clock_offset_s(state: ChargerState) -> float | None:
    offset_s = state.clock.offset_s
    return None if offset_s is None else round(offset_s, 1)
