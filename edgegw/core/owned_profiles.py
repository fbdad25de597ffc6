"""The cloud's charging profiles of a balanced charger: kept and answered here, never forwarded.

Why: the charger obeys the highest stack level of a purpose, not the lowest limit, so a profile of the cloud
beside ours would hide one of the two. The charger gets one limit, the lower of both (`actuation`), and the
cloud gets the truth about what it has set from `PowerState.book`.

What waits is in `profile_wishes`, what came with a remote start in `remote_starts`, what the cloud asks to
see in `profile_answers`. For a charger that is left out of balancing nothing here is ever called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from edgegw.balance.profile_book import ProfileBook, Refusal, clear_criteria, parse_profile
from edgegw.balance.profiles import Purpose
from edgegw.core import (
    charging_limits,
    cloud_cap,
    profile_answers,
    profile_store,
    profile_wishes,
    remote_starts,
)
from edgegw.core.box_to_cloud import tell_cloud
from edgegw.core.effects import Effect
from edgegw.core.events import Instant
from edgegw.core.profile_answers import is_whole, malformed, touched
from edgegw.core.state import ChargerState
from edgegw.wire.frames import Call
from edgegw.wire.versions import Version

recover = profile_store.recover
after_answer = profile_wishes.after_answer
on_charger_answer = remote_starts.on_charger_answer


def on_cloud_call(state: ChargerState, call: Call, now: Instant) -> list[Effect] | None:
    """A CALL of the cloud that is about charging limits, signed or not. None: not ours, relay as usual."""
    handle = _HANDLERS.get(call.action)
    if handle is None:
        return None
    if any(wish.call_id == call.id for wish in state.power.wishes):
        return []  # the same CALL again: its answer is on its way (faults 24 and 55)
    return handle(state, call, now)


# --- set, clear, update -----------------------------------------------------------------------------


def _set(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    is_2x = state.version.is_2x
    number = call.payload.get("evseId" if is_2x else "connectorId")
    wire = call.payload.get("chargingProfile" if is_2x else "csChargingProfiles")
    if not is_whole(number) or not isinstance(wire, dict):
        return malformed(state, call)
    connectors = touched(state, number)
    if not connectors:
        unknown = Refusal("Rejected", "UnknownEvse", f"no connector {number} is known here")
        return profile_wishes.refuse(state, call, unknown)
    profile = parse_profile(
        _with_ids_of_the_charger(state, wire),
        is_2x=is_2x,
        connector=number,
        received_at=cloud_cap.wall(state, now),
        is_21=state.version is Version.V21,
        dc=all(state.power.connectors[one].wiring.dc for one in connectors),
        phase_switching=False,  # the box chooses no phases, so it must not promise any
    )
    refused = profile if isinstance(profile, Refusal) else profile_wishes.not_steered(state, connectors)
    if refused is not None:
        return profile_wishes.refuse(state, call, refused)

    def change(book: ProfileBook) -> ProfileBook | Refusal:
        assert not isinstance(profile, Refusal)
        running = {one.connector: one.id for one in cloud_cap.running(state).values()}
        return book.set(profile, is_2x=is_2x, running=running)

    return profile_wishes.request(state, call, change, {"status": "Accepted"}, connectors, now)


def _with_ids_of_the_charger(state: ChargerState, wire: dict[str, Any]) -> dict[str, Any]:
    """1.6: the cloud may know the transaction by another id than the charger."""
    local = state.transactions.id_for_charger(wire.get("transactionId"))
    return wire if state.version.is_2x or local is None else {**wire, "transactionId": local}


def _clear(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    criteria = clear_criteria(call.payload, is_2x=state.version.is_2x)
    if isinstance(criteria, Refusal):
        return profile_wishes.refuse(state, call, replace(criteria, status="Unknown"))
    _, count = state.power.book.clear(criteria)
    if not count:
        return [profile_wishes.answer(call.id, {"status": "Unknown"})]
    # No limit can drop for it but where a higher stack level hid a lower limit: that need not be waited for.
    return profile_wishes.request(
        state, call, lambda book: book.clear(criteria)[0], {"status": "Accepted"}, (), now
    )


def _update_dynamic(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    """2.1 K28."""
    profile_id, update = call.payload.get("chargingProfileId"), call.payload.get("scheduleUpdate")
    if not is_whole(profile_id) or not isinstance(update, dict):
        return malformed(state, call)
    at = cloud_cap.wall(state, now)
    found = next((one for one in state.power.book.profiles if one.id == profile_id), None)
    connectors = touched(state, found.connector) if found is not None else ()
    refused = profile_wishes.not_steered(state, connectors)
    if refused is not None:
        return profile_wishes.refuse(state, call, refused)

    def change(book: ProfileBook) -> ProfileBook | Refusal:
        return book.update_dynamic(profile_id, update, at=at)

    return profile_wishes.request(state, call, change, {"status": "Accepted"}, connectors, now)


def _use_priority(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    """2.1 K21: the charger knows no profile of the cloud, so the box answers and tells the outcome."""
    transaction, activate = call.payload.get("transactionId"), call.payload.get("activate")
    if not isinstance(transaction, str) or not isinstance(activate, bool):
        return malformed(state, call)
    running = next((one for one in cloud_cap.running(state).values() if one.id == transaction), None)
    if running is None:
        missing = Refusal("Rejected", "TxNotFound", "no such transaction is running")
        return profile_wishes.refuse(state, call, missing)
    power = state.power
    has_profile = any(
        one.purpose is Purpose.PRIORITY and one.connector in (0, running.connector)
        for one in power.book.profiles
    )
    if activate and not has_profile:
        none = Refusal("NoProfile", "NotFound", "no PriorityCharging profile is set")
        return profile_wishes.refuse(state, call, none)
    reply = profile_wishes.answer(call.id, {"status": "Accepted"})
    if activate == (transaction in power.prioritised):
        return [reply]
    power.prioritised ^= {transaction}
    told = {"transactionId": transaction, "activated": activate}
    return [
        profile_store.save(state),
        reply,
        *tell_cloud(state, "NotifyPriorityCharging", told, "priority", now),
    ]


_HANDLERS: dict[str, Callable[[ChargerState, Call, Instant], list[Effect] | None]] = {
    "SetChargingProfile": _set,
    "ClearChargingProfile": _clear,
    "GetCompositeSchedule": profile_answers.composite_schedule,
    "GetChargingProfiles": profile_answers.charging_profiles,
    "UpdateDynamicSchedule": _update_dynamic,
    "UsePriorityCharging": _use_priority,
    "RemoteStartTransaction": remote_starts.on_remote_start,
    "RequestStartTransaction": remote_starts.on_remote_start,
}


# --- transactions -----------------------------------------------------------------------------------


def on_transaction_started(
    state: ChargerState, transaction: str, now: Instant, *, remote_start_id: int | None = None
) -> list[Effect]:
    """A transaction began: the profile of the remote start that began it is its TxProfile."""
    if remote_start_id is not None:
        remote_starts.belongs(state, remote_start_id, transaction)
    return remote_starts.follow(state, now) + _drop_stale(state)


def on_transaction_event(state: ChargerState, payload: dict[str, Any], now: Instant) -> list[Effect]:
    """2.x: an event of a transaction that runs already may name the start that has come since (F02)."""
    info = payload.get("transactionInfo")
    if not isinstance(info, dict) or not state.power.starts:
        return []
    remote_start_id = info.get("remoteStartId")
    if not is_whole(remote_start_id):
        return []
    remote_starts.belongs(state, remote_start_id, str(info.get("transactionId", "")))
    return remote_starts.follow(state, now)


def on_transaction_ended(state: ChargerState, transaction: str) -> list[Effect]:
    """`transaction` as the charger calls it: its TxProfiles end with it (2.x K02.FR.05, 1.6 3.13.1)."""
    was_prioritised = transaction in state.power.prioritised
    state.power.prioritised.discard(transaction)
    effects = profile_wishes.change_now(state, lambda book: book.transaction_ended(transaction))
    return effects or ([profile_store.save(state)] if was_prioritised else [])


def _drop_stale(state: ChargerState) -> list[Effect]:
    """Profiles of transactions that nobody saw end: before a restart, or refused by the cloud at once."""
    alive = {one.id for one in cloud_cap.running(state).values()} | state.transactions.running.keys()
    state.power.prioritised &= alive
    return profile_wishes.change_now(state, lambda book: book.only_transactions(alive))


# --- the cloud goes and comes -----------------------------------------------------------------------


def on_cloud_lost(state: ChargerState, now: Instant) -> list[Effect]:
    """It was lost, or is not there when the charger comes: 2.1 maxOfflineDuration counts from now.

    Nobody waits for an answer any more; the book is what the charger has accepted.
    """
    power = state.power
    profile_wishes.on_cloud_lost(state)
    if power.cloud_away_since is None:
        power.cloud_away_since = cloud_cap.wall(state, now)
    charging_limits.on_cloud_lost(state, now)
    return []


def on_cloud_back(state: ChargerState, now: Instant) -> list[Effect]:
    """2.1: a profile that was invalid for being offline too long may have to stay so."""
    since, state.power.cloud_away_since = state.power.cloud_away_since, None
    if since is None:
        return []
    return profile_wishes.change_now(
        state, lambda book: book.cloud_returned(since, cloud_cap.wall(state, now))
    )
