"""Limits and orders for connectors over a restart: what was ordered goes to the disk when it changes.

Rules of this file:
- They are in force before they are kept: a fuse does not wait for a disk. Who ordered does (`on_disk`).
- What the store could not take is tried again every AGAIN_S: it holds meanwhile, and a restart loses it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from edgegw.core.load_control import CONNECTOR_ORDERS, LoadControl
from edgegw.core.records import SaveDocument, StoreOp
from edgegw.runtime.on_disk import on_disk

AGAIN_S: Final = 10.0

Commit = Callable[[list[StoreOp]], asyncio.Future[None]]


class _Document:
    """One document: what of it was handed to the store last, and what became of that."""

    __slots__ = ("again_at", "kind", "newest", "revision")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.revision = 0
        self.newest: asyncio.Future[None] | None = None
        self.again_at = float("-inf")  # mono

    def is_due(self, revision: int, mono: float, *, again: bool) -> bool:
        return revision != self.revision or (self._failed and (again or mono >= self.again_at))

    @property
    def _failed(self) -> bool:
        newest = self.newest
        return newest is not None and newest.done() and (newest.cancelled() or newest.exception() is not None)


class LimitsKept:
    def __init__(self, control: LoadControl, commit: Commit) -> None:
        self._control = control
        self._commit = commit
        self._limits = _Document("limits")
        self._orders = _Document(CONNECTOR_ORDERS)

    def keep(self, mono: float, *, again: bool = False) -> None:
        """To be called whenever they may have changed, whatever changed them: people, their end, a clock.

        `again`: what the store could not take is tried at once; an order is not to fail for another.
        """
        orders, limits = self._control.connector_orders, self._control.limits
        if self._orders.is_due(orders.revision, mono, again=again):
            self._save(self._orders, orders.revision, orders.to_json(), mono)
        if self._limits.is_due(limits.revision, mono, again=again):
            self._save(self._limits, limits.revision, limits.to_json(), mono)

    def _save(self, document: _Document, revision: int, value: list[dict[str, Any]], mono: float) -> None:
        document.revision, document.again_at = revision, mono + AGAIN_S
        saved = SaveDocument(kind=document.kind, charger="", key="", value=msgspec.json.encode(value))
        document.newest = self._commit([saved])

    async def on_disk(self) -> None:
        """Until all that was kept so far is on the disk. Raises StoreFault; then it is tried again later."""
        newest = [one.newest for one in (self._orders, self._limits) if one.newest is not None]
        for kept in newest:
            await on_disk(kept)
