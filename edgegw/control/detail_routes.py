"""One charger over HTTP. Part of the routes of `control.server`, whose rules hold here too."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath

from edgegw.control import detail_models as models
from edgegw.control.answers import asker_of, json_answer, role_of, service_of
from edgegw.control.gate import OPERATOR
from edgegw.control.models import CallUnanswered

Identity = Annotated[str, InPath(description="identity of the charger, percent-encoded", max_length=48)]
Connector = Annotated[int, Query(ge=1, le=1000, description="1.6: connectorId; 2.x: EVSE")]
MaybeConnector = Annotated[int | None, Query(ge=1, le=1000, description="null: all of the charger")]
Span = Annotated[int, Query(ge=1, le=models.SPAN_S_MAX, description="how far to look, in seconds")]
Search = Annotated[str, Query(max_length=100, description="part of a name or a value, in any case")]
Fresh = Annotated[bool, Query(description="ask the charger, whatever is known already")]

_UNANSWERED: dict[int | str, dict[str, Any]] = {
    504: {"model": CallUnanswered, "description": "The charger did not answer in time"},
}

_ACTION: dict[str, Any] = {"response_model": models.ActionAnswer, "responses": _UNANSWERED}

routes = APIRouter(prefix="/chargers/{identity}")


@routes.get("/detail", response_model=models.ChargerDetail, summary="All that is known of one charger")
async def charger_detail(request: Request, identity: Identity) -> Response:
    return json_answer(await service_of(request).detail.detail(identity))


@routes.get("/profile", response_model=models.ProfileView, summary="What a connector may draw from now on")
async def charger_profile(
    request: Request, identity: Identity, connector: Connector = 1, span_s: Span = models.SPAN_DEFAULT_S
) -> Response:
    return json_answer(service_of(request).detail.profile(identity, connector, span_s))


@routes.get(
    "/settings",
    response_model=models.Settings,
    responses=_UNANSWERED,
    summary="The configuration of a charger; an operator has it asked, a reader sees what is known",
)
async def charger_settings(
    request: Request, identity: Identity, search: Search = "", fresh: Fresh = False
) -> Response:
    desk, asker, may_ask = service_of(request).settings, asker_of(request), role_of(request) == OPERATOR
    return json_answer(await desk.settings(identity, search, fresh, asker, may_ask=may_ask))


@routes.put(
    "/settings",
    response_model=models.SettingAnswer,
    responses=_UNANSWERED,
    summary="Change one key of a charger's configuration",
)
async def set_charger_setting(request: Request, identity: Identity, order: models.SetSetting) -> Response:
    return json_answer(await service_of(request).settings.set(identity, order, asker_of(request)))


# --- actions --------------------------------------------------------------------------------------


async def _act(request: Request, identity: str, order: models.Order) -> Response:
    return json_answer(await service_of(request).actions.do(identity, order, asker_of(request)))


@routes.post("/actions/reset", **_ACTION, summary="Restart a charger")
async def reset_charger(request: Request, identity: Identity, order: models.Reset) -> Response:
    return await _act(request, identity, order)


@routes.post("/actions/unlock", **_ACTION, summary="Open the lock of a plug")
async def unlock_connector(request: Request, identity: Identity, order: models.Unlock) -> Response:
    return await _act(request, identity, order)


@routes.post(
    "/actions/availability", **_ACTION, summary="Take a charger or a connector out of service, or into it"
)
async def set_availability(request: Request, identity: Identity, order: models.Availability) -> Response:
    return await _act(request, identity, order)


@routes.post("/actions/start", **_ACTION, summary="Start a transaction with a card id")
async def start_transaction(request: Request, identity: Identity, order: models.Start) -> Response:
    return await _act(request, identity, order)


@routes.post("/actions/stop", **_ACTION, summary="Stop a transaction")
async def stop_transaction(request: Request, identity: Identity, order: models.Stop) -> Response:
    return await _act(request, identity, order)


@routes.post("/actions/trigger", **_ACTION, summary="Let a charger send a message now")
async def trigger_message(request: Request, identity: Identity, order: models.Trigger) -> Response:
    return await _act(request, identity, order)


# --- bypass and limit -----------------------------------------------------------------------------


@routes.post(
    "/bypass", response_model=models.ConnectorOrders, summary="Leave it out of balancing for a while"
)
async def bypass_charger(request: Request, identity: Identity, order: models.BypassOrder) -> Response:
    return json_answer(await service_of(request).connectors.bypass(identity, order, asker_of(request)))


@routes.delete("/bypass", response_model=models.ConnectorOrders, summary="Balance it again")
async def end_bypass(request: Request, identity: Identity, connector: MaybeConnector = None) -> Response:
    return json_answer(
        await service_of(request).connectors.end("bypass", identity, connector, asker_of(request))
    )


@routes.post("/limit", response_model=models.ConnectorOrders, summary="Limit a connector for a while")
async def limit_connector(
    request: Request, identity: Identity, order: models.ConnectorLimitOrder
) -> Response:
    return json_answer(await service_of(request).connectors.limit(identity, order, asker_of(request)))


@routes.delete("/limit", response_model=models.ConnectorOrders, summary="End the limit of a connector")
async def end_connector_limit(
    request: Request, identity: Identity, connector: MaybeConnector = None
) -> Response:
    return json_answer(
        await service_of(request).connectors.end("limit", identity, connector, asker_of(request))
    )
