"""What the local API says of one charger in detail, and what may be ordered of it.

Rules of this file: those of `control.models`. A connector is a connectorId of 1.6 and an EVSE of 2.x; null or
0 is the whole charger where that makes sense. Amps are per phase.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgegw.control.alarm_models import AlarmView
from edgegw.control.event_models import EventView
from edgegw.control.models import ChargerView, Notice, Time, View
from edgegw.control.power_models import ConnectorPowerView

BYPASS_DEFAULT_S, BYPASS_S_MAX = 1800.0, 14_400.0
LIMIT_DEFAULT_S, LIMIT_S_MAX = 3600.0, 604_800.0
SPAN_DEFAULT_S, SPAN_S_MAX = 14_400, 86_400
SETTING_NAME_MAX, SETTING_VALUE_MAX = 200, 2500  # the longest that 2.x has: 50 + 50 and some; 2500

Connector = Annotated[int, Field(ge=1, le=1000, description="1.6: connectorId; 2.x: EVSE")]
WholeOrConnector = Annotated[int, Field(ge=0, le=1000, description="0: the whole charger")]
TriggerName = Literal[
    "BootNotification",
    "DiagnosticsStatusNotification",
    "FirmwareStatusNotification",
    "Heartbeat",
    "LogStatusNotification",
    "MeterValues",
    "StatusNotification",
    "TransactionEvent",
]
TokenType = Literal["Central", "ISO14443", "ISO15693", "eMAID", "KeyCode", "Local", "MacAddress"]


# --- detail ---------------------------------------------------------------------------------------


class BootView(View):
    """Its last BootNotification."""

    at: Time | None = Field(description="by the clock of the box; null: before edgegw kept it")
    reason: str = Field(description='2.x: why it booted, such as "PowerUp"; 1.6 does not say: ""')
    vendor: str
    model: str
    serial: str
    firmware: str


class ProfileAnswer(View):
    """What the charger said to one charging profile of the box."""

    at: Time
    connector: int
    method: str = Field(description='"tx", "tx_default", "max": how it was told; "clear": one was taken away')
    limit_a: float | None = Field(description="null: no limit was in it")
    answer: str = Field(description='its status, the code of its CALLERROR, or "no answer"')


class ConnectorOrderView(View):
    """Somebody left this connector out of balancing, or limited it, for a while."""

    kind: Literal["bypass", "limit"]
    connector: int
    limit_a: float | None = Field(description="of a limit")
    until: Time = Field(description="then it ends by itself")
    left_s: float = Field(description="seconds until then, whatever the clock of the wall does")


class ChargerDetail(View):
    charger: ChargerView
    power: tuple[ConnectorPowerView, ...] = Field(description="of its balanced connectors")
    events: tuple[EventView, ...] = Field(description="newest first, at most 20")
    clock_offset_s: float | None = Field(
        description="its clock less ours, from the times it wrote; positive: its clock is ahead"
    )
    boot: BootView | None
    handshake_failures: tuple[Notice, ...] = Field(
        description="of this charger, by its name or its address, newest first; each with what to do"
    )
    profile_answers: tuple[ProfileAnswer, ...] = Field(description="newest first, at most 20")
    alarms: tuple[AlarmView, ...] = Field(description="those that are on or unseen, the worst first")
    orders: tuple[ConnectorOrderView, ...] = Field(description="bypasses and limits of its connectors")
    bypassed_until: Time | None = Field(description="until when a connector is left out of balancing")


# --- profile over time ----------------------------------------------------------------------------


class ProfileStep(View):
    from_s: float = Field(description="seconds from now")
    limit_a: float | None = Field(description="per phase; null: no limit is known")
    binds: str = Field(description="what holds it there, in words")


class ProfileView(View):
    connector: int
    span_s: int
    steps: tuple[ProfileStep, ...] = Field(description="in order of time, the first at 0")


# --- settings -------------------------------------------------------------------------------------


class Setting(View):
    """One key of the charger's configuration."""

    name: str = Field(
        description='1.6: the key; 2.x: "Component.Variable", "Component.Variable@evse" and so on'
    )
    value: str | None = Field(description="null: it has none, or it is not shown")
    read_only: bool
    type: str = Field(description='2.x: "boolean", "integer", ...; 1.6 does not say: ""')
    note: str = Field(description="why it is not shown, or must not be changed here; its unit and limits")
    others: dict[str, str] = Field(
        default={}, description='2.x: "Target", "MinSet", "MaxSet", where they differ from the value'
    )

    @property
    def in_words(self) -> str:
        """The value with what stands beside it: "10 (Target 16)"; "-" where there is none."""
        value = "-" if self.value is None else self.value
        beside = ", ".join(f"{kind} {other}" for kind, other in self.others.items())
        return f"{value} ({beside})" if beside else value


