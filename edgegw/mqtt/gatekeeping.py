"""Which command is carried out, which is answered from memory, which is refused: no clock, no in- or output.

Rules of this file:
- Everything on the broker is said by a stranger until it is judged here. In doubt: refused, with a code.
- The order of the checks is the order below. A command that was carried out before is found before its age is
  judged: whoever asks again because the answer was lost gets the answer.
- Nothing that is refused is remembered, so the same command may be sent again when what was wrong is right.
- An answer goes below `<root>/response/` and nowhere else, whatever the asker wishes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any

import msgspec

from edgegw.config_mqtt import VERBS, Mqtt, Verb
from edgegw.core.events import Instant
from edgegw.errors import EdgegwError
from edgegw.mqtt import freshness
from edgegw.mqtt.answered import KEPT_S, WAITERS_MAX, Answered, Kept, Key, ReplyTo
from edgegw.mqtt.freshness import Bucket
from edgegw.mqtt.message import Incoming
from edgegw.mqtt.reading import (
    PAYLOAD_BYTES_MAX,
    Malformed,
    near,
    read,
    read_object,
    shown,
    transaction_of,
)
from edgegw.mqtt.requests import LimitRelease, LimitSet, Request
from edgegw.mqtt.topics import Tree

# Of each verb; a building sends one limit in seconds, people click. Verbs do not share: whoever floods one
# must not keep the building from renewing its limit until that lapses.
COMMANDS_BURST, COMMANDS_PER_S = 50.0, 10.0
REFUSALS_PER_S = 100.0  # of those above; then only counted: an answer per message helps whoever floods
RUNNING_MAX = 32
RUNNING_FOR_LIMITS = 8  # more: charger commands take minutes, limits do not
OTHERS_SHARE = 0.75  # of what is remembered; the rest is for limits alone
RUNNING_PER_CHARGER_MAX = 4  # a charger does one after the other, and each may take its time
CORRELATION_BYTES_MAX = 256
RESPONSE_TOPIC_CHARACTERS_MAX = 256
BYTES_PER_COMMAND = 4096  # a long one counts as several: reading the worst 64 KiB takes the loop 10 ms
PEEKED_BYTES_MAX = 2048  # of one too many: reading it must cost less than sending it

_LIKE_A_VERB = re.compile(r"[a-z0-9_]{1,24}(/[a-z0-9_]{1,24})?", re.ASCII)
LIMIT_VERBS: frozenset[str] = frozenset({"limit/set", "limit/release"})
# Also while the clock is not set: a limit only lowers and ends by itself, the others change nothing.
_FINE_WHEN_OLD: frozenset[str] = LIMIT_VERBS | {"alarm/ack", "health_check"}
UNKNOWN_VERB = "unknown"  # stands in the topic of the answer for what no verb can be


class Case(msgspec.Struct, kw_only=True):
    """What is known of a command so far. `verb` may be none; `request` is there once it was read."""

    verb: str
    reply: ReplyTo
    transaction: str | None = None
    request: Request | None = None
    payload: bytes = b""


class Refuse(msgspec.Struct, frozen=True, kw_only=True):
    case: Case
    code: str
    text: str


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """It was carried out before: the same answer again. None: it is under way and will be answered then."""

    case: Case
    answer: bytes | None


class Execute(msgspec.Struct, frozen=True, kw_only=True):
    """Carry it out, then call `Desk.done` with the answer. `chargers`: identities, in the order named."""

    case: Case
    verb: Verb
    request: Request
    chargers: tuple[str, ...]
    key: Key


class Refused(EdgegwError):
    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


Verdict = Refuse | Replay | Execute
Finder = Callable[[str], str | None]  # a name as somebody wrote it -> identity


class Desk:
    def __init__(self, settings: Mqtt, tree: Tree, find: Finder, started: Instant) -> None:
        self._settings = settings
        self._requests = f"{tree.root}/request/"
        self._responses = f"{tree.root}/response/"
        self._find = find
        self._started = started
        kinds = {_bucket_of(verb) for verb in (*VERBS, UNKNOWN_VERB)}
        self._commands = {kind: Bucket(COMMANDS_BURST, COMMANDS_PER_S) for kind in kinds}
        self._refusals = Bucket(REFUSALS_PER_S, REFUSALS_PER_S)
        self._answered = Answered()
        self._busy: Counter[str] = Counter()  # commands under way, by charger
        self._before: frozenset[str] = frozenset()  # transactions of the process before this one
        self._before_until = float("-inf")  # mono

    def remember(self, transactions: Iterable[str], now: Instant) -> None:
        """Of commands before a restart. What they were answered is not known any more: they are refused."""
        self._before, self._before_until = frozenset(transactions), now.mono + KEPT_S

    def is_request(self, topic: str) -> bool:
        return topic.startswith(self._requests)

    def judge(self, incoming: Incoming, now: Instant) -> Verdict | None:
        """None: there are far too many, and this one is not even answered."""
        verb = incoming.topic.removeprefix(self._requests)
        too_many = not self._commands[_bucket_of(verb)].take(now.mono, _cost(incoming.payload))
        if too_many and not self._refusals.take(now.mono):
            return None
        case = Case(verb=verb, reply=self._usual(verb, incoming.correlation), payload=incoming.payload)
        try:
            if too_many:
                case.transaction = _peeked(incoming.payload)
                text = f"more than {COMMANDS_PER_S:g} commands of this kind per second: slow down"
                raise Refused("too_many", text)
            value = self._opened(case, incoming)
            return self._judge(case, value, incoming, now)
        except Malformed as malformed:
            return Refuse(case=case, code="malformed", text=str(malformed))
        except Refused as refused:
            return Refuse(case=case, code=refused.code, text=str(refused))

    def done(self, execute: Execute, answer: bytes, now: Instant) -> list[ReplyTo]:
        """Remember the answer; who else waits for it."""
        for charger in execute.chargers:
            self._busy[charger] -= 1
        self._busy = +self._busy
        return self._answered.finish(execute.key, answer, now.mono)

    @property
    def remembered(self) -> int:
        return len(self._answered)

    # --- the checks, in their order -----------------------------------------------------------------

    def _opened(self, case: Case, incoming: Incoming) -> dict[str, Any]:
        """The payload as an object; `case` learns what an answer needs. Raises Malformed, Refused."""
        value = read_object(incoming.payload)
        case.transaction = transaction_of(value)
        if len(incoming.correlation or b"") > CORRELATION_BYTES_MAX:
            raise Malformed(f"the correlation data is longer than {CORRELATION_BYTES_MAX} bytes")
        if incoming.response_topic is not None:
            case.reply = self._wished(incoming.response_topic, case.reply)
        return value

    def _judge(self, case: Case, value: dict[str, Any], incoming: Incoming, now: Instant) -> Verdict:
        verb = self._verb(case.verb)
        if incoming.retain:
            text = "a retained command would be carried out again at every reconnect: send it without retain"
            raise Refused("retained_command", text)
        case.request = request = read(verb, value)
        self._check_source(request)
        key = _key(request, incoming.correlation)
        fingerprint = sha256(verb.encode() + b"\0" + incoming.payload).digest()
        kept = self._answered.find(key, now.mono)
        if kept is not None:
            return _again(case, kept, fingerprint)
        if request.transaction in self._before and now.mono < self._before_until:
            raise Refused(
                "transaction_reused", "it was used before edgegw restarted; ask again with a new one"
            )
        self._check_time(verb, request, now)
        chargers = tuple(dict.fromkeys(self._charger(name) for name in request.named))
        self._check_room(verb, chargers)
        self._answered.begin(key, fingerprint)
        self._busy.update(chargers)
        return Execute(case=case, verb=verb, request=request, chargers=chargers, key=key)

    def _verb(self, name: str) -> Verb:
        verb = next((one for one in VERBS if one == name), None)
        if verb is None:
            raise Refused("unknown_verb", f"there is no command {shown(name)}{near(name, VERBS)}")
        if verb not in self._settings.commands:
            raise Refused("not_allowed", f"[mqtt] commands of the site file does not name {verb}")
        return verb

    def _check_source(self, request: Request) -> None:
        if (
            isinstance(request, LimitSet | LimitRelease)
            and request.source not in self._settings.limit_sources
        ):
            sources = ", ".join(self._settings.limit_sources)
            text = f"[mqtt] limit_sources does not name {shown(request.source)}; it names: {sources}"
            raise Refused("not_allowed", text)

    def _check_time(self, verb: Verb, request: Request, now: Instant) -> None:
        untimely = freshness.judge(
            request.ts,
            now,
            self._started,
            required=self._settings.require_timestamp,
            fine_when_old=verb in _FINE_WHEN_OLD,
        )
        if untimely is not None:
            raise Refused(untimely.code, untimely.text)

    def _charger(self, name: str) -> str:
        identity = self._find(name)
        if identity is None:
            raise Refused("no_such_charger", f"no charger {shown(name)} is known here")
        return identity

    def _check_room(self, verb: Verb, chargers: tuple[str, ...]) -> None:
        is_limit = verb in LIMIT_VERBS
        if self._answered.running >= RUNNING_MAX + is_limit * RUNNING_FOR_LIMITS:
            raise Refused("busy", f"{RUNNING_MAX} commands are under way; try again later")
        if self._answered.is_full(1.0 if is_limit else OTHERS_SHARE):
            raise Refused("busy", "too many commands in the last ten minutes; try again later")
        for charger in chargers:
            if self._busy[charger] >= RUNNING_PER_CHARGER_MAX:
                text = f"{RUNNING_PER_CHARGER_MAX} commands for {charger} are under way; try again later"
                raise Refused("busy", text)

    # --- where answers go ---------------------------------------------------------------------------

    def _usual(self, verb: str, correlation: bytes | None) -> ReplyTo:
        name = verb if _LIKE_A_VERB.fullmatch(verb) else UNKNOWN_VERB
        too_long = len(correlation or b"") > CORRELATION_BYTES_MAX
        return ReplyTo(self._responses + name, None if too_long else correlation)

    def _wished(self, topic: str, usual: ReplyTo) -> ReplyTo:
        rest = topic.removeprefix(self._responses)
        is_below = topic.startswith(self._responses) and rest and topic.isprintable()
        if not is_below or set("+#") & set(topic) or len(topic) > RESPONSE_TOPIC_CHARACTERS_MAX:
            text = f"the response topic must lie below {self._responses}"
            raise Refused("bad_response_topic", text)
        return ReplyTo(topic, usual.correlation)


def _bucket_of(verb: str) -> str:
    """As few as there are verbs, whatever is sent."""
    if verb in LIMIT_VERBS:
        return "limit"
    return verb if verb in VERBS else UNKNOWN_VERB


def _cost(payload: bytes) -> float:
    """What is longer than the longest is not read and costs no more."""
    return 1.0 + min(len(payload), PAYLOAD_BYTES_MAX) // BYTES_PER_COMMAND


def _key(request: Request, correlation: bytes | None) -> Key:
    if request.transaction is not None:
        return "transaction", request.transaction.encode()
    if correlation:
        return "correlation", correlation
    text = 'add "transaction", a new id for each command (or MQTT 5 correlation data)'
    raise Refused("no_transaction", text)


def _again(case: Case, kept: Kept, fingerprint: bytes) -> Replay:
    if kept.fingerprint != fingerprint:
        text = "another command had this transaction in the last ten minutes: use a new one for each"
        raise Refused("transaction_reused", text)
    if kept.answer is None:
        if len(kept.waiting) >= WAITERS_MAX:
            raise Refused("busy", "this command is under way; wait for its answer")
        kept.waiting.append(case.reply)
    return Replay(case=case, answer=kept.answer)


def _peeked(payload: bytes) -> str | None:
    """The transaction id of a command that is not read otherwise."""
    try:
        return transaction_of(read_object(payload)) if len(payload) <= PEEKED_BYTES_MAX else None
    except Malformed:
        return None
