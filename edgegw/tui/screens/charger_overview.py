"""The first section of a charger: all that a technician asks first, on one page."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult

from edgegw.tui.charger_words import overview
from edgegw.tui.listing import Pane
from edgegw.tui.screens.charger_panel import Panel, Seen


class OverviewPanel(Panel):
    KEY, NAME = "o", "Overview"
    ABOUT = (
        "Link: its websocket. Refused: why attempts to connect failed. Connector: status, fault and what to"
        " do, current of limit and why. Clock: how far its clock is from this box's. Queue: messages for the"
        " cloud that are kept here."
    )
    DEFAULT_CSS = "OverviewPanel > Pane { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }"

    def compose(self) -> ComposeResult:
        yield Pane()

    def see(self, seen: Seen) -> None:
        if seen.detail is not None:
            text = overview(seen.detail, seen.row, seen.now, self.size.width - 3)
        elif seen.row is None:
            text = Text("this charger is not known here (any more)", "yellow")
        else:
            text = Text("asking ...", "dim")
        self.query_one(Pane).tell(text, from_top=False)
