"""From the file service and the rollouts to what people see: pure builders of `firmware_models`."""

from __future__ import annotations

from typing import Any

from edgegw.control import firmware_models as models
from edgegw.control.file_house import FetchSeen, FileHouse, FileSeen, SlotSeen, TransferSeen
from edgegw.control.view import utc
from edgegw.core.rollout_state import Rollout, Stage
from edgegw.runtime.log_orders import LogOrder
from edgegw.runtime.rollouts import Rollouts

HERE = frozenset({"received", "forwarding", "forwarded", "kept"})  # the upload is whole


def firmware_view(house: FileHouse) -> models.FirmwareView:
    files = sorted(house.files.values(), key=lambda file: (file.name, file.sha256))
    return models.FirmwareView(
        files=tuple(file_view(file) for file in files),
        fetching=tuple(_fetch(fetch) for fetch in house.fetching),
        transfers=tuple(_transfer(transfer) for transfer in house.transfers),
        size_bytes=sum(file.size_bytes for file in files),
    )


def file_view(file: FileSeen) -> models.FileView:
    holders = (
        models.HolderView(charger=holder.charger, status=holder.status, at=utc(holder.at))
        for holder in file.holders
    )
    return models.FileView(
        sha256=file.sha256,
        md5=file.md5,
        size_bytes=file.size_bytes,
        name=file.name,
        origin=file.origin,
        local=file.local,
        published=file.published,
        signature=file.signature,
        vendor=file.vendor,
        model=file.model,
        version=file.version,
        fetched_at=utc(file.fetched_at),
        used_at=utc(file.used_at),
        holders=tuple(holders),
    )


def _fetch(fetch: FetchSeen) -> models.FetchView:
    return models.FetchView(
        name=fetch.name,
        origin=fetch.shown,
        state=fetch.state,
        received_bytes=fetch.received_bytes,
        total_bytes=fetch.total_bytes,
        attempt=fetch.attempt,
        started_at=utc(fetch.started_at),
    )


def _transfer(transfer: TransferSeen) -> models.TransferView:
    return models.TransferView(
        charger=transfer.charger,
        name=transfer.name,
        direction=transfer.direction,
        protocol=transfer.protocol,
        state=transfer.state,
        moved_bytes=transfer.bytes_moved,
        total_bytes=transfer.total_bytes,
        started_at=utc(transfer.started_at),
        ended_at=utc(transfer.ended_at),
        peer_ip=transfer.peer_ip,
    )


# --- rollouts ---------------------------------------------------------------------------------------


def rollout_summary(rollout: Rollout) -> models.RolloutSummary:
    return models.RolloutSummary(**_summary(rollout))


def _summary(rollout: Rollout) -> dict[str, Any]:
    state = "ended" if rollout.ended else "paused" if rollout.paused else "running"
    same = ("id", "why", "sha256", "name", "vendor", "model", "version", "at_once", "only_idle", "window")
    return {
        **{name: getattr(rollout, name) for name in same},
        "state": state,
        "failures_max": rollout.failures_max,
        "created_at": utc(rollout.created_at),
        "ended_at": utc(rollout.ended_at),
        "down": rollout.down,
        "counts": {stage.value: count for stage in Stage if (count := rollout.count(stage))},
    }


def rollout_view(rollout: Rollout, rollouts: Rollouts, house: FileHouse) -> models.RolloutView:
    percents = _percents(house)
    chargers = (
        models.RolloutCharger(
            charger=identity,
            stage=member.stage.value,
            down=member.down,
            why=_why(rollout, rollouts, identity),
            percent=percents.get(member.order) if member.order else None,
        )
        for identity, member in rollout.chargers.items()
    )
    return models.RolloutView(**_summary(rollout), chargers=tuple(chargers))


def _percents(house: FileHouse) -> dict[str, float]:
    """By order, of what runs now."""
    return {
        transfer.order: round(100 * transfer.bytes_moved / transfer.total_bytes, 1)
        for transfer in house.transfers
        if transfer.state == "running" and transfer.direction == "down" and transfer.total_bytes
    }


def _why(rollout: Rollout, rollouts: Rollouts, identity: str) -> str:
    member = rollout.chargers[identity]
    if member.stage is Stage.WAITING:
        return rollouts.holds(rollout, identity) or "waits for its turn"
    return member.why or ("not back yet" if member.down and member.stage is Stage.INSTALLED else "")


# --- diagnostics ------------------------------------------------------------------------------------


def upload_view(slot: SlotSeen, asked: LogOrder | None) -> models.UploadView:
    """`asked`: the site's own order, while it is known."""
    failed = asked is not None and asked.failed and slot.state not in HERE
    return models.UploadView(
        order=slot.order,
        charger=slot.charger,
        kind=slot.kind,
        asked_by="cloud" if slot.remote_url else "site",
        state="failed" if failed else slot.state,
        status=asked.status if asked is not None else "",
        error=failure_of(asked) if failed and asked is not None else slot.error,
        file_name=slot.sent_name or slot.asked_name,
        size_bytes=slot.size_bytes or None,
        sha256=slot.sha256,
        target=slot.remote_shown,
        attempts=slot.attempts,
        created_at=utc(slot.created_at),
        received_at=utc(slot.received_at),
        available=slot.state in HERE,
    )


def failure_of(asked: LogOrder) -> str:
    return f"{asked.status}: {asked.why}" if asked.why else asked.status
