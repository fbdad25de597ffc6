"""What a command on `request/<verb>` may hold: one frozen struct per verb.

Rules of this file:
- Strict: a number is a number, a member that is not known is refused, and null is not "no value" where
  leaving something out would lift a limit (a sensor that is "unavailable" must lift nothing).
- `schema` gives what AsyncAPI shows; the tests hold every example against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from edgegw.config_mqtt import Verb

TRANSACTION_CHARACTERS_MAX = 64
CHARGERS_MAX = 200  # of one command: all of a large site
SEQS_MAX = 5000

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Charger = Annotated[str, Meta(min_length=1, max_length=64, description="its identity, or its name in topics")]
Chargers = Annotated[tuple[Charger, ...], Meta(min_length=1, max_length=CHARGERS_MAX)]
Connector = Annotated[int, Meta(ge=1, le=1000, description="1.6: connectorId; 2.x: EVSE")]
Priority = Annotated[int, Meta(ge=0, le=100, description="who is named first of equal limits")]
Amps = Annotated[float, Meta(ge=0, le=10_000, description="per phase")]
Watts = Annotated[float, Meta(ge=0, le=10_000_000, description="over all three phases")]
Expiry = Annotated[
    float, Meta(ge=10, le=86_400, description="renew it before; without it [mqtt] limit_expiry holds")
]
Fallback = Annotated[
    float,
    Meta(ge=0, le=10_000, description="holds after expiry; without it [mqtt] limit_fallback does"),
]
Transaction = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=TRANSACTION_CHARACTERS_MAX,
        description="a new one for each command; not needed with MQTT 5 correlation data",
    ),
]
Stamp = Annotated[
    str,
    Meta(
        max_length=64,
        description="when it was asked, RFC 3339 with a zone, at most 30 s old; "
        "may be left out with [mqtt] require_timestamp = false",
    ),
]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every command shares."""

    transaction: Transaction | None = None
    ts: Stamp | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, str) and not value.isprintable() and name != "charger":
                raise ValueError(f"`{name}` must hold printable characters only")

    @property
    def named(self) -> tuple[str, ...]:
        """The chargers it is for, as the asker wrote them."""
        charger = getattr(self, "charger", None)
        return (charger,) if isinstance(charger, str) else ()

    @property
    def target(self) -> str:
        """For the audit."""
        return ", ".join(self.named)


