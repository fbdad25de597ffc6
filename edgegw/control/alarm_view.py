"""From the list of alarms to what people see: pure builders of `alarm_models`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edgegw.catalogue.model import SEVERITIES, AlarmRule, Severity
from edgegw.control import alarm_models as models
from edgegw.control.view import utc
from edgegw.core.alarms import Alarm
from edgegw.wire.timestamps import format_timestamp


def alarm_list(
    alarms: Iterable[Alarm], *, state: models.AlarmStateName | None, at_least: Severity
) -> models.AlarmList:
    everything = tuple(alarms)
    on = [alarm.severity for alarm in everything if alarm.state == "active"]
    shown = (alarm for alarm in everything if _is_wanted(alarm, state, at_least))
    return models.AlarmList(
        alarms=tuple(alarm_view(alarm) for alarm in shown),
        active=len(on),
        unacknowledged=sum(not alarm.acknowledged for alarm in everything),
        worst=max(on, key=SEVERITIES.index, default=None),
    )


def _is_wanted(alarm: Alarm, state: models.AlarmStateName | None, at_least: Severity) -> bool:
    bad_enough = SEVERITIES.index(alarm.severity) >= SEVERITIES.index(at_least)
    return bad_enough and state in (None, alarm.state)


def alarm_view(alarm: Alarm) -> models.AlarmView:
    return models.AlarmView(
        id=alarm.id,
        code=alarm.code,
        severity=alarm.severity,
        target=alarm.target,
        title=alarm.title,
        text=alarm.text,
        todo=alarm.todo,
        state=alarm.state,
        acknowledged=alarm.acknowledged,
        acknowledged_by=alarm.acknowledged_by,
        acknowledged_at=utc(alarm.acknowledged_at),
        since=format_timestamp(alarm.since),
        last_at=format_timestamp(alarm.last_at),
        cleared_at=utc(alarm.cleared_at),
        count=alarm.count,
        latched=alarm.latched,
    )


def alarm_catalogue(rules: Mapping[str, AlarmRule]) -> models.AlarmCatalogue:
    """In the order of the catalogue."""
    return models.AlarmCatalogue(
        alarms=tuple(
            models.AlarmRuleView(
                code=rule.code,
                subject=rule.subject,
                title=rule.title,
                severity=rule.severity,
                todo=rule.todo,
                raise_after_s=rule.raise_after_s,
                clear_after_s=rule.clear_after_s,
                latched=rule.latched,
            )
            for rule in rules.values()
        )
    )
