"""What one connector draws now, as far as its charger says; None where nobody knows.

Rules of this file:
- A connector whose newest word says that no current flows draws nothing, unless it measured something since.
- A charger that is away draws what it likes: nobody knows. So it is of a sample that is old.
"""

from __future__ import annotations

import msgspec
import orjson

from edgegw.core import draw
from edgegw.core.draw import Drawn
from edgegw.core.events import Instant
from edgegw.core.power import ConnectorPower
from edgegw.core.records import TransactionRecord
from edgegw.core.state import ChargerState, ConnectorStatus, Sample

SAMPLE_OLD_S = 900.0  # chargers that measure at all do so every quarter of an hour at least
# 1.6 ChargePointStatus, 2.x ConnectorStatus and chargingState: no current flows
NO_CURRENT = frozenset(
    {"Available", "Reserved", "Preparing", "Finishing", "SuspendedEV", "SuspendedEVSE", "Idle", "EVConnected"}
)


def word_of(
    state: ChargerState,
    status: ConnectorStatus | None,
    power: ConnectorPower | None,
    record: TransactionRecord | None,
) -> str:
    """What tells whether current flows. 2.x says it with its transaction; "Occupied" tells nothing."""
    if state.version.is_2x and record is not None:
        return power.charging_state if power is not None else ""
    said = status.status if status is not None else ""
    return "Idle" if said == "Occupied" and state.version.is_2x else said


def is_idle(power: ConnectorPower | None, sample: Sample | None, word: str) -> bool:
    """Its newest word is that no current flows."""
    at = sample.at if sample is not None else None
    return word in NO_CURRENT and (power is None or at is None or at < power.said_at)


def is_old(sample: Sample | None, now: Instant) -> bool:
    return sample is None or now.mono - sample.at > SAMPLE_OLD_S


def known_amps(power: ConnectorPower | None, sample: Sample) -> Drawn | None:
    """What the balancer has read of this sample already; None when it has not."""
    if power is not None and power.drawn_a is not None and power.drawn_at >= sample.at:
        return power.drawn_a
    return None


def said(sample: Sample, nominal_v: float) -> draw.Said | None:
    return draw.said(_meter_values(sample.raw), nominal_v)


def said_amps(sample: Sample) -> Drawn | None:
    try:
        return draw.amps_in_frame(sample.raw)
    except msgspec.MsgspecError:
        return draw.said_amps(_meter_values(sample.raw))


def _meter_values(raw: bytes) -> object:
    try:
        return orjson.loads(raw)[3].get("meterValue")
    except (ValueError, LookupError, AttributeError, TypeError):
        return None  # a message that was signed, or is no CALL
