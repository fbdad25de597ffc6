"""Firmware, rollouts, diagnostics over HTTP. Part of the routes of `control.server`, whose rules hold here.

Two routes carry files: a body of any length goes to disk as it comes (`control.gate` knows the exception),
and what a charger uploaded is handed out as bytes that no browser takes for anything else.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from edgegw.control import firmware_models as models
from edgegw.control.answers import asker_of, json_answer, operators_only, service_of
from edgegw.control.diagnostics_desk import FileToSend
from edgegw.control.problem import Problem

Identity = Annotated[str, InPath(description="identity of the charger, percent-encoded", max_length=48)]
Sha256 = Annotated[models.Sha256, InPath(description="of the file, in full")]
Order = Annotated[str, InPath(description="of the upload, percent-encoded", max_length=100)]
RolloutId = Annotated[str, InPath(max_length=20)]
Word = Annotated[str, Query(max_length=100)]

_BYTES: dict[str, Any] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_FILE_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": _BYTES}}
_FILE_ANSWER: dict[int | str, dict[str, Any]] = {200: {"content": _BYTES, "description": "The file"}}

routes = APIRouter()


class _Sent(StreamingResponse):
    """Closes its file however the sending ends, also when it never began."""

    def __init__(self, file: FileToSend, headers: dict[str, str]) -> None:
        super().__init__(file.blocks, headers=headers, media_type="application/octet-stream")
        self._close = file.close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()


# --- firmware ---------------------------------------------------------------------------------------


@routes.get("/firmware", response_model=models.FirmwareView, summary="Firmware here, and on its way")
async def firmware(request: Request) -> Response:
    return json_answer(service_of(request).firmware.firmware())


@routes.post(
    "/firmware/files",
    response_model=models.FileView,
    status_code=201,
    summary="Add a firmware file",
    openapi_extra=_FILE_BODY,
)
async def add_firmware(
    request: Request,
    name: Annotated[str, Query(min_length=1, max_length=255)],
    vendor: Word = "",
    model: Word = "",
    version: Word = "",
) -> Response:
    try:
        added = await service_of(request).firmware.add(
            request.stream(),
            _length(request),
            name=name,
            vendor=vendor,
            model=model,
            version=version,
            asker=asker_of(request),
        )
    except ClientDisconnect as cut:
        raise Problem(400, "cut", "the file did not come whole") from cut
    return json_answer(added, 201)


@routes.delete(
    "/firmware/files/{sha256}", response_model=models.FileRemoved, summary="Remove a firmware file"
)
async def remove_firmware(request: Request, sha256: Sha256) -> Response:
    return json_answer(await service_of(request).firmware.remove(sha256, asker_of(request)))


@routes.put(
    "/firmware/files/{sha256}/signature",
    response_model=models.FileView,
    summary="Keep the signature of a firmware file with it",
)
async def sign_firmware(request: Request, sha256: Sha256, signed: models.FileSignature) -> Response:
    return json_answer(await service_of(request).firmware.sign(sha256, signed, asker_of(request)))


@routes.get("/firmware/rollouts", response_model=models.RolloutList, summary="Rollouts, newest first")
async def rollouts(request: Request) -> Response:
    return json_answer(service_of(request).firmware.rollouts())


@routes.post(
    "/firmware/rollouts",
    response_model=models.RolloutView,
    status_code=201,
    summary="Bring a firmware file to chargers",
)
async def begin_rollout(request: Request, order: models.RolloutOrder) -> Response:
    return json_answer(await service_of(request).firmware.begin(order, asker_of(request)), 201)


@routes.get("/firmware/rollouts/{rollout_id}", response_model=models.RolloutView, summary="One rollout")
async def rollout(request: Request, rollout_id: RolloutId) -> Response:
    return json_answer(service_of(request).firmware.rollout(rollout_id))


@routes.post(
    "/firmware/rollouts/{rollout_id}/pause",
    response_model=models.RolloutView,
    summary="Send it to no further charger for now",
)
async def pause_rollout(request: Request, rollout_id: RolloutId) -> Response:
    return json_answer(await service_of(request).firmware.pause(rollout_id, asker_of(request)))


@routes.post(
    "/firmware/rollouts/{rollout_id}/resume", response_model=models.RolloutView, summary="Let it go on"
)
async def resume_rollout(request: Request, rollout_id: RolloutId) -> Response:
    return json_answer(await service_of(request).firmware.resume(rollout_id, asker_of(request)))


@routes.post(
    "/firmware/rollouts/{rollout_id}/stop",
    response_model=models.RolloutView,
    summary="End it; again: those that never came back no longer count as down",
)
async def stop_rollout(request: Request, rollout_id: RolloutId) -> Response:
    return json_answer(await service_of(request).firmware.stop(rollout_id, asker_of(request)))


# --- diagnostics ------------------------------------------------------------------------------------


@routes.get("/diagnostics", response_model=models.UploadList, summary="What chargers uploaded, newest first")
async def diagnostics(request: Request) -> Response:
    return json_answer(service_of(request).diagnostics.uploads())


@routes.post(
    "/chargers/{identity}/diagnostics",
    response_model=models.UploadView,
    status_code=202,
    summary="Fetch the log of a charger for the site",
)
async def ask_diagnostics(request: Request, identity: Identity, order: models.LogRequest) -> Response:
    return json_answer(
        await service_of(request).diagnostics.ask(identity, order.kind, asker_of(request)), 202
    )


@routes.get("/diagnostics/{order}", response_model=models.UploadView, summary="One upload")
async def upload(request: Request, order: Order) -> Response:
    return json_answer(service_of(request).diagnostics.upload(order))


@routes.get("/diagnostics/{order}/file", responses=_FILE_ANSWER, summary="The file of an upload")
async def uploaded_file(request: Request, order: Order) -> Response:
    operators_only(request, "what a charger wrote, which may hold card ids and passwords,")
    file = await service_of(request).diagnostics.file(order)
    headers = {
        "content-length": str(file.size_bytes),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
        "x-content-type-options": "nosniff",  # a charger wrote it
    }
    return _Sent(file, headers)


@routes.delete("/diagnostics/{order}", response_model=models.UploadRemoved, summary="Remove an upload")
async def remove_upload(
    request: Request,
    order: Order,
    force: Annotated[bool, Query(description="also one that the cloud still waits for")] = False,
) -> Response:
    removed = await service_of(request).diagnostics.remove(order, force=force, asker=asker_of(request))
    return json_answer(removed)


def _length(request: Request) -> int | None:
    """As announced; the HTTP parser has made sure that it is a number."""
    text = request.headers.get("content-length")
    return int(text) if text is not None and text.isdecimal() else None
