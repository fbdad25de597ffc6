"""The checks of the audit: each takes the evidence and lists its offenders in words.

Names follow the invariants: I1 delivered, I2 doubles, I3 order in a transaction, I4 bytes, I5 ids,
I6 energy; ORDER is the order over all transactions of a charger, INVENTED a message nobody sent,
LEDGERS the wholeness of the ledgers themselves, COMPLETE (on request) that nothing is still open.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from edgegw.sim.evidence import Evidence, Message
from edgegw.sim.tokens import difference

NO_TRANSACTION = "-1"  # OCPP 1.6 errata: what a charger sends when it never got an id


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    title: str
    counted: int  # how many things were looked at
    offenders: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.offenders


@dataclass(frozen=True, slots=True)
class Verdict:
    checks: tuple[Check, ...]
    facts: dict[str, float] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return all(check.holds for check in self.checks)

    def broken(self) -> set[str]:
        """Names of the checks that do not hold."""
        return {check.name for check in self.checks if not check.holds}


def judge(evidence: Evidence, *, replies_lost: int = 0, complete: bool = False) -> Verdict:
    """Run every check. `replies_lost`: doubles allowed beyond those the ledgers explain."""
    checks = [
        _ledgers(evidence),
        _delivered(evidence),
        _doubles(evidence, replies_lost),
        _order_in_transactions(evidence),
        _order_per_charger(evidence),
        _bytes(evidence),
        _ids(evidence),
        _energy(evidence),
        Check(
            "INVENTED",
            "the cloud has no transaction message that no charger sent",
            len(evidence.messages),
            tuple(f"{e.who} {e.action} {e.id}: {e.raw[:120]}" for e in evidence.invented),
        ),
    ]
    if complete:
        checks.append(_complete(evidence))
    return Verdict(tuple(checks), _facts(evidence))


def _ledgers(evidence: Evidence) -> Check:
    return Check("LEDGERS", "the ledgers are whole", len(evidence.cloud), tuple(evidence.ledger_faults))


def _delivered(evidence: Evidence) -> Check:
    answered = [m for m in evidence.messages if m.answered]
    lost = tuple(f"{m.label}: answered, never reached the cloud" for m in answered if not m.receipts)
    return Check("I1", "every answered transaction message reached the cloud", len(answered), lost)


def _doubles(evidence: Evidence, replies_lost: int) -> Check:
    """A further arrival is explained by an answer the sender may not have read, by a refusal before
    it, or by the charger that sent the message again."""
    unexplained: list[str] = []
    for message in evidence.messages:
        needless = sum(1 for r in message.receipts[:-1] if r.accepted and not r.reply_maybe_lost)
        beyond = needless - (message.transmissions - 1)
        if beyond > 0:
            times = len(message.receipts)
            unexplained.append(f"{message.label}: arrived {times} times, {beyond} without need")
    offenders = tuple(unexplained) if len(unexplained) > replies_lost else ()
    return Check("I2", "no message arrived twice but after a lost answer", len(evidence.messages), offenders)


def _order_in_transactions(evidence: Evidence) -> Check:
    offenders = []
    sessions = evidence.sessions()
    for (charger, session), messages in sessions.items():
        arrived = sorted((m for m in messages if m.receipts), key=_first_n)
        roles = [m.role for m in arrived]
        if "start" in roles[1:] or "stop" in roles[:-1]:
            offenders.append(f"{charger} {session}: arrived as {' '.join(roles)}")
        elif [m.place for m in arrived] != sorted(m.place for m in arrived):
            offenders.append(f"{charger} {session}: arrived as {' '.join(m.id for m in arrived)}")
        elif roles and roles[0] != "start" and messages[0].role == "start" and not messages[0].gave_up:
            offenders.append(f"{charger} {session}: its start {messages[0].id} never arrived")
    return Check("I3", "start < meter values < stop, in the order sent", len(sessions), tuple(offenders))


def _first_n(message: Message) -> int:
    return message.receipts[0].call.n


def _order_per_charger(evidence: Evidence) -> Check:
    offenders = []
    chargers = evidence.by_charger()
    for messages in chargers.values():
        arrivals = sorted((r.call.n, m.place, m) for m in messages for r in m.receipts)
        highest, before = -1, ""
        for _, place, message in arrivals:
            if place < highest:
                offenders.append(f"{message.label}: arrived after {before}, which was sent later")
            else:
                highest, before = place, message.id
    title = "each charger's messages arrived in the order sent"
    return Check("ORDER", title, len(chargers), tuple(offenders))


def _bytes(evidence: Evidence) -> Check:
    offenders, counted = [], 0
    for message in evidence.messages:
        for receipt in message.receipts:
            counted += 1
            raw = receipt.call.raw
            change = difference(message.raw, raw, version=message.version, action=message.action)
            if change is not None:
                offenders.append(f"{message.label}: {change}")
    return Check("I4", "bytes equal but for transactionId (1.6) and offline (2.x)", counted, tuple(offenders))


def _assigned(messages: list[Message]) -> set[str]:
    """Ids the cloud gave for the start of this transaction (1.6)."""
    starts = [m for m in messages if m.action == "StartTransaction"]
    return {r.reply.tx for m in starts for r in m.receipts if r.accepted and r.reply is not None}


def _ids(evidence: Evidence) -> Check:
    sessions = evidence.sessions()
    owner: dict[str, tuple[str, str]] = {}
    for name, messages in sessions.items():
        for tx in _assigned(messages):
            owner.setdefault(tx, name)
    offenders = [*_shared_ids(evidence), *_local_ids_given_twice(sessions)]
    for name, messages in sessions.items():
        if messages[0].version == "ocpp1.6":
            offenders += _wrong_ids(name, messages, owner)
    return Check("I5", "transaction ids are right and cross no charger", len(sessions), tuple(offenders))


def _wrong_ids(
    name: tuple[str, str], messages: list[Message], owner: dict[str, tuple[str, str]]
) -> list[str]:
    assigned = _assigned(messages)
    allowed = assigned or {NO_TRANSACTION}
    used = {(m, r.call.tx) for m in messages if m.role != "start" for r in m.receipts}
    wrong = [
        f"{m.label}: transaction {tx or 'none'}, the cloud gave {' or '.join(sorted(assigned)) or 'none'}"
        + (f"; it is {owner[tx][0]}'s" if tx in owner and owner[tx] != name else "")
        for m, tx in sorted(used, key=lambda pair: pair[0].place)
        if tx not in allowed
    ]
    if len({tx for _, tx in used}) > 1 and not wrong:
        wrong.append(f"{name[0]} {name[1]}: several ids on one transaction: {sorted({tx for _, tx in used})}")
    return wrong


def _shared_ids(evidence: Evidence) -> list[str]:
    """2.x: ids are the chargers' own, so no id may be seen under two chargers."""
    users: dict[str, set[str]] = defaultdict(set)
    for entry in evidence.cloud:
        if entry.kind == "received_call" and entry.action == "TransactionEvent" and entry.tx:
            users[entry.tx].add(entry.who)
    shared = {tx: sorted(who) for tx, who in users.items() if len(who) > 1}
    return [f"transaction {tx}: used by {', '.join(who)}" for tx, who in shared.items()]


