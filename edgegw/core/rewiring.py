"""What becomes of a charger's limits when its connectors are wired otherwise while the gateway runs.

Rules of this file:
- What a connector took stays known and counted; it is told anew where its wiring changes what that means.
- A connector that comes is treated as never met: its maximum counts until it took a limit, and the standing
  one comes first. One that goes is told nothing more: its standing limit stays in the charger, its live one
  ends by itself.
- Nothing here is about sums: whether a change fits the fuses is asked before (`misfit`).
"""

from __future__ import annotations

from collections.abc import Mapping

from edgegw.balance.model import PHASE_NAMES, PHASES, Allocation, Plug, PlugState
from edgegw.balance.profile_book import ProfileBook
from edgegw.balance.tree import Tree
from edgegw.core import actuation, adoption, power_notes, profile_store
from edgegw.core.effects import Effect, Noticed
from edgegw.core.events import Instant, RenewalWithheld, Rewired
from edgegw.core.limit_orders import LIMIT_PURPOSE, READY
from edgegw.core.power import ConnectorPower, PowerState, Wiring
from edgegw.core.state import ChargerState

_EMPTY = (PlugState.FREE, PlugState.UNAVAILABLE)
_ROUNDING_A = 0.05


def on_rewired(state: ChargerState, event: Rewired, now: Instant) -> list[Effect]:
    """Take over what the site's policy says of this charger now."""
    power, policy = state.power, state.site.power
    wanted = {wiring.connector: wiring for wiring in policy.wirings.get(state.identity, ())}
    known = {number: c.wiring for number, c in power.connectors.items()}
    if wanted == known:
        return []
    power.entries, power.nominal_v, power.lifetime_s = (
        policy.quirks,
        policy.nominal_v,
        policy.profile_lifetime_s,
    )
    if not known:
        power.seen = set(state.transactions.running)
    effects = [effect for number in known.keys() - wanted.keys() for effect in _leave(state, number)]
    for number, wiring in sorted(wanted.items()):
        effects += _wire(state, number, wiring, now)
    if not wanted:
        return effects + _left_alone(state)
    _stand_again(power, now)
    return effects + actuation.advance(state, now)


def on_renewal_withheld(state: ChargerState, event: RenewalWithheld, now: Instant) -> list[Effect]:
    """Its live limit ends by itself; what it stands at is counted as ever, so nothing gets tighter by it."""
    c = state.power.connectors.get(event.connector)
    if c is None:
        return []
    c.unrenewed_until = now.mono + event.for_s
    return [] if event.for_s else actuation.advance(state, now)


def _leave(state: ChargerState, number: int) -> list[Effect]:
    """It must not be remembered either: others may set its limits from now on."""
    state.to_charger.withdraw_all(f"{LIMIT_PURPOSE}{number}")
    del state.power.connectors[number]
    state.power.told_limits.pop(number, None)
    return [state.document(power_notes.KIND, str(number), None, durable=False)]


def _left_alone(state: ChargerState) -> list[Effect]:
    """None of its connectors is balanced any more: whoever balances it again clears what is in it then."""
    power = state.power
    power.adopted = power.armed = False
    power.stage = power.asking = power.boot_id = ""
    power.strangers.clear()
    effects = power_notes.keep_charger(state)
    if power.book.profiles:
        text = (
            f"{state.identity} is left out of balancing: the charging profiles that its cloud had set were "
            "kept here and not in the charger; they are gone until the cloud sets them again"
        )
        effects.append(Noticed("cloud_profiles_dropped", text))
    power.book, power.starts, power.prioritised = ProfileBook(), [], set()
    return [*effects, profile_store.save(state)]


def _wire(state: ChargerState, number: int, wiring: Wiring, now: Instant) -> list[Effect]:
    power = state.power
    c = power.connectors.get(number)
    power.strangers.discard(number)
    if c is None:
        power.connectors[number] = ConnectorPower(wiring)
        return []
    if c.wiring == wiring:
        return []
    c.wiring = wiring
    c.unsure = c.unsure or c.accepted_a is not None  # in watts it means something else now
    return power_notes.keep(state, c, now)


def _stand_again(power: PowerState, now: Instant) -> None:
    """The standing limits are set anew, all of them: one may hold for every connector."""
    power.connectors = dict(sorted(power.connectors.items()))
    power.armed = False
    if power.stage == adoption.HOPELESS:
        power.stage = ""
    if power.stage in (adoption.STANDING, READY):  # an answer that is under way speaks of other connectors
        power.stage, power.asking = adoption.STANDING, ""
        power.cursor, power.attempts, power.retry_at = 0, 0, now.mono


# --- does it fit? ----------------------------------------------------------------------------------


def is_empty(plug: Plug) -> bool:
    """No car is there, as far as anybody knows."""
    return plug.state in _EMPTY


def misfit(before: Tree, after: Tree, plugs: Mapping[str, Plug], allocation: Allocation | None) -> str:
    """Why connectors that are wired otherwise cannot change now; "" when they can.

    What stands now must not come to more than a fuse on any row that the change makes fuller. Whoever comes
    is not counted: what it draws flows already, and the others give way to its maximum.
    """
    was, will = _standing(before, plugs), _standing(after, plugs)
    building = {seen.name: seen.base_a for seen in allocation.circuits} if allocation is not None else {}
    for circuit in after.circuits:
        for phase in range(PHASES):
            row = (circuit.name, phase)
            base_a = building.get(circuit.name, (circuit.reserve_a,) * PHASES)[phase]
            sum_a = will.get(row, 0.0) + max(0.0, base_a)
            fuller = will.get(row, 0.0) > was.get(row, 0.0) + _ROUNDING_A
            if fuller and sum_a > circuit.limit_a + _ROUNDING_A:
                return (
                    f"circuit {circuit.name}, {PHASE_NAMES[phase]}: with what the chargers may draw now that "
                    f"would be {sum_a:.0f} A on a fuse of {circuit.limit_a:g} A; lower the connector first "
                    "(a limit for it), or wait until its car has left"
                )
    return ""


def _standing(tree: Tree, plugs: Mapping[str, Plug]) -> dict[tuple[str, int], float]:
    """Per circuit and phase: what the connectors with a car may draw together, as `tree` wires them."""
    sums: dict[tuple[str, int], float] = {}
    for number, connector in enumerate(tree.connectors):
        plug = plugs.get(connector.id)
        if plug is None or (plug.steered and is_empty(plug)):
            continue
        amps = plug.standing_a if plug.steered else max(plug.standing_a, plug.reserved_a)
        for circuit in tree.chains[tree.circuit_of[number]]:
            for phase in connector.phases:
                row = (tree.circuits[circuit].name, phase)
                sums[row] = sums.get(row, 0.0) + amps
    return sums
