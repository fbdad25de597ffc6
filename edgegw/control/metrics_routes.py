"""`GET /metrics` for Prometheus. Part of the routes of `control.server`, whose rules hold here too."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from edgegw.control.answers import service_of

_TEXT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Prometheus text 0.0.4, or OpenMetrics 1.0 for who asks for it with Accept",
        "content": {
            "text/plain": {"schema": {"type": "string"}},
            "application/openmetrics-text": {"schema": {"type": "string"}},
        },
    }
}

routes = APIRouter()


@routes.get("/metrics", response_class=Response, responses=_TEXT, summary="Everything measured, as text")
async def metrics(request: Request, accept: Annotated[str, Header()] = "") -> Response:
    body, content_type = await service_of(request).metrics.text(accept)
    return Response(body, media_type=content_type)
