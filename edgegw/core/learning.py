"""What the box learns from answers that pass through it: registration, tags, times, transactions.

Learning never changes what is relayed. Its effects come behind the answer, but for a local list.
"""

from __future__ import annotations

from typing import Any

from edgegw.core import file_links, guard, local_csms
from edgegw.core.authorization import token_1x, token_2x
from edgegw.core.effects import CredentialsChanged, Effect, Noticed
from edgegw.core.events import Instant
from edgegw.core.state import ChargerState, Registration
from edgegw.wire.frames import Call

INTERVAL_MIN_S, INTERVAL_MAX_S = 1, 86_400  # what a stored heartbeat interval is clamped to (fault 51)


def from_cloud_answer(state: ChargerState, call: Call, answer: dict[str, Any], now: Instant) -> list[Effect]:
    """The cloud answered a CALL of the charger with CALLRESULT."""
    effects: list[Effect] = []
    if call.action == "BootNotification":
        return registered(state, call, answer, now)
    if state.profile.registration is Registration.NEVER:
        # It answers this charger's requests, so it has accepted it before we were here.
        effects += state.save_profile(registration=Registration.ACCEPTED)
    learn = _FROM_CLOUD.get(call.action)
    if learn is not None:
        effects += learn(state, call, answer, now)
    return effects


def registered(state: ChargerState, call: Call, answer: dict[str, Any], now: Instant) -> list[Effect]:
    """BootNotification.conf from the cloud, or from the box itself."""
    status = _REGISTRATION.get(str(answer.get("status")), state.profile.registration)
    interval = answer.get("interval")
    interval_s = interval if isinstance(interval, int) else 0
    accepted = status is Registration.ACCEPTED
    state.site.cloud_told_time(answer.get("currentTime"), now)
    kept = (
        min(max(interval_s, INTERVAL_MIN_S), INTERVAL_MAX_S)
        if accepted and interval_s
        else state.profile.interval_s
    )
    return [*state.save_profile(registration=status, interval_s=kept, **_boot_fields(state, call))]


def booted(state: ChargerState, call: Call) -> list[Effect]:
    """A BootNotification was answered by the box: what it says of the charger is worth keeping."""
    registration = Registration.ACCEPTED if state.site.policy.standalone else state.profile.registration
    told_accepted = registration is Registration.ACCEPTED
    known = _boot_fields(state, call)
    return [*state.save_profile(registration=registration, told_accepted=told_accepted, **known)]


def _boot_fields(state: ChargerState, call: Call) -> dict[str, Any]:
    payload = call.payload
    booted_at = state.boot_seen_wall or state.profile.booted_at
    station = payload.get("chargingStation")
    if isinstance(station, dict):
        names = ("vendorName", "model", "serialNumber", "firmwareVersion")
    else:
        station = payload
        names = ("chargePointVendor", "chargePointModel", "chargePointSerialNumber", "firmwareVersion")
    vendor, model, serial, firmware = (str(station.get(name, ""))[:255] for name in names)
    made = {"vendor": vendor, "model": model, "serial": serial, "firmware": firmware}
    return {**made, "boot": call.raw, "booted_at": booted_at}


def _heartbeat(state: ChargerState, call: Call, answer: dict[str, Any], now: Instant) -> list[Effect]:
    state.site.cloud_told_time(answer.get("currentTime"), now)
    return []


def learn_tag(state: ChargerState, call: Call, answer: dict[str, Any], now: Instant) -> list[Effect]:
    """Cache what the cloud says of the tag in this CALL."""
    token = token_1x(call.payload.get("idTag"))
    info = answer.get("idTagInfo")
    if state.version.is_2x:
        token, info = token_2x(call.payload.get("idToken")), answer.get("idTokenInfo")
    return [*state.authorization.learn(token, info, now)] if token is not None else []


def _started(state: ChargerState, call: Call, answer: dict[str, Any], now: Instant) -> list[Effect]:
    transaction_id = answer.get("transactionId")
    effects = learn_tag(state, call, answer, now)
    if isinstance(transaction_id, int) and not state.transactions.is_local(transaction_id):
        effects += state.transactions.started(
            call, str(transaction_id), now, offline=False, cloud_id=str(transaction_id)
        )
    return effects


def _status(state: ChargerState, call: Call, answer: dict[str, Any], now: Instant) -> list[Effect]:
    return local_csms.note_status(state, call, now, cloud_saw=True)


_FROM_CLOUD = {
    "Heartbeat": _heartbeat,
    "Authorize": learn_tag,
    "StartTransaction": _started,
    "StopTransaction": learn_tag,
    "TransactionEvent": learn_tag,
    "StatusNotification": _status,
}
_REGISTRATION = {
    "Accepted": Registration.ACCEPTED,
    "Pending": Registration.PENDING,
    "Rejected": Registration.REJECTED,
}


def from_charger_answer(
    state: ChargerState, call: Call, answer: dict[str, Any], now: Instant
) -> list[Effect]:
    """The charger answered a CALL of the cloud, or of somebody on the box, with CALLRESULT."""
    accepted = answer.get("status") == "Accepted"
    if call.action == "SendLocalList" and accepted:
        return [*state.authorization.list_sent(state.version, call.payload)]
    if call.action == "ClearCache":
        return [*state.authorization.cleared()]
    if call.action in ("ChangeConfiguration", "SetVariables"):
        return _configured(state, call, answer)
    if call.action in ("GetConfiguration", "GetVariables"):
        return file_links.learn_protocols(state, answer)
    if call.action in ("RemoteStartTransaction", "RequestStartTransaction") and accepted:
        return _remote_start(state, call, now)
    return []


def _configured(state: ChargerState, call: Call, answer: dict[str, Any]) -> list[Effect]:
    effects: list[Effect] = []
    password = guard.new_password(call, answer)
    if password:
        effects.append(CredentialsChanged(password))
    interval = guard.heartbeat_wish(call)
    if interval is not None and interval < 10:
        text = f"{state.identity}: heartbeat interval set to {interval} s"
        effects.append(Noticed("heartbeat_interval_short", text))
    return effects


def _remote_start(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    """Who orders a start vouches for the tag; the Start may reach us when nobody else can answer it."""
    if state.version.is_2x:
        token = token_2x(call.payload.get("idToken"))
    else:
        token = token_1x(call.payload.get("idTag"))
    if token is None or state.authorization.knows(token, now):
        return []
    return [*state.authorization.learn(token, {"status": "Accepted"}, now)]
