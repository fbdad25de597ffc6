"""What an earlier run of this gateway left on the broker: found once after each connect, then removed.

Rules of this file:
- Pure. Nothing outside our own root is ever named here, and below it nothing but the branches that hold
  retained states: `request` and `response` are other people's too.
- Outside the root only what `is_ours` says yes to: our own announcements to Home Assistant.
- A topic that nobody can publish to holds nothing to be removed, whatever a broker says.
- Silence counts when two looks in a row find it: of a box that stood still itself the first knows nothing.
- What the broker kept comes with the retain flag; anything else on these topics is an echo of our own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgegw.mqtt.message import Incoming
from edgegw.mqtt.topics import CHANNELS, Tree

QUIET_S = 2.0  # the broker sends what it kept in one go
LONGEST_S = 20.0  # somebody publishes retained states below our root; that must not keep us listening
TOPICS_MAX = 20_000
TOPIC_BYTES_MAX = 1024  # none of ours is longer; 20,000 of the longest that MQTT allows would be 1.3 GB

_NOT_IN_TOPICS = frozenset("+#\0")  # MQTT 5, 4.7


def branches() -> tuple[str, ...]:
    """The first part of every topic that is retained."""
    return tuple(sorted({one.address.split("/")[0] for one in CHANNELS if one.retain}))


def _nothing(_: str) -> bool:
    return False


class Sweep:
    """Begun with `begin`, fed with `heard`, asked with `over`; then `topics` is what the broker holds."""

    def __init__(
        self, tree: Tree, others: Sequence[str] = (), is_ours: Callable[[str], bool] = _nothing
    ) -> None:
        """`others`: filters of topics outside the root, without "#", of which `is_ours` says which are this
        gateway's."""
        self._prefixes = tuple(f"{tree.root}/{branch}" for branch in branches())
        self._is_ours = is_ours
        self.filters = tuple(f"{prefix}/#" for prefix in self._prefixes) + tuple(others)
        self._others = tuple(others)
        self._begun_at: float | None = None
        self._heard_at: float | None = None  # not before the broker agreed to our subscription
        self._was_quiet = False  # at the last look
        self.topics: set[str] = set()

    @property
    def running(self) -> bool:
        return self._begun_at is not None

    def begin(self, now_mono: float) -> None:
        self._begun_at, self._heard_at, self._was_quiet = now_mono, None, False
        self.topics = set()

    def subscribed(self, now_mono: float) -> None:
        self._heard_at = now_mono

    def end(self) -> None:
        self._begun_at = None
        self.topics = set()

    def heard(self, incoming: Incoming, now_mono: float) -> bool:
        """True: it came because of the sweep, nobody else needs it."""
        below = self._below(incoming.topic)
        ours = _can_be_published(incoming.topic) and (below or self._is_ours(incoming.topic))
        if ours and incoming.retain and incoming.payload and self.running:
            self._heard_at = None if self._heard_at is None else now_mono
            self._was_quiet = False
            if len(self.topics) < TOPICS_MAX:
                self.topics.add(incoming.topic)
        return below or any(_matches(one, incoming.topic) for one in self._others)

    def over(self, now_mono: float) -> bool:
        """The broker has sent all it kept."""
        if self._begun_at is None:
            return False
        is_quiet = self._heard_at is not None and now_mono - self._heard_at >= QUIET_S
        still_quiet, self._was_quiet = is_quiet and self._was_quiet, is_quiet
        return still_quiet or now_mono - self._begun_at >= LONGEST_S

    def _below(self, topic: str) -> bool:
        return any(topic == prefix or topic.startswith(f"{prefix}/") for prefix in self._prefixes)


def _can_be_published(topic: str) -> bool:
    return len(topic.encode()) <= TOPIC_BYTES_MAX and not _NOT_IN_TOPICS.intersection(topic)


def _matches(topic_filter: str, topic: str) -> bool:
    """Whether a filter of "+" and whole levels is for this topic (MQTT 5, 4.7)."""
    levels, parts = topic_filter.split("/"), topic.split("/")
    return len(levels) == len(parts) and all(
        level in ("+", part) for level, part in zip(levels, parts, strict=True)
    )
