"""The box as a station of its own towards the cloud: OCPP 2.x Part 1 8.3, Part 4 6.2, use cases L03 and L04.

A local controller may have a connection and an identity of its own. The cloud sees a station without EVSEs
that publishes firmware. Events go in, effects come out, in the order of durability as for chargers.

Rules of this file:
- 2.0.1 and 2.1 only. Every CALL is judged by its schema before anything looks at it.
- What the box sends by itself is `own_mail`'s business, what becomes of files `publishing`'s, variables are
  `own_variables`', and everything that a box without connectors can only say no to is in `own_answers`.
- An UnpublishFirmware is answered when it is done, on the leg it came by or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from edgegw.core.effects import CloseCloud, Noticed, SendCloud
from edgegw.core.events import CloudConnected, CloudLost, CloudSpoke, Instant, Woke
from edgegw.core.own_answers import fixed_answer, status
from edgegw.core.own_mail import STATUS_ACTION, OwnMail
from edgegw.core.own_variables import ITEMS_MAX, OwnFacts, OwnVariables
from edgegw.core.publishing import (
    LOCATION_LENGTH_MAX,
    PublishEffect,
    Publishing,
    PublishProgress,
    PublishStopped,
    PublishWanted,
    StatusReport,
    is_md5,
)
from edgegw.core.records import Document, SaveDocument
from edgegw.core.state import Registration
from edgegw.wire import frames
from edgegw.wire.error_codes import ErrorMeaning, error_code
from edgegw.wire.frames import Call, CallError, CallResult
from edgegw.wire.schemas import Complaint, Schemas
from edgegw.wire.timestamps import format_timestamp
from edgegw.wire.versions import Version

UNPUBLISHING_MAX = (
    8  # UnpublishFirmware not yet answered; the cloud may have one CALL under way (OCPP-J 4.1.1)
)
# OCPP 2.1. Clouds write signed addresses of over 512 characters in 2.0.1 too, and we can use them.
URL_LENGTH_MAX = 2000


class Unpublished(StrEnum):
    """UnpublishFirmwareStatusEnumType."""

    DONE = "Unpublished"
    NO_FIRMWARE = "NoFirmware"
    DOWNLOAD_ONGOING = "DownloadOngoing"  # L04.FR.04: a charger is downloading it


class UnpublishWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Effect: stop offering this file, unless a charger is downloading it; `UnpublishSettled` follows."""

    ticket: int
    md5: str


class UnpublishSettled(msgspec.Struct, frozen=True, kw_only=True):
    """Event: what became of an `UnpublishWanted`."""

    ticket: int
    outcome: Unpublished | None  # None: it failed, nobody knows


class _Unpublishing(msgspec.Struct, frozen=True):
    call_id: str
    leg: int
    md5: str


StationEvent = CloudConnected | CloudLost | CloudSpoke | Woke | PublishProgress | UnpublishSettled
StationEffect = (
    SendCloud | CloseCloud | Noticed | SaveDocument | PublishWanted | PublishStopped | UnpublishWanted
)
_Effects = list[StationEffect | StatusReport]
_Answer = Callable[["OwnStation", Call, Instant], _Effects]


