"""Giving back: limits come down at once, from few cars, and a car is paused only when nothing else is left.

Rules of this file:
- Shedding brings the decided load under every budget (limit less margin less building) in the same step.
- It takes from the lowest priority first, then from the car whose cut helps most where it is needed and
  hurts least elsewhere: three-phase steps fall on three-phase cars, single-phase steps on single-phase
  cars.
- No car is shed below its least. With only minima left a car is paused when the limit itself is exceeded
  for `overload_tolerance_s`; at once when it is exceeded by far, the meter is not believed or the limit
  came from outside.
"""

from __future__ import annotations

from edgegw.balance.demand import Car
from edgegw.balance.model import PHASES, PlugState
from edgegw.balance.rows import Round

_EPS_A = 1e-6
_JUST_ADMITTED_S = 60.0


def shed(round_: Round) -> None:
    """Cut until every row fits or has only minima left."""
    spent: set[int] = set()
    while True:
        rows = [row for row in range(len(round_.load_a)) if row not in spent]
        over = {row: round_.over(row) for row in rows}
        over = {row: amps for row, amps in over.items() if amps > round_.settings.shed_above_a}
        if not over:
            return
        worst = max(over, key=lambda row: (over[row], -row))
        if not _relieve(round_, worst, over):
            spent.add(worst)


def _relieve(round_: Round, worst: int, over: dict[int, float]) -> bool:
    """Cut cars of one priority on the worst row, best score first; False when nothing is left to cut."""
    flexible = [car for car in round_.on if worst in round_.rows[car.index] and car.offer_a > car.least_a]
    if not flexible:
        return False
    lowest = min(car.priority for car in flexible)
    flexible = [car for car in flexible if car.priority == lowest]
    scores = {car.index: _score(round_, car, worst, over) for car in flexible}
    flexible.sort(key=lambda car: (-scores[car.index], car.index))
    for car in flexible:
        excess = round_.over(worst)
        if excess <= _EPS_A:
            break
        round_.offer(car, max(car.least_a, car.quantised(car.offer_a - excess + _EPS_A)))
    return True


def _score(round_: Round, car: Car, worst: int, over: dict[int, float]) -> float:
    cut = min(car.offer_a - car.least_a, over[worst])
    score = 0.25 * (car.offer_a - round_.shares[car.index])
    for row in round_.rows[car.index]:
        score += min(cut, over[row]) if row in over else -0.6 * cut
    if car.state is not PlugState.CHARGING:
        score += 5.0  # costs nobody anything
    elif round_.now < car.effect_until:
        score -= 2.0
    return score


class Overload:
    """Rows above their limit with only minima left, and who is paused for it. Kept between steps."""

    def __init__(self) -> None:
        self.since: dict[int, float] = {}
        self.last_pause_at = float("-inf")

    def relieve(self, round_: Round) -> list[Car]:
        """Pause who must be paused now."""
        paused: list[Car] = []
        live = _live_load(round_)
        for row in range(PHASES * len(round_.tree.circuits)):
            excess = live[row] - round_.bounds.hard_a[row]
            if excess <= _EPS_A:
                self.since.pop(row, None)
                continue
            self.since.setdefault(row, round_.now)
            while excess > _EPS_A and self._due(round_, row, excess):
                car = _victim(round_, row)
                if car is None:
                    break
                for other in round_.rows[car.index]:
                    live[other] -= _live(round_, car)
                round_.pause(car)
                paused.append(car)
                self.last_pause_at = round_.now
                excess = live[row] - round_.bounds.hard_a[row]
        return paused

    def _due(self, round_: Round, row: int, excess: float) -> bool:
        settings, circuit = round_.settings, round_.tree.circuits[row // PHASES]
        if round_.bounds.urgent[row] or excess > (settings.overload_ratio - 1.0) * circuit.limit_a:
            return True
        if round_.now - self.last_pause_at < settings.pause_every_s:
            return False
        return round_.now - self.since[row] >= settings.overload_tolerance_s


def _live(round_: Round, car: Car) -> float:
    """What it draws or may begin to draw any moment; a full car does not count."""
    begins = car.on and round_.now - car.on_at < _JUST_ADMITTED_S
    return round_.need(car) if car.state is PlugState.CHARGING or begins else car.stubborn_a


def _live_load(round_: Round) -> list[float]:
    live = [0.0] * len(round_.load_a)
    for car in round_.cars:
        if car.present and car.steered:
            amps = _live(round_, car)
            if amps:
                for row in round_.rows[car.index]:
                    live[row] += amps
    return live


def _victim(round_: Round, row: int) -> Car | None:
    """Lowest priority, past its minimum time, few pauses, most energy; one that does draw.

    One that was left out of balancing comes last.
    """
    now, settings = round_.now, round_.settings
    on_row = [car for car in round_.on if row in round_.rows[car.index] and _live(round_, car) > 0]
    return min(
        on_row,
        key=lambda car: (
            car.bypassing,
            car.priority,
            now - car.on_at < settings.min_on_s,
            car.pauses // 3,
            -car.energy_wh / car.connector.weight,
            car.index,
        ),
        default=None,
    )
