"""What the local API says of firmware files, rollouts and what chargers uploaded.

Never a link with its token, never an address with its user and password.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from edgegw.control.models import Time, View
from edgegw.core.rollout_state import is_window

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Word = Annotated[str, StringConstraints(max_length=100)]
StageName = Literal[
    "waiting", "sent", "downloading", "downloaded", "installing", "installed", "failed", "skipped"
]
LogKind = Literal["diagnostics", "security"]

# --- files ------------------------------------------------------------------------------------------


class HolderView(View):
    charger: str
    status: str = Field(description="offered, downloading, downloaded, installed or failed")
    at: Time | None


class FileView(View):
    sha256: str
    md5: str
    size_bytes: int
    name: str
    origin: str = Field(description="where it came from, without user and password")
    local: bool = Field(description="a person added it here")
    published: bool = Field(description="offered to the cloud as a file of this box (OCPP 2.x L03)")
    signature: str = Field(description="none, verified or not_understood")
    vendor: str
    model: str
    version: str
    fetched_at: Time | None
    used_at: Time | None
    holders: tuple[HolderView, ...] = Field(description="which charger has it, or is getting it")


class FetchView(View):
    """One file on its way from its origin."""

    name: str
    origin: str
    state: str
    received_bytes: int
    total_bytes: int | None
    attempt: int
    started_at: Time | None


class TransferView(View):
    """One file on its way to or from a charger, or one that was lately."""

    charger: str
    name: str
    direction: Literal["down", "up"]
    protocol: str
    state: str = Field(description="running, done, cut or refused")
    moved_bytes: int
    total_bytes: int | None
    started_at: Time | None
    ended_at: Time | None
    peer_ip: str


class FirmwareView(View):
    files: tuple[FileView, ...]
    fetching: tuple[FetchView, ...]
    transfers: tuple[TransferView, ...]
    size_bytes: int = Field(description="of all files together")


class FileRemoved(View):
    sha256: str


# --- rollouts ---------------------------------------------------------------------------------------


class FileSignature(BaseModel):
    """What the maker of a firmware file signed it with; chargers with signed updates check it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    certificate: str = Field(min_length=1, max_length=5500, description="the signing certificate, PEM")
    signature: str = Field(min_length=1, max_length=800, description="of the whole file, base64")


class RolloutOrder(BaseModel):
    """Bring a file of the cache to the chargers it is for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    sha256: Sha256
    vendor: Word | None = Field(default=None, description="a glob; null: what the file says")
    model: Word | None = Field(default=None, description="a glob; null: what the file says")
    version: Word | None = Field(default=None, description="what a charger says in its boot once it runs it")
    chargers: Annotated[list[str], Field(min_length=1, max_length=10_000)] | None = Field(
        default=None, description="only these; null: all that vendor and model fit"
    )
    at_once: int = Field(default=1, ge=1, le=1000, description="chargers down at the same time, at most")
    only_idle: bool = Field(default=True, description="never one that somebody uses")
    window: str = Field(default="", description='only then, such as "22:00-05:00" by the clock of the site')
    failures_max: int = Field(default=1, ge=1, le=10_000, description="then it stops by itself")

    @field_validator("window")
    @classmethod
    def _is_window(cls, value: str) -> str:
        if not is_window(value):
            raise ValueError('must be a time of the day such as "22:00-05:00"')
        return value


class RolloutSummary(View):
    id: str
    state: Literal["running", "paused", "ended"]
    why: str = Field(description="why it is paused or ended")
    sha256: str
    name: str
    vendor: str
    model: str
    version: str
    at_once: int
    only_idle: bool
    window: str
    failures_max: int
    created_at: Time | None
    ended_at: Time | None
    down: int = Field(description="were sent the update and are not back yet")
    counts: dict[StageName, int]


class RolloutCharger(View):
    charger: str
    stage: StageName
    down: bool
    why: str = Field(description="why it failed or was skipped; of one that waits, what for")
    percent: float | None = Field(description="of the download, while it runs")


class RolloutView(RolloutSummary):
    chargers: tuple[RolloutCharger, ...]


class RolloutList(View):
    rollouts: tuple[RolloutSummary, ...]


# --- diagnostics ------------------------------------------------------------------------------------


class LogRequest(BaseModel):
    """Fetch the log of a charger for the site."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: LogKind = "diagnostics"


class UploadView(View):
    """One upload of a charger, and what became of it."""

    order: str
    charger: str
    kind: str
    asked_by: Literal["cloud", "site"]
    state: Literal["open", "receiving", "received", "forwarding", "forwarded", "kept", "failed"]
    status: str = Field(description="what the charger said last, when the site asked")
    error: str
    file_name: str = Field(description="what the charger calls it")
    size_bytes: int | None
    sha256: str
    target: str = Field(description="where the cloud wants it, without user and password")
    attempts: int = Field(description="to send it there")
    created_at: Time | None
    received_at: Time | None
    available: bool = Field(description="it is here whole and can be fetched")


class UploadList(View):
    uploads: tuple[UploadView, ...]


class UploadRemoved(View):
    order: str
