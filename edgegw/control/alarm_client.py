"""The part of the control client that is about alarms."""

from __future__ import annotations

from typing import Any, TypeVar

import httpx
from pydantic import BaseModel

from edgegw.control import alarm_models as models

T = TypeVar("T", bound=BaseModel)


class AlarmClient:
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

    # --- what `ControlClient` does ---------------------------------------------------------------

    def _get(self, model: type[T], path: str, query: dict[str, Any] | None = None) -> T:
        raise NotImplementedError

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        raise NotImplementedError

    def _read(self, model: type[T], answer: httpx.Response) -> T:
        raise NotImplementedError
