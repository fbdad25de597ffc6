"""The part of the control client that is about one charger: detail, settings, actions, bypass, limits."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote

from edgegw.control import detail_models as models
from edgegw.control.talks import Talks

ASKS_CHARGER_TIMEOUT_S = 1860.0  # as `client.CALL_TIMEOUT_S`: the box itself gives up earlier, in words


class DetailClient(Talks):
    """Mixed into `ControlClient`, which does the talking."""

    # --- questions ------------------------------------------------------------------------------

    def detail(self, identity: str) -> models.ChargerDetail:
        return self._get(models.ChargerDetail, _path(identity, "detail"))

    def profile(
        self, identity: str, connector: int = 1, span_s: int = models.SPAN_DEFAULT_S
    ) -> models.ProfileView:
        """What the connector may draw in the next `span_s` seconds."""
        asked = {"connector": connector, "span_s": span_s}
        return self._get(models.ProfileView, _path(identity, "profile"), asked)

    def settings(self, identity: str, search: str = "", *, fresh: bool = False) -> models.Settings:
        """Asks the charger when the box has not asked it lately, or `fresh`: seconds to a minute."""
        asked = {"search": search, "fresh": fresh}
        answer = self._ask("GET", _path(identity, "settings"), params=asked, timeout=ASKS_CHARGER_TIMEOUT_S)
        return self._read(models.Settings, answer)

    # --- orders ---------------------------------------------------------------------------------

    def set_setting(self, identity: str, name: str, value: str) -> models.SettingAnswer:
        body = {"name": name, "value": value}
        answer = self._ask("PUT", _path(identity, "settings"), json=body, timeout=ASKS_CHARGER_TIMEOUT_S)
        return self._read(models.SettingAnswer, answer)

    def reset(
        self, identity: str, kind: Literal["soft", "hard"] = "soft", *, force: bool = False
    ) -> models.ActionAnswer:
        """Raises Refused with code "busy" while somebody charges, unless `force`."""
        return self._act(identity, "reset", kind=kind, force=force)

    def unlock(self, identity: str, connector: int = 1) -> models.ActionAnswer:
        return self._act(identity, "unlock", connector=connector)

    def set_availability(self, identity: str, operative: bool, connector: int = 0) -> models.ActionAnswer:
        return self._act(identity, "availability", operative=operative, connector=connector)

    def start(
        self,
        identity: str,
        id_tag: str,
        connector: int = 1,
        *,
        id_token_type: models.TokenType = "Central",  # noqa: S107 - a kind of token
    ) -> models.ActionAnswer:
        return self._act(identity, "start", id_tag=id_tag, connector=connector, id_token_type=id_token_type)

    def stop(
        self, identity: str, transaction: str | None = None, *, connector: int | None = None
    ) -> models.ActionAnswer:
        """One of both."""
        return self._act(identity, "stop", transaction=transaction, connector=connector)

    def trigger(
        self, identity: str, message: models.TriggerName, connector: int | None = None
    ) -> models.ActionAnswer:
        return self._act(identity, "trigger", message=message, connector=connector)

    def bypass(
        self, identity: str, connector: int | None = None, for_s: float = models.BYPASS_DEFAULT_S
    ) -> models.ConnectorOrders:
        """Raises Refused with code "no_room" when its maximum does not fit."""
        return self._order(identity, "bypass", connector=connector, for_s=for_s)

    def end_bypass(self, identity: str, connector: int | None = None) -> models.ConnectorOrders:
        return self._end(identity, "bypass", connector)

    def limit_connector(
        self,
        identity: str,
        limit_a: float,
        connector: int | None = None,
        for_s: float = models.LIMIT_DEFAULT_S,
    ) -> models.ConnectorOrders:
        return self._order(identity, "limit", connector=connector, limit_a=limit_a, for_s=for_s)

    def end_connector_limit(self, identity: str, connector: int | None = None) -> models.ConnectorOrders:
        return self._end(identity, "limit", connector)

    # --- how ------------------------------------------------------------------------------------

    def _act(self, identity: str, action: str, **body: Any) -> models.ActionAnswer:
        path = _path(identity, f"actions/{action}")
        answer = self._ask("POST", path, json=body, timeout=ASKS_CHARGER_TIMEOUT_S)
        return self._read(models.ActionAnswer, answer)

    def _order(self, identity: str, what: str, **body: Any) -> models.ConnectorOrders:
        return self._read(models.ConnectorOrders, self._ask("POST", _path(identity, what), json=body))

    def _end(self, identity: str, what: str, connector: int | None) -> models.ConnectorOrders:
        asked = {"connector": connector} if connector is not None else {}
        answer = self._ask("DELETE", _path(identity, what), params=asked)
        return self._read(models.ConnectorOrders, answer)


def _path(identity: str, what: str) -> str:
    return f"/v1/chargers/{quote(identity, safe='')}/{what}"
