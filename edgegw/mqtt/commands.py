"""Commands of the building: each is judged, carried out or refused, answered, and written into the audit.

Rules of this file:
- `on_message` never raises and never waits: what is carried out is a task of its own, so a charger that is
  slow holds up nobody else. Every command gets exactly one answer; in a flood some get none and are counted.
- What is carried out is always in the audit, with its outcome. Of refusals above a rate only their number
  is: a flood must not push everything else out of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import msgspec

from edgegw.config_mqtt import Mqtt, Verb
from edgegw.control.problem import Problem
from edgegw.core.events import Instant
from edgegw.errors import EdgegwError
from edgegw.mqtt import command_words as words
from edgegw.mqtt.answered import ANSWER_BYTES_MAX, KEPT_S, ReplyTo
from edgegw.mqtt.freshness import Bucket
from edgegw.mqtt.gatekeeping import Case, Desk, Execute, Refuse, Replay
from edgegw.mqtt.message import Incoming, Message
from edgegw.mqtt.payloads import ErrorText, Response
from edgegw.mqtt.requests import Request
from edgegw.mqtt.topics import BY_NAME, Tree
from edgegw.redaction import plain, redact
from edgegw.runtime import clock as clocks
from edgegw.runtime.audit import AuditEntry, AuditLog
from edgegw.runtime.histogram import LONG_S, Histogram
from edgegw.runtime.tasks import Tasks

log = logging.getLogger("edgegw.mqtt.commands")

DOOR = "mqtt"  # in the audit
REFUSALS_AUDITED_BURST, REFUSALS_AUDITED_PER_S = 100.0, 1.0
SUMMARY_S = 60.0  # between two entries that say how many were left out
RUN_S_MAX = (
    1200.0  # a CALL behind others is given up earlier; a disk that hangs must not hold a place for ever
)
TEXT_MAX = 500  # characters of an error
_RESPONSE = BY_NAME["response"]


class CommandFailed(EdgegwError):
    """It was tried and did not succeed; `data` goes into the answer."""

    def __init__(self, code: str, text: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.data = data


class Executor(Protocol):
    """How commands are carried out: `verbs.Verbs`."""

    def find(self, name: str) -> str | None:
        """The identity of the charger with this identity or this name in topics."""

    async def run(self, verb: Verb, request: Request, chargers: tuple[str, ...]) -> dict[str, Any]:
        """The `data` of the answer. Raises CommandFailed, Problem or another EdgegwError."""


class CommandDesk:
    def __init__(
        self,
        settings: Mqtt,
        tree: Tree,
        executor: Executor,
        send: Callable[[Message], object],
        audit: AuditLog,
        clock: Callable[[], Instant] = clocks.now,
    ) -> None:
        self.counts: Counter[str] = Counter()  # answers by "ok" or the code of the refusal, since the start
        self.seconds = Histogram(LONG_S)  # from the arrival of what was carried out to its answer
        self._executor = executor
        self._send = send
        self._audit = audit
        self._clock = clock
        self._desk = Desk(settings, tree, executor.find, clock())
        self._tasks = Tasks()
        self._refusals = words.Collapsed(lambda text: log.warning("%s", text))
        self._audited = Bucket(REFUSALS_AUDITED_BURST, REFUSALS_AUDITED_PER_S)
        self._left_out = 0  # refusals that are not in the audit
        self._summed_at = float("-inf")
        self._stopping = False

    async def stop(self) -> None:
        """Commands under way are answered that the box stops."""
        self._stopping = True
        await asyncio.sleep(0)  # one that has not begun would end without its answer
        await self._tasks.cancel()
        self._refusals.flush()
        self._sum_up(self._clock())

    def remember(self, entries: Iterable[AuditEntry]) -> None:
        """Entries of the process before this one: what it carried out is not carried out again."""
        now = self._clock()
        self._desk.remember(
            (e.transaction for e in entries if e.door == DOOR and e.transaction and now.wall - e.at < KEPT_S),
            now,
        )

    def on_message(self, incoming: Incoming) -> None:
        """A message that is no request is none of this desk's business."""
        if self._stopping or not self._desk.is_request(incoming.topic):
            return
        if not incoming.payload:
            return  # somebody clears a retained command
        now = self._clock()
        verdict = self._desk.judge(incoming, now)
        if verdict is None:
            self._not_answered(now)
        elif isinstance(verdict, Refuse):
            self._refuse(verdict, now)
        elif isinstance(verdict, Replay):
            self._replay(verdict, now)
        else:
            self._tasks.spawn(self._carry_out(verdict, now), f"command {verdict.verb}")

    # --- what is not carried out --------------------------------------------------------------------

    def _not_answered(self, now: Instant) -> None:
        self.counts["not_answered"] += 1
        self._refusals.say(("mqtt commands", "not_answered"), "a flood of commands is not answered", now.mono)
        self._left_out += 1
        self._sum_up_at_times(now)

    def _refuse(self, refuse: Refuse, now: Instant) -> None:
        case = refuse.case
        self.counts[refuse.code] += 1
        body = _body(case.transaction, None, ErrorText(code=refuse.code, text=_short(refuse.text)), 0.0)
        self._answer(case.reply, body)
        line = f"mqtt {words.verb(case.verb)} refused, {refuse.code}: {refuse.text}"
        kind = "unknown" if refuse.code == "unknown_verb" else words.verb(case.verb)  # they invent many
        self._refusals.say((kind, refuse.code), line, now.mono)
        self._audit_refusal(case, refuse.code, now, refuse.text)

    def _replay(self, replay: Replay, now: Instant) -> None:
        self.counts["repeated"] += 1
        if replay.answer is not None:
            self._answer(replay.case.reply, replay.answer)
        line = f"mqtt {replay.case.verb} came again and is not carried out twice"
        self._refusals.say((replay.case.verb, "repeated"), line, now.mono)
        self._audit_refusal(replay.case, "repeated", now)

    def _audit_refusal(self, case: Case, code: str, now: Instant, why: str = "") -> None:
        if self._audited.take(now.mono):
            self._audit.write(_entry(case, (), code, now, why))
        else:
            self._left_out += 1
        self._sum_up_at_times(now)

    def _sum_up_at_times(self, now: Instant) -> None:
        if now.mono - self._summed_at >= SUMMARY_S:
            self._sum_up(now)

    def _sum_up(self, now: Instant) -> None:
        self._summed_at = now.mono
        if not self._left_out:
            return
        text = f"{self._left_out} refused commands are not listed here one by one"
        self._left_out = 0
        self._audit.write(
            AuditEntry(at=now.wall, door=DOOR, asker="mqtt", order="request", outcome="refused", text=text)
        )

    # --- what is carried out ------------------------------------------------------------------------

    async def _carry_out(self, execute: Execute, began: Instant) -> None:
        data: dict[str, Any] | None = None
        error: ErrorText | None = ErrorText(code="internal", text="edgegw failed at it; its log says how")
        try:
            async with asyncio.timeout(RUN_S_MAX):
                data = await self._executor.run(execute.verb, execute.request, execute.chargers)
            error = None
        except CommandFailed as failed:
            data, error = failed.data, ErrorText(code=failed.code, text=_short(str(failed)))
        except Problem as problem:
            error = ErrorText(code=problem.code, text=_short(problem.text))
        except EdgegwError as fault:
            error = ErrorText(code="failed", text=_short(str(fault)))
        except TimeoutError:
            error = ErrorText(
                code="timeout", text="it took too long; whether it was carried out is not known"
            )
        except asyncio.CancelledError:
            error = ErrorText(code="stopping", text="edgegw stops; whether it was carried out is not known")
            raise
        finally:
            self._finish(execute, data, error, began)

    def _finish(
        self, execute: Execute, data: dict[str, Any] | None, error: ErrorText | None, began: Instant
    ) -> None:
        now = self._clock()
        took_ms = round((now.mono - began.mono) * 1000, 1)
        self.seconds.observe(now.mono - began.mono)
        body = _body(execute.case.transaction, data, error, took_ms)
        for waiting in (execute.case.reply, *self._desk.done(execute, body, now)):
            self._answer(waiting, body)
        outcome = error.code if error is not None else "ok"
        self.counts[outcome] += 1
        self._audit.write(_entry(execute.case, execute.chargers, outcome, now))
        asked = words.asked(execute.request, b"")
        log.info("mqtt %s %s: %s after %.0f ms", execute.verb, asked, outcome, took_ms)

    def _answer(self, reply: ReplyTo, body: bytes) -> None:
        self._send(
            Message(
                topic=reply.topic,
                body=body,
                retain=_RESPONSE.retain,
                qos=_RESPONSE.qos,
                expiry_s=_RESPONSE.expiry_s,
                correlation=reply.correlation,
            )
        )


def _body(
    transaction: str | None, data: dict[str, Any] | None, error: ErrorText | None, took_ms: float
) -> bytes:
    status = "ok" if error is None else "error"
    body = msgspec.json.encode(
        Response(transaction=transaction, status=status, data=data, error=error, took_ms=took_ms)  # type: ignore[arg-type]
    )
    if len(body) <= ANSWER_BYTES_MAX:
        return body
    return _body(transaction, {"shortened": True}, error, took_ms)


def _entry(case: Case, chargers: tuple[str, ...], outcome: str, now: Instant, why: str = "") -> AuditEntry:
    request = case.request
    target = ", ".join(chargers) or (request.target if request is not None else "")
    asked = words.asked(request, case.payload)
    source = getattr(request, "source", "") or getattr(request, "by", "")
    return AuditEntry(
        at=now.wall,
        door=DOOR,
        asker=source if isinstance(source, str) and source else "unknown",
        order=words.verb(case.verb),
        target=_short(target),
        outcome=outcome,
        text=_short(f"{why}; asked: {asked}") if why else asked,
        transaction=case.transaction or "",
    )


def _short(text: str) -> str:
    text = redact(plain(text[: 4 * TEXT_MAX]))
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 3] + "..."
