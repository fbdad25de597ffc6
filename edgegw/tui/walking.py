"""What is asked before a charger is walked through: which one, which connector, and who does it."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import Any

from textual.app import App

from edgegw.commissioning.driver import CommissioningRun
from edgegw.commissioning.plan import Plan
from edgegw.control.client import ControlClient
from edgegw.tui.dialogs import Ask

Begun = Callable[[CommissioningRun], None]


class BeginWalk:
    """One question after the other; leaving one of them begins nothing."""

    def __init__(self, app: App[Any], connect: Callable[[], ControlClient], begun: Begun) -> None:
        self._app = app
        self._connect = connect
        self._begun = begun

    def ask(self, charger: str, connector: int | None) -> None:
        """`charger` "" and `connector` None: not known yet."""
        if not charger:
            hint = "Its identity, as it is set in the charger. It may knock for the first time later."
            ask = Ask("Which charger?", hint=hint, check=_is_identity)
            self._app.push_screen(ask, lambda given: self.ask(given, connector) if given else None)
        elif connector is None:
            ask = Ask(f"{charger}: which connector?", "1", check=_is_connector)
            self._app.push_screen(ask, lambda given: self.ask(charger, int(given)) if given else None)
        else:
            ask = Ask("Who does it?", _user(), hint="This name stands in the report.")
            self._app.push_screen(ask, lambda by: self._begin(charger, connector, by))

    def _begin(self, charger: str, connector: int, by: str | None) -> None:
        if by is not None:
            self._begun(CommissioningRun(self._connect, Plan(charger, connector), by=by))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return ""


def _is_identity(text: str) -> str:
    return "" if 0 < len(text) <= 48 and text.isprintable() else "1 to 48 printable characters"


def _is_connector(text: str) -> str:
    return "" if text.isascii() and text.isdigit() and 1 <= int(text) <= 1000 else "a number from 1 on"
