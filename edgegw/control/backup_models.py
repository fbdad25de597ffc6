"""What the local API says of backups. The rules are those of `control.models`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from edgegw.control.models import Time, View

Phase = Literal["copying", "hashing"]


class BackupOrder(BaseModel):
    """What is to be in it beside the journal, the site file and the list of firmware."""

    model_config = ConfigDict(extra="forbid", strict=True)

    telemetry: bool = Field(default=False, description="orders, events and recorded frames: telemetry.db too")


class BackupProgress(View):
    """Event `progress`."""

    phase: Phase
    done_bytes: int
    total_bytes: int


class BackupReady(View):
    """Event `ready`, the last one. The archive waits for a few minutes to be fetched, once."""

    id: str = Field(description="for /v1/backup/{id}; nobody else is told")
    name: str = Field(description="of the file, as it may be called")
    size_bytes: int
    made_at: Time
    messages: int = Field(description="rows of the journal in it")
    transactions: int
