"""What the core knows of one charger's power: what it should have, what it has, what the cloud wants.

Data only. `actuation` brings a charger to what it should have, `owned_profiles` answers the cloud from
`PowerState.book`, `load_control` decides for the site. Amps are per phase; DC chargers are told watts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, tzinfo
from enum import StrEnum
from typing import Any

import msgspec

from edgegw.balance.model import INFINITE, Binding
from edgegw.balance.profile_book import ProfileBook, Refusal
from edgegw.balance.profiles import Profile
from edgegw.quirks.model import DEFAULT, QuirkEntry, Quirks


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
    efficiency: float = 1.0  # of a DC charger: watts for the car per watt from the mains


class ConnectorPower:
    """One connector. Mutable: `actuation` writes it, everybody may read it."""

    __slots__ = (
        "accepted_a",
        "accepted_at",
        "accepted_for",
        "asked_a",
        "asked_at",
        "asked_expires_at",
        "asked_for",
        "asked_method",
        "binding",
        "charging_state",
        "control",
        "drawn_a",
        "drawn_at",
        "expires_at",
        "expires_wall",
        "failures",
        "fault",
        "forbidden",
        "granted_a",
        "lowered_at",
        "maybe_a",
        "maybe_for",
        "maybe_until",
        "method",
        "obeyed_since",
        "over_since",
        "refused",
        "refused_at",
        "retry_at",
        "safe_accepted_a",
        "said_at",
        "unrenewed_until",
        "unsure",
        "why",
        "wiring",
        "writes_day",
        "writes_today",
    )

    def __init__(self, wiring: Wiring) -> None:
        self.wiring = wiring
        self.granted_a: float = wiring.safe_a  # what the site gives it (LimitsGranted)
        self.why = ""  # in words
        self.forbidden = ""  # a transaction that must get no energy: the cloud refused its tag, late
        self.binding: Binding | None = None  # what holds `granted_a` where it is; None: not said
        self.asked_a: float | None = None  # in a CALL that is not answered yet
        self.asked_at = -INFINITE  # mono, of the last CALL that set a limit
        self.asked_for = ""  # the transaction of that CALL's TxProfile; "" for the other methods
        self.asked_method = ""
        self.asked_expires_at = INFINITE
        self.accepted_a: float | None = None  # the last limit that the charger accepted; None: never one
        self.accepted_at = -INFINITE
        self.lowered_at = -INFINITE  # mono, when it last accepted less than before
        self.accepted_for = ""  # the transaction it holds for; "" for the other methods
        self.safe_accepted_a: float | None = None  # the standing limit below it that the charger accepted
        # A limit whose CALL was never answered: it may hold, until then at the latest.
        self.maybe_a: float | None = None
        self.maybe_until = INFINITE
        self.maybe_for = ""
        self.unrenewed_until = -INFINITE  # mono: a person watches its limit run out, nobody renews it
        self.unsure = False  # boot, reconnect, no answer: the limit must be sent again although it is known
        self.expires_at = INFINITE  # mono: then the accepted limit ends and `wiring.safe_a` holds
        self.expires_wall: float | None = None  # the same after a restart, until the next answer
        self.refused_at = -INFINITE
        self.refused: tuple[str, ...] = ()  # methods that did not work, until all are tried anew
        self.failures = 0  # answers in a row that were missing or a refusal
        self.retry_at = -INFINITE  # not before
        self.method = ""  # the quirk's method in use: "tx", "tx_default", "max"
        self.control = Control.UNKNOWN
        self.fault = ""  # why it is not steered, in words
        self.drawn_a: tuple[float | None, ...] | None = None  # newest sample of the charger, its own L1..L3
        self.drawn_at = -INFINITE
        self.charging_state = ""  # 2.x chargingState of the newest TransactionEvent on this EVSE
        self.said_at = -INFINITE  # mono, of its last word on its state (status, chargingState, an end)
        self.over_since = INFINITE  # mono: since when it draws more than it may
        self.obeyed_since = INFINITE  # mono: since when one that disobeyed is within its limit again
        self.writes_today = 0  # profiles sent since midnight UTC (flash wear)
        self.writes_day = 0


class ProfileAnswer(msgspec.Struct, frozen=True, gc=False):
    """What the charger said to one profile of the box, for people."""

    at: float  # wall
    connector: int
    method: str
    limit_a: float | None
    answer: str


PROFILE_ANSWERS_KEPT = 20


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """Read once after a boot (1.6 GetConfiguration, 2.x GetVariables SmartChargingCtrlr)."""

    read: bool = False
    stack_level_max: int | None = None
    amps: bool = True
    watts: bool = True
    periods_max: int | None = None
    profiles_max: int | None = None
    smart_charging: bool = True


class PowerPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the site file and the data files decide for all chargers."""

    wirings: dict[str, tuple[Wiring, ...]] = {}  # by charger; who is not here is relayed untouched
    quirks: tuple[QuirkEntry, ...] = ()
    nominal_v: float = 230.0
    profile_lifetime_s: float = 300.0  # of a live limit; then the standing safe one holds
    zone: tzinfo = UTC  # of 2.1 useLocalTime
    notify_cloud: bool = True  # 2.x NotifyChargingLimit, ClearedChargingLimit


