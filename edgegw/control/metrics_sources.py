"""What a scrape looks at: the living parts of the gateway, and what each of them must be able to say.

Rules of this file:
- Data and protocols only; neither the metrics library nor a room above this one is imported here.
- A part that is not there is None, and its metrics are then absent: a 0 would say that all is well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from edgegw.core.events import Instant
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.histogram import LONG_S, Histogram
from edgegw.runtime.loop_lag import LoopLag
from edgegw.store.journal import Journal
from edgegw.store.reader import StoreCounts

if TYPE_CHECKING:  # a site without a meter loads no Modbus
    from edgegw.control.transaction_tally import TransactionTally
    from edgegw.meters.poller import PollerStatus

CallOutcome = str
CALL_OUTCOMES = ("result", "error", "timeout", "gone")


class AlarmFacts(Protocol):
    """One alarm, as far as it is counted."""

    @property
    def code(self) -> str: ...

    @property
    def severity(self) -> str: ...

    @property
    def state(self) -> str:
        """ "active", or "cleared" for a latched one that nobody has acknowledged."""

    @property
    def acknowledged(self) -> bool: ...


class AlarmSource(Protocol):
    @property
    def alarms(self) -> Sequence[AlarmFacts]: ...

    @property
    def bugs(self) -> int:
        """Of who looks for alarms, and of who is told of them."""


class MqttSource(Protocol):
    """The building's broker: what went there, by a few fixed kinds such as "published", "events_dropped"."""

    @property
    def up(self) -> bool: ...

    @property
    def counters(self) -> Mapping[str, int]: ...

    @property
    def command_seconds(self) -> Histogram | None:
        """From the arrival of an order to its answer; None while orders are off."""


class MeterSource(Protocol):
    def __call__(self) -> Iterable[PollerStatus]: ...


class Sources(msgspec.Struct, kw_only=True):
    """Mutable: the composition root may plug in what starts later than the local API."""

    gateway: Gateway
    journal: Journal
    started_at: float  # wall
    transactions: TransactionTally
    lag: LoopLag | None = None
    mqtt: MqttSource | None = None
    meters: MeterSource | None = None
    alarms: AlarmSource | None = None
    audit_dropped: Callable[[], int] | None = None  # orders that the book of orders does not hold
    calls: Mapping[str, Histogram] = {}  # CALLs that people asked for, by outcome


class Scrape(msgspec.Struct, frozen=True, kw_only=True):
    """One look at all of it."""

    sources: Sources
    now: Instant
    counts: StoreCounts | None  # None: the store does not answer


def call_histograms() -> dict[str, Histogram]:
    return {outcome: Histogram(LONG_S) for outcome in CALL_OUTCOMES}
