"""What the core knows of one charger's charging power: what it should have, what it has, what the cloud wants.

Data only. `actuation` brings a charger to what it should have, `owned_profiles` answers the cloud from
`PowerState.book`, `load_control` decides for the site. Amps are per phase; DC chargers are told watts.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from edgegw.balance.model import INFINITE
from edgegw.balance.profile_book import ProfileBook
from edgegw.quirks.model import DEFAULT, Quirks


class Control(StrEnum):
    """How far this connector can be steered."""

    UNKNOWN = "unknown"  # not asked yet: nothing was ever accepted
    STEERED = "steered"  # the last limit was accepted and nothing shows that it is not kept
    REFUSES = "refuses"  # every method was rejected
    DISOBEYS = "disobeys"  # accepted, and it draws more all the same
    SILENT = "silent"  # does not answer


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """One connector of a balanced charger, from the site file."""

    connector: int  # 1.6 connectorId, 2.x evseId
    phases: int = 3
    min_a: float = 6.0
    max_a: float = 32.0
    safe_a: float = 6.0
    dc: bool = False


class ConnectorPower:
    """One connector. Mutable: `actuation` writes it, everybody may read it."""

    __slots__ = (
        "accepted_a",
        "accepted_at",
        "asked_a",
        "asked_at",
        "control",
        "drawn_a",
        "drawn_at",
        "expires_at",
        "fault",
        "granted_a",
        "method",
        "over_since",
        "refused_at",
        "retry_at",
        "why",
        "wiring",
        "writes_day",
        "writes_today",
    )

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.granted_a: float = wiring.safe_a  # what the site gives it (LimitsGranted)
        self.why = ""  # in words
        self.asked_a: float | None = None  # in a CALL that is not answered yet
        self.asked_at = -INFINITE  # mono, of the last CALL that set a limit
        self.accepted_a: float | None = None  # the last limit that the charger accepted; None: never one
        self.accepted_at = -INFINITE
        self.expires_at = INFINITE  # mono: then the accepted limit ends and `wiring.safe_a` holds
        self.refused_at = -INFINITE
        self.retry_at = -INFINITE  # not before
        self.method = ""  # the quirk's method in use: "tx", "tx_default", "max"
        self.control = Control.UNKNOWN
        self.fault = ""  # why it is not steered, in words
        self.drawn_a: tuple[float | None, ...] | None = None  # newest sample of the charger, its own L1..L3
        self.drawn_at = -INFINITE
        self.over_since = INFINITE  # mono: since when it draws more than it may
        self.writes_today = 0  # profiles sent since midnight UTC (flash wear)
        self.writes_day = 0


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """Read once after a boot (1.6 GetConfiguration, 2.x GetVariables SmartChargingCtrlr)."""

    read: bool = False
    stack_level_max: int | None = None
    amps: bool = True
    watts: bool = True
    periods_max: int | None = None
    profiles_max: int | None = None
    smart_charging: bool = True


class PowerState:
    """`connectors` is empty for a charger that is left out of balancing: it is relayed byte for byte."""

    __slots__ = (
        "armed",
        "book",
        "capabilities",
        "connectors",
        "nominal_v",
        "quirks",
        "settle_at",
        "stage",
        "wishes",
    )

    def __init__(self) -> None:
        self.connectors: dict[int, ConnectorPower] = {}
        self.book = ProfileBook()
        self.quirks: Quirks = DEFAULT
        self.capabilities = Capabilities()
        self.nominal_v = 230.0
        self.armed = False  # the standing safe limit was accepted since the last boot
        self.settle_at = INFINITE  # mono: nothing is sent before (a boot must be answered first)
        self.stage = ""  # of bringing it under control, for `actuation`
        self.wishes: list[CloudWish] = []

    @property
    def balanced(self) -> bool:
        return bool(self.connectors)


class CloudWish:
    """A profile CALL of the cloud whose answer waits for the charger's."""

    __slots__ = ("asked_at", "before", "call_id", "connectors", "deadline")

    def __init__(
        self, call_id: str, before: ProfileBook, connectors: tuple[int, ...], asked_at: float, deadline: float
    ) -> None:
        self.call_id = call_id
        self.before = before  # to go back to when the charger refuses
        self.connectors = connectors
        self.asked_at = asked_at
        self.deadline = deadline
