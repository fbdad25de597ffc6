"""What the local API says of orders given to this box. The rules of `control.models` hold here too."""

from __future__ import annotations

from pydantic import Field

from edgegw.control.models import Time, View


class AuditEntryView(View):
    """One order, whatever door it came through. All texts are printable and hold no secret."""

    row: int = Field(description="to page on with `before`")
    at: Time
    door: str = Field(description='"api" this one, "mqtt" the building\'s broker')
    asker: str = Field(description="as far as the door knows: an address, a source, the control socket")
    order: str = Field(description='"POST /v1/limits", "limit/set"')
    target: str = Field(description='a charger, a circuit, an alarm; "" for the site')
    outcome: str = Field(description='"ok", or the code of the refusal')
    text: str = Field(description="what was asked, shortened; card ids masked, passwords left out")
    transaction: str = Field(description="MQTT: the id that the asker gave it")


class AuditList(View):
    entries: tuple[AuditEntryView, ...] = Field(description="newest first")
    next_before: int | None = Field(description="give it as `before` for the next page; null: no more")
