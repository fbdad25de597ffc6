"""What the broker ought to hold, against what it was told: the latest value of each topic wins.

Rules of this file:
- Pure: no clock, no broker. `now_mono` is an argument; a message counts as told once it was handed over.
- There is one entry per topic, so a broker that is away for a day costs as much memory as one that is away
  for a second.
- What vanished from the state is removed by an empty retained payload. That goes out again after a
  reconnect, for a while: the one that was lost with the connection would leave a ghost for ever.
- Order: what people wait for first (`urgent`), then whoever waits longest. A topic keeps its place when its
  value changes while it waits, so no busy topic can starve another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edgegw.mqtt.message import Message, State

REMOVED_KEPT_S = 120.0  # longer than it takes to notice that the connection was dead all along
REMOVED_MAX = 20_000  # ten times the topics of a site with 200 chargers; the oldest go, a sweep finds them


def removal(topic: str) -> Message:
    """What makes a broker forget a retained topic (MQTT 3.1.1 and 5, section 3.3.1.3)."""
    return Message(topic=topic, body=b"", qos=1, stamped=False)


class _Known:
    """One topic of the present state. `told_at` None: the broker has not been told its newest value."""

    __slots__ = ("again_s", "message", "told_at")

    def __init__(self, message: Message) -> None:
        self.replace(message)

    def replace(self, message: Message) -> None:
        self.message = message
        self.told_at: float | None = None
        # a retained value that expires is told again when half of its time is over
        self.again_s = message.expiry_s / 2 if message.expiry_s else float("inf")


class Outbox:
    """Offered whole states; hands out one message at a time."""

    def __init__(self, urgent: Callable[[str], bool]) -> None:
        """`urgent`: topics that go before the others."""
        self._urgent = urgent
        self._known: dict[str, _Known] = {}
        self._removed: dict[str, float | None] = {}  # topic -> when the broker was told
        self._first: dict[str, None] = {}  # due and urgent, longest waiting first
        self._then: dict[str, None] = {}

    def __len__(self) -> int:
        """How many topics the present state has."""
        return len(self._known)

    @property
    def due(self) -> int:
        return len(self._first) + len(self._then)

    @property
    def has_urgent(self) -> bool:
        return bool(self._first)

    def offer(self, state: State, now_mono: float) -> None:
        """The present state, whole: what is not in it is gone."""
        for topic, message in state.items():
            known = self._known.get(topic)
            if known is None:
                self._known[topic] = _Known(message)
                self._removed.pop(topic, None)
                self._make_due(topic)
            elif message is not known.message and message != known.message:
                known.replace(message)
                self._make_due(topic)
            elif known.told_at is not None and now_mono - known.told_at >= known.again_s:
                known.told_at = None
                self._make_due(topic)
        if len(self._known) > len(state):
            for topic in [topic for topic in self._known if topic not in state]:
                self._vanished(topic)
        self._forget_removed(now_mono)

    def next(self) -> Message | None:
        """What goes out next; it stays next until `told` is called."""
        for waiting in (self._first, self._then):
            for topic in waiting:
                return self._message(topic)
        return None

    def told(self, message: Message, now_mono: float) -> None:
        """`message`, which `next` gave, was handed over."""
        self._first.pop(message.topic, None)
        self._then.pop(message.topic, None)
        known = self._known.get(message.topic)
        if known is None:
            self._removed[message.topic] = now_mono
        else:
            known.told_at = now_mono

    def reborn(self) -> None:
        """The broker may have lost everything, and whatever was under way is lost: all is due again."""
        for topic, known in self._known.items():
            known.told_at = None
            self._make_due(topic)
        for topic in self._removed:
            self._removed[topic] = None
            self._make_due(topic)

    def again(self, prefix: str) -> None:
        """Somebody missed what stands in topics that begin like this."""
        for topic, known in self._known.items():
            if topic.startswith(prefix):
                known.told_at = None
                self._make_due(topic)

    def found(self, topics: Iterable[str]) -> int:
        """Retained topics that the broker holds, all of them ours: those that are not in the present state
        are removed. Returns how many."""
        ghosts = [topic for topic in topics if topic not in self._known]
        for topic in ghosts:
            self._remove(topic)
        return len(ghosts)

    def _message(self, topic: str) -> Message:
        known = self._known.get(topic)
        return removal(topic) if known is None else known.message

    def _make_due(self, topic: str) -> None:
        (self._first if self._urgent(topic) else self._then).setdefault(topic)

    def _vanished(self, topic: str) -> None:
        known = self._known.pop(topic)
        if known.message.retain:
            self._remove(topic)
        else:
            self._first.pop(topic, None)
            self._then.pop(topic, None)

    def _remove(self, topic: str) -> None:
        self._removed.pop(topic, None)
        self._removed[topic] = None
        self._make_due(topic)
        while len(self._removed) > REMOVED_MAX:
            self._drop_removed(next(iter(self._removed)))

    def _drop_removed(self, topic: str) -> None:
        del self._removed[topic]
        self._first.pop(topic, None)
        self._then.pop(topic, None)

    def _forget_removed(self, now_mono: float) -> None:
        for topic, told_at in list(self._removed.items()):
            if told_at is not None and now_mono - told_at >= REMOVED_KEPT_S:
                self._drop_removed(topic)
