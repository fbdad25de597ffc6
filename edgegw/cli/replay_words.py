"""Events and decisions of the core, in words for who maintains it: a line each, and what it stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import orjson

from edgegw.core import effects as out
from edgegw.core import files, records
from edgegw.core.flight import FRAMES, SENT, STARTED, Line
from edgegw.wire.frames import CALL, CALLERROR, CALLRESULT, SEND

_FRAME_WORDS = {CALL: "", CALLRESULT: "answer to", CALLERROR: "error for", SEND: "send"}


def happened(line: Line) -> str:
    """ "charger says StatusNotification m12", "cloud lost: cut"."""
    if line.what in FRAMES:
        verb = "is sent" if line.what in SENT else "says"
        named = " ".join(filter(None, (_FRAME_WORDS.get(line.kind, "no OCPP-J"), line.action, line.id)))
        return f"{FRAMES[line.what]} {verb} {named or 'something'}"
    data = line.data if isinstance(line.data, dict) else {}
    if line.what == STARTED:
        return f"edgegw {data.get('edgegw', '')} {'starts' if data.get('start') else 'is wired otherwise'}"
    if line.what == "state_kept":
        return _state(data)
    return f"{line.what.replace('_', ' ')}{_members(data)}"


def _state(data: dict[str, Any]) -> str:
    where = [f"{leg} {'here' if data.get(f'{leg}_up') else 'away'}" for leg in ("charger", "cloud")]
    running = data.get("running")
    count = len(running) if isinstance(running, list) else 0
    waiting = data.get("waiting", 0)
    return f"state: {', '.join(where)}, {count} transactions run, {waiting} of their messages wait"


def _members(data: dict[str, Any]) -> str:
    if not data:
        return ""
    if set(data) == {"reason"}:
        return f": {data['reason']}" if data["reason"] else ""
    text = ", ".join(f"{name} {_short(value)}" for name, value in list(data.items())[:6])
    return f": {text}"


def _short(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def decided(effect: out.Effect) -> str:
    """What the core wants done, in words."""
    words = _WORDS.get(type(effect))
    return words(effect) if words is not None else f"{type(effect).__name__} {_fields(effect)}"


def _fields(effect: Any) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in msgspec.structs.asdict(effect).items())


def frame_words(data: bytes) -> str:
    """ "StatusNotification m12 {...}", "answer to m12 {...}"."""
    try:
        kind, message_id, *rest = orjson.loads(data)
    except (ValueError, TypeError):
        return _short(data.decode("utf-8", "replace"))
    if kind in (CALL, SEND) and rest:
        return f"{rest[0]} {message_id} {_short(rest[1:2][0] if rest[1:] else {})}"
    return f"{_FRAME_WORDS.get(kind, 'frame')} {message_id} {_short(rest[0] if len(rest) == 1 else rest)}"


def _append(effect: records.Append) -> str:
    row = effect.row
    about = f" of transaction {row.transaction}" if row.transaction else ""
    doubts = f"; {', '.join(row.flags)}" if row.flags else ""
    return (
        f"keep {row.action} {row.message_id}{about} as message {row.seq} for the cloud ({row.state}){doubts}"
    )


def _settle(effect: records.Settle) -> str:
    error = f": {effect.error}" if effect.error else ""
    tries = f" after {effect.attempts} attempts" if effect.attempts else ""
    return f"message {effect.seq} is {effect.state}{tries}{error}"


def _document(effect: records.SaveDocument) -> str:
    key = f" {effect.key}" if effect.key else ""
    return f"{'forget' if effect.value is None else 'remember'} {effect.kind}{key}"


def _transaction(effect: records.SaveTransaction) -> str:
    record = effect.record
    state = "runs" if record.running else f"ended ({record.stop_reason or 'no reason given'})"
    cloud = f", {record.cloud_id} for the cloud" if record.cloud_id not in ("", record.id) else ""
    return f"transaction {record.id}{cloud} {state}"


def _finished(effect: out.CallFinished) -> str:
    return f"tell who asked: {effect.outcome.value} {effect.code or _short(effect.payload)}"


_WORDS: dict[type, Callable[[Any], str]] = {
    out.SendCharger: lambda e: f"to the charger: {frame_words(e.data)}",
    out.SendCloud: lambda e: f"to the cloud: {frame_words(e.data)}",
    out.CloseCharger: lambda e: f"close the charger's connection ({e.code} {e.reason})",
    out.CloseCloud: lambda e: f"give up the connection to the cloud ({e.reason})",
    out.LoadRows: lambda e: f"read up to {e.limit} stored messages behind {e.after_seq}",
    out.AskReplaySlot: lambda e: "ask for the site's turn to send a stored message",
    out.CallFinished: _finished,
    out.CredentialsChanged: lambda e: "keep the charger's new password (as a hash)",
    out.Noticed: lambda e: f"notice {e.kind}: {e.text}",
    records.Append: _append,
    records.Settle: _settle,
    records.Discard: lambda e: f"drop messages {', '.join(map(str, e.seqs))}: newer ones replace them",
    records.SaveDocument: _document,
    records.SaveTransaction: _transaction,
    files.FetchFirmware: lambda e: f"fetch firmware for order {e.order}",
    files.FirmwareNews: lambda e: f"firmware order {e.order}: {e.status} {e.why}".rstrip(),
    files.OpenUpload: lambda e: f"make room for upload {e.order}",
    files.UploadNews: lambda e: f"upload {e.order}: {e.status} {e.why}".rstrip(),
}
