"""What is wrong with the box and what stands around it: numbers in, conditions out.

Rules of this file, and of those beside it that are named after a subject:
- A condition is a fact of this moment. For how long it must be so stands in the catalogue of alarms.
- A text stays the same while nothing changes: no ages, no values that move with every reading.
- Pure: time is an argument. What must be remembered from look to look is in an object with `look`.
- Thresholds stand here, each with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from edgegw.core.alarms import Condition
from edgegw.core.events import Instant

Source = Callable[[Instant], Iterable[Condition]]

LISTED_MAX = 3  # names in a text
LAG_MS_MAX = 500.0  # a charger waits that long for nothing; some give up after seconds


class BrokerSeen(Protocol):
    """`mqtt.connection.Connection` is one."""

    @property
    def up(self) -> bool: ...
    @property
    def trouble(self) -> str: ...
    @property
    def taken_over(self) -> bool: ...


def broker(seen: BrokerSeen) -> Iterator[Condition]:
    if not seen.up:
        why = f": {seen.trouble}" if seen.trouble else ""
        yield Condition(code="broker_away", text=f"no connection to the MQTT broker{why}")
    if seen.taken_over:
        text = "the broker closes our connection all the time: another client has our id, or it turns us away"
        yield Condition(code="broker_taken_over", text=text)


def telemetry(trouble: str) -> Iterator[Condition]:
    """`trouble` in words, "" while it can be written."""
    if trouble:
        yield Condition(code="telemetry_unusable", text=f"the telemetry file: {trouble}")


def loop_lag(worst_ms: float) -> Iterator[Condition]:
    """`worst_ms`: how late the event loop was at worst in the last minute."""
    if worst_ms > LAG_MS_MAX:
        text = f"work was late by more than {LAG_MS_MAX:.0f} ms within the last minute"
        yield Condition(code="loop_lag", text=text)


def files_unusable(why: str) -> Iterator[Condition]:
    if why:
        yield Condition(code="cache_unusable", text=why)


def doors_shut(shut: Mapping[str, str]) -> Iterator[Condition]:
    """`shut`: key of the site file -> why, and what to do."""
    for key, why in shut.items():
        yield Condition(code="door_shut", target=key, text=why)


def listed(names: Iterable[str]) -> str:
    """ "CP-1, CP-2, CP-3 and 4 more" """
    known = sorted(names)
    more = f" and {len(known) - LISTED_MAX} more" if len(known) > LISTED_MAX else ""
    return ", ".join(known[:LISTED_MAX]) + more
