"""What is to be tested and how patiently. Amps per phase, seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    charger: str
    connector: int = 1
    # How it is wired; "" and None: as it is wired already, or asked for.
    circuit: str = ""
    phases: str = ""
    max_a: float | None = None
    min_a: float | None = None
    safe_a: float | None = None
    # The steps of the limit.
    low_a: float = 10.0
    high_a: float = 16.0
    # What counts as answered.
    tolerance_a: float = 1.5
    tolerance_share: float = 0.2
    readings: int = 3  # new readings of the site's meter that make one value
    tries: int = 3  # a step down and up, while the building is too restless to tell
    # How long each thing may take.
    knock_s: float = 900.0
    come_s: float = 20.0  # for one that was let in and is not here yet: before amps are kept for it
    control_s: float = 300.0
    car_s: float = 900.0
    # Cars ramp, and are given more by a few amps each dozen seconds: what one draws counts when it has not
    # risen for so long, and over so many samples of its own.
    charges_for_s: float = 20.0
    samples: int = 3
    rises_s: float = 240.0  # then it counts although it rises
    accept_limit_s: float = 30.0
    follow_down_s: float = 75.0  # MeterValues once a minute is usual
    follow_up_s: float = 240.0  # limits are raised by a few amps at a time
    meter_s: float = 30.0
    steady_s: float = 5.0  # a current that has not moved for so long is steady
    averages_s: float = 3.0  # over so long the meter averages by itself
    fall_s: float = 480.0  # life of a limit, its sample, and some
    limit_for_s: float = 900.0  # the life of the limits that are set here: they end without us
    # Answer what can be answered with yes by oneself; only a person can plug in a car.
    yes: bool = False
