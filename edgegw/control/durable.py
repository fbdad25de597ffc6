"""Orders whose answer means that they are on the disk, and what is said when they are not.

Rules of this file:
- Who is let in and how it is wired: kept first. The store cannot take it: nothing has changed (`not_stored`).
- Limits and connectors left out: in force first, a fuse waits for no disk. The store cannot take them: they
  hold until a restart, which is said, and are tried again (`holds_on_disk`). So it is with rollouts, of which
  nothing goes out before the store has it.
"""

from __future__ import annotations

from collections.abc import Awaitable

from edgegw.control.problem import Problem
from edgegw.errors import StoreFault, StoreUnknownOutcome
from edgegw.runtime.limits_kept import AGAIN_S
from edgegw.runtime.load import LoadLoop
from edgegw.runtime.rollouts import Rollouts


def not_stored(fault: StoreFault) -> Problem:
    """Nothing has changed."""
    if isinstance(fault, StoreUnknownOutcome):
        text = (
            f"nothing has changed, but whether it was stored is not known ({fault}): a restart may bring it; "
            "look at `edgegw status`, then order it again"
        )
    else:
        text = f"nothing has changed, it could not be stored ({fault}): make space on the disk, then again"
    return Problem(503, "not_stored", text)


async def holds_on_disk(load: LoadLoop, what: str) -> None:
    """Wait until what was ordered is on the disk. `what` holds now, in words. Raises Problem."""
    await _held(load.kept.on_disk(), what, f"it is tried again every {AGAIN_S:g} s, make space on the disk")


async def rollout_on_disk(rollouts: Rollouts, what: str) -> None:
    """The same of an order about a rollout."""
    await _held(
        rollouts.on_disk(),
        what,
        "make space on the disk, then pause it, resume it or stop it (again): that stores it",
    )


async def _held(on_disk: Awaitable[None], what: str, todo: str) -> None:
    try:
        await on_disk
    except StoreFault as fault:
        text = f"{what} now, but it could not be stored ({fault}): a restart would lose that; {todo}"
        raise Problem(503, "not_stored", text) from fault
