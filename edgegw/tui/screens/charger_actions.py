"""What may be ordered of a charger: each with what it does to people, asked before.

Rules of this file:
- The consequence is said of what runs now: who charges, and what becomes of it.
- The answer is the charger's, in words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

from edgegw.control.client import ControlClient
from edgegw.control.detail_models import (
    BYPASS_DEFAULT_S,
    ActionAnswer,
    ConnectorOrders,
    ConnectorOrderView,
    TriggerName,
)
from edgegw.control.models import TransactionView
from edgegw.redaction import plain
from edgegw.tui.choosing import Choose
from edgegw.tui.dialogs import Ask
from edgegw.tui.screens.charger_panel import Seen
from edgegw.tui.words import amps, energy, number, span

LIMIT_A_MAX = 10_000.0
LIMIT_S = 3600.0

Order = Callable[..., None]  # as `ConsoleScreen.order`
Carry = Callable[[ControlClient], Any]

TRIGGER_WORDS = {
    "StatusNotification": "the status of its connectors",
    "MeterValues": "what its meter shows",
    "BootNotification": "who it is; some chargers really reboot",
    "Heartbeat": "a sign of life",
    "FirmwareStatusNotification": "how far its update is",
    "DiagnosticsStatusNotification": "how far its upload is (1.6)",
    "LogStatusNotification": "how far its upload is",
    "TransactionEvent": "the running transaction (2.x)",
}


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    words: str
    about: str


ACTIONS = (
    Action("trigger", "Trigger a message", "lets it say its status, meter, boot ... now; harmless"),
    Action("reset", "Reset, soft", "it boots anew, in order"),
    Action("hard_reset", "Reset, hard", "it boots anew, at once"),
    Action("unlock", "Unlock a connector", "opens the lock, for a cable that is stuck"),
    Action("out_of_service", "Take out of service", "nobody can charge until it is put back"),
    Action("in_service", "Put into service", "everybody can charge there"),
    Action("start", "Start charging", "with a card id"),
    Action("stop", "Stop charging", "of a running transaction"),
    Action("limit", "Limit it for 1 h", "at most so many amps"),
    Action("unlimit", "End its limit", "back to what the site gives"),
    Action("bypass", "Leave out for 30 min", "of balancing: it may draw its maximum"),
    Action("end_bypass", "End leaving out", "balance it again"),
    Action("diagnostics", "Fetch diagnostics", "it uploads its log to this box"),
)


class Actions:
    """Asks what is needed, then orders. `push`: put a question in front."""

    def __init__(
        self, identity: str, push: Callable[..., Any], order: Order, tell: Callable[[str], None]
    ) -> None:
        self._identity = identity
        self._push = push
        self._order_it = order
        self._tell = tell
        self._seen: Seen | None = None

    def choose(self, seen: Seen) -> None:
        choices = [(one.name, one.words, one.about) for one in ACTIONS]
        self._push(Choose(f"What should {self._identity} do?", choices), partial(self._chosen, seen))

    def _chosen(self, seen: Seen, name: str | None) -> None:
        if name is not None:
            self.run(name, seen)

    def run(self, name: str, seen: Seen) -> None:
        self._seen = seen
        getattr(self, f"_{name}")(seen)

    # --- each action -------------------------------------------------------------------------------

    def _trigger(self, seen: Seen) -> None:
        choices = [(name, name, TRIGGER_WORDS.get(name, "")) for name in get_args(TriggerName)]
        choices.sort(key=lambda one: list(TRIGGER_WORDS).index(one[0]))
        self._push(Choose("Which message?", choices), self._triggered)

    def _triggered(self, message: Any) -> None:
        if message is None:
            return
        confirm = (
            "Some chargers really reboot when they are asked for this."
            if message == "BootNotification"
            else ""
        )
        self._order(f"Trigger {message}", lambda c: c.trigger(self._identity, message), confirm)

    def _reset(self, seen: Seen) -> None:
        words = "It restarts, and is away for a minute or two. " + _ends(seen, "soft")
        self._order("Soft reset", lambda c: c.reset(self._identity, "soft", force=_is_busy(seen)), words)

    def _hard_reset(self, seen: Seen) -> None:
        words = "It restarts at once, and is away for a minute or two. " + _ends(seen, "hard")
        self._order("Hard reset", lambda c: c.reset(self._identity, "hard", force=_is_busy(seen)), words)

    def _unlock(self, seen: Seen) -> None:
        self._with_plug(seen, self._unlock_plug)

    def _unlock_plug(self, connector: int) -> None:
        assert self._seen is not None
        words = f"The lock of connector {connector} opens. {_ends(self._seen, 'unlock', connector)}"
        self._order(f"Unlock connector {connector}", lambda c: c.unlock(self._identity, connector), words)

    def _out_of_service(self, seen: Seen) -> None:
        words = f"Nobody can start there until it is put back into service. {_goes_on(seen)}"
        self._order("Take out of service", lambda c: c.set_availability(self._identity, False), words)

    def _in_service(self, seen: Seen) -> None:
        words = f"Everybody can charge there again. {_goes_on(seen)}"
        self._order("Put into service", lambda c: c.set_availability(self._identity, True), words)

    def _start(self, seen: Seen) -> None:
        self._with_plug(seen, self._ask_card)

    def _ask_card(self, connector: int) -> None:
        question = Ask("Card id", hint="whose account it is charged to", check=_card_complaint)
        self._push(question, partial(self._start_with, connector))

    def _start_with(self, connector: int, card: str | None) -> None:
        if card is None:
            return
        words = "As if this card had been shown: its owner is billed. A car must be plugged in, or be soon."
        self._order(
            f"Start charging on connector {connector}",
            lambda c: c.start(self._identity, card, connector),
            words,
        )

    def _stop(self, seen: Seen) -> None:
        running = _running(seen)
        if not running and _is_busy(seen):
            self._tell("somebody charges there, but the transaction is not known here yet: try again")
        elif not running:
            self._tell("nobody charges there: there is nothing to stop")
        elif len(running) == 1:
            self._stop_one(running[0].id)
        else:
            choices = [(one.id, f"transaction {one.id}", _who(one)) for one in running]
            self._push(Choose("Which one?", choices), self._stop_one)

    def _stop_one(self, transaction: str | None) -> None:
        if transaction is not None:
            words = "The car stops charging, and its driver may not be told why."
            what = f"Stop transaction {transaction}"
            self._order(what, lambda c: c.stop(self._identity, transaction), words)

    def _limit(self, seen: Seen) -> None:
        if self._is_balanced(seen):
            hint = "per phase, for one hour; below 6 A a car pauses, 0 pauses it"
            self._push(Ask("At most how many amps?", hint=hint, check=_amps_complaint), self._limit_to)

    def _limit_to(self, text: str | None) -> None:
        if text is None:
            return
        limit_a = float(text.replace(",", "."))
        pauses = (
            " Cars there pause: less than 6 A is no charging." if limit_a < 6 else " Cars there go on slower."
        )
        self._order(
            f"Limit to {amps(limit_a)} A for {span(LIMIT_S)}",
            lambda c: c.limit_connector(self._identity, limit_a, for_s=LIMIT_S),
            f"Each of its connectors gets at most {amps(limit_a)} A; it ends by itself.{pauses}",
        )

    def _unlimit(self, seen: Seen) -> None:
        if self._is_balanced(seen):
            words = "Its connectors get again what the site has for them."
            self._order("End its limit", lambda c: c.end_connector_limit(self._identity), words)

    def _bypass(self, seen: Seen) -> None:
        if self._is_balanced(seen):
            words = (
                "Its connectors may draw their maximum until then, and the others get what is left. The fuse"
                f" stays safe: if the maximum does not fit, this is refused. {_goes_on(seen)}"
            )
            self._order("Leave it out of balancing for 30 min", self._bypass_it, words)

    def _bypass_it(self, client: ControlClient) -> ConnectorOrders:
        return client.bypass(self._identity, for_s=BYPASS_DEFAULT_S)

    def _end_bypass(self, seen: Seen) -> None:
        if self._is_balanced(seen):
            words = "It is balanced like all others again; cars there may go slower."
            self._order("Balance it again", lambda c: c.end_bypass(self._identity), words)

    def _diagnostics(self, seen: Seen) -> None:
        words = f"It uploads its log to this box; that takes minutes. {_goes_on(seen)}"
        self._order_it(
            f"Fetch diagnostics of {self._identity}",
            lambda c: c.ask_diagnostics(self._identity),
            lambda upload: f"{upload.state}; see w Firmware",
            confirm=words,
        )

    # --- how ---------------------------------------------------------------------------------------

    def _order(self, what: str, carry_out: Carry, confirm: str) -> None:
        self._order_it(f"{what} ({self._identity})", carry_out, answer_words, confirm=confirm)

    def _with_plug(self, seen: Seen, then: Callable[[int], None]) -> None:
        connectors = connectors_of(seen)
        if len(connectors) == 1:
            then(connectors[0])
            return
        choices = [
            (str(connector), f"connector {connector}", _status(seen, connector)) for connector in connectors
        ]
        self._push(Choose("Which connector?", choices), lambda key: None if key is None else then(int(key)))

    def _is_balanced(self, seen: Seen) -> bool:
        if seen.detail is not None and not seen.detail.power:
            self._tell("this charger is not balanced here: no [[connector]] of the site file names it")
            return False
        return True


def answer_words(answer: ActionAnswer | ConnectorOrders) -> str:
    if isinstance(answer, ActionAnswer):
        return answer.text or answer.status
    if not answer.orders:
        return "done: nothing special holds for it any more"
    return "; ".join(
        f"connector {one.connector} {_held(one)} for {span(one.left_s)}" for one in answer.orders
    )


def _held(one: ConnectorOrderView) -> str:
    return "left out" if one.kind == "bypass" else f"at most {amps(one.limit_a)} A"


def connectors_of(seen: Seen) -> Sequence[int]:
    """1.6: connectors; 2.x: EVSEs. 1 while nothing is known."""
    detail = seen.detail
    found = (
        {int(one.id.partition(".")[0]) for one in detail.charger.connectors if one.id[:1].isdigit()}
        if detail
        else set()
    )
    return sorted(found - {0}) or [1]


def _status(seen: Seen, connector: int) -> str:
    connectors = seen.detail.charger.connectors if seen.detail is not None else ()
    return next((plain(one.status) for one in connectors if one.id.partition(".")[0] == str(connector)), "")


def _running(seen: Seen) -> Sequence[TransactionView]:
    """The picture is newer than the detail: what it says is over is over."""
    if seen.row is not None and not seen.row.transactions:
        return ()
    return seen.detail.charger.transactions if seen.detail is not None else ()


def _is_busy(seen: Seen) -> bool:
    """Whoever confirmed was told that somebody charges."""
    return bool(_running(seen)) or (seen.row is not None and seen.row.transactions > 0)


def _who(one: TransactionView) -> str:
    return f"connector {one.evse or one.connector or '-'}, {energy(one.energy_wh)} so far"


def _ends(seen: Seen, how: str, connector: int | None = None) -> str:
    """What becomes of those who charge."""
    running = [
        one for one in _running(seen) if connector is None or connector in (one.evse or one.connector, 0)
    ]
    if not running:
        busy = seen.row.transactions if seen.row is not None and seen.detail is None else 0
        return f"{number(busy, 'transaction')} running there ends." if busy else "Nobody charges there."
    who = "; ".join(f"transaction {one.id} ({_who(one)})" for one in running)
    end = {
        "soft": "is ended first, in order: the driver must start anew",
        "hard": "ends at once, its last reading may be lost: the driver must start anew",
        "unlock": "ends: the cable comes loose",
    }[how]
    return f"SOMEBODY CHARGES: {who} {end}."


def _goes_on(seen: Seen) -> str:
    running = _running(seen)
    return (
        f"It ends none of the running transactions ({len(running)})." if running else "Nobody charges there."
    )


def _card_complaint(text: str) -> str:
    return "" if 0 < len(text) <= 255 else "a card id is needed: 1 to 255 characters"


def _amps_complaint(text: str) -> str:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return "a number of amps, such as 10"
    return "" if 0 <= value <= LIMIT_A_MAX else f"between 0 and {LIMIT_A_MAX:.0f}"