class Settings(View):
    protocol: str
    settings: tuple[Setting, ...] = Field(description="by name")
    asked_at: Time = Field(description="when the charger told them")
    complete: bool = Field(description="false: the charger did not tell all in time")
    text: str = Field(description='what is missing and why, in words; "" when nothing is')


class SetSetting(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)  # true is no number

    name: str = Field(min_length=1, max_length=SETTING_NAME_MAX)
    value: str = Field(max_length=SETTING_VALUE_MAX)


class SettingAnswer(View):
    name: str
    status: str = Field(description='the charger\'s word: "Accepted", "RebootRequired", "Rejected", ...')
    text: str = Field(description="what that means, in words")


# --- actions --------------------------------------------------------------------------------------


class Order(BaseModel):
    """What every action shares."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)  # true is no number


class Reset(Order):
    """Restart a charger."""

    kind: Literal["soft", "hard"] = Field(
        default="soft", description="1.6: Soft, Hard; 2.x: soft is OnIdle, hard is Immediate"
    )
    force: bool = Field(default=False, description="also while somebody charges, whose transaction it ends")


class Unlock(Order):
    """Open the lock of a plug."""

    connector: Connector = 1


class Availability(Order):
    """Take a charger or one connector out of service, or into it."""

    operative: bool
    connector: WholeOrConnector = 0


class Start(Order):
    """Start a transaction with a card id."""

    id_tag: str = Field(min_length=1, max_length=255, description="1.6: idTag, 20 characters; 2.x: idToken")
    connector: Connector = 1
    id_token_type: TokenType = Field(default="Central", description="2.x only")


class Stop(Order):
    """Stop a transaction: by its id, or whatever runs on a connector."""

    transaction: str | None = Field(default=None, min_length=1, max_length=36)
    connector: Connector | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Stop:
        if (self.transaction is None) == (self.connector is None):
            raise ValueError("give transaction or connector")
        return self


class Trigger(Order):
    """Let a charger send a message now."""

    message: TriggerName
    connector: Connector | None = None


class ActionAnswer(View):
    """What the charger said to an action."""

    accepted: bool
    status: str = Field(description="the charger's word, or the code of its CALLERROR")
    text: str = Field(description="what that means and what to do, in words")


# --- bypass and limit -----------------------------------------------------------------------------


class BypassOrder(Order):
    """Leave a connector, or all of a charger, out of balancing for a while: it may draw its maximum."""

    connector: Connector | None = Field(default=None, description="null: all balanced ones of the charger")
    for_s: float = Field(default=BYPASS_DEFAULT_S, gt=0, le=BYPASS_S_MAX)


class ConnectorLimitOrder(Order):
    """Give a connector, or each of a charger, at most so much for a while."""

    connector: Connector | None = Field(default=None, description="null: each balanced one of the charger")
    limit_a: float = Field(ge=0, le=10_000, description="per phase; below what a car needs it is paused")
    for_s: float = Field(default=LIMIT_DEFAULT_S, gt=0, le=LIMIT_S_MAX)


class ConnectorOrders(View):
    """The bypasses and limits of a charger, as they are now."""

    orders: tuple[ConnectorOrderView, ...]
