"""`/healthz` and `/readyz`, where orchestrators look for them. They carry no secret and want no token."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from edgegw.control.answers import json_answer, service_of
from edgegw.control.probes import ProbeView

_UNAVAILABLE: dict[int | str, dict[str, Any]] = {503: {"model": ProbeView, "description": "It is not"}}

routes = APIRouter(responses=_UNAVAILABLE)


@routes.get("/healthz", response_model=ProbeView, summary="Does the process live, or must it be restarted?")
async def healthz(request: Request) -> Response:
    return _answer(service_of(request).probes.alive())


@routes.get("/readyz", response_model=ProbeView, summary="Can chargers be served?")
async def readyz(request: Request) -> Response:
    return _answer(await service_of(request).probes.ready())


def _answer(found: ProbeView) -> Response:
    return json_answer(found, 503 if found.reasons else 200)