class OwnStation:
    """`handle` every event; call it with `Woke` when `wake_at` (mono) has come; `begin` once, first."""

    def __init__(
        self,
        facts: OwnFacts,
        version: Version,
        new_id: Callable[[], str],
        documents: Iterable[Document] = (),
        schemas: Schemas | None = None,
    ) -> None:
        assert version.is_2x
        self.version = version
        self.variables = OwnVariables(facts)
        self.mail = OwnMail(facts, self.variables, new_id)
        length_max = LOCATION_LENGTH_MAX if version is Version.V201 else URL_LENGTH_MAX
        self.publishing = Publishing(documents, length_max)
        self._schemas = schemas or Schemas()
        self._began = False
        self._leg = 0  # counts
        self._ticket = 0
        self._unpublishing: dict[int, _Unpublishing] = {}

    @property
    def registration(self) -> Registration:
        return self.mail.registration

    @property
    def wake_at(self) -> float:
        return min(self.mail.wake_at(), self.publishing.wake_at)

    def begin(self, now: Instant) -> list[StationEffect]:
        """The process is up: go on with what it was busy with before."""
        last = self.publishing.last_told
        if last is not None and last.told is not None:
            self.mail.last_status = (last.told, last.request_id)
        started = {"type": "StartupOfTheDevice", "timestamp": format_timestamp(now.wall)}
        posted = self.mail.post("SecurityEventNotification", started)
        return self._carry([*posted, *self.publishing.resume()], now)

    def handle(self, event: StationEvent, now: Instant) -> list[StationEffect]:
        effects: _Effects = []
        match event:
            case CloudSpoke(frame):
                effects = self._spoke(frame, now)
            case PublishProgress():
                effects = [*self.publishing.progressed(event, now)]
            case UnpublishSettled():
                effects = self._settled(event)
            case Woke():
                effects = [*self.mail.woke(now), *self.publishing.woke(now)]
            case CloudConnected():
                self._leg += 1
                self.mail.connected()
            case CloudLost():
                self.mail.lost()
        return self._carry(effects, now)

    def _carry(self, effects: Iterable[StationEffect | StatusReport], now: Instant) -> list[StationEffect]:
        """Reports go into the queue; after all else the queue moves."""
        carried: list[StationEffect] = []
        for effect in effects:
            if isinstance(effect, StatusReport):
                carried += self.mail.post(STATUS_ACTION, effect.payload(), effect)
            else:
                carried.append(effect)
        return [*carried, *self.mail.pump(now)]

    # --- the cloud speaks ------------------------------------------------------------------------

    def _spoke(self, frame: frames.Frame, now: Instant) -> _Effects:
        if isinstance(frame, Call):
            return self._called(frame, now)
        if not isinstance(frame, CallResult | CallError):
            return []  # 2.1 SEND and CALLRESULTERROR: there is nothing here that they could be about
        report, effects = self.mail.answered(frame, now)
        told: list[PublishEffect] = self.publishing.told(report) if report is not None else []
        return [*effects, *told]

    def _called(self, call: Call, now: Instant) -> _Effects:
        if self.registration is Registration.REJECTED:  # B03.FR.08
            return [self._error(call, ErrorMeaning.SECURITY, "this station was rejected")]
        complaint = self._complaint(call)
        if complaint is not None:
            where = f"{complaint.path}: " if complaint.path else ""
            return [self._error(call, complaint.meaning, where + complaint.text)]
        own = _OWN.get(call.action)
        if own is not None:
            return own(self, call, now)
        answer = fixed_answer(call.action, self.version)
        if isinstance(answer, ErrorMeaning):
            return [self._error(call, answer, "")]
        return [_result(call, answer)]

    def _complaint(self, call: Call) -> Complaint | None:
        """What is wrong with the payload, if anything that matters."""
        for complaint in self._schemas.complaints(self.version, "request", call.action, call.payload):
            if (complaint.path, complaint.rule) != ("location", "max_length"):
                return complaint
            if len(call.payload["location"]) > URL_LENGTH_MAX:
                return complaint
        return None

    def _error(self, call: Call, meaning: ErrorMeaning, text: str) -> SendCloud:
        return SendCloud(frames.error(call.id, error_code(self.version, meaning), text))

    # --- firmware --------------------------------------------------------------------------------

    def _publish(self, call: Call, now: Instant) -> _Effects:
        if self.registration is not Registration.ACCEPTED:
            # Its statuses could not be sent (B02.FR.02).
            return [_result(call, status("Rejected", "CSNotAccepted"))]
        why_not, before, after = self.publishing.order(call.payload)
        if why_not:
            return [_result(call, status("Rejected", why_not))]
        return [*before, _result(call, status("Accepted")), *after]

    def _unpublish(self, call: Call, now: Instant) -> _Effects:
        md5 = call.payload["checksum"].lower()
        if self.publishing.is_downloading(md5):
            return [_result(call, status(Unpublished.DOWNLOAD_ONGOING.value))]
        if not is_md5(md5):
            return [_result(call, status(Unpublished.NO_FIRMWARE.value))]
        if len(self._unpublishing) >= UNPUBLISHING_MAX:
            return [self._error(call, ErrorMeaning.GENERIC, "too many requests at once")]
        self._ticket += 1
        self._unpublishing[self._ticket] = _Unpublishing(call.id, self._leg, md5)
        return [UnpublishWanted(ticket=self._ticket, md5=md5)]

    def _settled(self, event: UnpublishSettled) -> _Effects:
        asked = self._unpublishing.pop(event.ticket, None)
        if asked is None:
            return []
        effects: _Effects = []
        if event.outcome in (Unpublished.DONE, Unpublished.NO_FIRMWARE):
            effects = [*self.publishing.unpublished(asked.md5)]
        if asked.leg == self._leg and event.outcome is not None:
            effects.append(SendCloud(frames.result(asked.call_id, status(event.outcome.value))))
        elif asked.leg == self._leg:
            code = error_code(self.version, ErrorMeaning.INTERNAL)
            effects.append(SendCloud(frames.error(asked.call_id, code)))
        return effects

    # --- everything else -------------------------------------------------------------------------

    def _trigger(self, call: Call, now: Instant) -> _Effects:
        """F06. The answer goes first, then the message (F06.FR.04): `_carry` pumps last."""
        accepted = True
        match call.payload["requestedMessage"]:
            case "BootNotification" if self.registration is Registration.ACCEPTED:  # F06.FR.17
                return [_result(call, status("Rejected", "NotEnabled", "it is accepted already"))]
            case "BootNotification":
                self.mail.boot_again(now)
            case "Heartbeat":
                accepted = self.mail.ask("Heartbeat", {})
            case "PublishFirmwareStatusNotification":
                accepted = self.mail.ask(STATUS_ACTION, None)
            case _:
                return [_result(call, status("NotImplemented"))]  # F06.FR.08
        return [_result(call, status("Accepted" if accepted else "Rejected"))]

    def _get_variables(self, call: Call, now: Instant) -> _Effects:
        if len(call.payload["getVariableData"]) > ITEMS_MAX:  # B06.FR.16
            return [self._error(call, ErrorMeaning.OCCURRENCE, f"more than {ITEMS_MAX} variables")]
        return [_result(call, self.variables.read(call.payload, now))]

    def _set_variables(self, call: Call, now: Instant) -> _Effects:
        if len(call.payload["setVariableData"]) > ITEMS_MAX:
            return [self._error(call, ErrorMeaning.OCCURRENCE, f"more than {ITEMS_MAX} variables")]
        return [_result(call, self.variables.write(call.payload))]

    def _base_report(self, call: Call, now: Instant) -> _Effects:
        rows = self.variables.base_report(call.payload["reportBase"], now)
        return self._report(call, rows, now)

    def _custom_report(self, call: Call, now: Instant) -> _Effects:
        if len(call.payload.get("componentVariable", ())) > ITEMS_MAX:  # B08.FR.17
            return [self._error(call, ErrorMeaning.OCCURRENCE, f"more than {ITEMS_MAX} variables")]
        return self._report(call, self.variables.report(call.payload, now), now)

    def _report(self, call: Call, rows: list[dict[str, Any]], now: Instant) -> _Effects:
        if not rows:
            return [_result(call, status("EmptyResultSet"))]
        report = {
            "requestId": call.payload["requestId"],
            "generatedAt": format_timestamp(now.wall),
            "seqNo": 0,
            "reportData": rows,
        }
        accepted = self.mail.ask("NotifyReport", report)
        return [_result(call, status("Accepted" if accepted else "Rejected"))]  # B07.FR.13


def _result(call: Call, payload: dict[str, Any]) -> SendCloud:
    return SendCloud(frames.result(call.id, payload))


_OWN: Mapping[str, _Answer] = {
    "GetBaseReport": OwnStation._base_report,
    "GetReport": OwnStation._custom_report,
    "GetVariables": OwnStation._get_variables,
    "PublishFirmware": OwnStation._publish,
    "SetVariables": OwnStation._set_variables,
    "TriggerMessage": OwnStation._trigger,
    "UnpublishFirmware": OwnStation._unpublish,
}
