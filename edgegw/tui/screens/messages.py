"""Messages: the OCPP frames of one charger or of all, as they pass and as they were recorded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from edgegw.control.client import ControlFault
from edgegw.control.frame_models import FrameList, FrameView, LegName
from edgegw.control.live_models import Snapshot
from edgegw.tui.choosing import Choose
from edgegw.tui.dialogs import Ask
from edgegw.tui.frame_log import FrameLog
from edgegw.tui.frame_words import COLUMNS, about, is_fault, key_of, pair_of, row_of, searched
from edgegw.tui.listing import or_fault
from edgegw.tui.saving import complaint_of, save_new
from edgegw.tui.table import Row, VirtualTable
from edgegw.tui.tail_screen import TailScreen
from edgegw.tui.tail_table import TailTable
from edgegw.tui.tailing import KEPT_MAX, Tail
from edgegw.tui.words import number

PAGE = 200
OLDER_FROM_ROW = 10  # so near to the top the page before is fetched
ALL = ""


class MessagesScreen(TailScreen):
    NAME = "Messages"
    ABOUT = """
What passes between chargers, this box and the cloud, the newest at
the bottom. Passwords are left out and card ids masked. "CP > box"
came from the charger, "box > cl" went to the cloud.

  !  does not fit the schema of its action (it was passed on all the same)
  x  an error answer, or no OCPP at all

What is relayed is seen twice, on the side of the charger and on that of the cloud; l shows one side.

