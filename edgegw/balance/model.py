"""The words of load balancing: circuits, connectors, what is measured, what is granted and why.

Rules of this file:
- Currents are amps per phase of the grid, always a triple (L1, L2, L3); imports are positive.
- A time called `*_at` is a monotonic instant in seconds; an age is `now - *_at`.
- A value that nobody knows is None, never zero.
- A DC connector is a three-phase load here: its amps are AC amps per phase at the nominal voltage; who sends
  its limit turns them into watts (`watts`).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

PHASES = 3
PHASE_NAMES = ("L1", "L2", "L3")
INFINITE = float("inf")

Amps = tuple[float, float, float]
"""Amps on L1, L2 and L3 of the grid."""


class Circuit(msgspec.Struct, frozen=True, kw_only=True):
    """One fuse and what hangs behind it. The one without a parent is the site's own."""

    name: str
    limit_a: float  # the fuse, per phase
    parent: str = ""  # "" for the root
    metered: bool = False  # a meter shows what flows here: chargers below it and everything else
    margin_a: float = 2.0  # kept free below the limit, for the meter's error and the loop's delay
    # What everything but the chargers may draw at worst, per phase. Used while the meter is silent; on
    # a circuit without a meter it is always subtracted.
    reserve_a: float = 0.0
    unbalance_a: float = INFINITE  # most by which two phases may differ through the chargers
    # What solar or a battery behind its meter may feed at most, per phase. Without it a meter that shows less
    # than the chargers draw is not believed; with it up to so much is lent to the chargers.
    feed_in_a: float = 0.0


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """One place where a car can plug in, as the electrician wired it."""

    id: str  # "CP-7/1": charger and connector
    circuit: str
    phases: tuple[int, ...] = (0, 1, 2)  # grid phase (0..2) of its own L1, L2, L3; one entry: single phase
    min_a: float = 6.0  # below this a car cannot charge (IEC 61851-1)
    max_a: float = 32.0  # what the charger can give
    step_a: float = 1.0  # offers are multiples of it
    safe_a: float = 6.0  # what it may draw when nobody steers it: 0, or at least min_a
    priority: int = 0  # higher is served first
    weight: float = 1.0
    dc: bool = False


class PlugState(StrEnum):
    FREE = "free"  # no car
    WAITING = "waiting"  # a car that wants energy and is not drawing: preparing, or paused by us
    CHARGING = "charging"
    SUSPENDED_EV = "suspended_ev"  # the car does not draw although it may
    UNAVAILABLE = "unavailable"  # faulted, out of service: it draws nothing and gets nothing


