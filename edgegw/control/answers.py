"""What every route needs of its request, and the one way a model becomes an answer."""

from __future__ import annotations

from fastapi import Request, Response
from pydantic import BaseModel

from edgegw.control.service import Service


def json_answer(model: BaseModel, status: int = 200) -> Response:
    """The model is valid already; going through the framework would check it a second time."""
    return Response(model.model_dump_json(), status, media_type="application/json")


def service_of(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


def asker_of(request: Request) -> str:
    client = request.client
    return f"{client.host}:{client.port}" if client and client.port else "the control socket"
