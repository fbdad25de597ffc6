"""The commissioning part of the control client: who knocks, who is let in, how connectors are wired."""

from __future__ import annotations

from urllib.parse import quote

from edgegw.control import wiring_models as models
from edgegw.control.talks import Talks


class WiringClient(Talks):
    def strangers(self) -> models.StrangerList:
        """Chargers that knocked and are not known, and those that a person accepted."""
        return self._get(models.StrangerList, "/v1/strangers")

    def accept(self, charger: str) -> models.AcceptedCharger:
        """Let it in from now on. Raises Refused: 409 it is in already, 422 no identity."""
        return self._read(models.AcceptedCharger, self._ask("POST", _accept(charger)))

    def take_back(self, charger: str) -> models.AcceptedCharger:
        """Let it in no more. Raises Refused: 404 it was not accepted here, 409 it charges or is wired."""
        return self._read(models.AcceptedCharger, self._ask("DELETE", _accept(charger)))

    def wiring(self) -> models.WiringList:
        return self._get(models.WiringList, "/v1/wiring")

    def wire(self, charger: str, connector: int, order: models.WiringOrder) -> models.WiringView:
        """In force at once, kept over restarts.

        Raises Refused: 422 what the site file would be refused for, 409 the site file wires it, or the
        change does not fit what is charging now.
        """
        answer = self._ask("PUT", _connector(charger, connector), json=order.model_dump())
        return self._read(models.WiringView, answer)

    def unwire(self, charger: str, connector: int) -> models.WiringView:
        """Take a commissioned wiring back. Raises Refused: 404, 409 the site file's, or a car is there."""
        return self._read(models.WiringView, self._ask("DELETE", _connector(charger, connector)))

    def let_fall(self, charger: str, connector: int) -> models.FallbackTest:
        """Do not renew its live limit. Raises Refused: 409 it has none that ends, 404 it is not wired."""
        path = f"{_connector(charger, connector)}/fallback"
        return self._read(models.FallbackTest, self._ask("POST", path))

    def end_fall(self, charger: str, connector: int) -> models.FallbackTest:
        """Steer it again, at once."""
        path = f"{_connector(charger, connector)}/fallback"
        return self._read(models.FallbackTest, self._ask("DELETE", path))


def _accept(charger: str) -> str:
    return f"/v1/chargers/{quote(charger, safe='')}/accept"


def _connector(charger: str, connector: int) -> str:
    return f"/v1/wiring/{quote(charger, safe='')}/{connector}"
