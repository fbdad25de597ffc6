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
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request, Response, Security
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from edgegw import __version__
from edgegw.alarms.watch import AlarmWatch
from edgegw.config_values import Address
from edgegw.control import (
    alarm_routes,
    audit_gate,
    audit_routes,
    doors,
    event_routes,
    firmware_routes,
    gate,
    metrics_routes,
    models,
    power_models,
    probe_routes,
)
from edgegw.control.file_house import FileRooms
from edgegw.control.listener import Listener
from edgegw.control.metrics_sources import MeterSource, MqttSource
from edgegw.control.problem import Problem
from edgegw.control.service import Service
from edgegw.errors import ConfigFault, StoreFault
from edgegw.runtime.audit import AuditBook
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.loop_lag import LoopLag
from edgegw.runtime.tasks import Tasks
from edgegw.store.journal import Journal

log = logging.getLogger("edgegw.control")

PAGE_MAX = 1000

Identity = Annotated[str, InPath(description="identity of the charger, percent-encoded", max_length=48)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="rows per page")]
Before = Annotated[int | None, Query(ge=1, description="`next_before` of the page before")]
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


def _json(model: BaseModel, status: int = 200) -> Response:
    """The model is valid already; going through the framework would check it a second time."""
    return Response(model.model_dump_json(), status, media_type="application/json")


def _service(request: Request) -> Service:
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


def _asker(request: Request) -> str:
    client = request.client
    return f"{client.host}:{client.port}" if client and client.port else "the control socket"


# --- routes ---------------------------------------------------------------------------------------


@open_routes.get("/health", response_model=models.Health, summary="Is the box all right?")
async def health(request: Request) -> Response:
    return _json(await _service(request).health())


@routes.get("/site", response_model=models.SiteView, summary="The site at a glance")
async def site(request: Request) -> Response:
    return _json(await _service(request).site())


@routes.get("/chargers", response_model=models.ChargerList, summary="All chargers")
async def chargers(request: Request) -> Response:
    return _json(await _service(request).chargers())


@routes.get("/chargers/{identity}", response_model=models.ChargerView, summary="One charger")
async def charger(request: Request, identity: Identity) -> Response:
    return _json(await _service(request).charger(identity))


@routes.get(
    "/chargers/{identity}/quarantine",
    response_model=models.Quarantine,
    summary="Messages that were no OCPP-J and were refused",
)
async def quarantine(request: Request, identity: Identity) -> Response:
    return _json(await _service(request).quarantine(identity))


@routes.post(
    "/chargers/{identity}/call",
    response_model=models.CallAnswer,
    responses=_UNANSWERED,
    summary="Send a CALL to a charger and wait for its answer",
)
async def call(request: Request, identity: Identity, order: models.CallRequest) -> Response:
    return _json(await _service(request).call(identity, order, _asker(request)))


@routes.get("/transactions", response_model=models.TransactionList, summary="Transactions, newest first")
async def transactions(
    request: Request,
    charger: ByCharger = None,
    running: bool | None = None,
    limit: Limit = 100,
    before: Before = None,
) -> Response:
    return _json(await _service(request).transactions(charger, running, limit, before))


@routes.get(
    "/transactions/{charger}/{transaction_id:path}",
    response_model=models.TransactionView,
    summary="One transaction, with its whole card id",
)
async def transaction(request: Request, charger: str, transaction_id: str) -> Response:
    return _json(await _service(request).transaction(charger, transaction_id))


@routes.get("/queue", response_model=models.QueueView, summary="What waits for the cloud, by charger")
async def queue(request: Request) -> Response:
    return _json(await _service(request).queue())


@routes.get("/queue/rows", response_model=models.QueueRows, summary="Kept messages, newest first")
async def queue_rows(
    request: Request,
    state: models.QueueState | None = None,
    charger: ByCharger = None,
    limit: Limit = 100,
    before: Before = None,
    raw: bool = False,
) -> Response:
    return _json(await _service(request).queue_rows(state, charger, limit, before, raw))


@routes.post("/queue/resend", response_model=models.Resent, summary="Send parked messages again")
async def resend(request: Request, order: models.Resend) -> Response:
    return _json(await _service(request).resend(order, _asker(request)))


@routes.get("/power", response_model=power_models.PowerView, summary="Who may draw what, and why")
async def power(request: Request) -> Response:
    return _json(_service(request).power.view())


