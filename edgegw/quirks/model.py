"""What a charger model does its own way, as data. One TOML file per vendor, matched on BootNotification.

Rules of this file: data only. `quirks.load` reads and checks the files, `quirks.match` finds the flags of a
charger. A flag that nothing uses yet does not stand here.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Method = Literal["tx", "tx_default", "max"]


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """How to steer one charger. The defaults fit most."""

    names: tuple[str, ...] = ()  # of the entries that matched, for the technician
    methods: tuple[Method, ...] = ("tx", "tx_default", "max")  # tried in this order
    rate_unit: Literal["A", "W", "auto"] = "auto"
    stack_level: Literal["max", "zero"] | int = "max"  # of the live limit; the standing one is always 0
    profile_kind: Literal["absolute", "relative"] = "absolute"
    default_connector: Literal["zero", "each"] = "each"  # connectorId of a TxDefaultProfile
    start_in_past_s: float = 60.0  # startSchedule of an absolute profile lies this far back
    min_limit_a: float | None = None  # below it this model stops or misbehaves
    min_power_w: float | None = None  # the same for a three-phase connector in watts
    limit_steps_a: tuple[float, ...] = ()  # the only values it knows; () any
    zero_pauses: bool = True  # False: a limit of 0 is refused or ends the transaction: min is the floor
    expires: bool = True  # duration of a profile is kept, with the lower stack level below it
    flash_safe: bool = True  # may be written every few minutes
    interval_min_s: float = 5.0  # between two limits, if the second is higher
    settle_s: float = 5.0  # after a boot, before the first CALL
    reads_configuration: bool = True
    smart_charging: bool = True  # False: there is no way to steer it
    file_protocols: tuple[str, ...] = ()  # "HTTP", "FTP": what works, whatever it says itself; () ask it
    local_firmware: bool = True  # False: takes firmware from its vendor's server only
    note: str = ""  # what a technician must do at the charger


class QuirkEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Flags for the chargers that match. The words are as BootNotification says them; case does not count."""

    name: str
    vendor: str = "*"  # glob patterns: * ? [abc]
    model: str = "*"
    firmware: str = ""  # "" any; a glob pattern; or comparisons such as "<=1.8.21" or ">=4, <5"
    why: str = ""  # one line
    source: tuple[str, ...] = ()  # where it was seen: "evcc 15493"
    flags: dict[str, Any] = {}  # of `Quirks`, without `names`; only what differs from the default


DEFAULT = Quirks()
