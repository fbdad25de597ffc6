"""From the site file to the electrical site: circuits, connectors, meters, limits by the clock.

Only `app` uses this. It runs at start, and when a connector is commissioned; what is wrong in a data file of
the operator is a ConfigFault that names file and key.
"""

from __future__ import annotations

import logging
from zoneinfo import ZoneInfo

import msgspec

from edgegw.balance import model
from edgegw.balance.limits import LimitBook, Schedule
from edgegw.balance.tree import Tree
from edgegw.config import SiteConfig
from edgegw.config_power import DC_EFFICIENCY, Balancing, Circuit, Connector
from edgegw.core.load_control import PowerPlan
from edgegw.core.power import NOT_BALANCED, PowerPolicy, Wiring
from edgegw.core.records import Document
from edgegw.quirks.load import load_quirks
from edgegw.runtime import clock

log = logging.getLogger("edgegw")


def plan_from(config: SiteConfig) -> PowerPlan:
    """Without a [[circuit]] it is empty: nothing is balanced then."""
    balancing = config.balancing
    wirings: dict[str, tuple[Wiring, ...]] = {}
    for connector in config.connector:
        wired = _wiring(connector, balancing)
        wirings[connector.charger] = (*wirings.get(connector.charger, ()), wired)
    meters: dict[str, tuple[str, ...]] = {}
    for circuit in config.circuit:
        if circuit.meter is not None:
            meters[circuit.meter] = (*meters.get(circuit.meter, ()), circuit.name)
    return PowerPlan(
        circuits=tuple(_circuit(circuit, balancing) for circuit in config.circuit),
        connectors=tuple(_connector(connector, balancing) for connector in config.connector),
        wirings=wirings,
        circuit_of_meter=meters,
        settings=model.Settings(
            nominal_v=balancing.nominal_voltage_v,
            stale_after_s=balancing.stale_after_s,
            min_on_s=balancing.min_on_s,
            min_off_s=balancing.min_off_s,
            rotation_s=balancing.rotation_s,
            overload_tolerance_s=balancing.overload_tolerance_s,
        ),
    )


def _circuit(circuit: Circuit, balancing: Balancing) -> model.Circuit:
    return model.Circuit(
        name=circuit.name,
        limit_a=circuit.fuse_a,
        parent=circuit.parent or "",
        metered=circuit.meter is not None,
        margin_a=balancing.margin_a if circuit.margin_a is None else circuit.margin_a,
        reserve_a=circuit.reserve_a,
        feed_in_a=circuit.feed_in_a,
        unbalance_a=model.INFINITE if circuit.unbalance_a is None else circuit.unbalance_a,
    )


def _connector(connector: Connector, balancing: Balancing) -> model.Connector:
    low_a, high_a, safe_a = connector.limits_a(balancing.nominal_voltage_v)
    return model.Connector(
        id=connector.id,
        circuit=connector.circuit,
        phases=connector.phases,
        min_a=low_a,
        max_a=high_a,
        step_a=connector.step_a,
        safe_a=safe_a,
        priority=connector.priority,
        weight=connector.weight,
        dc=connector.dc,
    )


def _wiring(connector: Connector, balancing: Balancing) -> Wiring:
    low_a, high_a, safe_a = connector.limits_a(balancing.nominal_voltage_v)
    return Wiring(
        connector=connector.connector,
        phases=len(connector.phases),
        min_a=low_a,
        max_a=high_a,
        safe_a=safe_a,
        dc=connector.dc,
        efficiency=DC_EFFICIENCY if connector.dc else 1.0,
    )


def policy_from(config: SiteConfig) -> PowerPolicy:
    """Raises ConfigFault for a quirk file that is wrong."""
    if not config.circuit:
        return NOT_BALANCED
    balancing = config.balancing
    return PowerPolicy(
        wirings=plan_from(config).wirings,
        quirks=load_quirks(balancing.quirks_directory),
        nominal_v=balancing.nominal_voltage_v,
        profile_lifetime_s=balancing.profile_lifetime_s,
        zone=ZoneInfo(config.site.timezone),
        notify_cloud=balancing.notify_cloud,
    )


def limits_from(config: SiteConfig, kept: tuple[Document, ...]) -> LimitBook:
    """`kept`: what the store holds for the site; limits that people had set live on."""
    schedules = (
        Schedule(
            name=schedule.name,
            circuit=schedule.circuit,
            from_min=schedule.from_,
            to_min=schedule.to,
            days=tuple(WEEKDAYS.index(day) for day in schedule.days),
            limit_a=schedule.limit_a,
        )
        for schedule in config.schedule
    )
    plan = plan_from(config)
    zone = ZoneInfo(config.site.timezone)
    book = LimitBook(Tree(plan.circuits, plan.connectors), zone, schedules, plan.settings.nominal_v)
    now = clock.now()
    for document in kept:
        if document.kind == "limits":
            saved = msgspec.json.decode(document.value)
            for complaint in book.restore(saved, now.wall, trusted=now.trusted, not_before=clock.NOT_BEFORE):
                log.warning("%s", complaint)
    return book


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
