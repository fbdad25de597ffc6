"""Alarms over HTTP. Part of the routes of `control.server`, whose rules hold here too."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from edgegw.control import alarm_models as models
from edgegw.control.answers import asker_of, json_answer, service_of
from edgegw.control.event_models import SeverityName

AtLeast = Annotated[SeverityName, Query(description="alarms of at least this severity")]
State = Annotated[models.AlarmStateName | None, Query(description="only alarms that are on, or over")]

routes = APIRouter()


@routes.get("/alarms", response_model=models.AlarmList, summary="What is wrong, the worst first")
async def alarms(request: Request, state: State = None, severity: AtLeast = "info") -> Response:
    return json_answer(service_of(request).alarms.alarms(state, severity))


@routes.get("/alarms/catalogue", response_model=models.AlarmCatalogue, summary="All alarms there can be")
async def alarm_catalogue(request: Request) -> Response:
    return json_answer(service_of(request).alarms.catalogue())


@routes.post(
    "/alarms/acknowledge", response_model=models.Acknowledged, summary="Somebody has seen one alarm, or all"
)
async def acknowledge(request: Request, order: models.Acknowledge) -> Response:
    return json_answer(service_of(request).alarms.acknowledge(order, asker_of(request)))
