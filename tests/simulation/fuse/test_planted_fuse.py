"""The checkers are worth something: each of these faults, planted into the decisions, must be found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from edgegw.balance import model
from edgegw.balance.balancer import Balancer
from edgegw.balance.model import Allocation
from edgegw.core import cloud_cap, limits_held, load_control, plugs
from edgegw.core.load_control import LoadControl
from tests.simulation.fuse.run import simulate
from tests.simulation.fuse.world import World

SEEDS = range(12)
Plant = Callable[[pytest.MonkeyPatch], None]


def _with_grants(change: Callable[[Balancer, Allocation], dict[str, float]]) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        honest = Balancer.step

        def step(self: Balancer, *given: Any, **more: Any) -> Allocation:
            found = honest(self, *given, **more)
            amps = change(self, found)
            grants = {
                name: msgspec.structs.replace(grant, limit_a=amps.get(name, grant.limit_a))
                for name, grant in found.grants.items()
            }
            return msgspec.structs.replace(found, grants=grants)

        patch.setattr(Balancer, "step", step)

    return plant


def everybody_gets_the_maximum(patch: pytest.MonkeyPatch) -> None:
    _with_grants(lambda _, found: dict.fromkeys(found.grants, 32.0))(patch)


def somebody_gets_what_no_car_can_use(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(limits_held, "as_taken", lambda wanted_a, *_: 4.0 if wanted_a else 0.0)


def the_building_is_not_seen(patch: pytest.MonkeyPatch) -> None:
    honest = World._read

    def read(self: World, amps: model.Amps) -> None:
        cars = [a - b for a, b in zip(amps, self.building, strict=True)]
        honest(self, (cars[0], cars[1], cars[2]))

    patch.setattr(World, "_read", read)


def phases_are_taken_in_the_wrong_order(patch: pytest.MonkeyPatch) -> None:
    honest = LoadControl.read

    def read(self: LoadControl, meter: str, reading: model.Reading) -> None:
        first, second, third = reading.current_a
        honest(self, meter, msgspec.structs.replace(reading, current_a=(second, third, first)))

    patch.setattr(LoadControl, "read", read)


def the_sub_circuit_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    honest = LoadControl.__init__

    def begin(self: LoadControl, plan: load_control.PowerPlan, *more: Any) -> None:
        flat = tuple(msgspec.structs.replace(c, circuit="main") for c in plan.connectors)
        honest(self, msgspec.structs.replace(plan, connectors=flat), *more)

    patch.setattr(LoadControl, "__init__", begin)


def the_cloud_is_not_heeded(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cloud_cap, "cap_for", lambda *_: (model.INFINITE, ""))


def who_is_gone_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    honest = plugs.plug

    def plug(*given: Any) -> model.Plug:
        return msgspec.structs.replace(honest(*given), reserved_a=0.0, standing_a=0.0)

    patch.setattr(plugs, "plug", plug)


PLANTS: list[Plant] = [
    everybody_gets_the_maximum,
    somebody_gets_what_no_car_can_use,
    the_building_is_not_seen,
    phases_are_taken_in_the_wrong_order,
    the_sub_circuit_is_forgotten,
    the_cloud_is_not_heeded,
    who_is_gone_is_forgotten,
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch):
    plant(monkeypatch)
    assert any(simulate(seed).complaints for seed in SEEDS), f"nobody saw that {plant.__name__}"
