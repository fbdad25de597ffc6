"""Actions on one charger: reset, unlock, availability, start, stop, trigger. For the API and for MQTT.

Rules of this file: those of `control.service`. Every action is a CALL on the way of all others; who asks over
MQTT gets the charger's answer as it is, who asks over the API gets it in words.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from edgegw.control import detail_models as detail
from edgegw.control import models, ocpp_calls
from edgegw.control.masking import mask_tag
from edgegw.control.problem import Problem
from edgegw.core import cloud_cap
from edgegw.redaction import plain
from edgegw.runtime import clock
from edgegw.runtime.session import Session

# Below those of rollouts and logs (0x7C00_0000) and above what a cloud counts up to.
REMOTE_START_ID_FIRST = 0x7800_0000
REMOTE_START_IDS = 0x0400_0000

Call = Callable[[str, models.CallRequest, str], Awaitable[models.CallAnswer]]


class Told(NamedTuple):
    action: str  # of OCPP
    answer: models.CallAnswer


class ActionDesk:
    def __init__(self, session: Callable[[str], Session], call: Call) -> None:
        """`session` and `call` raise Problem for a charger that is not known, not connected or silent."""
        self._session = session
        self._call = call
        # Other numbers after a restart: a charger may still hold a start that was not used.
        self._starts = itertools.count(int(clock.now().wall))

    async def do(self, identity: str, order: detail.Order, asker: str) -> detail.ActionAnswer:
        """Raises Problem: "busy", "no_such_session", "not_possible", and whatever a CALL can end with."""
        if isinstance(order, detail.Reset) and not order.force:
            self._check_idle(identity)
        told = await self.ask(identity, order, asker)
        card = order.id_tag if isinstance(order, detail.Start) else ""
        return _in_words(told, card)

    async def ask(self, identity: str, order: detail.Order, asker: str) -> Told:
        """Raises Problem."""
        session = self._session(identity)
        running = self._running(session, order) if isinstance(order, detail.Stop) else ""
        start_id = REMOTE_START_ID_FIRST + next(self._starts) % REMOTE_START_IDS
        try:
            made = ocpp_calls.call_of(order, session.version, ocpp_calls.Facts(running, start_id))
        except ocpp_calls.NotPossible as no:
            raise Problem(422, "not_possible", str(no)) from no
        request = models.CallRequest(action=made.action, payload=made.payload)
        return Told(made.action, await self._call(identity, request, asker))

    def _check_idle(self, identity: str) -> None:
        running = self._session(identity).charger.state.transactions.running
        if running:
            count = f"{len(running)} transaction{'s run' if len(running) > 1 else ' runs'}"
            text = f"{count} on {identity}, which a reset ends: stop charging first, or order it with force"
            raise Problem(409, "busy", text)

    def _running(self, session: Session, order: detail.Stop) -> str:
        """The transaction to stop; of two on one connector the newer."""
        if order.transaction is not None:
            return order.transaction
        state = session.charger.state
        there = [
            record.id
            for record in state.transactions.running.values()
            if cloud_cap.connector_of(state, record.evse or record.connector) == order.connector
        ]
        if not there:
            text = f"nothing charges on connector {order.connector} of {session.identity}"
            raise Problem(409, "no_such_session", text)
        return there[-1]


def _in_words(told: Told, card: str) -> detail.ActionAnswer:
    answer = told.answer
    if answer.outcome == "error":
        code = plain(answer.code or "")[: ocpp_calls.WORD_SHOWN_MAX]
        known = ocpp_calls.meaning_of(told.action, code)
        said = masked(plain(answer.description or "")[:200], card)
        return detail.ActionAnswer(accepted=False, status=code, text=f"{known}: {said}" if said else known)
    status = ocpp_calls.status_of(answer.payload)
    text = ocpp_calls.meaning_of(told.action, status["status"])
    more = ": ".join(word for word in (status.get("reason"), status.get("info")) if word)
    return detail.ActionAnswer(
        accepted=status["status"] in ocpp_calls.DONE,
        status=status["status"],
        text=masked(f"{text} ({more})" if more else text, card),
    )


def masked(text: str, card: str) -> str:
    """`text` without the whole card id."""
    return re.sub(re.escape(card), mask_tag(card), text, flags=re.IGNORECASE) if card else text