NOT_BALANCED = PowerPolicy()


class PowerState:
    """`connectors` is empty for a charger that is left out of balancing: it is relayed byte for byte."""

    __slots__ = (
        "adopted",
        "answers",
        "armed",
        "asking",
        "attempts",
        "book",
        "boot_id",
        "capabilities",
        "cloud_away_since",
        "connectors",
        "cursor",
        "entries",
        "hardware",
        "lifetime_s",
        "nominal_v",
        "notice_id",
        "prioritised",
        "quirks",
        "remote_starts",
        "retry_at",
        "seen",
        "settle_at",
        "stage",
        "standing_way",
        "starts",
        "strangers",
        "told_limits",
        "uncleared",
        "wishes",
    )

    def __init__(self, charger: str = "", policy: PowerPolicy = NOT_BALANCED) -> None:
        wirings = policy.wirings.get(charger, ())
        self.connectors = {wiring.connector: ConnectorPower(wiring) for wiring in wirings}
        self.book = ProfileBook()
        self.answers: deque[ProfileAnswer] = deque(maxlen=PROFILE_ANSWERS_KEPT)  # newest last
        self.entries = policy.quirks  # all that are known; matched when the charger is known
        self.quirks: Quirks = DEFAULT
        self.capabilities = Capabilities()
        self.nominal_v = policy.nominal_v
        self.lifetime_s = policy.profile_lifetime_s  # of a live limit, when nobody renews it
        self.armed = False  # the standing safe limit was accepted since the last boot
        self.settle_at = INFINITE  # mono: nothing is sent before (a boot must be answered first)
        self.stage = ""  # of bringing it under control (`core.adoption`); "ready" at its end
        self.asking = ""  # purpose of the CALL of that stage that is not answered yet
        self.attempts = 0  # of this stage's CALL
        self.cursor = 0  # which CALL of this stage is next
        self.retry_at = -INFINITE  # mono: the stage waits until then
        self.standing_way = 0  # which way of setting the standing limit is tried
        self.adopted = False  # the profiles that others had left in it were cleared once
        self.uncleared = False  # it would not clear them
        self.hardware = ""  # vendor, model and serial number of its newest boot
        self.strangers: set[int] = set()  # connectors it speaks of that the site file does not know
        self.wishes: list[CloudWish] = []  # in the order of the cloud's CALLs; the first is settled first
        self.seen: set[str] = set()  # transactions that were running after the last event
        self.remote_starts: dict[str, int] = {}  # 2.x remoteStartId by transaction, until it is seen running
        self.boot_id = ""  # of a BootNotification that is not answered yet
        self.starts: list[RemoteStart] = []
        self.prioritised: set[str] = set()  # transactions with 2.1 priority charging on
        self.cloud_away_since: float | None = None  # wall; None while it is there
        self.told_limits: dict[int, ToldLimit] = {}  # by connector
        self.notice_id = ""  # message id of the newest of those notices

    @property
    def balanced(self) -> bool:
        return bool(self.connectors)


class CloudWish:
    """A profile CALL of the cloud whose answer waits for the charger's."""

    __slots__ = ("answer", "asked_at", "before", "call_id", "change", "connectors", "deadline")

    def __init__(
        self,
        call_id: str,
        before: ProfileBook,
        connectors: tuple[int, ...],
        asked_at: float,
        deadline: float,
        *,
        change: Callable[[ProfileBook], ProfileBook | Refusal],
        answer: dict[str, Any],
    ) -> None:
        self.call_id = call_id
        self.before = before  # to go back to when the charger refuses
        self.connectors = connectors  # where the limit must drop for it
        self.asked_at = asked_at
        self.deadline = deadline
        self.change = change  # what it does to a book; done again when an earlier wish is refused
        self.answer = answer  # what the cloud is told when it came true


class RemoteStart(msgspec.Struct, kw_only=True):
    """A profile that came with a remote start, until the transaction begins that it is for."""

    call_id: str
    profile: Profile
    connector: int  # 0: any
    id_tag: str
    at: float  # wall
    remote_start_id: int | None = None  # 2.x
    transaction: str = ""  # the one it is for, once known


class ToldLimit(msgspec.Struct, frozen=True, gc=False):
    """What the cloud was told last of the site's limit on one connector (2.x NotifyChargingLimit)."""

    limit_a: float | None  # None: told that there is none
    at: float  # mono
    sure: bool = True  # False: the cloud was lost since, it may not have heard
