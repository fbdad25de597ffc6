"""The alarms of the site and their life: raised, repeated, acknowledged, cleared.

Rules of this file:
- Conditions come in (what is wrong now), changes go out. A condition says nothing of before and after.
- What is wrong must be so for `raise_after_s` and be gone for `clear_after_s`, on the monotonic clock; what
  comes back before that is the same alarm, repeated. So nothing flaps, and setting a clock does nothing.
- An alarm shows the worst it has been since it was raised; when it gets worse it is no longer acknowledged.
- A latched alarm that is over stays, as "cleared", until a person has seen it. Everything survives a restart.
- Times in an alarm are wall clock, for people. Texts are printable whatever a charger wrote.
- There are ALARMS_MAX at most: a worse one takes the place of the least, and one alarm says how many are not
  shown. They come back when there is room.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

import msgspec
from msgspec.structs import replace

from edgegw.catalogue.model import SEVERITIES, AlarmRule, Severity, worse
from edgegw.core.alarms import Alarm, AlarmChange, Condition, Key, alarm_id, order
from edgegw.core.events import Instant
from edgegw.redaction import plain

__all__ = ["Alarm", "AlarmBook", "AlarmChange", "AlarmRule", "Condition", "alarm_id"]

ALARMS_MAX = 500  # nobody reads more, and each is a retained topic at the broker
CONDITIONS_MAX = 5000  # looked at per update; a site of 1000 chargers that all fail has fewer
TEXT_MAX = 300  # characters; four lines of a terminal
TEXT_EVERY_S = 10.0  # a text with a number in it changes no more often
BY_MAX = 64
RECOVERED_HOLD_S = 120.0  # after a restart some things need their time to show again
NOT_SHOWN = "alarms_not_shown"


class _Written(msgspec.Struct, frozen=True):
    alarm: Alarm
    identity: Key


class _Kept:
    """One alarm of the list, and what it takes to go on with it."""

    __slots__ = ("alarm", "gone_at", "identity", "recovered", "text_at")

    def __init__(self, alarm: Alarm, identity: Key, text_at: float, *, recovered: bool = False) -> None:
        self.alarm = alarm
        self.identity = identity
        self.text_at = text_at  # mono
        self.gone_at: float | None = None  # mono: since when it is not so any more
        self.recovered = recovered  # from before a restart, and not seen since


_decoder = msgspec.json.Decoder(list[_Written])


class AlarmBook:
    """`rules` by code. A condition of a code that has none is a bug of its source: KeyError."""

    def __init__(self, rules: Mapping[str, AlarmRule]) -> None:
        self._rules = rules
        self._kept: dict[Key, _Kept] = {}
        self._waiting: dict[Key, float] = {}  # mono: wrong since then, and not raised yet
        self._in_order: tuple[Alarm, ...] | None = ()

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """The worst first."""
        if self._in_order is None:
            self._in_order = tuple(sorted((kept.alarm for kept in self._kept.values()), key=order))
        return self._in_order

    # --- what is wrong now ------------------------------------------------------------------------

    def update(self, conditions: Iterable[Condition], now: Instant) -> list[AlarmChange]:
        """`conditions`: everything that is wrong now."""
        seen = _worst_of_each(conditions)
        changes: list[AlarmChange] = []
        for identity, kept in list(self._kept.items()):
            if identity[0] == NOT_SHOWN:
                continue
            if identity in seen:
                self._still(kept, seen[identity], now, changes)
            else:
                self._not_seen(kept, now, changes)
        hidden = self._raise(self._due(seen, now), now, changes)
        self._say_how_many_are_hidden(hidden, now, changes)
        if changes:
            self._in_order = None
        return changes

    def _still(self, kept: _Kept, seen: Condition, now: Instant, changes: list[AlarmChange]) -> None:
        before = kept.alarm
        if before.state == "cleared":
            return  # latched, and wrong again: `_due` looks after it
        came_back = kept.gone_at is not None and not kept.recovered
        kept.gone_at, kept.recovered = None, False
        severity = worse(before.severity, self._severity(seen))
        if came_back:
            kept.alarm = replace(kept.alarm, count=before.count + 1)
        if severity != before.severity:
            kept.alarm = replace(
                kept.alarm,
                severity=severity,
                acknowledged=False,
                acknowledged_by="",
                acknowledged_at=None,
            )
        if kept.alarm is not before:
            kept.alarm = self._worded(replace(kept.alarm, last_at=now.wall), seen)
            kept.text_at = now.mono
            changes.append(AlarmChange(kind="repeated", alarm=kept.alarm))
        elif now.mono - kept.text_at >= TEXT_EVERY_S:
            self._reword(kept, seen, now)

    def _reword(self, kept: _Kept, seen: Condition, now: Instant) -> None:
        worded = self._worded(kept.alarm, seen)
        if worded != kept.alarm:
            kept.alarm, kept.text_at = worded, now.mono
            self._in_order = None

    def _not_seen(self, kept: _Kept, now: Instant, changes: list[AlarmChange]) -> None:
        if kept.alarm.state == "cleared":
            return
        if kept.gone_at is None:
            kept.gone_at = now.mono
        hold_s = self._rules[kept.alarm.code].clear_after_s
        if now.mono - kept.gone_at < (max(hold_s, RECOVERED_HOLD_S) if kept.recovered else hold_s):
            return
        kept.alarm = replace(kept.alarm, state="cleared", cleared_at=now.wall)
        if kept.alarm.acknowledged or not kept.alarm.latched:
            del self._kept[kept.identity]
        changes.append(AlarmChange(kind="cleared", alarm=kept.alarm))

    # --- what is new ------------------------------------------------------------------------------

    def _due(self, seen: Mapping[Key, Condition], now: Instant) -> list[tuple[Key, Condition]]:
        """What is wrong for long enough and is not on, the worst first."""
        before, rules, mono = self._waiting, self._rules, now.mono
        self._waiting = {key: before.get(key, mono) for key in seen if not self._is_on(key)}
        due = [
            (key, seen[key])
            for key, since in self._waiting.items()
            if mono - since >= rules[key[0]].raise_after_s
        ]
        if len(due) > 1:
            due.sort(key=lambda one: -SEVERITIES.index(self._severity(one[1])))
        return due

    def _is_on(self, key: Key) -> bool:
        kept = self._kept.get(key)
        return kept is not None and kept.alarm.state == "active"

    def _raise(self, due: list[tuple[Key, Condition]], now: Instant, changes: list[AlarmChange]) -> int:
        """Returns how many are not shown."""
        hidden = 0
        yielding: list[_Kept] | None = None  # the least at the end
        for key, condition in due:
            if key not in self._kept and len(self._kept) >= ALARMS_MAX - 1:
                hidden += 1
                yielding = self._least_last() if yielding is None else yielding
                if not yielding or not self._gives_way(yielding[-1], condition):
                    continue
                changes.append(self._take_out(yielding.pop()))
            changes.append(self._raised(condition, now))
        return hidden

    def _least_last(self) -> list[_Kept]:
        shown = (kept for kept in self._kept.values() if kept.alarm.code != NOT_SHOWN)
        return sorted(shown, key=lambda kept: order(kept.alarm))

    def _gives_way(self, kept: _Kept, condition: Condition) -> bool:
        return SEVERITIES.index(kept.alarm.severity) < SEVERITIES.index(self._severity(condition))

    def _take_out(self, kept: _Kept) -> AlarmChange:
        del self._kept[kept.identity]
        return AlarmChange(kind="gone", alarm=kept.alarm)

    def _raised(self, condition: Condition, now: Instant) -> AlarmChange:
        identity, rule = condition.identity, self._rules[condition.code]
        before = self._kept.get(identity)
        alarm = Alarm(
            id=alarm_id(*identity),
            code=condition.code,
            target=plain(condition.target),
            severity=self._severity(condition),
            title="",
            text="",
            todo="",
            since=now.wall,
            last_at=now.wall,
            count=before.alarm.count + 1 if before is not None else 1,
            latched=rule.latched,
        )
        kept = _Kept(self._worded(alarm, condition), identity, now.mono)
        self._kept[identity] = kept
        self._waiting.pop(identity, None)
        return AlarmChange(kind="raised", alarm=kept.alarm)

    def _say_how_many_are_hidden(self, hidden: int, now: Instant, changes: list[AlarmChange]) -> None:
        known = self._kept.get((NOT_SHOWN, "", ""))
        if hidden:
            told = Condition(code=NOT_SHOWN, text=f"{hidden} more alarms are on, none worse than those shown")
            if known is None:
                changes.append(self._raised(told, now))
            else:
                self._still(known, told, now, changes)
        elif known is not None:
            self._not_seen(known, now, changes)

    def _severity(self, condition: Condition) -> Severity:
        return condition.severity or self._rules[condition.code].severity

    def _worded(self, alarm: Alarm, condition: Condition) -> Alarm:
        rule = self._rules[condition.code]
        return replace(
            alarm,
            title=_shown(condition.title or rule.title),
            text=_shown(condition.text),
            todo=_shown(condition.todo or rule.todo),
        )

    # --- people -----------------------------------------------------------------------------------

    def acknowledge(self, alarm_id: str, by: str, now: Instant) -> AlarmChange:
        """Somebody has seen it; one that is over leaves the list. The first one counts. KeyError: no such."""
        kept = next((kept for kept in self._kept.values() if kept.alarm.id == alarm_id), None)
        if kept is None:
            raise KeyError(alarm_id)
        if not kept.alarm.acknowledged:
            who = plain(by)[:BY_MAX]
            kept.alarm = replace(kept.alarm, acknowledged=True, acknowledged_by=who, acknowledged_at=now.wall)
            self._in_order = None
        if kept.alarm.state == "cleared":
            del self._kept[kept.identity]
        return AlarmChange(kind="acknowledged", alarm=kept.alarm)

    # --- over a restart ---------------------------------------------------------------------------

    def document(self) -> bytes:
        return msgspec.json.encode([_Written(kept.alarm, kept.identity) for kept in self._kept.values()])

    def recover(self, value: bytes) -> None:
        """What an older or newer edgegw wrote and this one cannot read is no reason not to start."""
        try:
            written = _decoder.decode(value)[:ALARMS_MAX]
        except (msgspec.DecodeError, RecursionError):
            return
        for one in written:
            rule = self._rules.get(one.alarm.code)
            if rule is not None:
                alarm = replace(one.alarm, latched=rule.latched)
                self._kept[one.identity] = _Kept(alarm, one.identity, 0.0, recovered=True)
        self._in_order = None


def _worst_of_each(conditions: Iterable[Condition]) -> dict[Key, Condition]:
    seen: dict[Key, Condition] = {}
    for condition in islice(conditions, CONDITIONS_MAX):
        key = condition.identity
        before = seen.get(key)
        if before is None or _is_worse(condition, before):
            seen[key] = condition
    return seen


def _is_worse(one: Condition, other: Condition) -> bool:
    if one.severity is None or other.severity is None:
        return False
    return SEVERITIES.index(one.severity) > SEVERITIES.index(other.severity)


def _shown(text: str) -> str:
    shown = plain(text)
    return shown if len(shown) <= TEXT_MAX else f"{shown[: TEXT_MAX - 1]}…"
