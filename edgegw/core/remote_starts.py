"""A charging profile that comes with a remote start (OCPP 1.6 5.11, 2.x K05, F01).

Rules of this file:
- The charger gets the start without the profile; every other byte is as it came. The profile is kept and
  becomes the TxProfile of the transaction that the start begins.
- Which one that is: 2.x says so by remoteStartId, or by the transactionId of the charger's answer; else it is
  the first transaction after it with the same tag, on the connector that was named.
- A start that the charger does not accept, or that nobody uses in `START_KEPT_S`, leaves nothing behind.
"""

from __future__ import annotations

from edgegw.balance.profile_book import ProfileBook, Refusal, for_transaction, parse_profile
from edgegw.balance.profiles import Profile
from edgegw.core import actuation, cloud_cap, profile_store, profile_wishes
from edgegw.core.cloud_cap import Running
from edgegw.core.effects import Effect, Noticed
from edgegw.core.events import Instant
from edgegw.core.forwarding import forward
from edgegw.core.power import RemoteStart
from edgegw.core.state import ChargerState
from edgegw.wire import tokens
from edgegw.wire.frames import Call, CallError, CallResult
from edgegw.wire.versions import Version

ACTIONS = frozenset({"RemoteStartTransaction", "RequestStartTransaction"})
START_KEPT_S = 900.0  # chargers wait 30 to 300 s for the plug (ConnectionTimeOut); slow drivers included
STARTS_MAX = 8  # the oldest goes
CLOCK_SLACK_S = 1.0


def on_remote_start(state: ChargerState, call: Call, now: Instant) -> list[Effect] | None:
    """None: it carries no profile, relay it as it is."""
    payload = call.payload.get("chargingProfile")
    if payload is None:
        return None
    is_2x = state.version.is_2x
    number = call.payload.get("evseId" if is_2x else "connectorId", 0)
    profile = parse_profile(
        payload if isinstance(payload, dict) else {},
        is_2x=is_2x,
        connector=number if isinstance(number, int) else 0,
        received_at=cloud_cap.wall(state, now),
        is_21=state.version is Version.V21,
        for_start=True,
    )
    if isinstance(profile, Refusal):  # K05.FR.05
        return profile_wishes.refuse(state, call, profile)
    try:
        data = tokens.without_member(call.raw, ("chargingProfile",))
    except KeyError:
        words = "a signed start cannot be parted from its profile"
        return profile_wishes.refuse(state, call, Refusal("Rejected", "UnsupportedParam", words))
    _keep(state, call, profile, now)
    return [profile_store.save(state), *forward(state, call, data, now)]


def _keep(state: ChargerState, call: Call, profile: Profile, now: Instant) -> None:
    token = call.payload.get("idToken" if state.version.is_2x else "idTag", "")
    remote_start_id = call.payload.get("remoteStartId")
    starts = state.power.starts
    starts.append(
        RemoteStart(
            call_id=call.id,
            profile=profile,
            connector=profile.connector,
            id_tag=str(token.get("idToken", "")) if isinstance(token, dict) else str(token),
            at=now.wall,
            remote_start_id=remote_start_id if isinstance(remote_start_id, int) else None,
        )
    )
    del starts[:-STARTS_MAX]


def on_charger_answer(
    state: ChargerState, call: Call, frame: CallResult | CallError, now: Instant
) -> list[Effect]:
    """The charger answered a remote start of the cloud."""
    start = next((one for one in state.power.starts if one.call_id == call.id), None)
    if start is None or call.action not in ACTIONS:
        return []
    if not isinstance(frame, CallResult) or frame.payload.get("status") != "Accepted":
        state.power.starts.remove(start)
        return [profile_store.save(state)]
    transaction = frame.payload.get("transactionId")
    if isinstance(transaction, str):  # 2.x: it ran before, for instance since the cable was plugged in
        start.transaction = transaction
    return follow(state, now)


def belongs(state: ChargerState, remote_start_id: int, transaction: str) -> None:
    """A 2.x charger named the start that began this transaction."""
    for start in state.power.starts:
        if start.remote_start_id == remote_start_id:
            start.transaction = transaction


def follow(state: ChargerState, now: Instant) -> list[Effect]:
    """Give each start that has its transaction now what came with it."""
    power = state.power
    if not power.starts:
        return []
    old = [one for one in power.starts if now.wall - one.at > START_KEPT_S]
    running = list(cloud_cap.running(state).values())
    effects: list[Effect] = []
    for start in [one for one in power.starts if one not in old]:
        found = next((one for one in running if _began(start, one)), None)
        if found is not None:
            power.starts.remove(start)
            effects += _bind(state, start, found, now)
    for start in old:
        power.starts.remove(start)
    return [*effects, profile_store.save(state)] if effects or old else []


def _began(start: RemoteStart, transaction: Running) -> bool:
    if start.transaction:
        return start.transaction == transaction.id
    is_later = transaction.started is None or transaction.started >= start.at - CLOCK_SLACK_S
    is_there = start.connector in (0, transaction.connector)
    return is_later and is_there and start.id_tag.casefold() == transaction.id_tag.casefold()


def _bind(state: ChargerState, start: RemoteStart, transaction: Running, now: Instant) -> list[Effect]:
    profile = for_transaction(start.profile, transaction.connector, transaction.id)
    refused: list[Effect] = []

    def change(book: ProfileBook) -> ProfileBook:
        changed = book.set(
            profile, is_2x=state.version.is_2x, running={transaction.connector: transaction.id}
        )
        if not isinstance(changed, Refusal):
            return changed
        text = f"{state.identity}: the profile of the remote start does not fit: {changed.text}"
        refused.append(Noticed("cloud_profile_refused", text))
        return book

    effects = profile_wishes.change_now(state, change)
    return [*effects, *refused, *actuation.advance(state, now)]
