"""Why a connector has the limit it has, in a technician's words.

Rules of this file:
- Every grant has one reason: the tightest thing that holds it, by circuit and phase where it is one.
- Words, not codes: "garage L2 (32 A fuse): building 9 A, 4 cars share 21 A".
- Numbers are whole amps, so that a reason changes when something does.
"""

from __future__ import annotations

from msgspec.structs import replace

from edgegw.balance.building import Building
from edgegw.balance.demand import Car
from edgegw.balance.model import PHASE_NAMES, PHASES, Binding, PlugState, Reason
from edgegw.balance.rows import Round, told_while_free_a

_EPS_A = 1e-6
_MAXIMUM = "nothing holds it back: it may have all it can take"


class Explainer:
    """Reasons of one step; what is said of a row is made once."""

    def __init__(self, round_: Round, meters: dict[int, Building]) -> None:
        self.round = round_
        self.meters = meters
        self._count: list[int] | None = None
        self._rows: dict[int, Reason] = {}

    def reason(self, car: Car) -> Reason:
        if not car.steered:
            text = f"cannot be steered: {_amps(car.reserved_a)} A are kept for it"
            return Reason(binding=Binding.UNSTEERED, text=text)
        if car.bypassing:
            return self._left_out(car)
        reason = self._balanced(car)
        if not car.plug.bypassed:
            return reason
        why = f"its {_amps(car.most_a)} A do not fit now, so it is balanced although somebody left it out: "
        return replace(reason, text=why + reason.text)

    def _balanced(self, car: Car) -> Reason:
        if not car.present:
            return _free(car)
        if car.most_a <= 0.0:
            return _capped(car, f", less than the {_amps(car.least_a)} A a car needs")
        if not car.on:
            return self._off(car)
        if car.offer_a < car.least_a:
            return self._row(car, Binding.WAITING, "its turn has come; others are giving way first: ")
        return self._held(car)

    def _left_out(self, car: Car) -> Reason:
        """Somebody left it out of balancing."""
        if not car.present:
            text = f"left out of balancing: {_amps(car.most_a)} A are kept for a car"
        elif car.offer_a < car.most_a:
            return self._row(car, Binding.BYPASS, "left out of balancing; others are giving way first: ")
        else:
            text = f"left out of balancing for a while: it may have {_amps(car.most_a)} A"
        return Reason(binding=Binding.BYPASS, text=text)

    def _held(self, car: Car) -> Reason:
        if car.offer_a >= car.most_a - _EPS_A:
            if car.most_a < car.ceiling_a:
                return _capped(car)
            return Reason(binding=Binding.MAXIMUM, text=_MAXIMUM)
        if car.offer_a >= car.use_a - _EPS_A:
            text = f"the car takes no more than {_amps(car.drawing_a)} A"
            return Reason(binding=Binding.DEMAND, text=text)
        if car.state is PlugState.SUSPENDED_EV:
            return Reason(binding=Binding.DEMAND, text="the car has stopped by itself: it keeps its minimum")
        if self.round.room(car) >= self.round.settings.up_step_a:
            text = "more is free: it is raised step by step as the car follows"
            return Reason(binding=Binding.RAMP, text=text)
        return self._row(car, None, "")

    def _off(self, car: Car) -> Reason:
        now, settings = self.round.now, self.round.settings
        if car.dozes:
            return self._row(car, Binding.WAITING, "made no use of its turn, others go first: ")
        if car.paused and now - car.off_at < settings.min_off_s:
            minutes = int((settings.min_off_s - (now - car.off_at)) // 60) + 1
            return self._row(car, Binding.PAUSED, f"paused, again in {minutes} min at the earliest: ")
        return self._row(car, Binding.WAITING, "waits for its turn: ")

    def _row(self, car: Car, binding: Binding | None, before: str) -> Reason:
        """The tightest of its rows."""
        round_ = self.round
        rows = round_.rows[car.index]
        row = min(rows, key=lambda row: (round_.budget(row) - round_.taken_a[row], row))
        reason = self._rows.get(row)
        if reason is None:
            reason = self._rows[row] = self._tell_row(row)
        if binding is None:
            return reason
        return Reason(
            binding=binding, circuit=reason.circuit, phase=reason.phase, source=reason.source,
            text=before + reason.text,
        )  # fmt: skip

    def _tell_row(self, row: int) -> Reason:
        if row >= PHASES * len(self.round.tree.circuits):
            return self._tell_unbalance(row)
        number, phase = divmod(row, PHASES)
        circuit, source = self.round.tree.circuits[number], self.round.bounds.sources[row]
        limit = self.round.bounds.limit_a[row]
        held = f"{limit:g} A {'fuse' if not source else f'by {source}'}"
        meter = self.meters.get(number)
        binding = Binding.LIMIT if source else Binding.CIRCUIT
        base = self.round.bounds.base_a[row]
        said = f"building {_amps(base)} A" if meter else f"{_amps(base)} A kept for the building"
        if meter is not None and not meter.phases[phase].believed:
            binding = Binding.METER_STALE
            said = f"meter not usable, {_amps(base)} A kept for the building"
        elif meter is None and not base:
            said = ""
        count = self._cars_on(row)
        shared = f"{count} car{'' if count == 1 else 's'} share{'s' if count == 1 else ''}"
        parts = [said] if said else []
        parts.append(f"{shared} {_amps(max(0.0, self.round.budget(row)))} A")
        text = f"{circuit.name} {PHASE_NAMES[phase]} ({held}): {', '.join(parts)}"
        return Reason(binding=binding, circuit=circuit.name, phase=phase, source=source, text=text)

    def _tell_unbalance(self, row: int) -> Reason:
        first = PHASES * len(self.round.tree.circuits)
        at, phase = divmod(row - first, PHASES)
        number = next(n for n, start in self.round.tree.uneven_rows.items() if start == first + at * PHASES)
        circuit = self.round.tree.circuits[number]
        text = (
            f"{circuit.name} {PHASE_NAMES[phase]}: the phases may differ by {circuit.unbalance_a:g} A, "
            f"{self._cars_on(row)} cars here do not use all three"
        )
        return Reason(binding=Binding.UNBALANCE, circuit=circuit.name, phase=phase, text=text)

    def _cars_on(self, row: int) -> int:
        if self._count is None:
            self._count = [0] * len(self.round.load_a)
            for car in self.round.on:
                for at in self.round.rows[car.index]:
                    self._count[at] += 1
        return self._count[row]


def _capped(car: Car, more: str = "") -> Reason:
    """The lower of what its cloud and a person allow it."""
    plug = car.plug
    if plug.operator_a <= plug.cap_a:
        text = f"an operator limits it to {plug.operator_a:g} A{more}"
        return Reason(binding=Binding.LIMIT, source="operator", text=text)
    if more:
        return Reason(binding=Binding.CLOUD, text=f"its cloud allows {plug.cap_a:.1f} A{more}")
    return Reason(binding=Binding.CLOUD, text=f"its cloud allows {_amps(car.most_a)} A")


def _free(car: Car) -> Reason:
    if car.state is PlugState.UNAVAILABLE:
        return Reason(binding=Binding.FREE, text="out of service")
    return Reason(
        binding=Binding.FREE, text=f"no car: {_amps(told_while_free_a(car))} A until it is asked for more"
    )


def _amps(amps: float) -> str:
    return f"{amps:.0f}"
