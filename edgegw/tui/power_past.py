"""The last minutes and hours of one circuit, as far as the console knows them. Pure.

Rules of this file:
- What the gateway kept comes at once with `load`; then each picture adds its point with `add`.
- In long spans a point is the highest of a minute, as the gateway keeps them.
- Bounded: what is older than the span goes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from edgegw.control.live_models import LivePower, PowerHistory
from edgegw.control.power_models import PhaseAmps
from edgegw.tui.plot import Curve, Frame
from edgegw.tui.site_words import flowing

FINE_SPAN_S = 900.0  # up to there the gateway keeps every second
COARSE_STEP_S = 60.0
GAP_STEPS = 4.0  # so long without a point is a hole
POINTS_MAX = 4000
PHASE_STYLES = ("yellow", "green", "cyan")
LIMIT_STYLE = "bold red"


@dataclass(frozen=True, slots=True)
class Span:
    seconds: float
    name: str
    labels: tuple[str, str, str]


SPANS = (
    Span(300.0, "5 min", ("-5 min", "", "now")),
    Span(3600.0, "1 h", ("-1 h", "-30 min", "now")),
    Span(86_400.0, "24 h", ("-24 h", "-12 h", "now")),
)


def seconds(time: str) -> float:
    """Since 1970."""
    return datetime.fromisoformat(time).timestamp()


@dataclass(slots=True)
class _Point:
    at: float
    measured: PhaseAmps
    limit: PhaseAmps


class PowerPast:
    """Of one circuit over one span; make a new one for another."""

    def __init__(self, circuit: str, span: Span) -> None:
        self.circuit = circuit
        self.span = span
        self.now = 0.0
        self._points: deque[_Point] = deque(maxlen=POINTS_MAX)

    @property
    def step_s(self) -> float:
        return 1.0 if self.span.seconds <= FINE_SPAN_S else COARSE_STEP_S

    def load(self, history: PowerHistory) -> None:
        """What the gateway kept takes the place of what was seen here before its last point."""
        points = [_Point(seconds(one.at), one.measured_a, one.limit_a) for one in history.points]
        newest = points[-1].at if points else 0.0
        later = [point for point in self._points if point.at > newest]
        self._points = deque((*points, *later), maxlen=POINTS_MAX)

    def add(self, power: LivePower, at: str) -> None:
        self.now = max(self.now, seconds(at))
        circuit = next((one for one in power.circuits if one.name == self.circuit), None)
        if circuit is None:
            return
        last = self._points[-1] if self._points else None
        measured = flowing(circuit)
        begin = self.now - self.now % self.step_s
        if last is not None and last.at >= begin:
            last.measured = _highest(last.measured, measured)
            last.limit = circuit.limit_a
        else:
            self._points.append(_Point(begin, measured, circuit.limit_a))
        while self._points and self._points[0].at < self.now - self.span.seconds - self.step_s:
            self._points.popleft()

    def frame(self) -> Frame:
        return Frame(self.now - self.span.seconds, self.now, GAP_STEPS * self.step_s, self.span.labels)

    def curves(self, volts: PhaseAmps | None = None) -> list[Curve]:
        """The limit below, the phases above it. With `volts` in kW instead of A."""
        factors = [(one or 0.0) / 1000 for one in volts] if volts is not None else [1.0, 1.0, 1.0]
        limits = [(p.at, _lowest([_times(a, f) for a, f in zip(p.limit, factors, strict=True)])) for p in
                  self._points]  # fmt: skip
        curves = [Curve("-", LIMIT_STYLE, limits, dashed=True)]
        for phase, style in enumerate(PHASE_STYLES):
            points = [(p.at, _times(p.measured[phase], factors[phase])) for p in self._points]
            curves.append(Curve(str(phase + 1), style, points))
        return curves

    @property
    def is_unmeasured(self) -> bool:
        return all(point.measured == (None, None, None) for point in self._points)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _lowest(values: list[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _highest(one: PhaseAmps, other: PhaseAmps) -> PhaseAmps:
    pairs = zip(one, other, strict=True)
    a, b, c = (max((v for v in pair if v is not None), default=None) for pair in pairs)
    return (a, b, c)
