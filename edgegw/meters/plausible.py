"""From decoded values to a Reading that may steer chargers, or the reason why not. Pure: time is an argument.

Rules of this file:
- A reading is taken whole or not at all: one value that cannot be true makes its neighbours suspect.
- Where a doubt remains, the current that leaves less for the chargers is taken.
- A phase here is the meter's own until `rotation` puts it on the grid's; texts name the meter's, because
  that is what its display shows.
- That the sign of a transformer is wrong cannot be seen here; it shows when a car starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from edgegw.balance.model import PHASES, Reading
from edgegw.meters.template import FREQUENCY_HZ, LIVE, VOLTAGE_V, Template, phase_has_current

ReasonKind = Literal["missing", "voltage", "frequency", "sum", "consistency", "frozen"]

CURRENT_MAX_A = 10_000.0  # no fuse of a parking site is larger: more is a number out of swapped words
POWER_MAX_W = PHASES * CURRENT_MAX_A * VOLTAGE_V[1]
SUM_TOLERANCE_W, SUM_TOLERANCE = 50.0, 0.03  # phases against total: rounding, and readings some ms apart
# P cannot exceed V x I. Averaging windows differ, so it is wide; a forgotten ratio is a factor of 4 and more.
APPARENT_TOLERANCE_W, APPARENT_TOLERANCE = 100.0, 1.5
FROZEN_READINGS_MIN = 3  # two equal ones around a pause in polling say nothing

Values = Mapping[str, float | None]
Triple = tuple[float | None, float | None, float | None]


class MeterOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the installer says about one meter."""

    invert: bool = False  # its transformers are the other way round: positive is export
    rotation: tuple[int, int, int] = (0, 1, 2)  # grid phase (0..2) of the meter's L1, L2, L3
    phases: tuple[int, ...] | None = None  # grid phases it has to measure; None: all that the template has
    nominal_v: float = 230.0  # for meters that show no voltage
    # The mains' voltage never stands still: at 0.1 V a meter that lives differs within seconds.
    frozen_after_s: float = 30.0


class Implausible(msgspec.Struct, frozen=True, kw_only=True):
    """A reading that must not be used."""

    kind: ReasonKind
    text: str  # a technician's words


class Plausibility:
    """Judges one meter's readings, one after the other. It remembers what a frozen meter would repeat."""

    def __init__(self, template: Template, options: MeterOptions) -> None:
        self.template, self.options = template, options
        self._last: tuple[float | None, ...] = ()
        self._since = 0.0
        self._repeats = 0

    def judge(self, values: Values, at: float) -> Reading | Implausible:
        """`values` as `decode` gives them (the live ones at least); `at` is the monotonic instant at which
        the answer arrived."""
        frozen = self._frozen(values, at)
        read = _Read(self.template, values, self.options)
        for found in (read.missing, read.voltage, read.frequency, read.totals, read.consistency):
            if reason := found():
                return reason
        return frozen or read.reading(at)

    def _frozen(self, values: Values, at: float) -> Implausible | None:
        now = tuple(values.get(name) for name in LIVE)
        if now != self._last:
            self._last, self._since, self._repeats = now, at, 1
            return None
        self._repeats += 1
        age = at - self._since
        if self._repeats < FROZEN_READINGS_MIN or age <= self.options.frozen_after_s:
            return None
        words = f"every value is the same to the last digit for {age:.0f} s: the meter or its gateway hangs"
        return Implausible(kind="frozen", text=words)


