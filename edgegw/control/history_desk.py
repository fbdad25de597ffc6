"""Power over time, for who asks. The rules of `control.service` hold here too."""

from __future__ import annotations

import asyncio

from edgegw.balance.model import Allocation
from edgegw.control import live_models as models
from edgegw.control.power_desk import load_of
from edgegw.control.problem import Problem
from edgegw.runtime import clock
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.power_history import Point, PowerHistory
from edgegw.wire.timestamps import format_timestamp

PORTION = 100  # points made before others get their turn: a millisecond


class HistoryDesk:
    def __init__(self, gateway: Gateway) -> None:
        """What is balanced is kept from now on."""
        self._gateway = gateway
        self._history = PowerHistory()
        if gateway.load is not None:
            gateway.load.decided.append(self._decided)

    def _decided(self, allocation: Allocation) -> None:
        self._history.note(allocation, clock.now())

    async def power(self, circuit: str, span_s: float) -> models.PowerHistory:
        """ "" is the main circuit. Raises Problem: nothing is balanced, no such circuit."""
        name = circuit or self._main()
        if name not in self._names():
            text = f"there is no circuit {name!r}; there are: {', '.join(self._names())}"
            raise Problem(404, "no_such_circuit", text)
        now = clock.now()
        step_s, points = self._history.points(name, span_s, now)
        views = []
        for number, point in enumerate(points, start=1):
            views.append(_view(point, now.wall - now.mono))
            if number % PORTION == 0:
                await asyncio.sleep(0)
        return models.PowerHistory(circuit=name, step_s=step_s, points=tuple(views))

    def _names(self) -> list[str]:
        return [circuit.name for circuit in load_of(self._gateway).control.plan.circuits]

    def _main(self) -> str:
        circuits = load_of(self._gateway).control.plan.circuits
        return next((circuit.name for circuit in circuits if not circuit.parent), "")


def _view(point: Point, wall_of_mono_s: float) -> models.HistoryPoint:
    return models.HistoryPoint(
        at=format_timestamp(point.at + wall_of_mono_s),
        measured_a=point.measured_a,
        limit_a=point.limit_a,
        granted_a=point.granted_a,
    )
