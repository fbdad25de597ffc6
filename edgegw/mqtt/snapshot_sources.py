"""What a snapshot asks besides the gateway itself. Each is asked once per view and may answer from memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from edgegw.control import models
from edgegw.control.file_house import FileHouse
from edgegw.core.alarms import Alarm


def _no_health() -> models.Health | None:
    return None


def _no_alarms() -> Sequence[Alarm]:
    return ()


def _no_lag() -> float | None:
    return None


def _none_dropped() -> int:
    return 0


class Sources(NamedTuple):
    health: Callable[[], models.Health | None] = _no_health  # None: the store has not been counted yet
    alarms: Callable[[], Sequence[Alarm]] = _no_alarms
    loop_lag_ms: Callable[[], float | None] = _no_lag  # the worst of the last minute
    events_dropped: Callable[[], int] = _none_dropped
    files: FileHouse | None = None


class SiteFacts(NamedTuple):
    """What does not change while the gateway runs."""

    id: str
    name: str
    version: str
    started_at: float
    features: tuple[str, ...] = ()
    salt: bytes = b""  # of card ids, a secret of the site; needed unless they are published as they are
