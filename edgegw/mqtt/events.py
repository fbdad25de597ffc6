"""What happened, as it goes to `event`: from notices, transactions, alarms and orders.

`event_changes` tells the rest, by comparing two views.

Rules of this file:
- Pure. Something that happened is told once, whatever else tells of it; what is not worth an event is None.
- A text is printable, one line, short, and holds no password and no card id. `token` makes of a card id what
  the building may see of it.
- The publisher gives the number and the id: they are not known here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args

import msgspec

from edgegw.core.alarms import Alarm, AlarmChange
from edgegw.core.records import TransactionRecord
from edgegw.mqtt.numbers import energy_wh
from edgegw.mqtt.payloads import Event, SeverityName
from edgegw.redaction import plain, redact, without_cards
from edgegw.runtime.audit import AuditEntry
from edgegw.runtime.entrance import Notice
from edgegw.wire.timestamps import format_timestamp

TEXT_MAX = 300  # characters; four lines of a terminal
WORD_MAX = 64  # of one value in `data`: an id of OCPP 2.x has 36
SESSIONS_KEPT = 20_000  # of which start or end was told: 300 chargers with all their 64

Kind = Literal[
    "boot",
    "connected",
    "disconnected",
    "fault",
    "fault_over",
    "session_started",
    "session_ended",
    "alarm_raised",
    "alarm_acknowledged",
    "alarm_cleared",
    "command",
    "cloud_away",
    "cloud_back",
    "limit_set",
    "limit_fallback",
    "limit_ended",
    "firmware",
    "notice",
]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """`payloads.Event` without `id` and `seq`."""

    at: float  # wall clock, seconds since 1970
    kind: Kind
    target: str = ""  # "" the site, "CP-7", "CP-7/1", a source of limits, ...
    severity: SeverityName = "info"
    text: str
    data: Mapping[str, Any] = {}

    def event(self, event_id: str, seq: int) -> Event:
        return Event(
            id=event_id,
            seq=seq,
            at=format_timestamp(self.at),
            kind=self.kind,
            target=said(self.target, WORD_MAX * 2),
            severity=self.severity,
            text=said(self.text),
            data=dict(self.data),
        )


def said(text: str, most: int = TEXT_MAX) -> str:
    """As anybody on the broker may read it."""
    text = plain(redact(text[: most * 4]))
    return text if len(text) <= most else f"{text[: most - 3]}..."


def of_connector(charger: str, connector: int) -> str:
    return f"{charger}/{connector}" if connector else charger


# --- notices ----------------------------------------------------------------------------------------

# Told by something else as well (an alarm, a record, another notice), or of no use to a building.
_NOT_TOLD = frozenset(
    {
        "cloud_silent",  # cloud_away
        "firmware_original",
        "heartbeat_interval_short",
        "limit_ended",  # these three: limit_fallback, limit_ended, limit_set
        "limit_expired",
        "limit_expired_over",
        "message_id_reused",
        "own_notice_dropped",
        "stored_refused",  # it is tried again; the last time is "parked"
        "unknown_connector",
        "upload_original",
    }
)

_SEVERITIES: Mapping[str, SeverityName] = {
    "balancing_failed": "critical",
    "boot_loop": "error",
    "charger_silent_to_limits": "error",
    "charger_unsteerable": "error",
    "firmware_failed_local": "error",
    "firmware_not_published": "error",
    "late_refusal_failed": "error",
    "parked": "error",
    "rollout_stopped": "error",
    "charger_adopted": "info",
    "charger_replaced": "info",
    "firmware_published": "info",
    "firmware_ready": "info",
    "meter_ok": "info",
    "move_adopted": "info",
    "password_changed": "info",
}
_SEVERITY_DEFAULT: SeverityName = "warning"  # what somebody thought worth a notice
_STORE = "store_"  # what is wrong with the journal
_OVER = "_over"


def of_notice(notice: Notice) -> Happening | None:
    if notice.kind in _NOT_TOLD:
        return None
    return Happening(
        at=notice.at,
        kind="firmware" if notice.kind.startswith("firmware_") else "notice",
        target=notice.charger,
        severity=_severity(notice.kind),
        text=without_cards(notice.text),
        data={"notice": said(notice.kind, WORD_MAX)},
    )


def _severity(kind: str) -> SeverityName:
    if kind in _SEVERITIES:
        return _SEVERITIES[kind]
    if kind.endswith(_OVER):
        return "info"
    return "error" if kind.startswith(_STORE) else _SEVERITY_DEFAULT


# --- transactions -----------------------------------------------------------------------------------


class Sessions:
    """Tells the start and the end of each transaction once, of the many times its record is saved."""

    def __init__(self, token: Callable[[str], str], known: Iterable[TransactionRecord] = ()) -> None:
        """`token`: a card id as the building may see it. `known`: what was told before a restart."""
        self._token = token
        self._running: OrderedDict[tuple[str, str], bool] = OrderedDict()
        for record in known:
            self._remember(record)

    def of_record(self, record: TransactionRecord, at: float) -> Happening | None:
        """`at`: wall clock now."""
        if self._running.get((record.charger, record.id)) is record.running:
            return None  # saved again, as when the cloud names it afterwards
        self._remember(record)
        return self._started(record, at) if record.running else self._ended(record, at)

    def _remember(self, record: TransactionRecord) -> None:
        key = (record.charger, record.id)
        self._running[key] = record.running
        self._running.move_to_end(key)
        if len(self._running) > SESSIONS_KEPT:
            self._running.popitem(last=False)

    def _started(self, record: TransactionRecord, at: float) -> Happening:
        return Happening(
            at=at,
            kind="session_started",
            target=_where(record),
            text=f"{_where(record)}: transaction {record.id} started",
            data=self._about(record),
        )

    def _ended(self, record: TransactionRecord, at: float) -> Happening:
        used_wh = energy_wh(record)
        how_much = f", {used_wh / 1000:.1f} kWh" if used_wh is not None else ""
        why = f" ({record.stop_reason})" if record.stop_reason else ""
        return Happening(
            at=at,
            kind="session_ended",
            target=_where(record),
            text=f"{_where(record)}: transaction {record.id} ended{how_much}{why}",
            data={
                **self._about(record),
                "ended_at": said(record.stopped_at, WORD_MAX) or None,
                "energy_wh": used_wh,
                "stop_reason": said(record.stop_reason, WORD_MAX),
            },
        )

    def _about(self, record: TransactionRecord) -> dict[str, Any]:
        return {
            "connector": record.evse or record.connector,
            "transaction": said(record.id, WORD_MAX),
            "token": said(self._token(record.id_tag), WORD_MAX) if record.id_tag else "",
            "started_at": said(record.started_at, WORD_MAX) or None,
            "offline": record.offline,
        }


def _where(record: TransactionRecord) -> str:
    return of_connector(record.charger, record.evse or record.connector)


# --- alarms and orders ------------------------------------------------------------------------------


def of_alarm(change: AlarmChange) -> Happening | None:
    """One that only comes again, or makes room for a worse one, is seen in `alarm/<id>`."""
    alarm = change.alarm
    match change.kind:
        case "raised":
            text = f"{alarm.title}: {alarm.text}"
            return _alarm(alarm, "alarm_raised", alarm.last_at, alarm.severity, text)
        case "acknowledged":
            text = f"{alarm.title}: seen by {alarm.acknowledged_by or 'somebody'}"
            return _alarm(alarm, "alarm_acknowledged", alarm.acknowledged_at, "info", text)
        case "cleared":
            return _alarm(alarm, "alarm_cleared", alarm.cleared_at, "info", f"{alarm.title}: over")
    return None


def _alarm(alarm: Alarm, kind: Kind, at: float | None, severity: SeverityName, text: str) -> Happening:
    data = {"alarm": alarm.id, "code": alarm.code, "alarm_severity": alarm.severity}
    at = alarm.last_at if at is None else at
    return Happening(at=at, kind=kind, target=alarm.target, severity=severity, text=text, data=data)


def of_order(entry: AuditEntry) -> Happening:
    """Carried out or refused, and through whatever door it came."""
    done = entry.outcome == "ok"
    what = f"{entry.order} {entry.target}".rstrip()
    return Happening(
        at=entry.at,
        kind="command",
        target=entry.target,
        severity="info" if done else "warning",
        text=f"{what} by {entry.asker}: {'done' if done else f'refused, {entry.outcome}'}",
        data={
            "door": entry.door,
            "asker": said(entry.asker, WORD_MAX),
            "order": said(entry.order, WORD_MAX),
            "outcome": said(entry.outcome, WORD_MAX),
            "transaction": said(entry.transaction, WORD_MAX),
        },
    )
