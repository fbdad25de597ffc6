"""What the local API says of alarms, and how they are acknowledged. Rules: those of `control.models`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgegw.control.event_models import SeverityName
from edgegw.control.models import Time, View

AlarmStateName = Literal["active", "cleared"]


class AlarmView(View):
    """One alarm. All texts are printable."""

    id: str = Field(description='a-z 0-9 and "-"; the same whenever the same is wrong')
    code: str
    severity: SeverityName = Field(description="the worst it has been since it was raised")
    target: str = Field(description='"" the site, "CP-7", "CP-7/1", "meter grid", "circuit main", ...')
    title: str
    text: str = Field(description="what is wrong, in words")
    todo: str = Field(description="what to do about it")
    state: AlarmStateName = Field(description='"cleared": it is over, and waits to be acknowledged')
    acknowledged: bool
    acknowledged_by: str
    acknowledged_at: Time | None
    since: Time = Field(description="when it was raised")
    last_at: Time = Field(description="when it came last, or got worse")
    cleared_at: Time | None
    count: int = Field(description="how often it came")
    latched: bool = Field(description="stays when it is over, until it is acknowledged")


class AlarmList(View):
    alarms: tuple[AlarmView, ...] = Field(description="the worst first")
    active: int = Field(description="alarms that are on, whatever was asked for")
    unacknowledged: int = Field(description="alarms that nobody has seen, those that are over included")
    worst: SeverityName | None = Field(description="of those that are on")


class AlarmRuleView(View):
    """One kind of alarm."""

    code: str
    subject: str
    title: str
    severity: SeverityName = Field(description="as a rule; a single alarm may be worse or milder")
    todo: str
    raise_after_s: float = Field(description="what is wrong must be so for that long")
    clear_after_s: float = Field(description="... and be gone for that long")
    latched: bool


class AlarmCatalogue(View):
    alarms: tuple[AlarmRuleView, ...]


class Acknowledge(BaseModel):
    """Order: somebody has seen one alarm, or all there are. Give `id` or `all`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    all: bool = False
    by: Annotated[str, Field(max_length=64, description='who; "" the door this came through')] = ""


class Acknowledged(View):
    alarms: tuple[AlarmView, ...] = Field(description="those that were acknowledged by this, as they are now")
