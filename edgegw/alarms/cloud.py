"""What is wrong with the way to the cloud, and its queue. The rules of `alarms.conditions` hold here too."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from edgegw.alarms.conditions import listed
from edgegw.core.alarms import Condition
from edgegw.core.events import Instant
from edgegw.runtime.clock import NOT_BEFORE
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.session import Session

OLD_S = 86_400.0  # an outage that lasts longer is one that nobody works on
SAMPLE_S = 60.0
SAMPLES = 10  # "growing": longer than ten minutes ago, though the cloud was there all that time
GROWTH_MIN = 50  # a busy site's messages under way are no backlog


class CloudEyes:
    """Remembers how long the queue was."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._lengths: deque[int] = deque(maxlen=SAMPLES)
        self._sampled_at = float("-inf")

    def look(self, now: Instant) -> Iterator[Condition]:
        sessions = self._gateway.sessions.values()
        away = self._gateway.cloud.exists and self._gateway.cloud_is_away
        if away:
            error = self._gateway.cloud_trouble
            yield Condition(code="cloud_away", text="the cloud is not reached" + (error and f": {error}"))
        yield from parked(sessions)
        yield from old(sessions, now)
        yield from self._growing(sum(len(s.charger.state.outbox) for s in sessions), now, away=away)

    def _growing(self, length: int, now: Instant, *, away: bool) -> Iterator[Condition]:
        if away:
            self._lengths.clear()
            return
        if now.mono - self._sampled_at >= SAMPLE_S:
            self._lengths.append(length)
            self._sampled_at = now.mono
        if len(self._lengths) == SAMPLES and length - self._lengths[0] >= GROWTH_MIN:
            text = f"the queue is at least {GROWTH_MIN} messages longer than {SAMPLES} minutes ago"
            yield Condition(code="queue_growing", text=text)


def parked(sessions: Iterable[Session]) -> Iterator[Condition]:
    counts = {s.identity: s.charger.state.outbox.parked for s in sessions if s.charger.state.outbox.parked}
    if counts:
        count = sum(counts.values())
        noun, were, are = ("message", "was", "is") if count == 1 else ("messages", "were", "are")
        text = f"{count} {noun} of {listed(counts)} {were} refused by the cloud and {are} parked"
        yield Condition(code="messages_parked", text=text)


def old(sessions: Iterable[Session], now: Instant) -> Iterator[Condition]:
    """Times of a clock that was not set say nothing of how long a message waits."""
    if not now.trusted:
        return
    late = [s.identity for s in sessions if _waits_long(s, now)]
    if late:
        yield Condition(code="queue_old", text=f"messages of {listed(late)} wait for more than a day")


def _waits_long(session: Session, now: Instant) -> bool:
    outbox = session.charger.state.outbox
    oldest = outbox.oldest_at
    return len(outbox) > 0 and oldest is not None and NOT_BEFORE <= oldest < now.wall - OLD_S
