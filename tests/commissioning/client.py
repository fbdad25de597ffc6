"""The driver on the simulated site: a client that notes what is ordered, a run in the site's time."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgegw.commissioning import driver
from edgegw.commissioning.plan import Plan
from edgegw.commissioning.words import (
    Accept,
    EndFall,
    LetFall,
    Observation,
    Order,
    Restore,
    SetLimit,
    Told,
    Wire,
)
from edgegw.control.detail_models import ChargerDetail, ConnectorOrders, ConnectorOrderView
from edgegw.control.wiring_models import WiringOrder
from tests.commissioning.site import Site

EARLIER = ConnectorOrderView(
    kind="limit", connector=1, limit_a=11.0, until="2026-11-30T10:00:00Z", left_s=3600.0
)


class Client:
    """Stands for `ControlClient`. With a `site` the orders are carried out there."""

    def __init__(
        self,
        orders: tuple[ConnectorOrderView, ...] = (),
        *,
        fault: Exception | None = None,
        site: Site | None = None,
    ) -> None:
        self.orders = orders
        self.fault = fault
        self.on_site = site
        self.limits: list[float] = []
        self.ended = 0
        self.asked = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def health(self) -> None:
        self.asked += 1

    def site(self) -> object:
        raise self.fault or AssertionError("not asked for here")

    def detail(self, charger: str) -> ChargerDetail:
        return ChargerDetail.model_construct(orders=self.orders)

    def limit_connector(self, charger: str, limit_a: float, connector: int, for_s: float) -> ConnectorOrders:
        assert for_s > 0
        self.limits.append(limit_a)
        self._do(SetLimit(limit_a, for_s))
        return ConnectorOrders(orders=())

    def end_connector_limit(self, charger: str, connector: int) -> ConnectorOrders:
        self.ended += 1
        self._do(Restore())
        return ConnectorOrders(orders=())

    def accept(self, charger: str) -> None:
        self._do(Accept())

    def wire(self, charger: str, connector: int, wiring: WiringOrder) -> None:
        self._do(
            Wire(
                wiring.circuit, wiring.phases, wiring.min_a or 0.0, wiring.max_a or 0.0, wiring.safe_a or 0.0
            )
        )

    def let_fall(self, charger: str, connector: int) -> None:
        self._do(LetFall())

    def end_fall(self, charger: str, connector: int) -> None:
        self._do(EndFall())

    def _do(self, order: Order) -> None:
        if self.on_site is not None:
            self.on_site.carry_out(order)


class SiteRun(driver.CommissioningRun):
    """The real driver, thread and all; a look is a second of the site, a pause lets others have the lock."""

    def __init__(self, client: Client, plan: Plan, *, by: str, patch: pytest.MonkeyPatch) -> None:
        assert client.on_site is not None
        super().__init__(lambda: client, plan, by=by, look_s=0.0005)  # type: ignore[arg-type,return-value]
        self.client = client
        self.at_site = client.on_site
        self.presses_at = ""  # the step in which Ctrl-C is pressed
        of_site = SimpleNamespace(
            monotonic=lambda: self.at_site.now, time=lambda: 1_790_000_000.0 + self.at_site.now
        )
        patch.setattr(driver, "time", of_site)

    def _look(self, client: object, told: tuple[Told, ...]) -> Observation:
        if not self._is_due():
            self.at_site.tick()
        self.at_site.told = told
        return self.at_site.seen()

    def _is_due(self) -> bool:
        """In that step, and with a limit of ours in the steps of the limit: time stands still then."""
        at = bool(self.presses_at) and self.state.current == self.presses_at
        return at and (self.presses_at != "step" or bool(self.client.limits))

    def join(self, timeout_s: float | None = None) -> bool:
        if self._is_due():
            self.presses_at = ""
            raise KeyboardInterrupt
        return super().join(timeout_s)
