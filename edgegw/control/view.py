"""From the live gateway to what people see: pure builders of the models in `control.models`.

Rules of this file:
- Read only. Nothing here changes a session, asks a clock or awaits; time comes in as `now`.
- Whatever a charger wrote is a string to be shown, never trusted to fit a type.
- Card ids leave masked unless a function says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from edgegw.control import models
from edgegw.control.masking import mask_tag, shown_fragment, shown_frame
from edgegw.control.verdict import verdict
from edgegw.core.calls import Outgoing
from edgegw.core.events import Instant
from edgegw.core.records import JournalRow, Lane, RowState, TransactionRecord
from edgegw.runtime.entrance import Notice
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.session import Session
from edgegw.wire.timestamps import format_timestamp

NOTICES_SHOWN_MAX = 20
COMPLAINTS_SHOWN_MAX = 50  # per charger

_STATES: Mapping[RowState, models.QueueState] = {
    RowState.STORED: "stored",
    RowState.DELIVERED: "delivered",
    RowState.PARKED: "parked",
    RowState.RECORDED: "recorded",
}
_LANES: Mapping[Lane, models.LaneName] = {
    Lane.BOOT: "boot",
    Lane.STATUS: "status",
    Lane.NOTICE: "notice",
    Lane.TRANSACTION: "transaction",
}


def utc(wall_s: float | None) -> str | None:
    """Seconds since 1970 as RFC 3339; None for never (None or 0)."""
    return format_timestamp(wall_s) if wall_s else None


# --- the queue ------------------------------------------------------------------------------------


def row_in_flight(session: Session) -> JournalRow | None:
    """The stored message that was sent to the cloud and is not answered yet."""
    out: Outgoing | None = session.charger.state.to_cloud.outstanding
    return out.row if out is not None else None


def queue_counts(sessions: Iterable[Session]) -> models.QueueCounts:
    stored = flying = parked = 0
    oldest: float | None = None
    for session in sessions:
        outbox = session.charger.state.outbox
        waiting = len(outbox)
        in_flight = row_in_flight(session) is not None
        flying += in_flight
        parked += outbox.parked
        if waiting:
            stored += max(0, waiting - in_flight)
            if outbox.oldest_at is not None:
                oldest = outbox.oldest_at if oldest is None else min(oldest, outbox.oldest_at)
    return models.QueueCounts(stored=stored, in_flight=flying, parked=parked, oldest_unsent_at=utc(oldest))


def charger_queue(session: Session) -> models.ChargerQueue:
    return models.ChargerQueue(charger=session.identity, **queue_counts([session]).model_dump())


def queue_view(sessions: Iterable[Session]) -> models.QueueView:
    sessions = list(sessions)
    queues = [
        charger_queue(s) for s in sessions if len(s.charger.state.outbox) or s.charger.state.outbox.parked
    ]
    queues.sort(key=lambda q: (-(q.stored + q.in_flight), -q.parked, q.charger))
    return models.QueueView(**queue_counts(sessions).model_dump(), chargers=tuple(queues))


def queue_row(row_id: int | None, row: JournalRow, *, in_flight: bool, raw: bool) -> models.QueueRow:
    return models.QueueRow(
        row=row_id,
        charger=row.charger,
        seq=row.seq,
        state="in_flight" if in_flight and row.state is RowState.STORED else _STATES[row.state],
        lane=_LANES[row.lane],
        action=row.action,
        message_id=row.message_id,
        received_at=format_timestamp(row.received_at),
        clock_trusted=row.clock_trusted,
        transaction=row.transaction,
        attempts=row.attempts,
        error=row.error,
        flags=row.flags,
        raw=shown_frame(row.raw) if raw else None,
    )


# --- transactions ---------------------------------------------------------------------------------


def transaction_view(
    row_id: int | None, record: TransactionRecord, *, whole_tag: bool = False
) -> models.TransactionView:
    """`whole_tag`: show the card id unmasked (a single transaction that somebody asked for by its id)."""
    return models.TransactionView(
        row=row_id,
        charger=record.charger,
        id=record.id,
        cloud_id=record.cloud_id,
        evse=record.evse,
        connector=record.connector,
        id_tag=record.id_tag if whole_tag else mask_tag(record.id_tag),
        running=record.running,
        started_at=record.started_at,
        stopped_at=record.stopped_at,
        received_at=utc(record.received_at),
        meter_start_wh=record.meter_start_wh,
        meter_last_wh=record.meter_last_wh,
        meter_stop_wh=record.meter_stop_wh,
        energy_wh=_energy_wh(record),
        stop_reason=record.stop_reason,
        offline=record.offline,
        flags=record.flags,
    )


def _energy_wh(record: TransactionRecord) -> int | None:
    last = record.meter_stop_wh if record.meter_stop_wh is not None else record.meter_last_wh
    return None if last is None or record.meter_start_wh is None else last - record.meter_start_wh


def newest_of(record: TransactionRecord, gateway: Gateway) -> TransactionRecord:
    """What is in memory is newer than the store while a transaction runs: readings are saved at its end."""
    session = gateway.sessions.get(record.charger)
    if session is None or not record.running:
        return record
    return session.charger.state.transactions.running.get(record.id, record)


# --- chargers -------------------------------------------------------------------------------------


def charger_view(session: Session) -> models.ChargerView:
    state = session.charger.state
    profile = state.profile
    connected = session.charger_leg is not None
    return models.ChargerView(
        identity=session.identity,
        verdict=verdict(session),
        vendor=profile.vendor,
        model=profile.model,
        serial=profile.serial,
        firmware=profile.firmware,
        version=session.version.value,
        connected=connected,
        peer_ip=session.peer_ip,
        since=utc(session.connected_wall) if connected else None,
        last_seen=utc(state.last_seen_wall),
        registration=profile.registration.value,
        cloud=models.CloudLeg(
            up=session.cloud_leg is not None, since=utc(session.cloud_since), error=session.cloud_error
        ),
        connectors=_connectors(session),
        transactions=tuple(transaction_view(None, record) for record in state.transactions.running.values()),
        queue=queue_counts([session]),
        lists=models.ListsView(**state.authorization.summary()),
        complaints=_complaints(session),
        quarantined=len(session.quarantine or ()),
    )


def _connectors(session: Session) -> tuple[models.ConnectorView, ...]:
    return tuple(
        models.ConnectorView(id=key, status=c.status, error_code=c.error_code, info=c.info, at=utc(c.at))
        for key, c in sorted(session.charger.state.connectors.items())
    )


def _complaints(session: Session) -> tuple[models.Complaint, ...]:
    found = session.complaints.most_common(COMPLAINTS_SHOWN_MAX)
    return tuple(models.Complaint(rule=rule, count=count) for rule, count in found)


def quarantine(session: Session) -> models.Quarantine:
    kept = reversed(session.quarantine or ())
    frames = (
        models.QuarantinedFrame(at=format_timestamp(at), why=why, text=shown_fragment(text))
        for at, why, text in kept
    )
    return models.Quarantine(charger=session.identity, frames=tuple(frames))


# --- the box --------------------------------------------------------------------------------------


def cloud_health(gateway: Gateway, now: Instant, started_at: float) -> models.CloudHealth:
    """A cloud that no charger has asked for yet counts as serving until a dial fails."""
    if gateway.site.policy.standalone:
        return models.CloudHealth(mode="standalone", since=utc(started_at), connected_legs=0, error="")
    connected = [s for s in gateway.sessions.values() if s.charger_leg is not None]
    legs = [s for s in connected if s.cloud_leg is not None]
    return models.CloudHealth(
        mode="away" if gateway.cloud_is_away else "serving",
        since=utc(_mode_since(gateway, legs or connected, now, started_at)),
        connected_legs=len(legs),
        error=gateway.cloud_trouble,
    )


def _mode_since(gateway: Gateway, sessions: list[Session], now: Instant, started_at: float) -> float:
    """The earliest of the legs that are as the site is; else the last time the cloud was reached."""
    changed = [s.cloud_since for s in sessions if s.cloud_since]
    if changed:
        return min(changed)
    reached = gateway.cloud.reached_at
    return now.wall - (now.mono - reached) if reached > float("-inf") else started_at


def charger_counts(gateway: Gateway) -> models.ChargerCounts:
    connected = [s for s in gateway.sessions.values() if s.charger_leg is not None]
    return models.ChargerCounts(
        known=len(gateway.settings.known | gateway.sessions.keys()),
        connected=len(connected),
        to_cloud=sum(s.cloud_leg is not None for s in connected),
    )


def notices(kept: Iterable[Notice]) -> tuple[models.Notice, ...]:
    """`kept` newest first."""
    return tuple(
        models.Notice(at=format_timestamp(n.at), charger=n.charger, kind=n.kind, text=n.text)
        for n in islice(kept, NOTICES_SHOWN_MAX)
    )


def site_view(
    gateway: Gateway, now: Instant, *, site_id: str, name: str, version: str, started_at: float
) -> models.SiteView:
    sessions = gateway.sessions.values()
    return models.SiteView(
        id=site_id,
        name=name,
        version=version,
        now=format_timestamp(now.wall),
        chargers=charger_counts(gateway),
        running_transactions=sum(len(s.charger.state.transactions.running) for s in sessions),
        queue=queue_counts(sessions),
        cloud=cloud_health(gateway, now, started_at),
        counters=dict(gateway.site.counters),
        notices=notices(reversed(gateway.notices)),
        handshake_failures=notices(reversed(gateway.handshake_failures)),
    )
