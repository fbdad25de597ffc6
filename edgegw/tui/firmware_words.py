"""Firmware files, what is on its way, and rollouts: as lines of one list, with progress bars. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from edgegw.control.firmware_models import (
    FetchView,
    FileView,
    FirmwareView,
    RolloutCharger,
    RolloutSummary,
    RolloutView,
    StageName,
    TransferView,
)
from edgegw.redaction import plain
from edgegw.tui.table import Cell, Column, Row
from edgegw.tui.words import clock, number, size

BAR = 16  # cells

COLUMNS = (
    Column("", 1),
    Column("WHAT", 8),
    Column("NAME", 18, 2),
    Column("PROGRESS", BAR + 5),
    Column("STATE", 18, 3),
    Column("SIZE", 9, right=True, rank=1),
)
CHARGER_COLUMNS = (
    Column("", 1),
    Column("CHARGER", 12, 1),
    Column("STAGE", 11),
    Column("LOADED", BAR + 5),
    Column("WHY", 20, 3),
)
_OVER: tuple[StageName, ...] = ("installed", "failed", "skipped")
_STAGES: dict[StageName, tuple[str, str]] = {
    "waiting": (".", "dim"),
    "sent": (">", "cyan"),
    "downloading": (">", "cyan"),
    "downloaded": (">", "cyan"),
    "installing": (">", "cyan"),
    "installed": ("v", "green"),
    "failed": ("x", "bold red"),
    "skipped": ("-", "dim"),
}
_STATES = {"running": (">", "bold green"), "paused": ("=", "bold yellow"), "ended": ("v", "dim")}
_TRANSFERS = {
    "running": (">", "cyan"),
    "done": ("v", "green"),
    "cut": ("x", "yellow"),
    "refused": ("x", "red"),
}


def bar(part: float | None, width: int = BAR) -> str:
    """ "████░░░░ 50%" in `width` + 5 cells; nothing while it is not known how much there is."""
    if part is None:
        return ""
    part = min(1.0, max(0.0, part))
    full = int(part * width)
    return f"{'█' * full}{'░' * (width - full)} {int(part * 100):3d}%"


def _share(moved: int, total: int | None) -> float | None:
    return moved / total if total else None


def rows_of(firmware: FirmwareView, rollouts: tuple[RolloutSummary, ...]) -> Iterator[Row]:
    """What moves comes first: rollouts that are not over, fetches, transfers, files, old rollouts."""
    yield from (rollout_row(one) for one in rollouts if one.state != "ended")
    yield from (_fetch_row(one) for one in firmware.fetching)
    yield from (_transfer_row(one) for one in firmware.transfers)
    yield from (file_row(one) for one in firmware.files)
    yield from (rollout_row(one) for one in rollouts if one.state == "ended")


# --- files and what is on its way -------------------------------------------------------------------


def file_row(file: FileView) -> Row:
    cells: tuple[Cell, ...] = (
        " ",
        "file",
        plain(f"{file.name} {file.version}"),
        "",
        _holders(file) or "no charger has it",
        size(file.size_bytes),
    )
    return Row(f"file {file.sha256}", cells)


def _holders(file: FileView) -> str:
    counts: dict[str, int] = {}
    for holder in file.holders:
        counts[holder.status] = counts.get(holder.status, 0) + 1
    return ", ".join(f"{count} {plain(status)}" for status, count in sorted(counts.items()))


def _fetch_row(fetch: FetchView) -> Row:
    more = f", attempt {fetch.attempt}" if fetch.attempt > 1 else ""
    cells: tuple[Cell, ...] = (
        (">", "cyan"),
        "fetch",
        plain(fetch.name),
        bar(_share(fetch.received_bytes, fetch.total_bytes)) or size(fetch.received_bytes),
        plain(fetch.state) + more,
        size(fetch.total_bytes) if fetch.total_bytes else "?",
    )
    return Row(f"fetch {fetch.origin} {fetch.name}", cells)


def _transfer_row(transfer: TransferView) -> Row:
    sign = _TRANSFERS.get(transfer.state, (" ", ""))
    way = "to" if transfer.direction == "down" else "from"
    cells: tuple[Cell, ...] = (
        sign,
        "transfer",
        plain(transfer.name),
        bar(_share(transfer.moved_bytes, transfer.total_bytes)) or size(transfer.moved_bytes),
        (f"{way} {plain(transfer.charger)}: {plain(transfer.state)}", sign[1]),
        size(transfer.total_bytes) if transfer.total_bytes else "?",
    )
    key = f"transfer {transfer.charger} {transfer.direction} {transfer.name} {transfer.started_at}"
    return Row(key, cells)


def about_file(file: FileView) -> Text:
    text = _facts(
        file.name,
        ("for", f"{made_for(file.vendor, file.model)}, version {file.version or '?'}"),
        ("from", "added here by a person" if file.local else file.origin),
        ("size", f"{size(file.size_bytes)}, sha256 {file.sha256[:16]}..."),
        ("signature", file.signature.replace("_", " ")),
        ("here since", file.fetched_at or "-"),
    )
    for holder in file.holders:
        text.append(f"\n{plain(holder.charger)}: {plain(holder.status)}  {clock(holder.at)}")
    return text


def made_for(vendor: str, model: str) -> str:
    return "chargers of any kind" if vendor == model == "*" else f"{vendor} {model}"


def about_fetch(fetch: FetchView) -> Text:
    total = size(fetch.total_bytes) if fetch.total_bytes else "an unknown size"
    return _facts(
        fetch.name,
        ("from", fetch.origin),
        ("here", f"{size(fetch.received_bytes)} of {total}"),
        ("state", f"{fetch.state}, attempt {fetch.attempt}, since {fetch.started_at or '-'}"),
    )


def about_transfer(transfer: TransferView) -> Text:
    total = size(transfer.total_bytes) if transfer.total_bytes else "an unknown size"
    way = "to" if transfer.direction == "down" else "from"
    return _facts(
        transfer.name,
        (way, f"{transfer.charger} at {transfer.peer_ip} by {transfer.protocol}"),
        ("moved", f"{size(transfer.moved_bytes)} of {total}"),
        ("state", f"{transfer.state}, {transfer.started_at or '-'} to {transfer.ended_at or 'now'}"),
    )


def _facts(title: str, *facts: tuple[str, str]) -> Text:
    text = Text()
    text.append(plain(title), "bold")
    for name, value in facts:
        text.append(f"\n{name:>11}  ", "cyan")
        text.append(plain(value))
    return text


# --- rollouts ---------------------------------------------------------------------------------------


def done_of(one: RolloutSummary) -> tuple[int, int]:
    """How many chargers are through, and of how many."""
    return sum(one.counts.get(stage, 0) for stage in _OVER), sum(one.counts.values())


def rollout_row(one: RolloutSummary) -> Row:
    sign, style = _STATES[one.state]
    failed = one.counts.get("failed", 0)
    if failed:
        sign, style = "x", "bold red"
    through, total = done_of(one)
    cells: tuple[Cell, ...] = (
        (sign, style),
        "rollout",
        plain(f"{one.name} {one.version}"),
        (bar(through / total if total else None), style),
        (state_words(one), style),
        f"{through} of {total}",
    )
    return Row(f"rollout {one.id}", cells)


def state_words(one: RolloutSummary) -> str:
    failed = one.counts.get("failed", 0)
    words = one.state + (f", {failed} FAILED" if failed else "") + (f", {one.down} down" if one.down else "")
    return plain(f"{words}: {one.why}" if one.why else words)


def stages_of(one: RolloutSummary) -> str:
    """ "3 waiting, 1 installing, 4 installed"."""
    return ", ".join(f"{one.counts[stage]} {stage}" for stage in _STAGES if one.counts.get(stage))


def about_rollout(one: RolloutSummary) -> Text:
    idle = "only ones that nobody uses" if one.only_idle else "in use or not"
    return _facts(
        f"{one.name} {one.version}: {state_words(one)}",
        ("chargers", stages_of(one) or "none"),
        ("for", made_for(one.vendor, one.model)),
        ("how", f"{one.at_once} at once, {idle}, window {one.window or 'any time'}"),
        ("stops", f"by itself after {number(one.failures_max, 'failure')}"),
        ("begun", f"{one.created_at or '-'}" + (f", ended {one.ended_at}" if one.ended_at else "")),
    )


def charger_row(one: RolloutCharger) -> Row:
    sign = _STAGES[one.stage]
    percent = one.percent / 100 if one.percent is not None else None
    why = "down" if one.down and not one.why else one.why
    cells: tuple[Cell, ...] = (
        sign,
        plain(one.charger),
        (one.stage, sign[1]),
        bar(percent),
        (plain(why), sign[1] if one.stage == "failed" else ""),
    )
    return Row(one.charger, cells)


def in_order(rollout: RolloutView) -> list[RolloutCharger]:
    """Failed ones first, then what moves, then what waits, then what is done."""
    order = {"failed": 0, "waiting": 2, "installed": 3, "skipped": 4}
    return sorted(rollout.chargers, key=lambda one: (order.get(one.stage, 1), one.charger))