class Plug(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of one connector now."""

    connector: str  # Connector.id
    state: PlugState = PlugState.FREE
    session: str = ""  # changes when another car or transaction begins; "" when free
    # Measured by the charger, in the order of Connector.phases; None where it does not say.
    drawn_a: tuple[float | None, ...] | None = None
    drawn_at: float = -INFINITE  # when the sample arrived
    energy_wh: float = 0.0  # served in this session
    # The most it may draw now, as far as anyone knows: the limit it has accepted, or a higher one on its way.
    standing_a: float = 0.0
    steered: bool = True  # False: not reachable or does not obey; it counts with `reserved_a`
    reserved_a: float = 0.0
    cap_a: float = INFINITE  # the cloud's own limit for it
    operator_a: float = INFINITE  # a person's, for a while (`connector_orders`)
    bypassed: bool = False  # a person left it out of balancing for a while (`bypass`)
    priority: int | None = None  # overrides Connector.priority (2.x chargingPriority)


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One plausible reading of a site meter."""

    at: float  # when its answer arrived
    current_a: tuple[float | None, float | None, float | None]  # signed: import positive
    voltage_v: tuple[float | None, float | None, float | None] = (None, None, None)
    power_w: float | None = None
    power_l_w: tuple[float | None, float | None, float | None] = (None, None, None)
    frequency_hz: float | None = None
    import_wh: float | None = None
    export_wh: float | None = None


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit on a circuit below its fuse that holds now, resolved from all sources (`balance.limits`)."""

    circuit: str
    limit_a: Amps  # per phase, for everything on the circuit
    source: str  # "building", "grid operator", "schedule peak", ...
    # True: the limit is for the chargers alone (§14a EnWG), not for what the meter shows.
    chargers_only: bool = False


class Binding(StrEnum):
    """What holds a connector's limit where it is."""

    MAXIMUM = "maximum"  # nothing: it may have all it can take
    CIRCUIT = "circuit"
    LIMIT = "limit"  # a dynamic limit: building, grid operator, schedule
    METER_STALE = "meter stale"
    CLOUD = "cloud"
    DEMAND = "demand"  # the car does not take more
    WAITING = "waiting"  # others are served first; its turn comes
    PAUSED = "paused"  # taken back because the minima together did not fit
    RAMP = "ramp"  # more is free; it is raised step by step
    UNBALANCE = "unbalance"
    UNSTEERED = "unsteered"  # not reachable, or does not obey
    FREE = "free"  # no car: its standing value
    BYPASS = "bypass"  # somebody left it out of balancing for a while


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    binding: Binding
    circuit: str = ""
    phase: int | None = None  # the tightest one
    source: str = ""  # of a dynamic limit
    text: str = ""  # a technician's words: "main L2: 63 A fuse, building 41 A, 5 cars share 20 A"


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    connector: str
    limit_a: float  # 0, or min_a..max_a in steps; amps per phase
    reason: Reason


class CircuitState(msgspec.Struct, frozen=True, kw_only=True):
    """What the last step saw of one circuit; for people."""

    name: str
    limit_a: Amps  # the lowest that holds: fuse or dynamic
    limit_source: str  # "fuse", or the source of the dynamic limit
    measured_a: tuple[float | None, float | None, float | None]
    base_a: Amps  # everything that is not a charger, as reckoned
    granted_a: Amps  # what the chargers may draw together
    free_a: Amps
    reading_age_s: float | None  # None: no meter, or never read
    stale: bool = False  # its meter is silent: `base_a` is the installer's reserve


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    grants: dict[str, Grant]  # by connector id; one for every connector
    circuits: tuple[CircuitState, ...]
    # Facts that people must see, in their words: kind -> text. E.g. "over_limit", "meter_stale".
    alarms: dict[str, str] = {}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What is one for the whole site; seconds and amps. The defaults are tested in simulation only."""

    nominal_v: float = 230.0
    # The meter.
    stale_after_s: float = 12.0  # then the installer's reserve is what the building draws
    stale_admit_after_s: float = 60.0  # silent so long: cars may start again, on what the reserve leaves
    base_window_s: float = 9.0  # the building counts with its highest load of so long
    quantile: float = 0.9  # a car may start when its minimum fits so much of the last `history_s`
    history_s: float = 1800.0
    sample_every_s: float = 15.0
    # What a limit does to a car.
    effect_down_s: float = 10.0  # a lower limit has shown by then, at the meter too
    effect_up_s: float = 12.0
    settled_s: float = 20.0  # unchanged so long: what it draws is what it takes
    refuses_below_a: float = 8.0  # cars that do not charge at 6 A charge here
    # Who charges and who waits.
    min_on_s: float = 600.0
    min_off_s: float = 300.0
    rotation_s: float = 900.0  # a turn, when others wait that got less
    rotation_ahead_wh: float = 700.0  # by so much less per weight
    rotation_pauses: int = 3
    starved_wh: float = 100.0  # a car that got less has waited for its first turn: min_on_s is a turn then
    starved_ahead_wh: float = 200.0
    starved_pauses: int = 5
    swap_every_s: float = 60.0
    # The even share is what a car would get if no minimum had to be kept for anybody. Below so much of its
    # own minimum, after rotation_s, a car yields; it returns when that is so much again. 0: never.
    yield_ratio: float = 0.5
    return_ratio: float = 0.8
    admit_spare_a: float = 1.0
    # Unused on all rows of a car for idle_room_s: it may start whatever the history says.
    idle_room_a: float = 8.0
    idle_room_s: float = 60.0
    overload_tolerance_s: float = 9.0  # above the limit with only minima left: then one car is paused
    pause_every_s: float = 3.0
    overload_ratio: float = 1.2  # above so much of the limit nobody waits
    # How limits move.
    up_hold_s: float = 11.0
    up_step_a: float = 3.0
    served_wh: float = 2000.0  # a car that had so much per weight weighs half when shares are made
    rebalance_every_s: float = 120.0  # who is so far above its share makes room for who is below
    rebalance_a: float = 3.0
    shed_above_a: float = 0.5  # over its budget by more: shed


def watts(limit_a: float, phases: int, nominal_v: float) -> float:
    """What `limit_a` per phase is in watts (OCPP: P = I x V x phases)."""
    return limit_a * nominal_v * phases
