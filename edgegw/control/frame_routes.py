"""Frames over HTTP. Part of the routes of `control.server`, whose rules hold here too."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse

from edgegw.control import frame_models as models
from edgegw.control.answers import json_answer, service_of
from edgegw.control.event_stream import EventStream

PAGE_MAX = 1000
NUMBER_MAX = 2**62 - 1

ByCharger = Annotated[str | None, Query(max_length=48, description="only of this charger")]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="frames per page")]
Before = Annotated[int | None, Query(ge=1, le=NUMBER_MAX, description="`next_before` of the page before")]
Action = Annotated[str | None, Query(max_length=50, description="only of this action, answers included")]
Since = Annotated[float | None, Query(ge=0, le=3.2e9, description="seconds back from now")]

_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "Events `frame` (FrameView), and `dropped` (FramesMissed) for who reads too slowly",
    }
}
_FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
        "description": "A flight file: a header, a line per event, an end; for `edgegw replay`",
    }
}

routes = APIRouter()


@routes.get("/frames", response_model=models.FrameList, summary="OCPP frames of the last hours, newest last")
async def frames(
    request: Request,
    charger: ByCharger = None,
    before: Before = None,
    limit: Limit = 100,
    action: Action = None,
    since_s: Since = None,
) -> Response:
    return json_answer(await service_of(request).frames.frames(charger, before, limit, action, since_s))


@routes.get("/frames/stream", responses=_EVENTS, response_class=Response, summary="OCPP frames as they pass")
async def frame_stream(request: Request, charger: ByCharger = None) -> Response:
    desk = service_of(request).frames
    blocks = desk.stream(charger)
    return EventStream(lambda: blocks, desk.seats)


@routes.get(
    "/frames/export",
    responses=_FILE,
    response_class=Response,
    summary="What happened, to replay it elsewhere",
)
async def export_frames(request: Request, charger: ByCharger = None, since_s: Since = None) -> Response:
    pieces = service_of(request).frames.export(charger, since_s)
    return StreamingResponse(pieces, media_type="application/x-ndjson", headers={"cache-control": "no-store"})