def _local_ids_given_twice(sessions: dict[tuple[str, str], list[Message]]) -> list[str]:
    """1.6: a charger must never be told one id for two transactions."""
    given: Counter[tuple[str, str]] = Counter()
    for (charger, _), messages in sessions.items():
        results = [r for m in messages if m.action == "StartTransaction" for r in m.results]
        given.update({(charger, r.tx) for r in results if r.tx})
    return [f"{charger}: id {tx} given for {n} transactions" for (charger, tx), n in given.items() if n > 1]


def _energy(evidence: Evidence) -> Check:
    offenders, counted = [], 0
    for (charger, session), messages in evidence.sessions().items():
        start, stop = messages[0], messages[-1]
        if start.role != "start" or stop.role != "stop" or not (start.answered and stop.answered):
            continue
        counted += 1
        ours, theirs = _own_energy(messages), _cloud_energy(messages)
        if ours != theirs:
            offenders.append(f"{charger} {session}: charger {ours} Wh, cloud {theirs} Wh")
    return Check("I6", "energy of each transaction is the same to the Wh", counted, tuple(offenders))


def _own_energy(messages: list[Message]) -> float | None:
    return _used(messages[0].energy_wh, messages[-1].energy_wh)


def _cloud_energy(messages: list[Message]) -> float | None:
    """From the cloud's ledger alone: registers it read itself in what it received."""
    start, stop = messages[0].effective, messages[-1].effective
    if start is None or stop is None:
        return None
    return _used(start.call.energy_wh, stop.call.energy_wh)


def _used(begin_wh: float | None, end_wh: float | None) -> float | None:
    return None if begin_wh is None or end_wh is None else round(end_wh - begin_wh, 3)


def _complete(evidence: Evidence) -> Check:
    unanswered = [f"{m.label}: never answered" for m in evidence.messages if not m.answered and not m.gave_up]
    dropped = [f"{m.label}: given up by the charger" for m in evidence.messages if m.gave_up]
    open_sessions = [
        f"{charger} {session}: no stop"
        for (charger, session), messages in evidence.sessions().items()
        if messages[-1].role != "stop"
    ]
    offenders = (*unanswered, *dropped, *open_sessions)
    return Check("COMPLETE", "nothing is still open", len(evidence.messages), offenders)


def _facts(evidence: Evidence) -> dict[str, float]:
    messages = evidence.messages
    received = [m for m in messages if m.receipts]
    before_cloud = [m for m in messages if m.answered and _answered_before_cloud(m)]
    sessions = evidence.sessions()
    energies = [(_own_energy(s), _cloud_energy(s)) for s in sessions.values() if s[-1].role == "stop"]
    return {
        "transactions": len(sessions),
        "transaction_messages": len(messages),
        "answered": sum(m.answered for m in messages),
        "unanswered": sum(not m.answered for m in messages),
        "given_up": sum(m.gave_up for m in messages),
        "answered_before_the_cloud_had_it": len(before_cloud),
        "transactions_answered_offline": len({(m.charger, m.session) for m in before_cloud if m.session}),
        "arrived_more_than_once": sum(len(m.receipts) - 1 for m in received),
        "answers_maybe_lost": sum(r.reply_maybe_lost for m in messages for r in m.receipts[:-1]),
        "sent_again_by_charger": sum(m.transmissions - 1 for m in messages),
        "refused_by_cloud": sum(not any(r.accepted for r in m.receipts) for m in received),
        "energy_chargers_wh": sum(own or 0 for own, _ in energies),
        "energy_cloud_wh": sum(cloud or 0 for _, cloud in energies),
    }


def _answered_before_cloud(message: Message) -> bool:
    return not message.receipts or message.results[0].at < message.receipts[0].call.at
