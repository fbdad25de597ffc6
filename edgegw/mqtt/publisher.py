"""What the broker is told, and when: states once per interval, events in order, answers at once.

Rules of this file:
- While the broker is away no state is asked for, none is kept: when it is back it is told what is true then.
- Events wait in their queue until the broker has them; they keep their id, so that one that comes twice is
  known. Answers and lines of the log do not wait for a broker: they are dropped and counted.
- What goes first: answers, urgent states, events (EVENTS_UNDER_WAY at most), the other states, the log.
- Nothing here raises into those who give something to publish.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

import msgspec

from edgegw.core.events import Instant
from edgegw.mqtt import payloads
from edgegw.mqtt.connection import Connection
from edgegw.mqtt.event_queue import EventQueue, MemoryEvents
from edgegw.mqtt.message import Incoming, Message, State
from edgegw.mqtt.outbox import Outbox
from edgegw.mqtt.sweep import Sweep
from edgegw.mqtt.topics import BY_NAME, Tree
from edgegw.runtime.loop_guard import LoopGuard
from edgegw.runtime.tasks import Tasks
from edgegw.runtime.watchers import Watchers
from edgegw.wire.timestamps import format_timestamp

log = logging.getLogger(__name__)

EVENTS_UNDER_WAY = 16
EVENTS_READ = 64
ONLINE_AGAIN_S = 60.0  # whoever may write our status can say that we are gone; it is made good by then
WAIT_MIN_S = 0.005  # the clock of the loop is coarser than ours
SOON_MAX = 256  # answers, and as many lines of the log, that wait for room while the broker is there

Kind = Literal["event", "response", "log"]


class PublisherHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers for health, metrics and alarms. Counts are since the start."""

    up: bool
    trouble: str  # why it is not up
    complaint: str  # the last that the broker refused on this connection
    taken_over: bool
    refused: bool  # the broker does not let us in
    since: float | None  # wall clock: up, or down, since then
    connects: int
    published: int
    rejected: int
    unread: int  # messages to us that were too large
    states_due: int
    topics: int
    removed: int  # topics of things that are gone
    events_waiting: int
    events_dropped: int
    responses_dropped: int
    log_lines_dropped: int


