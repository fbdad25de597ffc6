"""The running or the last transaction of each connector for the view.

Rules of this file: a record that is the same object has the same payload; a card id leaves as a salted hash
unless the site file says otherwise; a time that a charger cannot have meant is not told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgegw.core import plugs
from edgegw.core.cloud_cap import connector_of
from edgegw.core.records import TransactionRecord
from edgegw.core.state import ChargerState
from edgegw.mqtt import payloads, tokens
from edgegw.mqtt.numbers import clipped, energy_wh, utc
from edgegw.wire.timestamps import CLOCK_SUSPECT, parse_timestamp

Ended = dict[int, TransactionRecord]


def shown_token(card_ids: str, salt: bytes) -> Callable[[str], str]:
    """By `[mqtt] card_ids`. ValueError for a salt that is too short."""
    if card_ids == "plain":
        return clipped
    tokens.hashed(salt, "")
    return lambda id_tag: tokens.hashed(salt, id_tag)


class SessionMaker:
    """Of all chargers."""

    def __init__(self, token_of: Callable[[str], str]) -> None:
        self._token_of = token_of
        self._ended: dict[str, tuple[Any, Ended]] = {}
        self._made: dict[tuple[str, int], tuple[TransactionRecord, payloads.SessionState]] = {}

    def sessions(
        self, identity: str, state: ChargerState, numbers: tuple[int, ...], ended: Ended
    ) -> dict[int, payloads.SessionState]:
        """Only of connectors where there was one."""
        found: dict[int, payloads.SessionState] = {}
        for number in numbers:
            record = plugs.running_on(state, number) or ended.get(number)
            if record is not None:
                found[number] = self._session(identity, number, record)
        return found

    def ended(self, identity: str, state: ChargerState) -> Ended:
        """The newest that ended, by connector; the same object while it is the same."""
        newest = next(state.transactions.ended, None)
        known = self._ended.get(identity)
        if known is None or known[0] is not newest:
            ended: Ended = {}
            for record in state.transactions.ended:
                ended.setdefault(connector_of(state, record.evse or record.connector), record)
            known = self._ended[identity] = newest, ended
        return known[1]

    def forget(self, identities: set[str]) -> None:
        """Chargers that are gone."""
        for identity in identities:
            self._ended.pop(identity, None)
        for key in [key for key in self._made if key[0] in identities]:
            del self._made[key]

    def _session(self, identity: str, number: int, record: TransactionRecord) -> payloads.SessionState:
        known = self._made.get((identity, number))
        if known is None or known[0] is not record:
            known = self._made[identity, number] = record, self._make(number, record)
        return known[1]

    def _make(self, number: int, record: TransactionRecord) -> payloads.SessionState:
        return payloads.SessionState(
            connector=number,
            transaction=clipped(record.id),
            state="running" if record.running else "ended",
            started_at=_time(record.started_at) or utc(record.received_at),
            ended_at=_time(record.stopped_at) if not record.running else None,
            energy_wh=energy_wh(record),
            token=self._token_of(record.id_tag),
            stop_reason=clipped(record.stop_reason),
            offline=record.offline,
        )


def _time(text: str) -> str | None:
    """None for what a charger without a clock writes."""
    found = parse_timestamp(text) if text else None
    return utc(found[0]) if found is not None and CLOCK_SUSPECT not in found[1] else None
