"""The first section of a charger: all that a technician asks first, on one page."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult

from edgegw.tui.charger_words import beside, overview
from edgegw.tui.listing import Pane
from edgegw.tui.screens.charger_panel import Panel, Seen


class OverviewPanel(Panel):
    KEY, NAME = "o", "Overview"
    ABOUT = (
        "Link: its websocket. Refused: why attempts to connect failed. Connector: status, fault and what to"
        " do, current of limit and why. Clock: how far its clock is from this box's. Queue: messages for the"
        " cloud that are kept here. Beside it, in a wide terminal: its limits, and what it reported last."
    )
    SCOPED_CSS = False  # it looks at the screen's class
    DEFAULT_CSS = """
    OverviewPanel > Pane { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    OverviewPanel > #beside { display: none; }
    ChargerScreen.-wide OverviewPanel { layout: horizontal; }
    ChargerScreen.-wide OverviewPanel > Pane { width: 1fr; }
    ChargerScreen.-wide OverviewPanel > #beside { display: block; border-left: solid ansi_cyan; }
    """

    def compose(self) -> ComposeResult:
        yield Pane(id="first")
        yield Pane(id="beside")

    def see(self, seen: Seen) -> None:
        first = self.query_one("#first", Pane)
        if seen.detail is not None:
            width = first.outer_size.width or self.size.width
            text = overview(seen.detail, seen.row, seen.now, width - 3)
            self.query_one("#beside", Pane).tell(beside(seen.detail, seen.now), from_top=False)
        elif seen.row is None:
            text = Text("this charger is not known here (any more)", "yellow")
        else:
            text = Text("asking ...", "dim")
        first.tell(text, from_top=False)