class _Read:
    """One reading under judgement. Each check gives the reason against it, or None."""

    def __init__(self, template: Template, values: Values, options: MeterOptions) -> None:
        self.template, self.values, self.options = template, values, options
        self.sign = -1.0 if options.invert else 1.0
        self.volts = self._phases("voltage")
        self.amps = self._phases("current")
        self.power = self._phases("power")
        self.total = values.get("power")
        self.required = self._required()

    def _phases(self, kind: str) -> Triple:
        one, two, three = (self.values.get(f"{kind}_l{phase}") for phase in (1, 2, 3))
        return one, two, three

    def _required(self) -> tuple[int, ...]:
        """The meter's phases that must have a current; () for a meter that shows totals only."""
        measured = (phase for phase in range(PHASES) if phase_has_current(self.template, phase + 1))
        wanted = self.options.phases
        if wanted is None:
            return tuple(measured)
        return tuple(phase for phase in range(PHASES) if self.options.rotation[phase] in wanted)

    # --- the checks -------------------------------------------------------------------------------

    def missing(self) -> Implausible | None:
        for phase in self.required:
            if self.current(phase) is None:
                return Implausible(kind="missing", text=f"no current on L{phase + 1}")
        if not self.required and self.total is None:
            return Implausible(kind="missing", text="no power")
        return None

    def voltage(self) -> Implausible | None:
        low, high = VOLTAGE_V
        for phase in self.required:
            volts = self.volts[phase]
            if volts is None and self._has(f"voltage_l{phase + 1}"):
                return Implausible(kind="missing", text=f"no voltage on L{phase + 1}")
            if volts is not None and not low <= volts <= high:
                words = f"L{phase + 1} has {volts:.4g} V, plausible are {low:.0f} to {high:.0f} V"
                return Implausible(kind="voltage", text=words)
        everything = (*self.volts, *self.amps, *self.power, self.total, self.values.get("frequency"))
        if not any(everything):
            return Implausible(kind="voltage", text="every value is zero: it does not measure")
        return None

    def frequency(self) -> Implausible | None:
        hertz, (low, high) = self.values.get("frequency"), FREQUENCY_HZ
        if hertz is None or low <= hertz <= high:
            return None
        words = f"the frequency is {hertz:.4g} Hz, plausible are {low:.0f} to {high:.0f} Hz"
        return Implausible(kind="frequency", text=words)

    def totals(self) -> Implausible | None:
        known = [power for power in self.power if power is not None]
        if self.total is None or len(known) < len(self.required) or not known:
            return None
        allowed = max(SUM_TOLERANCE_W, SUM_TOLERANCE * sum(abs(power) for power in known))
        if abs(sum(known) - self.total) <= allowed:
            return None
        words = f"the phases add up to {sum(known):.0f} W, the total is {self.total:.0f} W"
        return Implausible(kind="sum", text=words)

    def consistency(self) -> Implausible | None:
        for phase in self.required:
            reason = _against_apparent(f"L{phase + 1}", self.power[phase], self._apparent(phase))
            if reason:
                return reason
            if abs(self.current(phase) or 0.0) > CURRENT_MAX_A:
                return _absurd(f"L{phase + 1} has {self.current(phase):.4g} A")
        apparent = [self._apparent(phase) for phase in self.required]
        known = [one for one in apparent if one is not None]
        together = sum(known) if known and len(known) == len(apparent) else None
        if abs(self.total or 0.0) > POWER_MAX_W:
            return _absurd(f"the total is {self.total:.4g} W")
        return _against_apparent("the total", self.total, together)

    def _apparent(self, phase: int) -> float | None:
        amps = self.amps[phase]
        return None if amps is None else abs(amps) * self._volts(phase)

    def _has(self, point: str) -> bool:
        return point in self.template.points

    def _has_power(self, phase: int) -> bool:
        return self._has(f"power_l{phase + 1}") or self._has(f"power_import_l{phase + 1}")

    def _volts(self, phase: int) -> float:
        return self.volts[phase] or self.options.nominal_v

    # --- what comes out ---------------------------------------------------------------------------

    def current(self, phase: int) -> float | None:
        """Amps of one of the meter's phases, import positive; None when nothing shows it.

        Most meters give a magnitude, so the sign is that of the phase's power. While a phase exports only
        its active part counts: a reactive current is no room for a car. Where the meter
        has no current it is power over voltage.
        """
        amps, power = self.amps[phase], self.power[phase]
        if power is None:  # it has none, or it is missing: then the sign is not known
            return None if amps is None or self._has_power(phase) else amps * self.sign
        active = power * self.sign / self._volts(phase)
        if amps is None:
            return active if self.volts[phase] and not self._has(f"current_l{phase + 1}") else None
        return max(-abs(amps), active) if active < 0 else abs(amps)

    def reading(self, at: float) -> Reading:
        bought, sold = self.values.get("import"), self.values.get("export")
        if self.options.invert:
            bought, sold = sold, bought
        amps = self.current(0), self.current(1), self.current(2)
        return Reading(
            at=at,
            current_a=self._on_grid(amps),
            voltage_v=self._on_grid(self.volts),
            power_w=None if self.total is None else self.total * self.sign,
            power_l_w=self._on_grid(self._signed_power()),
            frequency_hz=self.values.get("frequency"),
            import_wh=bought,
            export_wh=sold,
        )

    def _signed_power(self) -> Triple:
        first, second, third = (None if watts is None else watts * self.sign for watts in self.power)
        return first, second, third

    def _on_grid(self, own: Triple) -> Triple:
        grid: list[float | None] = [None] * PHASES
        for phase, value in enumerate(own):
            grid[self.options.rotation[phase]] = value
        return grid[0], grid[1], grid[2]


def _absurd(what: str) -> Implausible:
    return Implausible(kind="consistency", text=f"{what}: the order of words or the type is wrong")


def _against_apparent(what: str, power: float | None, apparent: float | None) -> Implausible | None:
    if power is None or apparent is None:
        return None
    if abs(power) <= APPARENT_TOLERANCE * apparent + APPARENT_TOLERANCE_W:
        return None
    words = f"{what}: {power:.0f} W with {apparent:.0f} VA; a ratio or a unit is wrong"
    return Implausible(kind="consistency", text=words)
