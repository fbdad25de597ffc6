"""From what the local API says to an `Observation`. Pure: models in, one frozen picture out."""

from __future__ import annotations

from collections.abc import Sequence

from edgegw.commissioning.words import CircuitFacts, Observation, Told, Wired
from edgegw.control.models import ChargerView
from edgegw.control.power_models import ConnectorPowerView, PowerView
from edgegw.control.wiring_models import CircuitChoice, StrangerList, WiringList
from edgegw.redaction import plain


def observation(
    identity: str,
    connector: int,
    *,
    strangers: StrangerList,
    charger: ChargerView | None,
    power: PowerView,
    wiring: WiringList,
    told: tuple[Told, ...] = (),
) -> Observation:
    """`charger` None: nobody knows it."""
    peer = next((one.peer for one in strangers.strangers if one.identity == identity), "")
    wired = _wired(wiring, identity, connector)
    circuits = tuple(_circuit(one, wiring.circuits) for one in wiring.circuits)
    mine = next((c for c in power.connectors if (c.charger, c.connector) == (identity, connector)), None)
    meter = next((c.meter for c in circuits if wired is not None and c.name == wired.circuit), "")
    of_meter = next((one for one in power.meters if one.name == meter), None)
    return Observation(
        stranger=peer,
        known=charger is not None,
        connected=charger is not None and charger.connected,
        registered=charger is not None and charger.registration == "accepted",
        what=plain(" ".join(word for word in (charger.vendor, charger.model) if word)) if charger else "",
        serial=plain(charger.serial) if charger else "",
        firmware=plain(charger.firmware) if charger else "",
        version=charger.version if charger else "",
        status=_status(charger, connector),
        transaction=charger is not None and _runs(charger, connector),
        wired=wired,
        circuits=circuits,
        meter=meter,
        meter_a=of_meter.current_a if of_meter is not None else (None, None, None),
        meter_age_s=of_meter.age_s if of_meter is not None else None,
        meter_trouble=of_meter.trouble if of_meter is not None else "",
        told=told,
        **_power(mine),  # type: ignore[arg-type]
    )


def _power(mine: ConnectorPowerView | None) -> dict[str, object]:
    if mine is None:
        return {}
    return {
        "control": mine.control,
        "fault": plain(mine.fault),
        "limit_a": mine.limit_a,
        "why": mine.why,
        "accepted_a": mine.accepted_a,
        "drawn_a": mine.drawn_a,
        "drawn_age_s": mine.drawn_age_s,
        "expires_in_s": mine.expires_in_s,
    }


def _wired(wiring: WiringList, identity: str, connector: int) -> Wired | None:
    for one in wiring.wiring:
        if (one.charger, one.connector) == (identity, connector):
            return Wired(
                circuit=one.circuit,
                phases=one.phases,
                min_a=one.min_a,
                max_a=one.max_a,
                safe_a=one.safe_a,
                by_site_file=one.source == "site file",
                trouble=one.trouble,
            )
    return None


def _circuit(one: CircuitChoice, everyone: Sequence[CircuitChoice]) -> CircuitFacts:
    """With the nearest meter at or above it."""
    by_name = {other.name: other for other in everyone}
    at: CircuitChoice | None = one
    meter, passed = "", set[str]()
    while at is not None and not meter and at.name not in passed:
        passed.add(at.name)
        meter, at = at.meter, by_name.get(at.parent)
    return CircuitFacts(name=one.name, fuse_a=one.fuse_a, meter=meter, safe_left_a=one.safe_left_a)


def _status(charger: ChargerView | None, connector: int) -> str:
    for one in charger.connectors if charger is not None else ():
        if one.id.partition(".")[0] == str(connector):
            return plain(one.status)
    return ""


def _runs(charger: ChargerView, connector: int) -> bool:
    """1.6 names the connector, 2.x the EVSE; one that names neither runs on the only one there is."""
    return any((one.evse or one.connector) in (0, connector) for one in charger.transactions)
