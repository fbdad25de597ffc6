"""Backups over HTTP. Part of the routes of `control.server`, whose rules hold here.

Making one is an order and takes a while: the answer is a stream of events, and whoever stops reading ends the
work. The archive itself is fetched with the id that only they were told.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Path as InPath
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from edgegw.control.answers import asker_of, operators_only, service_of
from edgegw.control.backup_desk import BackupDesk, Made
from edgegw.control.backup_models import BackupOrder

BackupId = Annotated[str, InPath(description="as event `ready` named it", pattern="^[0-9a-f]{32}$")]

_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "Events `progress` (BackupProgress), at last `ready` (BackupReady) or `failed`",
    }
}
_ARCHIVE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"application/x-tar": {"schema": {"type": "string", "format": "binary"}}},
        "description": "The archive: manifest.json first, which names all others with their SHA-256",
    }
}

routes = APIRouter()


class _Archive(StreamingResponse):
    """Tells the desk however the sending ends, also when it never began."""

    def __init__(self, desk: BackupDesk, backup_id: str) -> None:
        made, blocks = desk.take(backup_id)
        super().__init__(blocks, headers=_headers(made), media_type="application/x-tar")
        self._desk, self._made = desk, made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._desk.done(self._made)


def _headers(made: Made) -> dict[str, str]:
    return {"content-length": str(made.size_bytes), "cache-control": "no-store"}


@routes.post(
    "/backup", responses=_EVENTS, summary="Copy the store of the running box", response_class=Response
)
async def make_backup(request: Request, order: BackupOrder) -> Response:
    events = service_of(request).backups.make(order, asker_of(request))
    return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-store"})


@routes.get(
    "/backup/{backup_id}", responses=_ARCHIVE, summary="Fetch the archive, once", response_class=Response
)
async def fetch_backup(request: Request, backup_id: BackupId) -> Response:
    operators_only(request, "a backup, which holds card ids as they are,")
    return _Archive(service_of(request).backups, backup_id)
