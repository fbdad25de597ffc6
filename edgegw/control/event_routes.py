"""What chargers reported, over HTTP. Part of the routes of `control.server`, whose rules hold here too."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath

from edgegw.control import event_models
from edgegw.control.answers import json_answer, service_of

EVENTS_MAX = 1000

AtLeast = Annotated[event_models.SeverityName, Query(description="events of at least this severity")]
Limit = Annotated[int, Query(ge=1, le=EVENTS_MAX, description="events")]
Identity = Annotated[str, InPath(description="identity of the charger, percent-encoded", max_length=48)]

routes = APIRouter()


@routes.get(
    "/events", response_model=event_models.EventList, summary="What all chargers reported, newest first"
)
async def events(request: Request, severity: AtLeast = "info", limit: Limit = 100) -> Response:
    return json_answer(await service_of(request).events(None, severity, limit))


@routes.get(
    "/chargers/{identity}/events",
    response_model=event_models.EventList,
    summary="What one charger reported, newest first",
)
async def events_of_charger(
    request: Request, identity: Identity, severity: AtLeast = "info", limit: Limit = 100
) -> Response:
    return json_answer(await service_of(request).events(identity, severity, limit))