class LimitSet(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limit a circuit. It falls back when it is not renewed in time."""

    source: Annotated[Name, Meta(description="one of [mqtt] limit_sources")]
    circuit: Annotated[str, Meta(max_length=64, description="empty: the whole site")] = ""
    limit_a: Amps | UnsetType = UNSET
    limit_w: Watts | UnsetType = UNSET
    chargers_only: Annotated[bool, Meta(description="for the chargers alone, not what the meter shows")] = (
        False
    )
    floor_14a: Annotated[bool, Meta(description="never below what §14a EnWG leaves the chargers")] = False
    priority: Priority = 0
    expires_s: Expiry | UnsetType = UNSET
    fallback_a: Fallback | UnsetType = UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.limit_a is UNSET) == (self.limit_w is UNSET):
            raise ValueError("give one of `limit_a` and `limit_w`; to take a limit back use limit/release")

    @property
    def target(self) -> str:
        return self.circuit


class LimitRelease(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take limits back before they expire."""

    source: Annotated[Name, Meta(description="one of [mqtt] limit_sources")]
    circuit: Annotated[
        str | None,
        Meta(description="empty: the limit of the whole site; left out: every limit of the source"),
    ] = None

    @property
    def target(self) -> str:
        return self.circuit or ""


class Availability(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take a charger or one connector out of service, or into it."""

    charger: Charger
    connector: Annotated[int, Meta(ge=0, le=1000, description="0: the whole charger")] = 0
    operative: bool


class Reset(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Restart a charger."""

    charger: Charger
    type: Annotated[
        Literal["soft", "hard"], Meta(description="2.x: soft is OnIdle, hard is Immediate; 1.6: Soft, Hard")
    ] = "soft"


class Unlock(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open the lock of a plug."""

    charger: Charger
    connector: Connector


class Start(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Start a charging transaction."""

    charger: Charger
    connector: Connector
    id_token: Annotated[str, Meta(min_length=1, max_length=255, description="1.6: idTag, 20 characters")]
    id_token_type: Annotated[
        Literal["Central", "ISO14443", "ISO15693", "eMAID", "KeyCode", "Local", "MacAddress"],
        Meta(description="2.x only; a card is ISO14443 mostly"),
    ] = "Central"  # noqa: S105 - a kind of token


class Stop(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stop a charging transaction: by its id, or whatever runs on a connector."""

    charger: Charger
    session: (
        Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
        | Annotated[str, Meta(min_length=1, max_length=36, description="`transaction` of the session topic")]
        | None
    ) = None
    connector: Connector | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.session is None) == (self.connector is None):
            raise ValueError("give one of `session` and `connector`")


class Trigger(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let a charger send a message now."""

    charger: Charger
    message: Literal[
        "BootNotification",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "LogStatusNotification",
        "MeterValues",
        "StatusNotification",
        "TransactionEvent",
    ]
    connector: Connector | None = None


class AlarmAck(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody has seen an alarm."""

    alarm: Annotated[Name, Meta(description="the last part of its topic")]
    by: Annotated[str, Meta(min_length=1, max_length=64, description="who")] = "mqtt"

    @property
    def target(self) -> str:
        return self.alarm


class FirmwareUpdate(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bring a file of the box's cache to chargers, as a rollout."""

    charger: Charger | None = None
    chargers: Chargers | None = None
    file: Annotated[str, Meta(min_length=1, max_length=100, description="its name or its sha256")]
    version: Annotated[
        str | None,
        Meta(description="what the charger says of itself once it runs it; null: as the file says"),
    ] = None
    at_once: Annotated[int, Meta(ge=1, le=1000, description="chargers down at the same time")] = 1
    only_idle: bool = True
    window: Annotated[str, Meta(max_length=11, description='such as "22:00-05:00", by the site\'s clock')] = (
        ""
    )
    failures_max: Annotated[int, Meta(ge=1, le=10_000)] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.charger is None) == (self.chargers is None):
            raise ValueError("give one of `charger` and `chargers`")
        if len(self.version or "") > 100:
            raise ValueError("`version` is longer than 100 characters")

    @property
    def named(self) -> tuple[str, ...]:
        return super().named or tuple(dict.fromkeys(self.chargers or ()))


class DiagnosticsGet(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fetch the log of a charger into the box."""

    charger: Charger
    kind: Literal["diagnostics", "security"] = "diagnostics"


class QueueResend(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Send messages that the cloud refused for good to it again."""

    charger: Charger
    seqs: (
        Annotated[
            tuple[Annotated[int, Meta(ge=0, le=2**53)], ...],
            Meta(min_length=1, max_length=SEQS_MAX, description="null: all of them"),
        ]
        | None
    ) = None


class HealthCheck(Request, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How is the box? Also a way to see that commands arrive."""


REQUESTS: Mapping[Verb, type[Request]] = {
    "limit/set": LimitSet,
    "limit/release": LimitRelease,
    "charger/availability": Availability,
    "charger/reset": Reset,
    "charger/unlock": Unlock,
    "charger/start": Start,
    "charger/stop": Stop,
    "charger/trigger": Trigger,
    "alarm/ack": AlarmAck,
    "firmware/update": FirmwareUpdate,
    "diagnostics/get": DiagnosticsGet,
    "queue/resend": QueueResend,
    "health_check": HealthCheck,
}

_COMMON = {"transaction": "bms-42", "ts": "2026-11-20T23:40:01Z"}
EXAMPLES: Mapping[Verb, tuple[dict[str, Any], ...]] = {
    "limit/set": (
        {**_COMMON, "source": "bms", "limit_a": 63, "priority": 10, "expires_s": 120, "fallback_a": 32},
        {**_COMMON, "source": "bms", "circuit": "garage", "limit_w": 11_000},
    ),
    "limit/release": ({**_COMMON, "source": "bms"},),
    "charger/availability": ({**_COMMON, "charger": "cp-01", "connector": 1, "operative": False},),
    "charger/reset": ({**_COMMON, "charger": "cp-01", "type": "soft"},),
    "charger/unlock": ({**_COMMON, "charger": "cp-01", "connector": 1},),
    "charger/start": ({**_COMMON, "charger": "cp-01", "connector": 1, "id_token": "04A1B2C3D4"},),
    "charger/stop": (
        {**_COMMON, "charger": "cp-01", "connector": 1},
        {**_COMMON, "charger": "cp-01", "session": "4711"},
    ),
    "charger/trigger": ({**_COMMON, "charger": "cp-01", "message": "MeterValues", "connector": 1},),
    "alarm/ack": ({**_COMMON, "alarm": "cloud-away", "by": "control room"},),
    "firmware/update": ({**_COMMON, "charger": "cp-01", "file": "wall-1.4.2.bin", "only_idle": True},),
    "diagnostics/get": ({**_COMMON, "charger": "cp-01"},),
    "queue/resend": ({**_COMMON, "charger": "cp-01", "seqs": [17, 18]},),
    "health_check": (dict(_COMMON),),
}

# Members of which exactly one is given.
_ONE_OF: Mapping[Verb, tuple[str, str]] = {
    "limit/set": ("limit_a", "limit_w"),
    "charger/stop": ("session", "connector"),
    "firmware/update": ("charger", "chargers"),
}


def schema(verb: Verb) -> dict[str, Any]:
    """JSON Schema of the payload of `request/<verb>`, with examples and without references."""
    made = msgspec.json.schema(REQUESTS[verb])
    described: dict[str, Any] = dict(made["$defs"][REQUESTS[verb].__name__])
    if verb in _ONE_OF:
        described["oneOf"] = [
            {"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in _ONE_OF[verb]
        ]
    return {**described, "examples": list(EXAMPLES[verb])}