@routes.post("/limits", response_model=power_models.PowerView, summary="Lower a circuit below its fuse")
async def set_limit(request: Request, order: power_models.LimitOrder) -> Response:
    return _json(_service(request).power.set_limit(order, _asker(request)))


@routes.delete("/limits", response_model=power_models.LimitCleared, summary="Clear limits that were set")
async def clear_limits(request: Request, which: Annotated[power_models.LimitsToClear, Query()]) -> Response:
    return _json(_service(request).power.clear_limits(which.circuit, which.source, _asker(request)))


routes.include_router(alarm_routes.routes)
routes.include_router(audit_routes.routes)
routes.include_router(event_routes.routes)
routes.include_router(firmware_routes.routes)


# --- refusals -------------------------------------------------------------------------------------


def _refusal(status: int, code: str, text: str) -> Response:
    return _json(models.ErrorBody(error=models.ErrorText(code=code, text=text)), status)


async def _on_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    if problem.outcome is None:
        return _refusal(problem.status, problem.code, problem.text)
    error = models.ErrorText(code=problem.code, text=problem.text)
    return _json(models.CallUnanswered(error=error, outcome=problem.outcome), problem.status)


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

    def __init__(
        self,
        gateway: Gateway,
        journal: Journal,
        *,
        site_id: str,
        site_name: str = "",
        started_at: float,
        catalogue_folder: Path | None = None,
        files: FileRooms | None = None,
        alarms: AlarmWatch | None = None,
        audit: AuditBook | None = None,
        lag: LoopLag | None = None,
        mqtt: MqttSource | None = None,
        meters: MeterSource | None = None,
        door_is_open: Callable[[], bool] | None = None,
    ) -> None:
        """`started_at` is the wall clock in seconds since 1970. Raises SiteFileFault (the catalogue).

        What is None is not there: no book of orders, no metrics of the loop, of the broker, of polls.
        """
        self._audit = audit
        self._service = Service(
            gateway,
            journal,
            site_id=site_id,
            site_name=site_name,
            started_at=started_at,
            catalogue_folder=catalogue_folder,
            files=files,
            alarms=alarms,
            audit=audit,
            lag=lag,
            mqtt=mqtt,
            meters=meters,
            door_is_open=door_is_open,
        )
        self._listeners: list[Listener] = []
        self._tasks = Tasks()
        self._unix: tuple[Path, int] | None = None
        self.address: Address | None = None  # the loopback door, once it is open

    @property
    def service(self) -> Service:
        """What the API does, for who takes orders at another door."""
        return self._service

    async def start(
        self, socket: Path | None, listen: Address | None = None, token_file: Path | None = None
    ) -> None:
        """Open the Unix socket, and the loopback port with the token of `token_file`. Raises ConfigFault."""
        app = gate.limited(build(self._service))
        if self._audit is not None:
            app = audit_gate.audited(app, self._audit)
        try:
            if socket is not None:
                await self._open_unix(app, socket)
            if listen is not None:
                await self._open_tcp(app, listen, token_file)
        except BaseException:
            await self.stop()
            raise

    async def _open_unix(self, app: gate.Application, path: Path) -> None:
        door = doors.bind_unix(path)
        self._unix = (path, os.lstat(path).st_ino)
        await self._open(Listener(app, door, self._tasks), "control socket")

    async def _open_tcp(self, app: gate.Application, listen: Address, token_file: Path | None) -> None:
        if token_file is None:
            raise ConfigFault(f"[control] token_file: is required with listen = {listen}")
        token = doors.read_token(token_file)
        door = await doors.bind_tcp(listen)
        self.address = Address(*door.getsockname()[:2])
        await self._open(Listener(gate.with_token(app, token), door, self._tasks), "control port")
        log.info("control: %s, with a token", self.address)

    async def _open(self, listener: Listener, name: str) -> None:
        self._listeners.append(listener)
        await listener.start(name)

    async def stop(self) -> None:
        """Safe to call twice."""
        await self._service.close()
        await asyncio.gather(*(listener.stop() for listener in self._listeners))
        self._listeners.clear()
        await self._service.finish()
        await self._tasks.cancel()
        if self._unix is not None:
            doors.remove_unix(*self._unix)
            self._unix = None
