"""Charging profiles, one shape for OCPP 1.6, 2.0.1 and 2.1.

Rules of this file: data only. Reading them from the wire is in `balance.profile_parsing`, which may stand
beside which in `balance.profile_book`, what one allows at an instant in `balance.profile_timing`, what a set
comes to in `balance.composite`. Wall clock seconds since 1970 throughout.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Purpose(StrEnum):
    MAX = "max"  # 1.6 ChargePointMaxProfile, 2.x ChargingStationMaxProfile
    EXTERNAL = "external"  # 2.x ChargingStationExternalConstraints: never set by a CSMS
    TX_DEFAULT = "tx_default"
    TX = "tx"
    PRIORITY = "priority"  # 2.1
    LOCAL_GENERATION = "local_generation"  # 2.1


class Kind(StrEnum):
    ABSOLUTE = "absolute"
    DAILY = "daily"
    WEEKLY = "weekly"
    RELATIVE = "relative"
    DYNAMIC = "dynamic"  # 2.1


class Unit(StrEnum):
    AMPS = "A"
    WATTS = "W"


class Period(msgspec.Struct, frozen=True):
    start_s: float
    limit: float | None  # per phase in A, total in W; None: this period sets no limit (2.1)
    phases: int | None = None
    phase_to_use: int | None = None


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    unit: Unit
    periods: tuple[Period, ...]
    start: float | None = None  # wall; None for relative
    duration_s: float | None = None
    min_rate: float | None = None
    # 2.1 useLocalTime: `start` is wall time of the site, not UTC; recurring follows the local clock
    local_time: bool = False
    # 2.1 randomizedDelay: every period but the first begins up to so much later, another delay per
    # transaction
    random_delay_s: float = 0.0
    # 2.1 limitAtSoC: from this state of charge on, `soc_limit` (in `unit`) caps every period
    soc_percent: float | None = None
    soc_limit: float | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One profile as the cloud set it. `raw` is what GetChargingProfiles gives back."""

    id: int
    connector: int  # 1.6 connectorId, 2.x evseId; 0: the whole charger
    purpose: Purpose
    kind: Kind
    stack_level: int
    schedules: tuple[Schedule, ...]  # 1.6: one; 2.x: up to three, the first is used
    transaction: str = ""  # id as the charger knows it; "" where it is for none
    valid_from: float | None = None
    valid_to: float | None = None
    received_at: float = 0.0  # wall; a Dynamic profile counts from it, and an update sets it anew
    max_offline_s: float | None = None  # 2.1 maxOfflineDuration
    invalid_after_offline: bool = False  # 2.1
    lapsed: bool = False  # 2.1: `invalid_after_offline` came true; kept, reported, never used again
    pull_interval_s: float | None = None  # 2.1 dynUpdateInterval: who executes it asks the CSMS so often
    source: str = "CSO"  # chargingLimitSource: who set it
    raw: dict[str, Any] = {}
