"""A snapshot with a change applied: pure, for everybody who follows `/v1/stream`."""

from __future__ import annotations

from edgegw.control.live_models import Change, ChargerRow, Snapshot

PARTS = ("site", "health", "power", "alarms", "firmware", "rollouts", "queue")


def apply(snapshot: Snapshot, change: Change) -> Snapshot:
    """What is not in `change` is the same object as before."""
    new = {part: value for part in PARTS if (value := getattr(change, part)) is not None}
    if change.chargers or change.gone:
        new["chargers"] = _chargers(snapshot.chargers, change)
    return snapshot.model_copy(update={**new, "seq": change.seq, "at": change.at})


def _chargers(before: tuple[ChargerRow, ...], change: Change) -> tuple[ChargerRow, ...]:
    rows = {row.identity: row for row in before}
    known = len(rows)
    for row in change.chargers:
        rows[row.identity] = row
    is_in_order = len(rows) == known
    for identity in change.gone:
        rows.pop(identity, None)
    return tuple(rows.values()) if is_in_order else tuple(sorted(rows.values(), key=_identity))


def _identity(row: ChargerRow) -> str:
    return row.identity
