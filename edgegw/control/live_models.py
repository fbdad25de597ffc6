"""What everybody looks at, as one snapshot and the changes after it. The rules of `control.models` hold here.

A reader keeps the snapshot and applies each change to it (`control.live_view`). Power history and log lines
are here too: they are looked at beside it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgegw.control.alarm_models import AlarmList
from edgegw.control.event_models import SeverityName
from edgegw.control.firmware_models import FirmwareView, RolloutList
from edgegw.control.models import Health, QueueView, SiteView, Time, View
from edgegw.control.power_models import CircuitView, HeldView, LimitView, MeterView, PhaseAmps

RoleName = Literal["operator", "read-only"]
ControlName = Literal["none", "unknown", "steered", "refuses", "disobeys", "silent", "bypassed"]
CloudState = Literal["up", "away", "none"]
LevelName = Literal["debug", "info", "warning", "error", "critical"]


class Me(View):
    """Who asks, as far as the gateway knows."""

    role: RoleName = Field(description='"read-only" may ask everything and order nothing')


# --- the picture ------------------------------------------------------------------------------------


class ChargerRow(View):
    """One charger in one line. All texts are printable."""

    identity: str
    vendor: str
    model: str
    firmware: str
    version: str = Field(description="OCPP subprotocol spoken now, or last")
    connected: bool
    status: str = Field(description='the most telling status of its connectors; "" unknown')
    error: str = Field(description='what its connectors report, in words; "" for nothing')
    current_a: float | None = Field(description="drawn, highest phase, over all connectors; null: unknown")
    limit_a: float | None = Field(description="what the site gives its connectors; null: not balanced")
    why: str = Field(description='what holds the limit where it is; "" when it is not balanced')
    control: ControlName = Field(description='the worst of its connectors; "none" it is not balanced')
    energy_wh: int | None = Field(description="of the running transactions; null: none, or not known")
    transactions: int = Field(description="running ones")
    last_seen: Time | None
    cloud: CloudState = Field(description='"none": this box has no cloud, or the charger is not connected')
    queue: int = Field(description="messages that wait for the cloud, those in flight included")
    parked: int = Field(description="messages that the cloud refused for good")
    alarms: int = Field(description="active ones")
    severity: SeverityName | None = Field(description="of the worst active alarm")
    verdict: str = Field(description="one line for the technician")
    handshake: str = Field(
        description='why its last attempt to connect failed, if newer than its last success; else ""'
    )


class LivePower(View):
    balanced: bool = Field(description="the site file has connectors to balance")
    circuits: tuple[CircuitView, ...]
    meters: tuple[MeterView, ...]
    limits: tuple[LimitView, ...]
    alarms: tuple[str, ...]
    held: tuple[HeldView, ...] = Field(default=(), description="the most first")


class Snapshot(View):
    """Everything at one instant."""

    seq: int = Field(description="grows with every change, and starts anew with the gateway")
    at: Time
    role: RoleName
    site: SiteView
    health: Health
    power: LivePower
    alarms: AlarmList
    firmware: FirmwareView
    rollouts: RolloutList
    queue: QueueView
    chargers: tuple[ChargerRow, ...] = Field(description="by identity")


class Change(View):
    """What is different since the snapshot or change before it; null: this part is as it was."""

    seq: int
    at: Time
    site: SiteView | None = None
    health: Health | None = None
    power: LivePower | None = None
    alarms: AlarmList | None = None
    firmware: FirmwareView | None = None
    rollouts: RolloutList | None = None
    queue: QueueView | None = None
    chargers: tuple[ChargerRow, ...] = Field(default=(), description="new ones and those that changed")
    gone: tuple[str, ...] = Field(default=(), description="chargers that are not known any more")


# --- power over time --------------------------------------------------------------------------------


class HistoryPoint(View):
    """One step of one circuit; within it the highest value of each phase."""

    at: Time = Field(description="when the step began")
    measured_a: PhaseAmps
    limit_a: PhaseAmps
    granted_a: PhaseAmps


class PowerHistory(View):
    circuit: str
    step_s: float
    points: tuple[HistoryPoint, ...] = Field(description="oldest first; a step without a decision is missing")


# --- the log ----------------------------------------------------------------------------------------


class LogLine(View):
    """One line, without control characters, secrets and card ids."""

    n: int = Field(description="counts the lines since the gateway started")
    at: Time
    level: LevelName
    logger: str
    text: str


class LogLines(View):
    lines: tuple[LogLine, ...] = Field(description="newest last")
