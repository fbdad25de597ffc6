"""What the cloud's own charging profiles allow a connector of a balanced charger now.

Rules of this file:
- It reads `state.power.book` and changes nothing.
- The charger's Max is for all its connectors together (2.x K04.FR.05): those with a transaction share it,
  minima first and in the order in which they began, what is left evenly.
- A transaction counts from the moment a charger speaks of it, not only when the cloud has answered that.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from edgegw.balance import composite
from edgegw.balance.composite import Moment
from edgegw.balance.model import INFINITE, Binding
from edgegw.balance.profile_book import ProfileBook
from edgegw.core.events import Instant
from edgegw.core.power import ConnectorPower
from edgegw.core.state import ChargerState
from edgegw.wire.timestamps import parse_timestamp

_NOT_THE_SITE = (Binding.MAXIMUM, Binding.CLOUD, Binding.DEMAND, Binding.FREE, Binding.BYPASS)


class Running(msgspec.Struct, frozen=True, gc=False):
    """A transaction, id as the charger knows it."""

    id: str
    connector: int  # 1.6 connectorId, 2.x evseId
    id_tag: str = ""
    started: float | None = None  # wall; None: its first message is still on its way to the cloud


def running(state: ChargerState) -> dict[int, Running]:
    """The transaction of each connector that has one; the newest, should there be two."""
    found = {one.connector: one for one in _in_flight(state)}
    for record in state.transactions.running.values():
        connector = connector_of(state, record.evse or record.connector)
        started = record.received_at or None
        found[connector] = Running(record.id, connector, record.id_tag, started)
    return found


def _in_flight(state: ChargerState) -> Iterator[Running]:
    """2.x: the cloud may set a TxProfile before it has answered the event that began the transaction."""
    queue = state.to_cloud
    for out in (queue.outstanding, *queue.waiting):
        if out is None or out.call.action != "TransactionEvent":
            continue
        payload = out.call.payload
        info, evse, token = (payload.get(key) for key in ("transactionInfo", "evse", "idToken"))
        key = info.get("transactionId") if isinstance(info, dict) else None
        number = evse.get("id") if isinstance(evse, dict) else 0
        if payload.get("eventType") == "Started" and isinstance(key, str) and isinstance(number, int):
            tag = token.get("idToken", "") if isinstance(token, dict) else ""
            yield Running(key, connector_of(state, number), str(tag))


def connector_of(state: ChargerState, number: int) -> int:
    """2.x: an event may leave the EVSE out; where there is but one it is meant."""
    wired = state.power.connectors
    return next(iter(wired)) if number == 0 and len(wired) == 1 else number


def wall(state: ChargerState, now: Instant) -> float:
    """The time that schedules of the cloud are meant in: ours if it can be trusted, else the cloud's."""
    if now.trusted:
        return now.wall
    parsed = parse_timestamp(state.site.time_text(now))
    return parsed[0] if parsed is not None else now.wall


def moment(state: ChargerState, connector: int, now: Instant) -> Moment:
    """Where and when a limit of `connector` is asked, with all that the rules of profiles depend on."""
    power = state.power
    wiring = power.connectors[connector].wiring
    transaction = running(state).get(connector)
    return Moment(
        now=wall(state, now),
        connector=connector,
        transaction=transaction.id if transaction is not None else "",
        started=transaction.started if transaction is not None else None,
        tz=state.site.power.zone,
        offline_since=None if state.cloud_up else power.cloud_away_since,
        priority=transaction is not None and transaction.id in power.prioritised,
        nominal_v=power.nominal_v,
        phases=wiring.phases,
    )


def cap_for(state: ChargerState, connector: int, now: Instant) -> tuple[float, str]:
    """(amps per phase that the cloud allows this connector now, why in words); (infinity, "") for no limit.

    `connector` is the 1.6 connectorId or the 2.x evseId. Never below 0, not quantised.
    """
    book = state.power.book
    if not book.profiles or connector not in state.power.connectors:
        return INFINITE, ""
    return cap_of(state, book, connector, now)


