"""The local API over HTTP: routes, and the two doors they are behind. Imports the web framework: import late.

Rules of this file:
- Every handler is `async` and does one thing: ask `control.service`. Nothing here decides.
- Every answer is one of `control.models`; every refusal is an `ErrorBody`, also of a path that is not there.
- The Unix door is guarded by its file mode, the loopback door by the token; each has its own application,
  so that neither can be mistaken for the other.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request, Response, Security
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from edgegw import __version__
from edgegw.config_values import Address
from edgegw.control import (
    alarm_routes,
    audit_gate,
    audit_routes,
    backup_routes,
    detail_routes,
    doors,
    event_routes,
    firmware_routes,
    frame_routes,
    gate,
    live_routes,
    metrics_routes,
    models,
    power_models,
    probe_routes,
    wiring_routes,
)
from edgegw.control.answers import asker_of, json_answer, role_of, service_of
from edgegw.control.listener import Listener
from edgegw.control.problem import Problem
from edgegw.control.service import Service
from edgegw.errors import ConfigFault, StoreFault
from edgegw.runtime.audit import AuditLog
from edgegw.runtime.shut_doors import ShutDoors
from edgegw.runtime.tasks import Tasks

log = logging.getLogger("edgegw.control")

PAGE_MAX = 1000

Identity = Annotated[str, InPath(description="identity of the charger, percent-encoded", max_length=48)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="rows per page")]
Before = Annotated[
    int | None, Query(ge=1, le=audit_routes.ROW_MAX, description="`next_before` of the page before")
]
ByCharger = Annotated[str | None, Query(description="only of this charger")]

_FAULT: dict[int | str, dict[str, Any]] = {"default": {"model": models.ErrorBody, "description": "Refused"}}
_UNANSWERED: dict[int | str, dict[str, Any]] = {
    409: {"model": models.CallUnanswered, "description": "The charger is not connected"},
    504: {"model": models.CallUnanswered, "description": "The charger did not answer in time"},
}
_CODES = {400: "bad_request", 404: "no_such_path", 405: "method_not_allowed", 413: "too_large"}

_bearer = HTTPBearer(auto_error=False, description="Only on the loopback port: what token_file holds")
open_routes = APIRouter(prefix="/v1", responses=_FAULT)
routes = APIRouter(prefix="/v1", responses=_FAULT, dependencies=[Security(_bearer)])


# --- routes ---------------------------------------------------------------------------------------


@open_routes.get("/health", response_model=models.Health, summary="Is the box all right?")
async def health(request: Request) -> Response:
    return json_answer(await service_of(request).health())


@routes.get("/site", response_model=models.SiteView, summary="The site at a glance")
async def site(request: Request) -> Response:
    return json_answer(await service_of(request).site())


@routes.get("/chargers", response_model=models.ChargerList, summary="All chargers")
async def chargers(request: Request) -> Response:
    return json_answer(await service_of(request).chargers())


@routes.get("/chargers/{identity}", response_model=models.ChargerView, summary="One charger")
async def charger(request: Request, identity: Identity) -> Response:
    return json_answer(await service_of(request).charger(identity))


@routes.get(
    "/chargers/{identity}/quarantine",
    response_model=models.Quarantine,
    summary="Messages that were no OCPP-J and were refused",
)
async def quarantine(request: Request, identity: Identity) -> Response:
    return json_answer(await service_of(request).quarantine(identity))


@routes.post(
    "/chargers/{identity}/call",
    response_model=models.CallAnswer,
    responses=_UNANSWERED,
    summary="Send a CALL to a charger and wait for its answer",
)
async def call(request: Request, identity: Identity, order: models.CallRequest) -> Response:
    return json_answer(await service_of(request).call(identity, order, asker_of(request)))


@routes.get("/transactions", response_model=models.TransactionList, summary="Transactions, newest first")
async def transactions(
    request: Request,
    charger: ByCharger = None,
    running: bool | None = None,
    limit: Limit = 100,
    before: Before = None,
) -> Response:
    return json_answer(await service_of(request).transactions(charger, running, limit, before))


@routes.get(
    "/transactions/{charger}/{transaction_id:path}",
    response_model=models.TransactionView,
    summary="One transaction; for an operator with its whole card id",
)
async def transaction(request: Request, charger: str, transaction_id: str) -> Response:
    whole_tag = role_of(request) == gate.OPERATOR
    return json_answer(await service_of(request).transaction(charger, transaction_id, whole_tag=whole_tag))


@routes.get("/queue", response_model=models.QueueView, summary="What waits for the cloud, by charger")
async def queue(request: Request) -> Response:
    return json_answer(await service_of(request).queue())


@routes.get("/queue/rows", response_model=models.QueueRows, summary="Kept messages, newest first")
async def queue_rows(
    request: Request,
    state: models.QueueState | None = None,
    charger: ByCharger = None,
    limit: Limit = 100,
    before: Before = None,
    raw: bool = False,
) -> Response:
    return json_answer(await service_of(request).queue_rows(state, charger, limit, before, raw))


@routes.post("/queue/resend", response_model=models.Resent, summary="Send parked messages again")
async def resend(request: Request, order: models.Resend) -> Response:
    return json_answer(await service_of(request).resend(order, asker_of(request)))


@routes.get("/power", response_model=power_models.PowerView, summary="Who may draw what, and why")
async def power(request: Request) -> Response:
    return json_answer(service_of(request).power.view())


@routes.post("/limits", response_model=power_models.PowerView, summary="Lower a circuit below its fuse")
async def set_limit(request: Request, order: power_models.LimitOrder) -> Response:
    return json_answer(await service_of(request).power.set_limit(order, asker_of(request)))


@routes.delete("/limits", response_model=power_models.LimitCleared, summary="Clear limits that were set")
async def clear_limits(request: Request, which: Annotated[power_models.LimitsToClear, Query()]) -> Response:
    return json_answer(
        await service_of(request).power.clear_limits(which.circuit, which.source, asker_of(request))
    )


routes.include_router(alarm_routes.routes)
routes.include_router(audit_routes.routes)
routes.include_router(backup_routes.routes)
routes.include_router(detail_routes.routes)
routes.include_router(event_routes.routes)
routes.include_router(firmware_routes.routes)
routes.include_router(frame_routes.routes)
routes.include_router(live_routes.routes)
routes.include_router(wiring_routes.routes)


# --- refusals -------------------------------------------------------------------------------------


def _refusal(status: int, code: str, text: str) -> Response:
    return json_answer(models.ErrorBody(error=models.ErrorText(code=code, text=text)), status)


async def _on_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    if problem.outcome is None:
        return _refusal(problem.status, problem.code, problem.text)
    error = models.ErrorText(code=problem.code, text=problem.text)
    return json_answer(models.CallUnanswered(error=error, outcome=problem.outcome), problem.status)


async def _on_store_fault(request: Request, fault: Exception) -> Response:
    return _refusal(503, "store", str(fault))


async def _on_invalid(request: Request, invalid: Exception) -> Response:
    assert isinstance(invalid, RequestValidationError)
    found = (f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in invalid.errors()[:5])
    return _refusal(422, "invalid", "; ".join(found))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _refusal(error.status_code, _CODES.get(error.status_code, "http"), str(error.detail))


async def _on_bug(request: Request, bug: Exception) -> Response:
    """The framework raises it again behind this answer, so that it is logged once, with its place."""
    return _refusal(500, "bug", "a bug in edgegw; its log says where")


def build(service: Service) -> FastAPI:
    """The application: routes, refusals and /openapi.json. No page that loads anything from elsewhere."""
    app = FastAPI(
        title="edgegw",
        summary="The local API of the gateway at a parking site",
        version=__version__,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
    )
    app.state.service = service
    app.add_api_route("/openapi.json", _document, include_in_schema=False)
    app.include_router(probe_routes.routes, responses=_FAULT)
    app.include_router(open_routes)
    app.include_router(metrics_routes.routes, responses=_FAULT, dependencies=[Security(_bearer)])
    app.include_router(routes)
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(StoreFault, _on_store_fault)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_bug)
    return app


async def _document(request: Request) -> JSONResponse:
    """Making it takes a tenth of a second, once: not in the loop that chargers wait for."""
    app: FastAPI = request.app
    return JSONResponse(await asyncio.to_thread(app.openapi))


def _operation_id(route: APIRoute) -> str:
    return route.name


# --- the doors ------------------------------------------------------------------------------------


class ControlServer:
    """`await start(...)` opens the doors, `await stop()` closes them within two seconds."""

    def __init__(self, service: Service, audit: AuditLog | None = None) -> None:
        """`audit` None: no book of orders is kept."""
        self.service = service
        self._audit = audit
        self.doors = ShutDoors()  # the loopback port, while another program has it
        self._listeners: list[Listener] = []
        self._tasks = Tasks()
        self._unix: tuple[Path, int] | None = None
        self.address: Address | None = None  # the loopback door, once it is open

    async def start(
        self,
        socket: Path | None,
        listen: Address | None = None,
        token_file: Path | None = None,
        read_token_file: Path | None = None,
    ) -> None:
        """Open the Unix socket, and the loopback port with the tokens of the files. Raises ConfigFault.

        A port that is taken is tried again: see `doors`.
        """
        app = gate.held_to_role(gate.limited(build(self.service)))
        if self._audit is not None:
            app = audit_gate.audited(app, self._audit)
        try:
            if socket is not None:
                await self._open_unix(app, socket)
            if listen is not None:
                behind = self._with_tokens(app, listen, token_file, read_token_file)
                await self.doors.open("[control] listen", listen, lambda: self._open_tcp(behind, listen))
        except BaseException:
            await self.stop()
            raise

    async def _open_unix(self, app: gate.Application, path: Path) -> None:
        door = doors.bind_unix(path)
        self._unix = (path, os.lstat(path).st_ino)
        await self._open(Listener(app, door, self._tasks), "control socket")

    def _with_tokens(
        self, app: gate.Application, listen: Address, token_file: Path | None, read_token_file: Path | None
    ) -> gate.Application:
        if token_file is None:
            raise ConfigFault(f"[control] token_file: is required with listen = {listen}")
        return gate.with_token(app, *doors.read_tokens(token_file, read_token_file))

    async def _open_tcp(self, app: gate.Application, listen: Address) -> None:
        door = await doors.bind_tcp(listen)
        try:
            await self._open(Listener(app, door, self._tasks), "control port")
        except OSError:
            door.close()
            raise
        self.address = Address(*door.getsockname()[:2])
        log.info("control: %s, with a token", self.address)

    async def _open(self, listener: Listener, name: str) -> None:
        await listener.start(name)
        self._listeners.append(listener)

    async def stop(self) -> None:
        """Safe to call twice."""
        await self.doors.close()
        await self.service.close()
        await asyncio.gather(*(listener.stop() for listener in self._listeners))
        self._listeners.clear()
        await self.service.finish()
        await self._tasks.cancel()
        if self._unix is not None:
            doors.remove_unix(*self._unix)
            self._unix = None
