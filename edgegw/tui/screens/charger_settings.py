"""A charger's configuration: asked for on a key press, searched, and changed one by one.

Rule of this file: nothing is asked of the charger unless somebody wants it; while it is, one sees for how
long.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from edgegw.control.client import ControlClient, ControlFault
from edgegw.control.detail_models import SETTING_VALUE_MAX, Setting, SettingAnswer, Settings
from edgegw.redaction import plain
from edgegw.tui.dialogs import Ask
from edgegw.tui.screens.charger_panel import ListPanel, Seen
from edgegw.tui.table import Column, Row
from edgegw.tui.words import age

ASKED_FOR_MAX_S = 1800.0  # longer no charger is asked: who left so long ago got no answer
NOT_ASKED = "r asks the charger for its configuration: seconds, at some chargers a minute"


class SettingsPanel(ListPanel):
    KEY, NAME = "c", "Config"
    ABOUT = (
        "The configuration keys (OCPP 1.6) or variables (2.x) of the charger. r asks it, / searches, enter"
        " changes the one under the cursor. Before its name: '-' can only be read. Passwords are never shown."
    )
    EMPTY = NOT_ASKED
    COLUMNS = (
        Column("", 1),
        Column("NAME", 30, 2),
        Column("VALUE", 18, 2),
        Column("NOTE", 16, 3),
        Column("TYPE", 8, rank=1),
    )
    ORDERS: ClassVar[frozenset[str]] = frozenset(("read",))
    BINDINGS: ClassVar[list[BindingType]] = [Binding("r", "read", "Read from charger")]

    def __init__(self) -> None:
        super().__init__()
        self._settings: Settings | None = None
        self._asking_since: float | None = None
        self._trouble = ""

    def on_mount(self) -> None:
        self.set_interval(1.0, self._tick)

    def _tick(self) -> None:
        if self._asking_since is not None and self.display:
            self.redraw()

    # --- asking ------------------------------------------------------------------------------------

    def opened(self) -> None:
        """Who left meanwhile waits for the same answer; who only looks gets what is known."""
        console, identity = self.page.console, self.page.identity
        since = console.settings_asked.get(identity)
        is_old = since is not None and time.monotonic() - since > ASKED_FOR_MAX_S
        if since is not None and not is_old:
            self._ask(since)
        elif console.why_no_orders and self._settings is None:
            self._ask(time.monotonic())

    def action_read(self) -> None:
        if self._asking_since is None:
            self._ask(time.monotonic())

    def _ask(self, since: float) -> None:
        """The gateway asks the charger once, however many wait."""
        if self._asking_since is not None:
            return
        console, identity, fresh = self.page.console, self.page.identity, self._settings is not None
        self._asking_since, self._trouble = since, ""
        if not console.why_no_orders:
            console.settings_asked[identity] = since
        console.wait(
            self.page,
            lambda client: client.settings(identity, fresh=fresh),
            self._got,
            self._failed,
            group=self.NAME,
        )
        self.redraw()

    def _answered(self) -> None:
        self._asking_since = None
        self.page.console.settings_asked.pop(self.page.identity, None)

    def _got(self, settings: Settings) -> None:
        self._answered()
        self._settings = settings
        self.redraw()

    def _failed(self, fault: ControlFault) -> None:
        self._answered()
        self._trouble = str(fault)
        self.redraw()

    @property
    def marks(self) -> tuple[str, ...]:
        if self._asking_since is not None:
            waited_s = time.monotonic() - self._asking_since
            return (f"asking the charger ... {waited_s:.0f} s; esc: it goes on without you",)
        if self._settings is None:
            return ()
        missing = () if self._settings.complete else ("not complete",)
        return (f"told {age(self._settings.asked_at, self._now)} ago; r asks again", *missing)

    @property
    def _now(self) -> str | None:
        snapshot = self.page.console.snapshot
        return snapshot.at if snapshot is not None else None

    # --- drawing -----------------------------------------------------------------------------------

    def rows(self, seen: Seen) -> Sequence[Row]:
        return [_row(one) for one in self._settings.settings] if self._settings is not None else []

    def why_empty(self, seen: Seen) -> str:
        if self._asking_since is not None:
            return self.marks[0]
        if self._trouble:
            return f"{plain(self._trouble)}; r asks again"
        if self._settings is not None:
            return plain(self._settings.text) or "the charger told none"
        return NOT_ASKED

    def about(self, key: str) -> Text:
        one = self._setting(key)
        if one is None:
            return Text()
        text = Text(f"{plain(one.name)} ", "bold")
        text.append(
            f"= {plain(one.in_words) if one.value is not None or one.others else '(not shown)'}\n", "not bold"
        )
        text.append(self._what_may_be_done(one), "not bold cyan")
        text.append(f"; {plain(one.note)}" if one.note else "", "not bold")
        if self._settings is not None and self._settings.text:
            text.append(f"\n! {plain(self._settings.text)}", "not bold yellow")
        return text

    def _what_may_be_done(self, one: Setting) -> str:
        if one.read_only:
            return "can only be read"
        return "enter changes it" if not self.page.console.why_no_orders else "can be changed, by an operator"

    def _setting(self, name: str) -> Setting | None:
        settings = self._settings.settings if self._settings is not None else ()
        return next((one for one in settings if one.name == name), None)

    # --- changing ----------------------------------------------------------------------------------

    def open_row(self, key: str) -> None:
        one = self._setting(key)
        if one is None:
            return
        if one.read_only:
            self.notify(f"{plain(one.name)} can only be read", severity="warning", markup=False)
        elif self.page.may_order():
            question = Ask(f"{one.name} =", one.value or "", hint=one.note, check=_complaint)
            self.app.push_screen(question, partial(self._change, one))

    def _change(self, one: Setting, value: str | None) -> None:
        if value is None or value == one.value:
            return
        identity = self.page.identity
        before = f"It is {one.value!r} now. " if one.value is not None else ""
        self.page.order(
            f"Set {one.name} to {value!r} on {identity}",
            lambda client: self._set(client, identity, one.name, value),
            lambda answer: answer.text,
            confirm=f"{before}A wrong value can cut it off or stop charging; some count only after a reset.",
        )

    def _set(self, client: ControlClient, identity: str, name: str, value: str) -> SettingAnswer:
        """In a thread."""
        answer = client.set_setting(identity, name, value)
        if answer.status in ("Accepted", "RebootRequired"):
            self.app.call_from_thread(self._changed, name, value)
        return answer

    def _changed(self, name: str, value: str) -> None:
        """Until it is asked again: what it took."""
        if self._settings is None:
            return
        changed = tuple(
            one.model_copy(update={"value": value}) if one.name == name and one.value is not None else one
            for one in self._settings.settings
        )
        self._settings = self._settings.model_copy(update={"settings": changed})
        self.redraw()


def _complaint(value: str) -> str:
    return f"at most {SETTING_VALUE_MAX} characters" if len(value) > SETTING_VALUE_MAX else ""


def _row(one: Setting) -> Row:
    is_secret = one.value is None and "secret" in one.note
    value = "***" if is_secret else plain(one.in_words)
    style = "dim" if one.read_only else ""
    cells = ("-" if one.read_only else " ", (plain(one.name), style), value, plain(one.note), plain(one.type))
    return Row(one.name, cells)
