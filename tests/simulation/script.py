"""What one seed is about: who takes part, what is odd about them, and which faults come when.

Everything is drawn from the seed's own generator before the world begins, so that a change in what the
gateway does cannot change which faults it meets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

V16, V201, V21 = "ocpp1.6", "ocpp2.0.1", "ocpp2.1"
HOUR = 3600.0
CALM_S = 2.5 * HOUR
WALL_2026 = 1_790_000_000.0  # a September of 2026
WALL_2000 = 946_700_000.0  # a board that lost its battery
TAGS = ("CARD-A", "card-b", "CARD-C", "BLOCKED-1", "EXPIRED-1", "NOBODY-1")
MODES = ("silent", "slow", "late", "errors", "refuse_connect", "drop_legs")


@dataclass(slots=True)
class Habits:
    """What is odd about one charger."""

    version: str = V16
    connectors: int = 2
    patience_s: float = 45.0
    sample_every_s: float = 300.0
    session_s: float = 2400.0
    pause_s: float = 1800.0
    retry_s: float = 20.0
    reconnect_s: float = 5.0
    early_call: float = 0.0  # chance to send a second CALL before the first is answered
    duplicate: float = 0.0  # chance to send a CALL twice
    ids_from_one: bool = False  # message ids count from 1 after each boot
    boots: str = "after_reboot"  # or "always", "never"
    floods: bool = False
    slow_answer: float = 0.0  # chance to answer a CALL after 40 s, or never
    authorizes: float = 0.5  # chance to ask before a start
    spaced: bool = False  # writes JSON with spaces
    signed: bool = False
    latency_s: float = 0.03
    heartbeat_s: float = 600.0
    offered_offline: bool = True


@dataclass(slots=True)
class Window:
    start: float
    end: float
    mode: str
    charger: str = ""  # "" all


@dataclass(slots=True)
class Script:
    seed: int
    habits: dict[str, Habits] = field(default_factory=dict)
    faults_s: float = 3 * HOUR
    windows: list[Window] = field(default_factory=list)
    flaps: list[tuple[float, str, str]] = field(default_factory=list)  # (when, charger, side)
    reboots: list[tuple[float, str]] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)
    cuts_after_effects: list[tuple[float, int]] = field(default_factory=list)  # (from when, effects)
    steps: list[tuple[float, float]] = field(default_factory=list)  # (when, wall clock becomes + seconds)
    floods: list[tuple[float, str]] = field(default_factory=list)
    tag_changes: list[tuple[float, str, str]] = field(default_factory=list)  # (when, tag, status)
    store_failures: list[float] = field(default_factory=list)  # the next commit from then fails
    store_slow: list[tuple[float, float, float]] = field(default_factory=list)  # (from, to, seconds)
    registration: dict[str, list[str]] = field(default_factory=dict)  # answers to boots, then Accepted
    wall_at_start: float = WALL_2026
    replay_rate: float = 0.0
    serve_locally: bool = True
    accept_unknown: bool = False
    mode: str = "cloud_first"
    boot_always: bool = False
    cloud_dedups: bool = True
    cloud_ids: str = "count"  # "count", "box_range", "random"
    cloud_answers_twice: float = 0.0
    poison: int = 0  # the cloud refuses one transaction message of so many for good; 0 none
    errors_each: int = 2
    calls_every_s: float = 1200.0
    calls_collide: bool = False
    calls_two_at_once: bool = False
    people_release: bool = False  # parked rows are sent again in the calm


def write(seed: int) -> Script:
    rng = Random(seed)
    script = Script(seed)
    _who(script, rng)
    _how_long(script, rng)
    _cloud(script, rng)
    _faults(script, rng)
    return script


def _who(script: Script, rng: Random) -> None:
    for number in range(rng.choice((1, 1, 2, 2, 3, 4))):
        habits = Habits(version=rng.choice((V16, V16, V201, V21)))
        habits.patience_s = rng.choice((45.0, 60.0, 60.0, 12.0))
        habits.sample_every_s = rng.choice((120.0, 300.0, 600.0))
        habits.session_s = rng.choice((900.0, 2400.0, 4800.0))
        habits.pause_s = rng.choice((600.0, 1800.0))
        habits.early_call = rng.choice((0.0, 0.0, 0.0, 0.3))
        habits.duplicate = rng.choice((0.0, 0.0, 0.1))
        habits.ids_from_one = rng.random() < 0.2
        habits.boots = rng.choice(("after_reboot",) * 5 + ("always", "never"))
        habits.floods = rng.random() < 0.3
        habits.slow_answer = rng.choice((0.0, 0.0, 0.2))
        habits.authorizes = rng.choice((0.0, 0.5, 1.0))
        habits.spaced = rng.random() < 0.4
        habits.signed = rng.random() < 0.4
        habits.latency_s = rng.choice((0.02, 0.02, 0.2, 1.5))
        script.habits[f"CP{number + 1}"] = habits


def _how_long(script: Script, rng: Random) -> None:
    script.faults_s = rng.choice((1.0, 2.0, 3.0, 5.0)) * HOUR
    if rng.random() < 0.08:  # a long outage, sparsely sampled
        script.faults_s = rng.choice((30.0, 75.0)) * HOUR
        for habits in script.habits.values():
            habits.sample_every_s, habits.session_s, habits.pause_s = 1800.0, 3 * HOUR, 3 * HOUR
            habits.heartbeat_s = 2 * HOUR
        script.calls_every_s = 4 * HOUR
        start = rng.uniform(0.5, 3.0) * HOUR
        script.windows.append(Window(start, script.faults_s - rng.uniform(0, HOUR), "refuse_connect"))
        script.windows.append(Window(start, start + 1, "drop_legs"))


def _cloud(script: Script, rng: Random) -> None:
    script.replay_rate = rng.choice((0.0, 0.0, 2.0, 10.0))
    script.serve_locally = rng.random() < 0.95 or script.faults_s > 24 * HOUR
    script.accept_unknown = rng.random() < 0.2
    script.mode = rng.choice(("cloud_first",) * 4 + ("local_first", "local_only"))
    script.boot_always = rng.random() < 0.15
    script.cloud_dedups = rng.random() < 0.7
    script.cloud_ids = rng.choice(("count", "count", "box_range", "random"))
    script.cloud_answers_twice = rng.choice((0.0, 0.0, 0.1))
    script.poison = rng.choice((0, 0, 0, 15))
    script.errors_each = rng.choice((1, 2))
    script.calls_every_s = min(script.calls_every_s, rng.choice((400.0, 1200.0)))
    if script.faults_s > 24 * HOUR:
        script.calls_every_s = 4 * HOUR
    script.calls_collide = rng.random() < 0.4
    script.calls_two_at_once = rng.random() < 0.3
    script.people_release = rng.random() < 0.6
    for name in script.habits:
        if rng.random() < 0.2:
            script.registration[name] = [rng.choice(("Pending", "Rejected", "Accepted")) for _ in range(3)]
    for _ in range(rng.choice((0, 0, 1, 2))):
        tag = rng.choice(TAGS)
        status = rng.choice(("Accepted", "Blocked", "Expired"))
        script.tag_changes.append((rng.uniform(0, script.faults_s), tag, status))


def _faults(script: Script, rng: Random) -> None:
    end = script.faults_s

    def when() -> float:
        return rng.uniform(1.0, end)

    names = list(script.habits)
    for _ in range(rng.choice((1, 2, 3, 4))):
        start, mode = when(), rng.choice(MODES)
        length = rng.choice((30.0, 200.0, 1500.0, 4000.0))
        whom = rng.choice(("", rng.choice(names)))
        script.windows.append(Window(start, min(end, start + length), mode, whom))
        if mode == "refuse_connect":
            script.windows.append(Window(start, start + 1.0, "drop_legs", whom))
    for _ in range(rng.choice((0, 2, 5, 10))):
        script.flaps.append((when(), rng.choice(names), rng.choice(("charger", "cloud"))))
    if rng.random() < 0.2:  # a burst of flaps
        start, name = when(), rng.choice(names)
        side = rng.choice(("charger", "cloud"))
        script.flaps += [(start + 7.0 * i, name, side) for i in range(12)]
    script.reboots = [(when(), rng.choice(names)) for _ in range(rng.choice((0, 1, 2)))]
    script.cuts = [when() for _ in range(rng.choice((0, 0, 1, 2)))]
    for _ in range(rng.choice((0, 0, 1, 3))):
        script.cuts_after_effects.append((when(), rng.randrange(1, 12)))
    if rng.random() < 0.3:
        script.wall_at_start = WALL_2000
        script.steps.append((when(), WALL_2026 - WALL_2000))
    elif rng.random() < 0.2:
        script.steps.append((when(), rng.choice((-2 * 86400.0, 26 * 365.25 * 86400.0))))
    script.floods = [(when(), name) for name, h in script.habits.items() if h.floods for _ in range(2)]
    script.store_failures = [when() for _ in range(rng.choice((0, 0, 0, 1, 2)))]
    if rng.random() < 0.25:
        start = when()
        script.store_slow.append((start, start + 600.0, rng.choice((0.2, 1.0, 4.0))))
