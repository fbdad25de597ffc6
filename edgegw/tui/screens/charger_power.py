"""What a connector may draw in the next hours and what binds it, and what the charger said to its limits."""

from __future__ import annotations

from datetime import datetime, timedelta
from textwrap import wrap
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from edgegw.control.client import ControlFault
from edgegw.control.detail_models import ProfileAnswer, ProfileView
from edgegw.redaction import plain
from edgegw.tui.charger_words import power_lines
from edgegw.tui.listing import Pane
from edgegw.tui.plot import Curve, Frame, Plot
from edgegw.tui.screens.charger_panel import Panel, Seen
from edgegw.tui.words import age, amps, span

AGAIN_S = 10.0
SPANS_S = (14_400, 86_400)
STEP_END_S = 0.001  # a step's line goes straight up


class PowerPanel(Panel):
    KEY, NAME = "p", "Power"
    ABOUT = (
        "The line is what the connector may draw from now on, per phase: the lowest of what the site gives,"
        " what the cloud's profiles allow, and its own maximum. Below it what binds it when, and what the"
        " charger answered to the limits it was told."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "connector", "Next connector"),
        Binding("s", "span", "4 h/24 h"),
    ]
    DEFAULT_CSS = """
    PowerPanel #title { height: 1; padding: 0 1; }
    PowerPanel > Plot { height: 40%; min-height: 5; }
    PowerPanel > Pane { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._place = 0
        self._span = 0
        self._profile: ProfileView | None = None
        self._trouble = ""
        self._connectors: tuple[int, ...] = ()

    def compose(self) -> ComposeResult:
        yield Static(id="title")
        yield Plot()
        yield Pane()

    def on_mount(self) -> None:
        self.set_interval(AGAIN_S, self._ask_if_shown)

    def opened(self) -> None:
        self._ask()

    def _ask_if_shown(self) -> None:
        if self.display and self.page.is_current and not self.page.asks(self.NAME):
            self._ask()

    def _ask(self) -> None:
        if self._connectors:
            identity, connector = self.page.identity, self._connector
            span_s = SPANS_S[self._span]
            self.ask(lambda c: c.profile(identity, connector, span_s), self._got, self._failed)

    @property
    def _connector(self) -> int:
        return self._connectors[self._place % len(self._connectors)]

    def _got(self, profile: ProfileView) -> None:
        self._profile, self._trouble = profile, ""
        self.redraw()

    def _failed(self, fault: ControlFault) -> None:
        self._trouble = str(fault)
        self.redraw()

    # --- drawing -----------------------------------------------------------------------------------

    def see(self, seen: Seen) -> None:
        if seen.detail is None:
            return
        connectors = tuple(one.connector for one in seen.detail.power)
        is_new, self._connectors = connectors != self._connectors, connectors
        if not connectors:
            self.query_one(Plot).show(
                (), Frame(0, 0), " this charger is not balanced: no [[connector]] names it"
            )
        else:
            self._show_profile()
        if is_new and connectors:
            self._ask()
        text = self._steps(seen.now)
        text.append_text(power_lines(seen.detail.power))
        text.append_text(answers(seen.detail.profile_answers, seen.now))
        self.query_one(Pane).tell(text, from_top=False)

    def _show_profile(self) -> None:
        profile = self._profile
        title = Text("Connector ", "bold")
        title.append(f"{self._connector} of {len(self._connectors)}")
        title.append(f", next {SPANS_S[self._span] // 3600} h, A per phase")
        self.query_one("#title", Static).update(title)
        if self._trouble or profile is None or profile.connector != self._connector:
            self.query_one(Plot).show((), Frame(0, 0), f" {plain(self._trouble) or 'asking ...'}")
        else:
            self.query_one(Plot).show((curve_of(profile),), frame_of(profile))

    def _steps(self, now: str) -> Text:
        text = Text()
        profile = self._profile
        for step in profile.steps if profile is not None and not self._trouble else ():
            text.append(f"{_when(step.from_s, now):<15}", "bold")
            head = 15 + 9
            lines = wrap(plain(step.binds), max(20, self.app.size.width - 3 - head)) or [""]
            text.append(f"{amps(step.limit_a):>5} A  " + f"\n{' ' * head}".join(lines) + "\n")
        return text

    # --- keys --------------------------------------------------------------------------------------

    def action_connector(self) -> None:
        self._place += 1
        self._ask()
        self.redraw()

    def action_span(self) -> None:
        self._span = (self._span + 1) % len(SPANS_S)
        self._ask()
        self.redraw()


def curve_of(profile: ProfileView) -> Curve:
    points: list[tuple[float, float | None]] = []
    for step in profile.steps:
        points.append((step.from_s, step.limit_a))
    return Curve("A", "green", tuple(points))


def frame_of(profile: ProfileView) -> Frame:
    hours = profile.span_s / 3600
    return Frame(0.0, float(profile.span_s), labels=("now", f"+{hours / 2:g} h", f"+{hours:g} h"))


def answers(given: tuple[ProfileAnswer, ...], now: str) -> Text:
    text = Text("It answered to its limits\n" if given else "It was told no limit yet\n", "bold")
    for one in given:
        is_good = one.answer == "Accepted"
        limit = f"{amps(one.limit_a)} A" if one.limit_a is not None else "no limit"
        what = "one taken away" if one.method == "clear" else f"{limit} by {plain(one.method)}"
        text.append(f"{age(one.at, now):>5} ago  connector {one.connector}  {what}: ", "not bold")
        text.append(
            f"{'' if is_good else 'x '}{plain(one.answer)}\n", "not bold green" if is_good else "bold red"
        )
    text.rstrip()
    return text


def _when(from_s: float, now: str) -> str:
    if from_s <= 0:
        return "now"
    at = datetime.fromisoformat(now) + timedelta(seconds=from_s)
    return f"{at:%H:%M}Z (+{span(from_s)})"
