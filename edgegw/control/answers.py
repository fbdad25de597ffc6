"""What every route needs of its request, and the one way a model becomes an answer."""

from __future__ import annotations

from fastapi import Request, Response
from pydantic import BaseModel

from edgegw.control.gate import OPERATOR, READ_ONLY, ROLE
from edgegw.control.live_models import RoleName
from edgegw.control.problem import Problem
from edgegw.control.service import Service


def json_answer(model: BaseModel, status: int = 200) -> Response:
    """The model is valid already; going through the framework would check it a second time."""
    return Response(model.model_dump_json(), status, media_type="application/json")


def service_of(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


def role_of(request: Request) -> RoleName:
    return READ_ONLY if request.scope.get(ROLE) == READ_ONLY else OPERATOR


def operators_only(request: Request, what: str) -> None:
    """For a question whose answer is not for everybody who may look. Raises Problem 403."""
    if role_of(request) == READ_ONLY:
        text = f"{what} is not shown to who may only read: use the token of [control] token_file"
        raise Problem(403, "read_only", text)


def asker_of(request: Request) -> str:
    client = request.client
    return f"{client.host}:{client.port}" if client and client.port else "the control socket"
