"""Questions and orders about alarms. The rules of `control.service` hold here too."""

from __future__ import annotations

import difflib
import logging

from edgegw.alarms.watch import AlarmWatch
from edgegw.catalogue.model import Severity
from edgegw.control import alarm_models as models
from edgegw.control import alarm_view as view
from edgegw.control.problem import Problem

log = logging.getLogger("edgegw.control")


class AlarmDesk:
    def __init__(self, watch: AlarmWatch | None) -> None:
        """None: nobody looks for alarms, so there are none."""
        self._watch = watch

    def alarms(
        self, state: models.AlarmStateName | None = None, at_least: Severity = "info"
    ) -> models.AlarmList:
        known = self._watch.alarms if self._watch is not None else ()
        return view.alarm_list(known, state=state, at_least=at_least)

    def of_charger(self, identity: str) -> tuple[models.AlarmView, ...]:
        """Of the charger and its connectors, the worst first."""
        known = self._watch.alarms if self._watch is not None else ()
        mine = (alarm for alarm in known if identity in (alarm.target, alarm.target.rpartition("/")[0]))
        return tuple(view.alarm_view(alarm) for alarm in mine)

    def catalogue(self) -> models.AlarmCatalogue:
        return view.alarm_catalogue(self._watch.rules if self._watch is not None else {})

    def acknowledge(self, order: models.Acknowledge, asker: str) -> models.Acknowledged:
        """Raises Problem."""
        if (order.id is None) != order.all:
            raise Problem(422, "id_or_all", 'give the "id" of one alarm, or "all": true, and not both')
        ids = self._unseen() if order.id is None else [order.id]
        who = order.by.strip() or asker
        done = models.Acknowledged(alarms=tuple(self._acknowledge(alarm_id, who) for alarm_id in ids))
        log.info("%s acknowledged %s as %r", asker, ", ".join(ids) or "no alarm", who)
        return done

    def _unseen(self) -> list[str]:
        known = self._watch.alarms if self._watch is not None else ()
        return [alarm.id for alarm in known if not alarm.acknowledged]

    def _acknowledge(self, alarm_id: str, by: str) -> models.AlarmView:
        try:
            if self._watch is None:
                raise KeyError(alarm_id)
            return view.alarm_view(self._watch.acknowledge(alarm_id, by))
        except KeyError:
            raise Problem(404, "no_such_alarm", self._no_such(alarm_id)) from None

    def _no_such(self, alarm_id: str) -> str:
        known = [alarm.id for alarm in self._watch.alarms] if self._watch is not None else []
        near = difflib.get_close_matches(alarm_id, known, n=3, cutoff=0.6)
        hint = f"; there are {', '.join(near)}" if near else "; it may be over"
        return f"there is no alarm {alarm_id!r}{hint}"
