"""What the local API says of chargers at the door and of how connectors are wired.

Rules of this file: phases are words as in the site file ("L2 L3 L1": the grid phase on the connector's own
first, second and third terminal); amps are per phase; kW are of a DC charger's mains side.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edgegw.control.models import Time, View
from edgegw.control.power_models import PhaseAmps

WiringSource = Literal["site file", "commissioned"]
Welcome = Literal["site file", "accepted", "taken back"]


class Stranger(View):
    """A charger that knocked and was turned away because nobody had named it."""

    identity: str
    peer: str = Field(description="the address it last came from")
    first_at: Time
    last_at: Time
    times: int = Field(description="how often it knocked since the box started")
    offered: tuple[str, ...] = Field(description="the subprotocols it offered last, in its order")


class AcceptedCharger(View):
    """A charger that is let in, and who says so."""

    identity: str
    at: Time | None = Field(description="when a person accepted it or took that back; null: the site file")
    source: Welcome


class StrangerList(View):
    strangers: tuple[Stranger, ...] = Field(description="who knocked last comes first")
    accepted: tuple[AcceptedCharger, ...] = Field(description="accepted by a person, by identity")


class WiringOrder(BaseModel):
    """How one connector is wired: the same keys and the same rules as a `[[connector]]` of the site file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    circuit: str = Field(min_length=1, max_length=48)
    phases: str = Field(default="L1 L2 L3", max_length=16)
    min_a: float = Field(default=6.0, ge=0, le=10_000)
    max_a: float = Field(default=32.0, ge=0, le=10_000)
    safe_a: float = Field(default=6.0, ge=0, le=10_000)
    dc: bool = False
    min_kw: float | None = Field(default=None, ge=0, le=2000)
    max_kw: float | None = Field(default=None, gt=0, le=2000)
    safe_kw: float | None = Field(default=None, ge=0, le=2000)


class WiringView(View):
    """One connector as it counts now."""

    charger: str
    connector: int
    circuit: str
    phases: str
    min_a: float
    max_a: float
    safe_a: float
    dc: bool
    min_kw: float | None
    max_kw: float | None
    safe_kw: float | None
    source: WiringSource
    at: Time | None = Field(description="when it was commissioned; null: the site file")
    trouble: str = Field(description='why it is kept but not in force; "" when it is')


class CircuitChoice(View):
    """A circuit that a connector can be wired to."""

    name: str
    parent: str
    fuse_a: float
    reserve_a: float
    meter: str = Field(description='"": none')
    safe_left_a: PhaseAmps = Field(description="what further safe values may come to, per phase")


class WiringList(View):
    wiring: tuple[WiringView, ...] = Field(description="by charger and connector")
    circuits: tuple[CircuitChoice, ...] = Field(description="in the order of the site file")


class FallbackTest(View):
    """A connector whose live limit is not renewed, so that a person sees it fall back."""

    charger: str
    connector: int
    limit_a: float = Field(description="what it was told last, per phase")
    safe_a: float = Field(description="its standing limit, which holds then")
    falls_in_s: float = Field(description="until its live limit ends by itself")
    renewed_in_s: float = Field(description="until it is steered again, whatever happened")
