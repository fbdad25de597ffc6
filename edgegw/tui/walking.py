"""What is asked before a charger is walked through: which one, how it is wired, and who does it."""

from __future__ import annotations

import getpass
import math
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Any

from textual.app import App

from edgegw.commissioning.driver import CommissioningRun
from edgegw.commissioning.plan import Plan
from edgegw.commissioning.rotation import phases_of
from edgegw.control.client import ControlClient
from edgegw.tui.dialogs import Ask

Begun = Callable[[CommissioningRun], None]
LEAST_A = 6.0  # less cannot be signalled to a car
MOST_A = 10_000.0  # as in the site file


class BeginWalk:
    """One question after the other; leaving one of them begins nothing."""

    def __init__(
        self,
        app: App[Any],
        connect: Callable[[], ControlClient],
        begun: Begun,
        wired: Collection[tuple[str, int]],
    ) -> None:
        """`wired`: charger and connector of those that are wired already, about which nothing is asked."""
        self._app = app
        self._connect = connect
        self._begun = begun
        self._wired = wired

    def ask(self, charger: str, connector: int | None) -> None:
        """`charger` "" and `connector` None: not known yet."""
        if not charger:
            hint = "Its identity, as it is set in the charger. It may knock for the first time later."
            ask = Ask("Which charger?", hint=hint, check=_is_identity)
            self._app.push_screen(ask, lambda given: self.ask(given, connector) if given else None)
        elif connector is None:
            ask = Ask(f"{charger}: which connector?", "1", check=_is_connector)
            self._app.push_screen(ask, lambda given: self.ask(charger, int(given)) if given else None)
        elif (charger, connector) in self._wired:
            self._ask_who(Plan(charger, connector))
        else:
            self._ask_phases(Plan(charger, connector))

    def _ask_phases(self, plan: Plan) -> None:
        hint = "The grid phase on its terminals L1, L2, L3, in this order. One phase only: such as L2."
        ask = Ask(f"{plan.charger}: wired to which phases?", "L1 L2 L3", hint=hint, check=_is_phases)
        self._app.push_screen(
            ask, lambda given: self._ask_max(replace(plan, phases=_phases(given))) if given else None
        )

    def _ask_max(self, plan: Plan) -> None:
        hint = "In amps per phase: the smaller of what the charger and its cable can carry."
        ask = Ask(f"{plan.charger}: how many amps at most?", "32", hint=hint, check=_is_max)
        self._app.push_screen(
            ask, lambda given: self._ask_safe(replace(plan, max_a=float(given))) if given else None
        )

    def _ask_safe(self, plan: Plan) -> None:
        hint = "In amps per phase, when nobody steers it; 0: then it does not charge."
        check = partial(_is_safe, most_a=plan.max_a or LEAST_A)
        ask = Ask(f"{plan.charger}: how many amps are safe?", "6", hint=hint, check=check)
        self._app.push_screen(
            ask, lambda given: self._ask_who(replace(plan, safe_a=float(given))) if given else None
        )

    def _ask_who(self, plan: Plan) -> None:
        ask = Ask("Who does it?", _user(), hint="This name stands in the report.")
        self._app.push_screen(ask, lambda by: self._begin(plan, by))

    def _begin(self, plan: Plan, by: str | None) -> None:
        if by is not None:
            self._begun(CommissioningRun(self._connect, plan, by=by))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return ""


def _is_identity(text: str) -> str:
    return "" if 0 < len(text) <= 48 and text.isprintable() else "1 to 48 printable characters"


def _is_connector(text: str) -> str:
    return "" if text.isascii() and text.isdigit() and 1 <= int(text) <= 1000 else "a number from 1 on"


def _phases(text: str) -> str:
    return " ".join(text.upper().replace(",", " ").split())


def _is_phases(text: str) -> str:
    names = phases_of(_phases(text))
    is_good = bool(names) and len(set(names)) == len(names)
    return "" if is_good else "grid phases in the order of the terminals, such as L1 L2 L3, or L2"


def _is_max(text: str) -> str:
    return "" if LEAST_A <= _amps(text) <= MOST_A else f"a number from {LEAST_A:g} on, such as 16 or 32"


def _is_safe(text: str, *, most_a: float) -> str:
    amps = _amps(text)
    return "" if amps == 0 or LEAST_A <= amps <= most_a else f"0, or a number from {LEAST_A:g} to {most_a:g}"


def _amps(text: str) -> float:
    """NaN for what is no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan
