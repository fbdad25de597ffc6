"""Alarms over HTTP. Part of the routes of `control.server`, whose rules hold here too."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from edgegw.control import alarm_models as models
from edgegw.control.event_models import SeverityName
from edgegw.control.service import Service

AtLeast = Annotated[SeverityName, Query(description="alarms of at least this severity")]
State = Annotated[models.AlarmStateName | None, Query(description="only alarms that are on, or over")]

routes = APIRouter()


@routes.get("/alarms", response_model=models.AlarmList, summary="What is wrong, the worst first")
async def alarms(request: Request, state: State = None, severity: AtLeast = "info") -> Response:
    return _json(_service(request).alarms.alarms(state, severity))


@routes.get("/alarms/catalogue", response_model=models.AlarmCatalogue, summary="All alarms there can be")
async def alarm_catalogue(request: Request) -> Response:
    return _json(_service(request).alarms.catalogue())


@routes.post(
    "/alarms/acknowledge", response_model=models.Acknowledged, summary="Somebody has seen one alarm, or all"
)
async def acknowledge(request: Request, order: models.Acknowledge) -> Response:
    return _json(_service(request).alarms.acknowledge(order, _asker(request)))


def _service(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


def _asker(request: Request) -> str:
    client = request.client
    return f"{client.host}:{client.port}" if client and client.port else "the control socket"


def _json(model: BaseModel) -> Response:
    return Response(model.model_dump_json(), media_type="application/json")
