"""Inventories that somebody on the box asked a 2.x charger for: the cloud never hears of them.

Rules of this file:
- A report comes in CALLs of the charger that name the requestId of who asked. Those of the box are known by
  it, over a restart as well, and answered here. The cloud may use any number: its own question takes it back.
- What a report says is nobody's business here: it goes out as `Reported`.
"""

from __future__ import annotations

from msgspec.structs import replace

from edgegw.core.effects import Effect, Reported, SendCharger
from edgegw.core.events import CallRequested, Instant
from edgegw.core.file_keeping import keep_site
from edgegw.core.file_orders import SITE_REQUESTS_MAX
from edgegw.core.state import ChargerState
from edgegw.wire import frames
from edgegw.wire.frames import Call

ASKING = frozenset({"GetBaseReport", "GetReport"})
ACTION = "NotifyReport"


def asked(state: ChargerState, event: CallRequested) -> list[Effect]:
    """Somebody on the box sends this CALL: what it asks for is the box's."""
    number, site = event.payload.get("requestId"), state.files.site
    if event.action not in ASKING or type(number) is not int or number in site.reports:
        return []
    return keep_site(state, replace(site, reports=(*site.reports, number)[-SITE_REQUESTS_MAX:]))


def asked_by_cloud(state: ChargerState, call: Call) -> list[Effect]:
    """The cloud sends it: a number that was the box's once is the cloud's from now on."""
    number, site = call.payload.get("requestId"), state.files.site
    if call.action not in ASKING or number not in site.reports:
        return []
    return keep_site(state, replace(site, reports=tuple(known for known in site.reports if known != number)))


def is_own(state: ChargerState, call: Call) -> bool:
    return call.action == ACTION and call.payload.get("requestId") in state.files.site.reports


def heard(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    """A part of a report that the box asked for."""
    state.remember_call(call.id, call.raw, transactional=False)
    answer = frames.result(call.id, {})
    state.remember_answer(call.id, answer)
    parts = call.payload.get("reportData")
    found = tuple(part for part in parts if isinstance(part, dict)) if isinstance(parts, list) else ()
    more = call.payload.get("tbc") is True
    return [SendCharger(answer), Reported(call.payload["requestId"], found, last=not more)]
