"""Why a transaction ended, in words: the reasons of OCPP 1.6 and 2.x. Pure data."""

from __future__ import annotations

from edgegw.redaction import plain

# OCPP 1.6 `Reason`, 2.0.1 and 2.1 `ReasonEnumType`; what is no fault and no surprise to the driver is usual
_USUAL = {
    "EVDisconnected": "the car was unplugged",
    "Local": "stopped at the charger",
    "Remote": "stopped from afar (app, cloud or operator)",
    "SOCLimitReached": "the battery reached what was wanted",
    "StoppedByEV": "the car ended it",
    "EnergyLimitReached": "the energy that was asked for is in",
    "TimeLimitReached": "the time that was asked for is over",
    "CostLimitReached": "the cost limit is reached",
    "LimitSet": "a limit that was set for it is reached",
    "MasterPass": "ended with a master card",
}
_UNUSUAL = {
    "DeAuthorized": "the card is not valid (any more)",
    "EmergencyStop": "the emergency stop was pressed",
    "GroundFault": "a residual current tripped: have the installation checked",
    "HardReset": "a hard reset of the charger",
    "ImmediateReset": "the charger was reset at once",
    "LocalOutOfCredit": "no credit left",
    "Other": "the charger gives no reason",
    "OvercurrentFault": "too much current: look for a fault in car or cable",
    "PowerLoss": "the charger lost power",
    "PowerQuality": "the mains were not good enough",
    "Reboot": "the charger restarted by itself",
    "ReqEnergyTransferRejected": "the car's wish for energy was turned down",
    "SoftReset": "a soft reset of the charger",
    "Timeout": "nobody plugged in, or nothing happened, in time",
    "UnlockCommand": "the connector was unlocked from afar",
}


def is_usual(reason: str) -> bool:
    return not reason or reason in _USUAL


def stop_words(reason: str) -> str:
    """ "" for none: OCPP lets a charger leave it out when it was stopped locally."""
    if not reason:
        return "ended"
    return _USUAL.get(reason) or _UNUSUAL.get(reason) or f"{plain(reason)} (no reason of OCPP)"
