"""What is wrong with rollouts. The rules of `alarms.conditions` hold here too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgegw.core.alarms import Condition
from edgegw.core.rollout_state import Rollout


def rollouts(known: Iterable[Rollout]) -> Iterator[Condition]:
    """One that a person has paused is not wrong."""
    for rollout in known:
        if rollout.paused and not rollout.ended and rollout.failures:
            text = f"rollout {rollout.id} of {rollout.name} has stopped: {rollout.why}"
            yield Condition(code="rollout_stopped", target=f"rollout {rollout.id}", text=text)
