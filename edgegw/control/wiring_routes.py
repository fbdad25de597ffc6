"""Strangers and wiring over HTTP. Part of the routes of `control.server`, whose rules hold here."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Path as InPath

from edgegw.control import wiring_models as models
from edgegw.control.answers import asker_of, json_answer, service_of

Identity = Annotated[str, InPath(description="identity of the charger, percent-encoded", max_length=48)]
Number = Annotated[int, InPath(ge=1, le=100, description="1.6: connectorId; 2.x: evseId")]

routes = APIRouter()


@routes.get("/strangers", response_model=models.StrangerList, summary="Chargers that knocked, unknown")
async def strangers(request: Request) -> Response:
    return json_answer(service_of(request).wiring.strangers())


@routes.post(
    "/chargers/{identity}/accept",
    response_model=models.AcceptedCharger,
    summary="Let a charger in from now on",
)
async def accept(request: Request, identity: Identity) -> Response:
    return json_answer(await service_of(request).wiring.accept(identity, asker_of(request)))


@routes.delete(
    "/chargers/{identity}/accept",
    response_model=models.AcceptedCharger,
    summary="Let a charger in no more",
)
async def take_back(request: Request, identity: Identity) -> Response:
    return json_answer(await service_of(request).wiring.take_back(identity, asker_of(request)))


@routes.get("/wiring", response_model=models.WiringList, summary="How connectors are wired")
async def wiring(request: Request) -> Response:
    return json_answer(service_of(request).wiring.wiring())


@routes.put(
    "/wiring/{identity}/{connector}", response_model=models.WiringView, summary="Wire a connector, now"
)
async def wire(
    request: Request, identity: Identity, connector: Number, order: models.WiringOrder
) -> Response:
    return json_answer(await service_of(request).wiring.wire(identity, connector, order, asker_of(request)))


@routes.delete(
    "/wiring/{identity}/{connector}",
    response_model=models.WiringView,
    summary="Take a commissioned wiring back",
)
async def unwire(request: Request, identity: Identity, connector: Number) -> Response:
    return json_answer(await service_of(request).wiring.unwire(identity, connector, asker_of(request)))


@routes.post(
    "/wiring/{identity}/{connector}/fallback",
    response_model=models.FallbackTest,
    summary="Let the live limit of a connector run out, to see it fall back",
)
async def let_fall(request: Request, identity: Identity, connector: Number) -> Response:
    return json_answer(service_of(request).fallback.let_fall(identity, connector, asker_of(request)))


@routes.delete(
    "/wiring/{identity}/{connector}/fallback",
    response_model=models.FallbackTest,
    summary="Renew the limits of a connector again",
)
async def end_fall(request: Request, identity: Identity, connector: Number) -> Response:
    return json_answer(service_of(request).fallback.end(identity, connector, asker_of(request)))
