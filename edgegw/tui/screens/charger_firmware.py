"""Firmware of one charger: what it runs, what is meant for it, what moves; and the files it uploaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from edgegw.control.client import ControlClient, ControlFault
from edgegw.control.firmware_models import RolloutCharger, RolloutSummary, TransferView, UploadView
from edgegw.redaction import plain
from edgegw.tui.dialogs import Ask
from edgegw.tui.saving import complaint_of, save_new
from edgegw.tui.screens.charger_panel import ListPanel, Seen
from edgegw.tui.table import Column, Row
from edgegw.tui.words import age, size

AGAIN_S = 5.0
TRANSFERS_MAX = 3

Target = tuple[RolloutSummary, RolloutCharger]
Answer = tuple[tuple[Target, ...], tuple[UploadView, ...]]


class FirmwarePanel(ListPanel):
    KEY, NAME = "w", "Firmware"
    ABOUT = (
        "What it runs and what a rollout means for it; files on their way. Below: diagnostics it uploaded; d"
        " fetches new ones, enter saves one. Key 7 has the cache and all rollouts."
    )
    EMPTY = "it has uploaded nothing; d fetches its diagnostics"
    COLUMNS = (
        Column("ASKED", 5, right=True),
        Column("KIND", 11),
        Column("STATE", 10),
        Column("SIZE", 9, right=True),
        Column("FILE", 14, 2),
        Column("WHAT IT SAYS", 14, 2, rank=1),
    )
    ORDERS: ClassVar[frozenset[str]] = frozenset(("diagnostics",))
    BINDINGS: ClassVar[list[BindingType]] = [Binding("d", "diagnostics", "Fetch diagnostics")]
    DEFAULT_CSS = "FirmwarePanel > #facts { height: auto; max-height: 8; padding: 0 1 1 1; dock: top; }"

    def __init__(self) -> None:
        super().__init__()
        self._targets: tuple[Target, ...] = ()
        self._uploads: dict[str, UploadView] = {}
        self._trouble = ""
        self._now = ""

    def compose(self) -> ComposeResult:
        yield Static(id="facts")
        yield from super().compose()

    def on_mount(self) -> None:
        self.set_interval(AGAIN_S, self._ask_if_shown)

    def _ask_if_shown(self) -> None:
        if self.display and self.page.is_current and not self.page.asks(self.NAME):
            self.opened()

    def opened(self) -> None:
        identity = self.page.identity
        snapshot = self.page.console.snapshot
        running = [one for one in snapshot.rollouts.rollouts if one.state != "ended"] if snapshot else []
        self.ask(lambda client: _about(client, identity, running), self._got, self._failed)

    def _got(self, answer: Answer) -> None:
        self._targets, uploads = answer
        self._uploads = {one.order: one for one in uploads}
        self._trouble = ""
        self.redraw()

    def _failed(self, fault: ControlFault) -> None:
        self._trouble = str(fault)
        self.redraw()

    # --- drawing -----------------------------------------------------------------------------------

    def see(self, seen: Seen) -> None:
        text = Text("\n").join(self._facts(seen))
        self.query_one("#facts", Static).update(text)
        super().see(seen)

    def _facts(self, seen: Seen) -> Iterator[Text]:
        running = seen.row.firmware if seen.row is not None else ""
        yield _fact("Runs", plain(running) or "it has not said")
        for summary, one in self._targets:
            percent = f" {one.percent:.0f} %" if one.percent is not None else ""
            why = f": {plain(one.why)}" if one.why else ""
            words = (
                f"{plain(summary.version or summary.name)} by rollout {summary.id}: {one.stage}{percent}{why}"
            )
            yield _fact("Target", words, "bold red" if one.stage == "failed" else "")
        if not self._targets:
            yield _fact("Target", "no rollout means this charger", "dim")
        for file in seen.snapshot.firmware.files:
            held = next((one for one in file.holders if one.charger == seen.identity), None)
            if held is not None:
                yield _fact("Cache", f"{plain(file.name)} {plain(file.version)}: {plain(held.status)}")
        moves = [one for one in seen.snapshot.firmware.transfers if one.charger == seen.identity]
        for move in moves[:TRANSFERS_MAX]:
            yield _fact("Moves", _moved(move, seen.now))

    def rows(self, seen: Seen) -> Sequence[Row]:
        self._now = seen.now
        return [_row(key, one, seen.now) for key, one in self._uploads.items()]

    def why_empty(self, seen: Seen) -> str:
        return plain(self._trouble) or self.EMPTY

    def about(self, key: str) -> Text:
        one = self._uploads.get(key)
        if one is None:
            return Text()
        text = Text(f"{plain(one.kind)}: {plain(one.file_name) or 'no file yet'}, {one.state}\n", "bold")
        text.append(f"asked by the {one.asked_by} {age(one.created_at, self._now)} ago", "not bold")
        for words in (one.status, one.error, one.target and f"for {one.target}"):
            text.append(f"; {plain(words)}" if words else "", "not bold")
        text.append("\nenter saves it to a file" if one.available else "\nnot here (yet)", "not bold cyan")
        return text

    # --- keys --------------------------------------------------------------------------------------

    def action_diagnostics(self) -> None:
        self.page.run_action_named("diagnostics")

    def open_row(self, key: str) -> None:
        one = self._uploads.get(key)
        if one is None or not one.available:
            self.notify("this one is not here (yet)", severity="warning")
            return
        name = Path(one.file_name).name or f"{one.charger}-{one.kind}"
        question = Ask("Save as", str(Path.home() / name), check=complaint_of)
        self.app.push_screen(question, lambda target: self._save(one.order, target))

    def _save(self, order: str, target: str | None) -> None:
        if target is None:
            return
        self.notify("fetching it ...", timeout=2)
        self.page.ask(
            lambda client: save_new(target, lambda path: client.save_upload(order, path)),
            lambda words: self.notify(f"saved: {words}", markup=False),
            group="save",
        )


def _about(client: ControlClient, identity: str, running: Sequence[RolloutSummary]) -> Answer:
    """In a thread: what running rollouts mean for it, and what it uploaded."""
    targets = [
        (summary, one)
        for summary in running
        for one in client.rollout(summary.id).chargers
        if one.charger == identity
    ]
    uploads = client.uploads().uploads
    return tuple(targets), tuple(one for one in uploads if one.charger == identity)


def _fact(head: str, words: str, style: str = "") -> Text:
    text = Text(f"{head:<8}", "bold")
    text.append(words, f"not bold {style}".strip())
    return text


def _moved(move: TransferView, now: str) -> str:
    total = f" of {size(move.total_bytes)}" if move.total_bytes else ""
    way = "to it" if move.direction == "down" else "from it"
    when = f", {age(move.ended_at, now)} ago" if move.ended_at else ""
    return f"{plain(move.name)} {way} by {move.protocol}: {move.state}, {size(move.moved_bytes)}{total}{when}"


def _row(key: str, one: UploadView, now: str) -> Row:
    size_text = size(one.size_bytes) if one.size_bytes is not None else "-"
    style = "bold red" if one.state == "failed" else "green" if one.available else ""
    cells = (
        age(one.created_at, now),
        plain(one.kind),
        (one.state, style),
        size_text,
        plain(one.file_name) or "-",
        plain(one.error or one.status),
    )
    return Row(key, cells)
