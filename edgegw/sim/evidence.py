"""From ledger lines to transaction messages: what each charger sent, what the cloud received of it.

Rules of this file:
- Ledgers are the only source. Nothing is asked of a gateway, no time is trusted but to count answers
  that were given before the cloud had the message.
- A message is known by charger, message id and text: chargers that count their ids anew after each boot
  use one id for several messages.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgegw.sim.ledger import Entry, LedgerFault, read
from edgegw.sim.tokens import difference

TRANSACTION_ACTIONS = frozenset({"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"})


@dataclass(slots=True)
class Receipt:
    """One arrival of a transaction message in the cloud."""

    call: Entry
    reply: Entry | None = None  # sent_result or sent_error
    later_call: bool = False  # another CALL came on the same connection after the reply

    @property
    def accepted(self) -> bool:
        return self.reply is not None and self.reply.kind == "sent_result"

    @property
    def reply_maybe_lost(self) -> bool:
        """The sender may not have read an answer, as far as the cloud can know."""
        return self.reply is None or not self.later_call


@dataclass(slots=True, eq=False)
class Message:
    """One transaction message of a charger."""

    charger: str
    id: str
    action: str
    version: str
    session: str
    raw: str
    place: int  # position in the order the charger first sent its transaction messages
    role: str  # "start", "meter", "stop"
    energy_wh: float | None
    transmissions: int = 0
    results: list[Entry] = field(default_factory=list)
    gave_up: bool = False
    receipts: list[Receipt] = field(default_factory=list)

    @property
    def answered(self) -> bool:
        return bool(self.results)

    @property
    def effective(self) -> Receipt | None:
        """The arrival that counts: the first the cloud accepted, else the first."""
        accepted = [r for r in self.receipts if r.accepted]
        return accepted[0] if accepted else self.receipts[0] if self.receipts else None

    @property
    def label(self) -> str:
        return f"{self.charger} {self.action} {self.id}"


@dataclass(slots=True)
class Evidence:
    messages: list[Message]
    invented: list[Entry]  # transaction messages in the cloud that no charger sent
    ledger_faults: list[str]
    cloud: list[Entry]

    def sessions(self) -> dict[tuple[str, str], list[Message]]:
        """Messages of each transaction in the order the charger sent them."""
        grouped: dict[tuple[str, str], list[Message]] = defaultdict(list)
        for message in self.messages:
            if message.session:
                grouped[message.charger, message.session].append(message)
        return dict(grouped)

    def by_charger(self) -> dict[str, list[Message]]:
        grouped: dict[str, list[Message]] = defaultdict(list)
        for message in self.messages:
            grouped[message.charger].append(message)
        return dict(grouped)


def gather(chargers: Iterable[str | Path], cloud: str | Path) -> Evidence:
    """Read the ledgers and match them. Raises OSError for a file that is not there."""
    faults: list[str] = []
    messages: list[Message] = []
    for path in chargers:
        messages += _sent_messages(_whole(path, faults))
    entries = _whole(cloud, faults)
    invented = _match(messages, _receipts(entries))
    return Evidence(messages, invented, faults, entries)


def _whole(path: str | Path, faults: list[str]) -> list[Entry]:
    """All entries of a ledger; complaints about its own wholeness go to `faults`."""
    entries: list[Entry] = []
    expected = 1
    try:
        for entry in read(path):
            if entry.n != expected:
                faults.append(f"{Path(path).name}: line n={entry.n} where n={expected} belongs")
            expected = entry.n + 1
            entries.append(entry)
    except LedgerFault as error:
        faults.append(str(error))
    return entries


def _sent_messages(entries: Sequence[Entry]) -> list[Message]:
    known: dict[tuple[str, str, str], Message] = {}
    latest: dict[tuple[str, str], Message] = {}
    for entry in entries:
        if entry.action and entry.action not in TRANSACTION_ACTIONS:
            continue  # without action: an answer that came after the charger had stopped waiting
        if entry.kind == "sent_call" and entry.action:
            key = (entry.who, entry.id, entry.raw)
            message = known.setdefault(key, _message(entry, len(known)))
            message.transmissions += 1
            latest[entry.who, entry.id] = message
        elif entry.kind == "got_result" and (entry.who, entry.id) in latest:
            latest[entry.who, entry.id].results.append(entry)
        elif entry.kind == "gave_up" and (entry.who, entry.id) in latest:
            latest[entry.who, entry.id].gave_up = True
    return list(known.values())


def _message(entry: Entry, place: int) -> Message:
    return Message(
        charger=entry.who,
        id=entry.id,
        action=entry.action,
        version=entry.version,
        session=entry.session,
        raw=entry.raw,
        place=place,
        role=role_of(entry.action, entry.raw),
        energy_wh=entry.energy_wh,
    )


def role_of(action: str, raw: str) -> str:
    if action == "TransactionEvent":
        compact = "".join(raw.split())
        if '"eventType":"Started"' in compact:
            return "start"
        return "stop" if '"eventType":"Ended"' in compact else "meter"
    return {"StartTransaction": "start", "StopTransaction": "stop"}.get(action, "meter")


def _receipts(entries: Sequence[Entry]) -> list[Receipt]:
    receipts: list[Receipt] = []
    waiting: dict[tuple[int, str], Receipt] = {}
    replied: dict[int, list[Receipt]] = defaultdict(list)
    for entry in entries:
        if entry.kind == "received_call":
            for receipt in replied.pop(entry.conn, ()):
                receipt.later_call = True
            if entry.action in TRANSACTION_ACTIONS:
                receipt = Receipt(entry)
                receipts.append(receipt)
                waiting[entry.conn, entry.id] = receipt
        elif entry.kind in ("sent_result", "sent_error") and (entry.conn, entry.id) in waiting:
            receipt = waiting.pop((entry.conn, entry.id))
            receipt.reply = entry
            replied[entry.conn].append(receipt)
    return receipts


def _match(messages: Iterable[Message], receipts: Iterable[Receipt]) -> list[Entry]:
    """Give each receipt to the message it is of. What is left was sent by no charger."""
    known: dict[tuple[str, str], list[Message]] = defaultdict(list)
    for message in messages:
        known[message.charger, message.id].append(message)
    invented = []
    for receipt in receipts:
        owner = _owner(known.get((receipt.call.who, receipt.call.id), []), receipt.call)
        if owner is None:
            invented.append(receipt.call)
        else:
            owner.receipts.append(receipt)
    return invented


def _owner(candidates: Sequence[Message], call: Entry) -> Message | None:
    for message in candidates:
        if difference(message.raw, call.raw, version=message.version, action=message.action) is None:
            return message
    # No text fits: still the same message if id and action do, and then its bytes were changed.
    fitting = [m for m in candidates if m.action == call.action]
    unreceived = [m for m in fitting if not m.receipts]
    return next(iter(unreceived or fitting), None)
