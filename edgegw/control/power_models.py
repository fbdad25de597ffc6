"""What the local API says of charging power: circuits, meters, limits, and why each connector has its own.

Amps are per phase of the grid, L1 to L3; null where nobody knows.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgegw.control.models import Time, View

PhaseAmps = tuple[float | None, float | None, float | None]


class CircuitView(View):
    name: str
    parent: str
    fuse_a: float
    limit_a: PhaseAmps = Field(description="the lowest that holds now: the fuse, or a limit from elsewhere")
    limit_source: str
    measured_a: PhaseAmps = Field(description="what its meter shows")
    building_a: PhaseAmps = Field(description="everything that is not a charger, as reckoned")
    granted_a: PhaseAmps = Field(description="what the chargers may draw together")
    free_a: PhaseAmps
    reading_age_s: float | None
    stale: bool = Field(description="its meter is silent: the reserve counts as the building")


class MeterView(View):
    name: str
    current_a: PhaseAmps
    voltage_v: PhaseAmps
    power_w: float | None
    age_s: float | None
    trouble: str = Field(description='why it gives nothing; "" when it does')


class ConnectorPowerView(View):
    charger: str
    connector: int
    circuit: str
    limit_a: float = Field(description="what the site gives it, per phase")
    accepted_a: float | None = Field(description="the last limit that the charger took")
    drawn_a: tuple[float | None, ...] | None = Field(description="what it says it draws, its own L1 to L3")
    drawn_age_s: float | None = Field(default=None, description="how long ago it said so")
    cloud_a: float | None = Field(description="what the cloud's profiles allow; null: no limit")
    safe_a: float
    control: Literal["unknown", "steered", "refuses", "disobeys", "silent"]
    why: str = Field(description="one line: what holds the limit where it is")
    fault: str
    method: str = Field(description="how it is told: tx, tx_default, max")
    expires_in_s: float | None = Field(description="then it falls back to safe_a by itself")
    writes_today: int = Field(description="profiles written since midnight UTC")
    quirks: tuple[str, ...]
    held_a: float = Field(
        default=0.0,
        description="kept free for it because it cannot be lowered now; `why` says why, per phase",
    )


class HeldView(View):
    """What one circuit keeps free for connectors that cannot be lowered now, for one reason."""

    circuit: str = Field(description="the one they hang on; every circuit above it keeps the same")
    why: str = Field(description='such as "has never connected", "not connected"')
    held_a: PhaseAmps = Field(description="of all of them together")
    connectors: int
    chargers: tuple[str, ...] = Field(description="at most ten")


class LimitView(View):
    """A limit on a circuit below its fuse, from somebody or something."""

    source: str
    circuit: str
    limit_a: PhaseAmps = Field(description="what holds now: the limit, or its fallback")
    asked_w: float | None = Field(description="when it was set in watts")
    chargers_only: bool
    priority: int = Field(description="who is named first; the lowest limit holds, whatever its priority")
    until: Time | None = Field(description="then it ends, or falls back; in the past when it has")
    fallback_a: float | None = Field(description="what holds once it has expired; null: it ends")
    state: Literal["holds", "fallback"] = Field(description="fallback: it expired, its fallback holds now")


class PowerView(View):
    balanced: bool = Field(description="the site file has connectors to balance")
    circuits: tuple[CircuitView, ...]
    meters: tuple[MeterView, ...]
    connectors: tuple[ConnectorPowerView, ...]
    limits: tuple[LimitView, ...]
    alarms: tuple[str, ...]
    held: tuple[HeldView, ...] = Field(default=(), description="the most first")


class LimitOrder(BaseModel):
    """Set a limit on a circuit. One of amps and watts."""

    model_config = ConfigDict(extra="forbid", strict=True)  # strict: true is no number of amps

    source: str = Field(default="building", min_length=1, max_length=64)
    circuit: str = Field(default="", description="empty: the whole site")
    limit_a: float | None = Field(default=None, ge=0, le=10_000)
    limit_w: float | None = Field(default=None, ge=0, le=10_000_000)
    chargers_only: bool = Field(default=False, description="for the chargers alone, not what the meter shows")
    floor_14a: bool = Field(default=False, description="never below what §14a EnWG leaves the chargers")
    priority: int = Field(
        default=0,
        ge=0,
        le=100,
        description="who is named first; the lowest limit holds, whatever its priority",
    )
    for_s: float | None = Field(default=None, gt=0, le=31_536_000, description="null: until it is cleared")
    fallback_a: float | None = Field(
        default=None,
        ge=0,
        le=10_000,
        description="what holds after it expired, until it is set anew or cleared; needs for_s",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> LimitOrder:
        if (self.limit_a is None) == (self.limit_w is None):
            raise ValueError("give limit_a or limit_w")
        if self.fallback_a is not None and self.for_s is None:
            raise ValueError("fallback_a needs for_s: it holds after the limit has expired")
        return self


class LimitsToClear(BaseModel):
    """Which limits; without any key all of them."""

    model_config = ConfigDict(extra="forbid")  # a misspelt key must not clear everything

    circuit: str | None = None
    source: str | None = None


class LimitCleared(View):
    cleared: int
