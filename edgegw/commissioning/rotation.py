"""Which wiring explains what the site's meter saw when a charger's own currents changed. Pure.

Rules of this file:
- Every wiring is compared with every step: what the meter should have shown, against what it did. The
  building is noise of the size of what the best wiring leaves unexplained.
- What cannot be told is said, never guessed: a terminal that did not move, terminals that moved alike. A
  suggestion beyond that assumes a rotation to the right (L1 L2 L3, L2 L3 L1, L3 L1 L2), and says so.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

PHASES = 3
NAMES = ("L1", "L2", "L3")
MOVED_A = 2.0  # less is no step
NOISE_LEAST_A = 0.3  # of a reading, at best
SURE = 12.0  # twice the logarithm of the odds; 12 is one in 400
GOOD_SHARE = 0.35  # of the step, unexplained in the middle of the first two steps; more steps bear more
ROTATIONS = ((0, 1, 2), (1, 2, 0), (2, 0, 1))

Outcome = Literal["agrees", "differs", "noise", "unseen", "reversed", "still"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One step: by how many amps each terminal of the charger and each grid phase changed."""

    own: tuple[float, ...]
    meter: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Finding:
    outcome: Outcome
    text: str
    suggestion: tuple[int, ...] | None = None  # another wiring that fits
    untold: str = ""  # what this car could not show


def judge(samples: Sequence[Sample], wired: tuple[int, ...]) -> Finding:
    """`wired`: grid phase of each terminal, as the site has it now."""
    size = max((abs(amps) for sample in samples for amps in sample.own), default=0.0)
    if size < MOVED_A:
        return Finding(
            "still", f"the car's current moved by {size:.1f} A only: nothing can be told from that"
        )
    candidates = list(itertools.permutations(range(PHASES), len(wired)))
    errors = {one: _error(samples, one) for one in candidates}
    best = min(candidates, key=lambda one: (errors[one], one != wired))
    count = PHASES * len(samples)
    noise = max(NOISE_LEAST_A, math.sqrt(errors[best] / count))
    odds = noise**2 * SURE
    nothing = sum(amps**2 for sample in samples for amps in sample.meter)
    turned = min(_error([_turned(sample) for sample in samples], one) for one in candidates)
    if turned + odds < errors[best] and math.sqrt(turned / count) < GOOD_SHARE * size:
        return Finding("reversed", "the meter falls when the car draws more: its transformers are turned")
    quiet = max(NOISE_LEAST_A, math.sqrt(nothing / count))
    if nothing + quiet**2 * SURE < errors[best]:
        return Finding("unseen", "the meter did not move with the car: it does not measure this charger")
    if nothing < errors[best] + odds:
        return Finding("noise", "the building is too restless to tell")
    if noise > GOOD_SHARE * size * math.sqrt(max(2, len(samples)) / 2):
        return Finding("noise", "the building is too restless to tell")
    fitting = [one for one in candidates if errors[one] < errors[best] + odds]
    if not _told_apart(samples, fitting, best, noise):
        return Finding("noise", "the building is too restless to tell the phases apart")
    untold = _untold(fitting, len(wired))
    if wired in fitting:
        return Finding("agrees", f"{phase_words(wired)} fits what the meter saw", untold=untold)
    suggestion = _suggested(fitting)
    text = f"{phase_words(suggestion)} fits what the meter saw, {phase_words(wired)} does not"
    if untold:
        text += f"; {untold}, a rotation to the right is assumed"
    return Finding("differs", text, suggestion=suggestion, untold=untold)


def _error(samples: Sequence[Sample], wiring: tuple[int, ...]) -> float:
    """The sum of the squares of what `wiring` leaves unexplained."""
    total = 0.0
    for sample in samples:
        expected = _expected(sample, wiring)
        total += sum((seen - due) ** 2 for seen, due in zip(sample.meter, expected, strict=True))
    return total


def _expected(sample: Sample, wiring: tuple[int, ...]) -> list[float]:
    expected = [0.0] * PHASES
    for phase, amps in zip(wiring, sample.own, strict=False):
        expected[phase] += amps
    return expected


def _turned(sample: Sample) -> Sample:
    first, second, third = sample.meter
    return Sample(sample.own, (-first, -second, -third))


def _told_apart(
    samples: Sequence[Sample], fitting: list[tuple[int, ...]], best: tuple[int, ...], noise: float
) -> bool:
    """Do those that fit mean the same to this car? If not, more steps would tell."""
    for one in fitting:
        apart = sum(
            (a - b) ** 2
            for sample in samples
            for a, b in zip(_expected(sample, one), _expected(sample, best), strict=True)
        )
        if apart > max(noise**2, MOVED_A**2 / 4) * SURE:
            return False
    return True


def _untold(fitting: list[tuple[int, ...]], terminals: int) -> str:
    if len(fitting) == 1:
        return ""
    open_ones = [n for n in range(terminals) if len({one[n] for one in fitting}) > 1]
    names = ", ".join(NAMES[n] for n in open_ones)
    if len(open_ones) == terminals:
        return (
            f"this car moves {names} alike, so their order cannot be told; a car on one phase would show it"
        )
    return f"this car does not use {names} on its own, so which of them is which cannot be told"


def _suggested(fitting: list[tuple[int, ...]]) -> tuple[int, ...]:
    return next((one for one in fitting if one in ROTATIONS), fitting[0])


def phase_words(wiring: Sequence[int]) -> str:
    return " ".join(NAMES[phase] for phase in wiring)


def phases_of(words: str) -> tuple[int, ...]:
    """(1, 2, 0) of "L2 L3 L1"; () for what is none."""
    names = words.replace(",", " ").split()
    return tuple(NAMES.index(name) for name in names) if set(names) <= set(NAMES) else ()
