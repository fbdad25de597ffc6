"""What the simulation found in the core, put back one at a time: the way each was wrong before."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import msgspec

from edgegw.core import charger, transactions, uplink
from edgegw.core.answered import AnsweredCalls
from edgegw.core.authorization import Authorization
from edgegw.core.calls import CallQueue, Origin
from edgegw.core.effects import Effect
from edgegw.core.events import ChargerConnected
from edgegw.core.site import Site
from edgegw.core.state import ChargerState
from edgegw.runtime.sequencer import Sequencer
from tests.simulation.planting import plant


@plant
def late_answer_goes_to_the_next_cloud_leg() -> Any:
    def disown(self: CallQueue) -> None:
        self.waiting = [out for out in self.waiting if out.origin is not Origin.RELAY]
        if self.outstanding is not None and self.outstanding.origin is Origin.RELAY:
            self.outstanding.origin = Origin.GATEWAY

    return patch.object(CallQueue, "disown", disown)


@plant
def cards_expire_when_the_clock_is_set() -> Any:
    real = Authorization.learn

    def learn(self: Authorization, token: Any, info: object, now: Any) -> Any:
        return real(self, token, info, msgspec.structs.replace(now, trusted=True))

    return patch.object(Authorization, "learn", learn)


@plant
def pairs_forgotten_when_the_clock_is_set() -> Any:
    real = charger._HANDLERS[ChargerConnected]

    def connected(state: ChargerState, event: Any, now: Any) -> list[Effect]:
        return [*state.transactions.forget_old_pairs(now), *real(state, event, now)]

    both = ExitStack()
    both.enter_context(patch.object(transactions, "_dated", lambda now: now.wall))
    both.enter_context(patch.dict(charger._HANDLERS, {ChargerConnected: connected}))
    return both


@plant
def queue_held_for_ever_by_a_pending_boot() -> Any:
    return patch.object(ChargerState, "cloud_awaits_boot", property(lambda self: False))


@plant
def cloud_ids_of_the_local_range_given_again() -> Any:
    both = ExitStack()
    both.enter_context(patch.object(Site, "cloud_took_id", lambda self, cloud_id: []))
    both.enter_context(patch.object(transactions.Transactions, "in_use", lambda self, local: False))
    return both


@plant
def boot_refused_because_its_id_was_used_before_the_boot() -> Any:
    real = AnsweredCalls.forget_chatter

    def forget_chatter(self: AnsweredCalls) -> None:
        real(self)
        kept = self._billing
        self._billing = {m: msgspec.structs.replace(known, earlier=False) for m, known in kept.items()}

    return patch.object(AnsweredCalls, "forget_chatter", forget_chatter)


@plant
def dead_session_still_writes() -> Any:
    real = Sequencer.halt

    def halt(self: Sequencer) -> None:
        real(self)
        self._halted = False

    return patch.object(Sequencer, "halt", halt)


@plant
def giving_up_goes_round_in_circles() -> Any:
    real = uplink._give_up

    def give_up(state: Any, out: Any, now: Any) -> list[Effect]:
        due = out.give_up_at
        effects = real(state, out, now)
        out.give_up_at = due
        return effects

    return patch.object(uplink, "_give_up", give_up)
