"""Who ordered what, over HTTP. Part of the routes of `control.server`, whose rules hold here too."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from edgegw.control.answers import json_answer, service_of
from edgegw.control.audit_models import AuditList

ENTRIES_MAX = 1000
ROW_MAX = 2**63 - 1  # SQLite counts rows up to here

Limit = Annotated[int, Query(ge=1, le=ENTRIES_MAX, description="entries per page")]
Before = Annotated[int | None, Query(ge=1, le=ROW_MAX, description="`next_before` of the page before")]

routes = APIRouter()


@routes.get("/audit", response_model=AuditList, summary="Orders given to this box, newest first")
async def audit(request: Request, limit: Limit = 100, before: Before = None) -> Response:
    return json_answer(await service_of(request).audit.entries(limit, before))
