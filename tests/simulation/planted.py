"""Faults put into the core on purpose, one at a time: if the checkers miss one, they are not worth much.

Each is a mistake that a tired programmer could make. `tests.simulation.hunt` finds seeds that show them.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import orjson

from edgegw.core import downlink, replay, rewriting, uplink
from edgegw.core.authorization import Authorization, Decision
from edgegw.core.calls import CallQueue
from edgegw.core.effects import Effect, SendCharger
from edgegw.core.outbox import WINDOW_ROWS, Outbox
from edgegw.core.records import Append, Discard, Settle
from edgegw.core.site import Site
from edgegw.core.state import ChargerState
from edgegw.core.transactions import Transactions
from edgegw.runtime import sequencer
from edgegw.runtime.sequencer import Sequencer
from edgegw.wire.frames import CallError
from tests.simulation.planting import plant

# --- the order of effects ---------------------------------------------------------------------------


@plant
def answer_before_append() -> Any:
    real = Sequencer.push

    def push(self: Sequencer, effects: list[Effect]) -> None:
        real(self, sorted(effects, key=lambda effect: not isinstance(effect, SendCharger)))

    return patch.object(Sequencer, "push", push)


@plant
def answer_without_waiting_for_the_disk() -> Any:
    return patch.object(sequencer, "_is_durable", lambda op: not isinstance(op, Append))


@plant
def failed_commit_taken_for_done() -> Any:
    real = Sequencer._done
    return patch.object(Sequencer, "_done", lambda self, generation, error: real(self, generation, None))


@plant
def stale_effects_reach_the_next_leg() -> Any:
    return patch.object(Sequencer, "forget", lambda self, *kinds: None)


# --- ids and bytes ------------------------------------------------------------------------------------


@plant
def id_not_rewritten_upwards() -> Any:
    return patch.object(rewriting, "for_cloud", lambda state, call: call.raw)


@plant
def id_not_rewritten_downwards() -> Any:
    return patch.object(rewriting, "for_charger", lambda state, call: call.raw)


@plant
def pairs_not_restored() -> Any:
    def recover_pair(self: Transactions, document: Any) -> int:
        return int(document.key)

    return patch.object(Transactions, "recover_pair", recover_pair)


@plant
def local_id_given_twice() -> Any:
    real = Site.next_local_id

    def next_local_id(self: Site, in_use: Any) -> Any:
        if self._local_id % 2:  # every second one is the one before
            self._local_id -= 1
        return real(self, lambda _: False)

    return patch.object(Site, "next_local_id", next_local_id)


@plant
def a_number_written_anew() -> Any:
    def offline(call: Any) -> bytes:
        kind, message_id, action, payload = orjson.loads(call.raw)
        return orjson.dumps([kind, message_id, action, {**payload, "offline": True}])

    return patch.object(rewriting, "offline", offline)


@plant
def offline_flag_forgotten() -> Any:
    return patch.object(rewriting, "offline", lambda call: call.raw)


@plant
def every_transaction_id_in_sight_rewritten() -> Any:
    """Also the one inside signed data, which looks just like it."""
    real = rewriting.for_cloud

    def for_cloud(state: Any, call: Any) -> bytes:
        data = real(state, call)
        return data if data is call.raw else data.replace(b"1073741825", b"7777")

    return patch.object(rewriting, "for_cloud", for_cloud)


@plant
def renumbered_id_not_restored() -> Any:
    return patch.object(downlink, "_for_cloud", lambda state, out, frame: frame.raw)


@plant
def colliding_id_sent_as_it_is() -> Any:
    return patch.object(CallQueue, "is_pending", lambda self, wire_id: False)


# --- the queue -----------------------------------------------------------------------------------------


@plant
def replay_in_the_wrong_order() -> Any:
    def following(self: Outbox) -> Any:
        if self._early:
            return self._early[0]
        return self._window[-1] if self._window and not self._reload else None

    return patch.object(Outbox, "next", following)


@plant
def last_row_of_the_window_lost() -> Any:
    real = Outbox.loaded

    def loaded(self: Outbox, rows: Any) -> None:
        real(self, rows[:-1] if len(rows) == WINDOW_ROWS else rows)
        if len(rows) == WINDOW_ROWS:
            self._loaded_to = rows[-1].seq

    return patch.object(Outbox, "loaded", loaded)


@plant
def row_dropped_on_callerror() -> Any:
    def refused(state: Any, row: Any, answer: Any, now: Any) -> list[Effect]:
        state.outbox.gone(row)
        return [Discard(state.identity, (row.seq,))]

    return patch.object(replay, "_refused", refused)


@plant
def row_sent_twice() -> Any:
    real = replay.answered
    seen: set[tuple[int, int]] = set()

    def answered(state: Any, row: Any, call: Any, answer: Any, now: Any) -> list[Effect]:
        key = (id(state), row.seq)
        if row.seq % 5 == 0 and key not in seen:
            seen.add(key)
            return []
        return real(state, row, call, answer, now)

    return patch.object(replay, "answered", answered)


@plant
def delivered_row_not_settled() -> Any:
    real = replay.answered

    def answered(*given: Any) -> list[Effect]:
        return [effect for effect in real(*given) if not isinstance(effect, Settle)]

    return patch.object(replay, "answered", answered)


@plant
def link_failure_counted_as_an_attempt() -> Any:
    real = uplink.on_lost

    def on_lost(state: Any, now: Any) -> list[Effect]:
        out = state.to_cloud.outstanding
        effects = real(state, now)
        if out is not None and out.row is not None:
            error = CallError(out.id, "GenericError", "link lost", {}, b"")
            effects += replay._refused(state, out.row, error, now)
        return effects

    return patch.object(uplink, "on_lost", on_lost)


@plant
def live_overtakes_stored() -> Any:
    return patch.object(ChargerState, "holds_transactions", property(lambda self: False))


@plant
def repeated_message_stored_again() -> Any:
    return patch.object(uplink, "_seen_before", lambda state, call, known: None)


# --- answers and calls -----------------------------------------------------------------------------------


@plant
def silent_cloud_waited_for() -> Any:
    real = uplink._relay

    def relay(state: Any, call: Any, rule: Any, data: Any, now: Any) -> list[Effect]:
        effects = real(state, call, rule, data, now)
        for out in (state.to_cloud.outstanding, *state.to_cloud.waiting):
            if out is not None:
                out.answer_by = float("inf")
        return effects

    return patch.object(uplink, "_relay", relay)


@plant
def second_call_not_held() -> Any:
    def submit(self: CallQueue, out: Any, now_mono: float) -> Any:
        if not self.ready:
            self.waiting.append(out)
            return None
        if self.outstanding is not None:
            self._late.append(self.outstanding)
        self.outstanding = out
        out.give_up_at = now_mono + out.timeout_s
        return out

    return patch.object(CallQueue, "submit", submit)


@plant
def answer_matched_by_order() -> Any:
    def resolve(self: CallQueue, wire_id: str) -> Any:
        out, self.outstanding = self.outstanding, None
        return out

    return patch.object(CallQueue, "resolve", resolve)


@plant
def waiting_messages_forgotten_when_the_link_goes() -> Any:
    return patch.object(uplink, "_serve_after_loss", lambda state, out, now: [])


# --- authorisation -----------------------------------------------------------------------------------------


@plant
def list_not_asked() -> Any:
    real = Authorization._found

    def found(self: Authorization, token: Any, now: Any) -> Any:
        listed, self._list = self._list, {}
        yield from list(real(self, token, now))
        self._list = listed

    return patch.object(Authorization, "_found", found)


@plant
def blocked_card_accepted() -> Any:
    real = Authorization.decide

    def decide(self: Authorization, token: Any, now: Any, **more: Any) -> Decision:
        decision = real(self, token, now, **more)
        if decision.info.get("status") == "Blocked":
            return Decision({"status": "Accepted"}, decision.source)
        return decision

    return patch.object(Authorization, "decide", decide)
