"""Two questions of whoever runs the process: does it live, and may it be given work?

Rules of this file:
- `alive` asks nobody and waits for nothing: that it answers shows that the loop runs. It is no only when a
  restart would help.
- `ready` means chargers can be served. A cloud that is away is what the box is for, so it is ready then.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from edgegw.control.health import StoreWatch
from edgegw.control.models import View
from edgegw.runtime.gateway import Gateway
from edgegw.store.journal import Journal

BROKEN = "the store is broken: nothing can be kept until edgegw is started again"


class ProbeView(View):
    """The HTTP status says it all; the words are for people."""

    status: str = Field(description='"ok" with HTTP 200, "unavailable" with 503')
    reasons: tuple[str, ...] = Field(description="why it is unavailable")


class Probes:
    def __init__(
        self, gateway: Gateway, journal: Journal, store: StoreWatch, door_is_open: Callable[[], bool] | None
    ) -> None:
        """`door_is_open`: do chargers get in? None: whoever made this does not say."""
        self._gateway = gateway
        self._journal = journal
        self._store = store
        self._door_is_open = door_is_open

    def alive(self) -> ProbeView:
        return _view([BROKEN] if self._journal.broken else [])

    async def ready(self) -> ProbeView:
        """Recovery is done before the local API opens: who can ask this has a gateway that knows its site."""
        reasons = []
        if self._gateway.stopping:
            reasons.append("edgegw stops")
        if self._door_is_open is not None and not self._door_is_open():
            reasons.append("the chargers' door is not open")
        if self._journal.broken:
            reasons.append(BROKEN)
        elif await self._store.counts() is None:
            reasons.append("the store does not answer: check the disk")
        return _view(reasons)


def _view(reasons: list[str]) -> ProbeView:
    return ProbeView(status="unavailable" if reasons else "ok", reasons=tuple(reasons))
