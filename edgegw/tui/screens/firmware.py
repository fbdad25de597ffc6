"""Firmware: files kept here, what is on its way, rollouts; starting, holding and ending one."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from pydantic import ValidationError
from rich.text import Text
from textual.binding import Binding, BindingType

from edgegw.control.firmware_models import FetchView, FileView, RolloutOrder, RolloutSummary, TransferView
from edgegw.control.live_models import Snapshot
from edgegw.tui.adding import AddFirmware
from edgegw.tui.dialogs import Ask
from edgegw.tui.firmware_words import (
    COLUMNS,
    about_fetch,
    about_file,
    about_rollout,
    about_transfer,
    made_for,
    rows_of,
)
from edgegw.tui.listing import ListScreen
from edgegw.tui.rollout_orders import hold_or_go_on, stop
from edgegw.tui.screens.rollout import RolloutScreen
from edgegw.tui.words import number

Thing = FileView | FetchView | TransferView | RolloutSummary


class FirmwareScreen(ListScreen):
    NAME = "Firmware"
    ABOUT = """
Rollouts that run, files on their way here (fetch) and to or from
chargers (transfer), files that are kept here, and rollouts that are
over.

  >  runs   =  is paused   x  something failed   v  done

n on a file brings it to the chargers that it is for: it asks how
many at once and at which time of the day. Enter on a rollout shows
it charger by charger. a adds a file from this machine.
"""
    HAS_FILTER = True
    COLUMNS = COLUMNS
    EMPTY = "no firmware is kept here; a adds a file, and what the cloud orders comes by itself"
    ORDERS: ClassVar[frozenset[str]] = frozenset(("begin", "hold", "stop", "add"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "begin", "Roll out"),
        Binding("p", "hold", "Pause"),
        Binding("s", "stop", "Stop"),
        Binding("a", "add", "Add"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._things: dict[str, Thing] = {}

    # --- drawing -----------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        firmware, rollouts = snapshot.firmware, snapshot.rollouts.rollouts
        rows = list(rows_of(firmware, rollouts))
        things: list[Thing] = [
            *(one for one in rollouts if one.state != "ended"),
            *firmware.fetching,
            *firmware.transfers,
            *firmware.files,
            *(one for one in rollouts if one.state == "ended"),
        ]
        self._things = {row.key: thing for row, thing in zip(rows, things, strict=True)}
        self.list_rows(rows)

    def about(self, key: str) -> Text:
        match self._things.get(key):
            case FileView() as file:
                return about_file(file)
            case FetchView() as fetch:
                return about_fetch(fetch)
            case TransferView() as transfer:
                return about_transfer(transfer)
            case RolloutSummary() as rollout:
                return about_rollout(rollout)
        return Text()

    def title_of(self, key: str) -> str:
        thing = self._things.get(key)
        return thing.name if thing is not None else key

    def opened(self, key: str) -> None:
        thing = self._things.get(key)
        if isinstance(thing, RolloutSummary):
            self.app.push_screen(RolloutScreen(thing))
        else:
            super().opened(key)

    # --- keys --------------------------------------------------------------------------------------

    def _highlighted(self) -> Thing | None:
        return self._things.get(self.table.key or "")

    def action_hold(self) -> None:
        hold_or_go_on(self, self._highlighted_rollout())

    def action_stop(self) -> None:
        stop(self, self._highlighted_rollout())

    def _highlighted_rollout(self) -> RolloutSummary | None:
        thing = self._highlighted()
        return thing if isinstance(thing, RolloutSummary) else None

    def action_begin(self) -> None:
        """How many at once, then when, then whether it is really meant."""
        file = self._highlighted()
        if not self.may_order():
            return
        if not isinstance(file, FileView):
            self.notify("put the cursor on a file that is kept here; a adds one")
            return
        how_many = Ask(
            f"{file.name}: how many chargers at once?",
            "1",
            hint="So many are down at the same time, at most.",
            check=_is_number,
        )
        self.app.push_screen(how_many, lambda at_once: self._ask_window(file, at_once))

    def _ask_window(self, file: FileView, at_once: str | None) -> None:
        if at_once is None:
            return
        when = Ask(
            f"{file.name}: at which time of the day?",
            hint="Such as 22:00-05:00 by the clock of the site; empty: at any time.",
            check=lambda text: _complaint_of(lambda: _order(file, at_once, text)),
        )
        self.app.push_screen(when, lambda window: self._begin(file, at_once, window))

    def _begin(self, file: FileView, at_once: str, window: str | None) -> None:
        if window is None:
            return
        order = _order(file, at_once, window)
        when = f"between {window}" if window else "from now on"
        self.order(
            f"Bring {file.name} {file.version} to {made_for(file.vendor, file.model)}",
            lambda client: client.begin_rollout(order),
            lambda begun: f"rollout {begun.id} of {number(len(begun.chargers), 'charger')} begun",
            confirm=(
                f"All chargers that it fits, {order.at_once} at once, {when}, only ones that nobody uses. "
                "It stops by itself when one fails. A charger is out of service while it installs."
            ),
        )

    def action_add(self) -> None:
        if self.may_order():
            AddFirmware(self).begin()


def _order(file: FileView, at_once: str, window: str) -> RolloutOrder:
    return RolloutOrder(sha256=file.sha256, at_once=int(at_once), window=window)


def _is_number(text: str) -> str:
    return "" if text.isascii() and text.isdigit() and 1 <= int(text) <= 1000 else "a number from 1 to 1000"


def _complaint_of(make: Callable[[], RolloutOrder]) -> str:
    try:
        make()
    except ValidationError:
        return 'a time of the day such as "22:00-05:00", or nothing'
    return ""