Scrolling up goes on into what the box has recorded. The filter
looks at the whole message.
"""
    HAS_FILTER = True
    HAS_FAULTS_ONLY = True
    COLUMNS = COLUMNS
    EMPTY = "no messages yet; what passes from now on comes here"
    THINGS = "message"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "charger", "Charger"),
        Binding("l", "leg", "Side", show=False),
        Binding("e", "export", "Export"),
        Binding("o", "older", "Older messages", show=False),
    ]

    def __init__(self, charger: str | None = None) -> None:
        self.charger = charger
        super().__init__()
        self.held = FrameLog()
        self._rows: dict[int, Row] = {}
        self._wanted: dict[int, bool] = {}
        self.leg: LegName | None = None  # only this side of the box
        self._wanted_of: tuple[object, ...] = ()
        self._asks_older = False

    def watch_charger(self, charger: str | None) -> None:
        """Only this one from now on; None: all."""
        self.charger = charger
        self.held.restart()
        self._rows.clear()
        self._wanted.clear()
        self.tail = self.make_tail()
        self.paused = False
        if self.is_mounted:
            self.start_tail()
            self.redraw()

    @property
    def trail(self) -> tuple[str, ...]:
        return (self.NAME, self.charger) if self.charger else (self.NAME,)

    @property
    def marks(self) -> tuple[str, ...]:
        newer = self.held.newer
        scrolled = (f"{number(newer, 'newer message')} below, G goes there",) if newer else ()
        side = (f"only {self.leg} side",) if self.leg is not None else ()
        return (*side, *super().marks, *scrolled)

    # --- what comes --------------------------------------------------------------------------------

    def make_tail(self) -> Tail[FrameView]:
        return Tail(lambda: self.console.where.live(), lambda live: live.frames(self.charger), self._begin)

    @property
    def _follows(self) -> bool:
        return isinstance(self.table, TailTable) and self.table.follows

    def _begin(self) -> None:
        self.held.stream_began()
        self.begin()

    def ask_newest(self) -> None:
        charger = self.charger
        self.ask(
            or_fault(lambda client: client.frames(charger, limit=PAGE)), self._got_newest, group="newest"
        )

    def _got_newest(self, page: FrameList | ControlFault) -> None:
        if self.answered(page) and not self.paused:
            assert isinstance(page, FrameList)
            self.held.join(page)
            self.redraw()

    def took(self, items: list[Any], overflowed: bool) -> None:
        if overflowed:
            self.held.stream_began()
            self.ask_newest()
        self.held.add(items, stay=not self._follows)
        self.redraw()

    # --- back in time ------------------------------------------------------------------------------

    def on_virtual_table_highlighted(self, event: VirtualTable.Highlighted) -> None:
        rows = self.table.rows
        if not rows or event.key is None:
            return
        if event.key in {row.key for row in rows[:OLDER_FROM_ROW]} and len(rows) > OLDER_FROM_ROW:
            self.action_older()
        elif event.key == rows[-1].key and not self.held.is_at_end:
            self._back_to_newest()

    def action_older(self) -> None:
        """One page of the recorder."""
        before = self.held.oldest
        if before is None or not self.held.has_older or self._asks_older:
            return
        self._asks_older, charger = True, self.charger
        page = or_fault(lambda client: client.frames(charger, before=before, limit=PAGE))
        self.ask(page, self._got_older, group="older")

    def _got_older(self, page: FrameList | ControlFault) -> None:
        self._asks_older = False
        if self.answered(page):
            assert isinstance(page, FrameList)
            self.held.prepend(page)
            self.redraw()

    def _back_to_newest(self) -> None:
        self.held.restart()
        self.ask_newest()

    # --- drawing -----------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        wanted_of = (self.filter.text, self.filter.complaint, self.faults_only, self.leg)
        if wanted_of != self._wanted_of or len(self._rows) > 2 * KEPT_MAX:
            self._wanted_of = wanted_of
            self._wanted.clear()
            self._rows.clear()
        self.list_rows(
            [self._row(frame) for frame in self.held.frames if self._is_wanted(frame)], filtered=True
        )

    def _row(self, frame: FrameView) -> Row:
        row = self._rows.get(frame.n)
        if row is None:
            row = self._rows[frame.n] = row_of(frame)
        return row

    def _is_wanted(self, frame: FrameView) -> bool:
        wanted = self._wanted.get(frame.n)
        if wanted is None:
            wanted = self.leg in (None, frame.leg) and (not self.faults_only or is_fault(frame))
            wanted = wanted and (not self.filter or self.filter.takes(searched(frame, self._row(frame))))
            self._wanted[frame.n] = wanted
        return wanted

    def _frame(self, key: str) -> FrameView | None:
        return next((frame for frame in self.held.frames if key_of(frame) == key), None)

    def about(self, key: str) -> Text:
        frame = self._frame(key)
        if frame is None:
            return Text("it is not kept any more", "dim")
        return about(frame, pair_of(frame, reversed(self.held.frames)))

    def title_of(self, key: str) -> str:
        frame = self._frame(key)
        return f"{frame.charger} {frame.action}" if frame is not None else key

    # --- keys --------------------------------------------------------------------------------------

    def action_charger(self) -> None:
        snapshot = self.console.snapshot
        chargers = snapshot.chargers if snapshot is not None else ()
        choices = [
            (ALL, "all chargers", ""),
            *((row.identity, row.identity, row.verdict) for row in chargers),
        ]
        self.app.push_screen(Choose("Messages of which charger?", choices, self.charger or ALL), self._chose)

    def _chose(self, charger: str | None) -> None:
        if charger is not None and (charger or None) != self.charger:
            self.watch_charger(charger or None)

    def action_leg(self) -> None:
        """Both sides, that of the chargers, that of the cloud: what is relayed passes on both."""
        sides: tuple[LegName | None, ...] = (None, "charger", "cloud")
        self.leg = sides[(sides.index(self.leg) + 1) % len(sides)]
        self.redraw()

    def action_export(self) -> None:
        who = "".join(c for c in self.charger or "all" if c.isalnum() or c in "-_")[:40]
        name = f"~/messages-{who}-{datetime.now(UTC):%Y%m%d-%H%M%S}.ndjson"
        hint = "What is recorded of it, for people and for `edgegw replay`; card ids masked, no passwords."
        question = f"Write the messages of {self.charger or 'all chargers'} to which file?"
        self.app.push_screen(Ask(question, name, hint=hint, check=complaint_of), self._export)

    def _export(self, target: str | None) -> None:
        charger = self.charger
        if target is not None:
            self.ask(
                lambda client: save_new(target, lambda path: client.export_frames(path, charger=charger)),
                lambda words: self.notify(f"saved: {words}", markup=False),
                group="export",
            )
