"""The live picture, power over time and the log over HTTP. The rules of `control.server` hold here too.

A stream is `text/event-stream`: its events hold one JSON document each, which the summary names.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from edgegw.control import live_models as models
from edgegw.control.answers import json_answer, role_of, service_of
from edgegw.control.event_stream import EventStream
from edgegw.logs import LINES_KEPT
from edgegw.runtime.power_history import COARSE_SPAN_S

routes = APIRouter()

Span = Annotated[
    float, Query(ge=1, le=COARSE_SPAN_S, description="seconds; above 900 the steps are a minute long")
]
Lines = Annotated[int, Query(ge=1, le=LINES_KEPT, description="lines")]


def events(description: str) -> dict[int | str, dict[str, Any]]:
    """The answer of a stream, for the document."""
    content = {"text/event-stream": {"schema": {"type": "string", "description": description}}}
    return {200: {"description": description, "content": content}}


@routes.get("/me", response_model=models.Me, summary="Who I am here")
async def me(request: Request) -> Response:
    return json_answer(models.Me(role=role_of(request)))


@routes.get("/snapshot", response_model=models.Snapshot, summary="Everything at one instant")
async def snapshot(request: Request) -> Response:
    text = await service_of(request).live.snapshot(role_of(request))
    return Response(text, media_type="application/json")


@routes.get(
    "/stream",
    response_class=Response,
    responses=events("`snapshot`: a Snapshot, whole, first of all; `change`: a Change, at most 4 per second"),
    summary="The snapshot, then what changes",
)
async def stream(request: Request) -> Response:
    service, role = service_of(request), role_of(request)
    return EventStream(lambda: service.live.stream(role), service.seats)


@routes.get("/power/history", response_model=models.PowerHistory, summary="What a circuit carried")
async def power_history(
    request: Request,
    circuit: Annotated[str, Query(max_length=200, description="empty: the main one")] = "",
    span_s: Span = 900.0,
) -> Response:
    return json_answer(await service_of(request).history.power(circuit, span_s))


@routes.get("/log", response_model=models.LogLines, summary="The newest lines of the log")
async def log(request: Request, limit: Lines = 200) -> Response:
    return json_answer(service_of(request).log.lines(limit))


@routes.get(
    "/log/stream",
    response_class=Response,
    responses=events("`line`: a LogLine; the newest few first"),
    summary="Lines of the log as they are written",
)
async def log_stream(request: Request) -> Response:
    service = service_of(request)
    return EventStream(service.log.stream, service.seats)
