"""Whose turn it is: who may start, who waits, and when two change places.

Rules of this file:
- Few cars, each with more: a car starts when its minimum fits beside the building's usual high, so that a
  step of the building is met by throttling and not by pausing. Where much lay idle for a minute it starts
  whatever the history.
- Order: priority, those who can use it, least energy per weight, first come.
- A turn is booked first: its minimum is kept, others give way, and the offer follows when that is
  confirmed.
- At most one exchange per `swap_every_s`. A full car gives its place to any that waits.
- Where minima leave little to share, time is shared: who had most yields, and returns when the others
  caught up.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgegw.balance.demand import Car
from edgegw.balance.model import INFINITE, PlugState
from edgegw.balance.rows import Round

BOOKED_S = 45.0  # no room came free in this time: the booking ends
_SWAP_TRIES = 4
_EPS_A = 1e-6


class Admission:
    """Kept between steps: since when there was room on a row, and when the last exchange was."""

    def __init__(self, rows: int) -> None:
        self.idle_since = [INFINITE] * rows
        self.last_swap_at = -INFINITE
        self._asked_at = -INFINITE
        self._yield_asked_at = -INFINITE

    def run(self, round_: Round) -> None:
        self._watch_idle(round_)
        self._end_bookings(round_)
        waiting = self._waiting(round_)
        if waiting:
            minima = round_.minima()
            left = [car for car in waiting if not self._try(round_, car, minima)]
            if left and round_.now - self.last_swap_at >= round_.settings.swap_every_s:
                self._swap(round_, left[:_SWAP_TRIES], minima)
        if round_.settings.yield_ratio and self._asked_at != round_.now:
            self._yield(round_)
        self._offer_booked(round_)

    def _watch_idle(self, round_: Round) -> None:
        need = round_.settings.idle_room_a
        for row in range(len(self.idle_since)):
            if round_.over(row) > -need:
                self.idle_since[row] = INFINITE
            elif self.idle_since[row] == INFINITE:
                self.idle_since[row] = round_.now

    def _end_bookings(self, round_: Round) -> None:
        over = [car for car in round_.on if car.offer_a == 0.0 and round_.now - car.on_at > BOOKED_S]
        for car in over:
            if not car.bypassing:
                round_.take_back(car)

    def _waiting(self, round_: Round) -> list[Car]:
        waiting = [car for car in round_.cars if not car.on and car.wants and _may_return(round_, car)]
        return sorted(waiting, key=_order)

    def _try(self, round_: Round, car: Car, minima: list[float]) -> bool:
        if not self._fits(round_, car, minima) or not self._is_due(round_, car):
            return False
        for row in round_.rows[car.index]:
            minima[row] += car.least_a
        round_.admit(car)
        return True

    def _is_due(self, round_: Round, car: Car) -> bool:
        """A car that had its share already starts again when its even share is worth a start."""
        settings = round_.settings
        if car.energy_wh < settings.starved_wh or not settings.yield_ratio:
            return True
        if round_.now < car.not_before or self._asked_at == round_.now:
            return False
        self._asked_at = round_.now  # one in a step: an even share costs a whole filling
        due = round_.even_share(car) >= settings.return_ratio * car.least_a
        car.not_before = -INFINITE if due else round_.now + settings.swap_every_s
        return due

    def _yield(self, round_: Round) -> None:
        """Time is shared where current cannot be: who had most makes room for those who had less."""
        settings, now = round_.settings, round_.now
        if now - max(self.last_swap_at, self._yield_asked_at) < settings.swap_every_s:
            return
        self._yield_asked_at = self._asked_at = now
        rich = [
            car
            for car in round_.on
            if now - car.on_at >= settings.rotation_s
            and not car.bypassing
            and car.pauses < settings.rotation_pauses
            and car.state is PlugState.CHARGING
            and car.offer_a <= car.least_a + settings.up_step_a
        ]
        for car in sorted(rich, key=_swap_order)[:1]:
            if round_.even_share(car) < settings.yield_ratio * car.least_a:
                round_.pause(car)
                self.last_swap_at = now

    def _fits(self, round_: Round, car: Car, minima: Sequence[float], without: Car | None = None) -> bool:
        """Would its minimum fit beside the minima of the others (but `without`) on all its rows?"""
        bounds, settings = round_.bounds, round_.settings
        rows = round_.rows[car.index]
        long_idle = without is None and all(
            round_.now - self.idle_since[row] >= settings.idle_room_s for row in rows
        )
        gone = set(round_.rows[without.index]) if without else set()
        for row in rows:
            sum_a = minima[row] + car.least_a
            if without is not None and row in gone:
                sum_a -= without.least_a
            if not bounds.admits[row] or sum_a > round_.budget(row) + _EPS_A:
                return False
            if not long_idle and sum_a + bounds.spare_a[row] > bounds.usual_a[row] + _EPS_A:
                return False
        return True

    def _swap(self, round_: Round, waiting: Sequence[Car], minima: list[float]) -> None:
        for car in waiting:
            for other in sorted(round_.on, key=_swap_order):
                if _gives_way(round_, other, car) and self._fits(round_, car, minima, other):
                    round_.pause(other)
                    round_.admit(car)
                    self.last_swap_at = round_.now
                    return

    def _offer_booked(self, round_: Round) -> None:
        for car in sorted(round_.on, key=lambda car: car.on_at):
            least = car.least_a
            if car.offer_a >= least:
                continue
            # What it stands at already is no raise.
            if car.standing_a >= least or round_.room(car) >= least - car.offer_a - _EPS_A:
                round_.offer(car, least)


def _may_return(round_: Round, car: Car) -> bool:
    """A car that made no use of its turn is asked again once in a while: it may have a timer."""
    rest = round_.settings.rotation_s if car.dozes else round_.settings.min_off_s
    return not car.paused or round_.now - car.off_at >= rest


def _order(car: Car) -> tuple[float, bool, float, float, int]:
    return -car.priority, car.dozes, car.energy_wh / car.connector.weight, car.arrived_at, car.index


def _swap_order(car: Car) -> tuple[int, bool, float, int]:
    return car.priority, not car.dozes, -car.energy_wh / car.connector.weight, car.index


def _gives_way(round_: Round, on: Car, waiting: Car) -> bool:
    """May the car that charges be asked to make place for the one that waits?"""
    now, settings = round_.now, round_.settings
    if on.priority > waiting.priority or set(round_.rows[on.index]).isdisjoint(round_.rows[waiting.index]):
        return False
    if waiting.dozes or on.bypassing:
        return False
    if on.dozes:
        return True
    since = now - on.on_at
    if on.priority < waiting.priority:
        return since >= settings.min_on_s
    ahead_wh = on.energy_wh / on.connector.weight - waiting.energy_wh / waiting.connector.weight
    waited = now - max(waiting.off_at, waiting.arrived_at)
    patience = 1 + int(
        waited / (4.0 * settings.rotation_s)
    )  # the longer it waits the more pauses are allowed
    if waiting.energy_wh < settings.starved_wh:
        return (
            since >= settings.min_on_s
            and ahead_wh > settings.starved_ahead_wh
            and on.pauses < settings.starved_pauses * patience
        )
    return (
        since >= settings.rotation_s
        and ahead_wh > settings.rotation_ahead_wh
        and on.pauses < settings.rotation_pauses * patience
    )