def cap_of(state: ChargerState, book: ProfileBook, connector: int, now: Instant) -> tuple[float, str]:
    """`cap_for`, by another book."""
    cap = composite.limit_at(book, moment(state, connector, now))
    limit_a = INFINITE if cap.own_a is None else cap.own_a
    if cap.charger_a is not None:
        limit_a = min(limit_a, _share(state, book, connector, cap.charger_a, now))
    if limit_a == INFINITE:
        return INFINITE, ""
    wiring = state.power.connectors[connector].wiring
    # Of a DC charger the cloud means what comes out of it; these amps are what goes in.
    limit_a = max(limit_a, 0.0) / (wiring.efficiency if wiring.dc else 1.0)
    ids = ", ".join(map(str, cap.bound_by))
    return limit_a, f"the cloud's profile {ids} allows {limit_a:.1f} A" if ids else f"cloud: {limit_a:.1f} A"


def _share(state: ChargerState, book: ProfileBook, connector: int, charger_a: float, now: Instant) -> float:
    """What `connector` may draw of a limit for all connectors together."""
    active = running(state)
    order = sorted(active, key=lambda number: (active[number].started or INFINITE, number))
    claimants = [number for number in order if number in state.power.connectors]
    if connector not in claimants:
        claimants.append(connector)  # as if its transaction began now (2.x K08.FR.06)
    if len(claimants) == 1:
        return charger_a
    claims = []
    for number in claimants:
        wiring = state.power.connectors[number].wiring
        own_a = composite.limit_at(book, moment(state, number, now)).own_a
        most_a = wiring.max_a if own_a is None else min(own_a, wiring.max_a)
        claims.append((min(wiring.min_a, most_a), most_a))
    return share_out(charger_a, claims)[claimants.index(connector)]


def share_out(total_a: float, claims: list[tuple[float, float]]) -> list[float]:
    """Each claim is (least, most): its least while there is enough, in order; then all rise evenly."""
    shares = []
    left_a = max(total_a, 0.0)
    for least_a, _ in claims:
        share_a = least_a if least_a <= left_a + 1e-9 else 0.0
        shares.append(share_a)
        left_a -= share_a
    open_at = [i for i, (least_a, most_a) in enumerate(claims) if 0.0 < shares[i] < most_a]
    while open_at and left_a > 1e-6:
        step_a = min(left_a / len(open_at), *(claims[i][1] - shares[i] for i in open_at))
        for i in open_at:
            shares[i] += step_a
        left_a -= step_a * len(open_at)
        open_at = [i for i in open_at if claims[i][1] - shares[i] > 1e-9]
    return shares


def site_limit_a(state: ChargerState, power: ConnectorPower, now: Instant) -> float | None:
    """The site's own limit on a connector while it is what holds it down; None while cloud or charger do."""
    cap_a, _ = cap_for(state, power.wiring.connector, now)
    if power.binding in _NOT_THE_SITE or power.granted_a >= min(cap_a, power.wiring.max_a) - 0.05:
        return None
    return None if _is_the_clouds(power, cap_a) else power.granted_a


def site_gives_a(state: ChargerState, power: ConnectorPower, now: Instant) -> float:
    """What the connector could have of the site and its own hardware if the cloud set no limit."""
    cap_a, _ = cap_for(state, power.wiring.connector, now)
    if power.binding is Binding.MAXIMUM or _is_the_clouds(power, cap_a):
        return power.wiring.max_a
    return min(power.granted_a, power.wiring.max_a)


def _is_the_clouds(power: ConnectorPower, cap_a: float) -> bool:
    """Was it granted no more because the cloud allows no more?"""
    if power.binding is not None:
        return power.binding is Binding.CLOUD
    return 0.0 <= cap_a - power.granted_a < 1.0  # nobody said why: the cloud's limit, rounded down to a step
