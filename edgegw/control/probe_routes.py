"""`/healthz` and `/readyz`, where orchestrators look for them. They carry no secret and want no token."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from edgegw.control.probes import Probes, ProbeView
from edgegw.control.service import Service

_UNAVAILABLE: dict[int | str, dict[str, Any]] = {503: {"model": ProbeView, "description": "It is not"}}

routes = APIRouter(responses=_UNAVAILABLE)


@routes.get("/healthz", response_model=ProbeView, summary="Does the process live, or must it be restarted?")
async def healthz(request: Request) -> Response:
    return _answer(_probes(request).alive())


@routes.get("/readyz", response_model=ProbeView, summary="Can chargers be served?")
async def readyz(request: Request) -> Response:
    return _answer(await _probes(request).ready())


def _probes(request: Request) -> Probes:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service.probes


def _answer(found: ProbeView) -> Response:
    return Response(found.model_dump_json(), 503 if found.reasons else 200, media_type="application/json")
