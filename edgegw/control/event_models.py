"""What the local API says of what chargers report. The rules of `control.models` hold here too."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgegw.control.models import Time, View

SeverityName = Literal["info", "warning", "error", "critical"]


class EventView(View):
    """One thing that a charger reported, however often in a row. All texts are printable."""

    charger: str
    at: Time = Field(description="when it was said last, by the clock of the box")
    first_at: Time = Field(description="when it was said first")
    said_at: str = Field(description='the time of the last one as the charger wrote it; "" for none')
    count: int = Field(description="how often it was said in a row")
    kind: Literal["status", "event", "security"] = Field(
        description='"status" StatusNotification, "event" NotifyEvent, "security" SecurityEventNotification'
    )
    code: str = Field(description='errorCode, "Component.Variable", or the type of the security event')
    vendor_code: str = Field(description="vendorErrorCode or techCode")
    connector: str = Field(description='1.6: "2"; 2.x: EVSE and connector; "" for the charger as a whole')
    info: str = Field(description="what the charger adds")
    cleared: bool = Field(description="this says that it is over")
    severity: SeverityName
    known: bool = Field(description="whether the catalogue knows the code; else the text is a general one")
    text: str = Field(description="what it means")
    todo: str = Field(description="what to do about it")


class EventList(View):
    events: tuple[EventView, ...] = Field(description="newest first")
