"""OCPP frames as the flight recorder kept them. The rules of `control.models` hold here too.

Rules of this file:
- Passwords and card ids went before a frame was kept: nobody can be shown one from here.
- `text` is what a peer wrote: it may hold anything, control characters and markup included.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgegw.control.models import Time, View

LegName = Literal["charger", "cloud"]
Direction = Literal["in", "out"]
FrameKind = Literal["CALL", "CALLRESULT", "CALLERROR", "CALLRESULTERROR", "SEND", "bad"]


class FrameView(View):
    """One frame on one of the two connections of a charger."""

    n: int = Field(description="rises with every frame, also over restarts; numbers may be missing")
    at: Time
    charger: str
    leg: LegName = Field(description="the connection it passed: to the charger, or to its cloud")
    direction: Direction = Field(description='as seen from this box: "in" it received it')
    kind: FrameKind = Field(description='"bad": no OCPP-J frame, it was refused')
    action: str = Field(description='of an answer that of its CALL, as far as known; "" unknown')
    message_id: str
    size_bytes: int = Field(description="as it was on the wire")
    text: str = Field(description="the frame; passwords left out, card ids masked, very long ones cut off")
    complaints: tuple[str, ...] = Field(description="what does not fit the schema of its action")
    missed: int = Field(
        default=0, description="of a stream: frames before this one that you were too slow for"
    )


class FrameList(View):
    frames: tuple[FrameView, ...] = Field(description="newest last")
    next_before: int | None = Field(description="give it as `before` for the page before; null: no more")


class FramesMissed(View):
    """Event `dropped` of a stream: whoever reads it is too slow."""

    count: int = Field(description="frames that were left out here")