class Publisher:
    """`start` it after `connection.start()`; `await stop()` it before `connection.stop()`."""

    def __init__(
        self,
        connection: Connection,
        tree: Tree,
        events: EventQueue | None,
        state: Callable[[], State],
        *,
        interval_s: float,
        now: Callable[[], Instant],
        tasks: Tasks,
        sweep: Sweep | None = None,
    ) -> None:
        """`events`: the telemetry file; None keeps a few in memory. `sweep`: also of topics outside the
        tree. `state` is called in the loop, at most once per `interval_s`."""
        self.receivers: Watchers[Incoming] = Watchers()  # of what comes in on `connection.subscriptions`
        self._connection = connection
        self._tree = tree
        self._events = MemoryEvents() if events is None else events
        self._state = state
        self._interval_s = interval_s
        self._now = now
        self._tasks = tasks
        self._sweep = sweep or Sweep(tree)
        self._outbox = Outbox(self._is_urgent)
        self._online = Message(topic=tree.topic("status"), body=b"online", qos=1, stamped=False)
        self._events_topic, self._event_channel = tree.topic("event"), BY_NAME["event"]
        self._alarms = tree.topic("alarm", alarm="")
        self._answers: deque[Message] = deque()
        self._lines: deque[Message] = deque()
        self._read: deque[tuple[int, bytes]] = deque()  # events to be sent
        self._read_to = 0
        self._sent: dict[int, bool] = {}  # events under way, in order: has it arrived?
        self._work = asyncio.Event()
        self._work_on_events = asyncio.Event()
        self._due_at = 0.0
        self._online_at = 0.0  # when that was last said
        self._offered = False  # on this connection
        self._mistake = ""  # the last, so that the same one is logged once
        self._guard = LoopGuard(log, "publishing over mqtt")
        self._life = 0  # counts ups and downs
        self._since: float | None = None
        self._removed = 0
        self._dropped: Counter[Kind] = Counter()
        self._running: list[asyncio.Task[None]] = []
        connection.listener = self
        self._events.on_added = self._work_on_events.set

    # --- its life ---------------------------------------------------------------------------------

    def start(self) -> None:
        self._running = [
            self._tasks.spawn(self._run(), "mqtt publisher"),
            self._tasks.spawn(self._run_events(), "mqtt events"),
        ]

    async def stop(self) -> None:
        """Safe to call twice. The connection says "offline"."""
        running, self._running = self._running, []
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    async def _run(self) -> None:
        while True:
            await self._wait()
            with self._guard:
                self.round(self._now())

    async def _wait(self) -> None:
        wait_s = self._interval_s
        if self._connection.up:
            wait_s = min(wait_s, max(WAIT_MIN_S, self._due_at - self._now().mono))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._work.wait()
        self._work.clear()

    async def _run_events(self) -> None:
        while True:
            await self._work_on_events.wait()
            self._work_on_events.clear()
            bugs = self._guard.bugs
            with self._guard:
                await self._fetch_events()
            self._pump()
            if self._guard.bugs > bugs:  # once more, also when nothing else happens
                await asyncio.sleep(self._interval_s)
                self._work_on_events.set()

    # --- what is published ------------------------------------------------------------------------

    def event(self, event: payloads.Event) -> None:
        """`id` and `seq` are given here."""

        def make(seq: int) -> bytes:
            numbered = msgspec.structs.replace(event, id=f"{self._events.stream}-{seq}", seq=seq)
            return msgspec.json.encode(numbered)

        self._events.add(make)

    def send(self, message: Message) -> None:
        """An answer or a line of the log: now or never."""
        is_line = message.topic == self._tree.topic("log")
        waiting = self._lines if is_line else self._answers
        if not self._connection.up or len(waiting) >= SOON_MAX:
            self._dropped["log" if is_line else "response"] += 1
            return
        waiting.append(message)
        self._pump()

    def soon(self) -> None:
        """Something changed that should not wait for the interval."""
        self._due_at = 0.0
        self._work.set()

    def again(self, prefix: str) -> None:
        """Tell once more what stands in topics that begin like this."""
        self._outbox.again(prefix)
        self._pump()

    def round(self, now: Instant) -> None:
        """What is done once per interval."""
        if not self._connection.up:
            return
        if self._sweep.over(now.mono):
            self._swept()
        if now.mono >= self._due_at:
            self._due_at = now.mono + self._interval_s
            self._offer(now)
        self._pump()

    def _offer(self, now: Instant) -> None:
        try:
            present = self._state()
        except Exception as mistake:  # the loop's edge: events and answers go on
            if self._mistake != repr(mistake):
                log.exception("mqtt: the state could not be made")
            self._mistake = repr(mistake)
            return
        self._mistake = ""
        self._outbox.offer({self._online.topic: self._online, **present}, now.mono)
        self._offered = True
        if now.mono - self._online_at >= ONLINE_AGAIN_S:
            self._online_at = now.mono
            self._outbox.again(self._online.topic)

    def health(self) -> PublisherHealth:
        connection = self._connection
        return PublisherHealth(
            up=connection.up,
            trouble=connection.trouble,
            complaint=connection.complaint,
            taken_over=connection.taken_over,
            refused=connection.refused,
            since=self._since,
            connects=connection.connects,
            published=connection.published,
            rejected=connection.rejected,
            unread=connection.unread,
            states_due=self._outbox.due,
            topics=len(self._outbox),
            removed=self._removed,
            events_waiting=self._events.waiting,
            events_dropped=self._events.dropped + self._dropped["event"],
            responses_dropped=self._dropped["response"],
            log_lines_dropped=self._dropped["log"],
        )

    # --- what the connection tells ----------------------------------------------------------------

    def on_up(self) -> None:
        now = self._now()
        self._since, self._offered, self._online_at = now.wall, False, now.mono
        self._life += 1
        self._outbox.reborn()
        self._connection.publish(self._online, self._online.body)
        self._connection.subscribe(self._sweep.filters)
        self._sweep.begin(now.mono)
        self._work_on_events.set()
        self.soon()

    def on_down(self, text: str) -> None:
        self._since = self._now().wall
        self._life += 1
        self._sweep.end()
        self._dropped["response"] += len(self._answers)
        self._dropped["log"] += len(self._lines)
        for waiting in (self._answers, self._lines, self._read, self._sent):
            waiting.clear()
        self._read_to = 0

    def on_message(self, incoming: Incoming) -> None:
        if not self._sweep.heard(incoming, self._now().mono):
            self.receivers.tell(incoming)

    def on_subscribed(self, filters: Sequence[str], refused: Sequence[str]) -> None:
        if tuple(filters) == self._sweep.filters:
            self._sweep.subscribed(self._now().mono)

    def on_room(self) -> None:
        self._pump()

    # --- one message after the other --------------------------------------------------------------

    def _pump(self) -> None:
        if not self._connection.has_room:
            return
        with self._guard:
            now = self._now()
            ts = format_timestamp(now.wall)
            while self._say_next(ts, now.mono):
                pass

    def _say_next(self, ts: str, now_mono: float) -> bool:
        """False when there is nothing, or nothing more goes now."""
        if self._answers:
            return self._say_first(self._answers, ts)
        if self._outbox.has_urgent:
            return self._say_state(ts, now_mono)
        if self._read and len(self._sent) < EVENTS_UNDER_WAY:
            return self._say_event(ts)
        if self._outbox.due:
            return self._say_state(ts, now_mono)
        return bool(self._lines) and self._say_first(self._lines, ts)

    def _say_first(self, waiting: deque[Message], ts: str) -> bool:
        if not self._connection.publish(waiting[0], waiting[0].payload(ts)):
            return False
        waiting.popleft()
        return True

    def _say_state(self, ts: str, now_mono: float) -> bool:
        message = self._outbox.next()
        if message is None or not self._connection.publish(message, message.payload(ts)):
            return False
        self._outbox.told(message, now_mono)
        return True

    def _is_urgent(self, topic: str) -> bool:
        """What people wait for: an alarm, and whether something is there at all."""
        return (
            topic.startswith(self._alarms) or topic.endswith("/availability") or topic == self._online.topic
        )

    # --- events -----------------------------------------------------------------------------------

    async def _fetch_events(self) -> None:
        """The next ones from the queue, when all that were read are on their way."""
        if not self._connection.up or self._read:
            return
        life = self._life
        found = await self._events.read(self._read_to, EVENTS_READ)
        if found and self._life == life:
            self._read.extend(found)
            self._read_to = found[-1][0]

    def _say_event(self, ts: str) -> bool:
        seq, body = self._read[0]
        channel = self._event_channel
        message = Message(
            topic=self._events_topic, body=body, retain=False, qos=channel.qos, expiry_s=channel.expiry_s
        )
        if not self._connection.publish(message, message.payload(ts), lambda why: self._arrived(seq, why)):
            return False
        self._read.popleft()
        self._sent[seq] = False
        if not self._read:
            self._work_on_events.set()
        return True

    def _arrived(self, seq: int, why: str) -> None:
        """The broker has it, or will never take it."""
        if seq not in self._sent:
            return
        if why:
            self._dropped["event"] += 1
        self._sent[seq] = True
        through = 0
        for sent, has_arrived in list(self._sent.items()):
            if not has_arrived:
                break
            through = sent
            del self._sent[sent]
        if through:
            self._events.done(through)

    # --- what an earlier run left -----------------------------------------------------------------

    def _swept(self) -> None:
        """Only against a state that was made on this connection: without one everything would look gone."""
        found = self._outbox.found(self._sweep.topics) if self._offered else 0
        self._removed += found
        if found:
            log.info("mqtt: %d topics of things that are gone are removed", found)
        self._connection.unsubscribe(self._sweep.filters)
        self._sweep.end()
