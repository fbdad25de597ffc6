"""What a rollout may know of a charger, from what the core knows of it. A word that is missing is a no."""

from __future__ import annotations

from edgegw.core.rollout_state import ChargerFacts
from edgegw.core.state import ChargerState, Registration

# 1.6 ChargePointStatus and 2.x ConnectorStatus in which somebody is served, or about to be.
_BUSY = frozenset({"Preparing", "Charging", "SuspendedEV", "SuspendedEVSE", "Occupied", "Reserved"})


def facts_of(state: ChargerState, connected_mono: float) -> ChargerFacts:
    profile = state.profile
    update = state.files.firmware
    return ChargerFacts(
        connected=state.charger_up,
        connected_mono=connected_mono,
        accepted=profile.registration is Registration.ACCEPTED,
        busy=busy(state),
        update=update.id if update is not None and update.runs else "",
        vendor=profile.vendor,
        model=profile.model,
        firmware=profile.firmware,
    )


def busy(state: ChargerState) -> str:
    """Why the charger is not idle, in words; "" when it is."""
    if state.transactions.running:
        return "a transaction is running"
    # 1.6: connector 0 is the charger itself; 2.x: "evse.connector"
    words = {key: kept.status for key, kept in state.connectors.items() if key != "0"}
    if not words:
        return "has not said how its connectors are"
    for key, word in words.items():
        if word in _BUSY:
            return f"connector {key} is {word}"
    return ""
