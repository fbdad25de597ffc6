"""The part of the control client that is about alarms."""

from __future__ import annotations

from edgegw.control import alarm_models as models
from edgegw.control.talks import Talks


class AlarmClient(Talks):
    """Mixed into `ControlClient`, which does the talking."""

    def alarms(self, *, state: str | None = None, severity: str | None = None) -> models.AlarmList:
        """`state` "active" or "cleared"; `severity` at least that bad."""
        given = {"state": state, "severity": severity}
        asked = {name: value for name, value in given.items() if value is not None}
        return self._get(models.AlarmList, "/v1/alarms", asked)

    def alarm_catalogue(self) -> models.AlarmCatalogue:
        return self._get(models.AlarmCatalogue, "/v1/alarms/catalogue")

    def acknowledge(self, alarm_id: str | None = None, *, by: str = "") -> models.Acknowledged:
        """One alarm; None for all that nobody has seen."""
        body = {"id": alarm_id, "all": alarm_id is None, "by": by}
        return self._read(models.Acknowledged, self._ask("POST", "/v1/alarms/acknowledge", json=body))
