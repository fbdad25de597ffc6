"""The parts of the live picture beside the chargers: site, health, power, alarms, firmware, rollouts, queue.

Rules of this file:
- A part is made when it is asked for, and is news when its substance is another: what only time changes in it
  (clock, uptime) is told with the next news, not as news.
- A part becomes JSON once, however many look at it; of alarms and queues each one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from edgegw.alarms.watch import AlarmWatch
from edgegw.catalogue.model import SEVERITIES, Severity
from edgegw.control import firmware_models, firmware_view, models
from edgegw.control.alarm_view import alarm_view
from edgegw.control.file_house import FileRooms
from edgegw.control.power_view import live_power
from edgegw.control.view import row_in_flight, utc
from edgegw.core.alarms import Alarm
from edgegw.core.events import Instant
from edgegw.runtime.load import LoadLoop
from edgegw.runtime.session import Session

FREE_STEP_BYTES = 16 * 2**20  # less is no news

_NO_FIRMWARE = firmware_models.FirmwareView(files=(), fetching=(), transfers=(), size_bytes=0)
_NO_ROLLOUTS = firmware_models.RolloutList(rollouts=())


class Made(NamedTuple):
    """One part."""

    json: bytes
    substance: Any


def _json(model: models.View) -> bytes:
    return model.model_dump_json().encode()


# --- the box ----------------------------------------------------------------------------------------


def site(view: models.SiteView) -> Made:
    return Made(_json(view), view.model_copy(update={"now": ""}))


def health(view: models.Health) -> Made:
    store, clock = view.store, view.clock
    free = store.free_disk_bytes
    steps = None if free is None else free // FREE_STEP_BYTES
    calm = store.model_copy(update={"oldest_unsent_s": None, "free_disk_bytes": steps})
    substance = view.model_copy(
        update={"uptime_s": 0.0, "clock": clock.model_copy(update={"now": ""}), "store": calm}
    )
    return Made(_json(view), substance)


def power(load: LoadLoop | None, now: Instant) -> Made:
    view = live_power(load, now)
    return Made(_json(view), view)


def firmware(rooms: FileRooms | None) -> Made:
    view = firmware_view.firmware_view(rooms.house) if rooms is not None else _NO_FIRMWARE
    return Made(_json(view), view)


def rollouts(rooms: FileRooms | None) -> Made:
    """Newest first."""
    if rooms is None:
        return Made(_json(_NO_ROLLOUTS), _NO_ROLLOUTS)
    known = reversed(rooms.rollouts.known.values())
    view = firmware_models.RolloutList(rollouts=tuple(firmware_view.rollout_summary(one) for one in known))
    return Made(_json(view), view)


# --- alarms -----------------------------------------------------------------------------------------


class AlarmsMaker:
    """An alarm that has not changed is the same object, and the same JSON."""

    def __init__(self, watch: AlarmWatch | None) -> None:
        self._watch = watch
        self._known: dict[str, tuple[Alarm, bytes]] = {}

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """The same object while nothing has changed."""
        return tuple(self._watch.alarms) if self._watch is not None else ()

    def made(self, alarms: tuple[Alarm, ...]) -> Made:
        self._known = {alarm.id: self._one(alarm) for alarm in alarms}
        on = [alarm.severity for alarm in alarms if alarm.state == "active"]
        facts = {
            "alarms": [msgspec.Raw(text) for _, text in self._known.values()],
            "active": len(on),
            "unacknowledged": sum(not alarm.acknowledged for alarm in alarms),
            "worst": max(on, key=SEVERITIES.index, default=None),
        }
        return Made(msgspec.json.encode(facts), alarms)

    def _one(self, alarm: Alarm) -> tuple[Alarm, bytes]:
        known = self._known.get(alarm.id)
        return known if known is not None and known[0] is alarm else (alarm, _json(alarm_view(alarm)))


def by_charger(
    alarms: Iterable[Alarm], is_known: Callable[[str], bool]
) -> Mapping[str, tuple[int, Severity]]:
    """How many are on, and the worst. A target is "CP-7" or "CP-7/1"; a charger may be called "a/1" too."""
    found: dict[str, tuple[int, Severity]] = {}
    for alarm in alarms:
        if alarm.state != "active":
            continue
        whole = alarm.target
        identity = whole if is_known(whole) else whole.rpartition("/")[0]
        if is_known(identity):
            count, worst = found.get(identity, (0, alarm.severity))
            found[identity] = count + 1, max(worst, alarm.severity, key=SEVERITIES.index)
    return found


# --- the queue --------------------------------------------------------------------------------------


class _Counts(msgspec.Struct, frozen=True, gc=False):
    stored: int
    in_flight: int
    parked: int
    oldest_unsent_at: str | None
    charger: str


def queue(sessions: Iterable[Session]) -> Made:
    """As `view.queue_view`, for a site where a thousand chargers have a queue."""
    queues = [_counts(session) for session in sessions if _has_queue(session)]
    queues.sort(key=lambda one: (-(one.stored + one.in_flight), -one.parked, one.charger))
    oldest = [one.oldest_unsent_at for one in queues if one.oldest_unsent_at is not None]
    facts = {
        "stored": sum(one.stored for one in queues),
        "in_flight": sum(one.in_flight for one in queues),
        "parked": sum(one.parked for one in queues),
        "oldest_unsent_at": min(oldest, default=None),
        "chargers": queues,
    }
    text = msgspec.json.encode(facts)
    return Made(text, text)


def _has_queue(session: Session) -> bool:
    outbox = session.charger.state.outbox
    return outbox.parked > 0 or len(outbox) > 0


def _counts(session: Session) -> _Counts:
    outbox = session.charger.state.outbox
    in_flight = row_in_flight(session) is not None
    return _Counts(
        stored=max(0, len(outbox) - in_flight),
        in_flight=int(in_flight),
        parked=outbox.parked,
        oldest_unsent_at=_utc(outbox.oldest_at) if len(outbox) else None,
        charger=session.identity,
    )


@lru_cache(maxsize=4096)
def _utc(wall_s: float | None) -> str | None:
    return utc(wall_s)
