"""The tree of circuits: who hangs behind which fuse, and which sums must stay below which number.

Rules of this file:
- A row is one circuit on one phase: everything drawn there together must stay below one number. Rows are
  numbered `circuit * 3 + phase`; behind them stand the rows of the circuits with an unbalance limit.
- Circuits and connectors are put in the order of their names, so that no result depends on the order of a
  file.
- What is wrong with a tree is a ValueError in words, raised before anything runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from edgegw.balance.model import INFINITE, PHASE_NAMES, PHASES, Circuit, Connector


class Tree:
    """Circuits and connectors of one site, checked.

    `chains[c]` are the indexes of circuit c and everything above it, nearest first; `below[c]` those of the
    connectors behind it, at any depth.
    """

    def __init__(self, circuits: Iterable[Circuit], connectors: Iterable[Connector]) -> None:
        self.circuits: tuple[Circuit, ...] = tuple(sorted(circuits, key=lambda circuit: circuit.name))
        self.connectors: tuple[Connector, ...] = tuple(sorted(connectors, key=lambda connector: connector.id))
        _check_names(self.circuits, self.connectors)
        self.index = {circuit.name: number for number, circuit in enumerate(self.circuits)}
        self.chains = tuple(self._chain(circuit) for circuit in self.circuits)
        for connector in self.connectors:
            _check_connector(connector, self.index)
        self.circuit_of = tuple(self.index[connector.circuit] for connector in self.connectors)
        self.below = tuple(
            tuple(n for n, home in enumerate(self.circuit_of) if number in self.chains[home])
            for number in range(len(self.circuits))
        )
        uneven = [n for n, circuit in enumerate(self.circuits) if circuit.unbalance_a < INFINITE]
        self.uneven_rows = {n: PHASES * (len(self.circuits) + at) for at, n in enumerate(uneven)}
        self.row_count = PHASES * (len(self.circuits) + len(uneven))

    def _chain(self, circuit: Circuit) -> tuple[int, ...]:
        chain = [self.index[circuit.name]]
        while circuit.parent:
            if circuit.parent not in self.index:
                raise ValueError(f'circuit {circuit.name}: there is no circuit "{circuit.parent}" above it')
            if self.index[circuit.parent] in chain:
                raise ValueError(f"circuit {circuit.name}: the circuits above it lead back to itself")
            circuit = self.circuits[self.index[circuit.parent]]
            chain.append(self.index[circuit.name])
        return tuple(chain)

    def ancestors(self, name: str) -> tuple[str, ...]:
        """The circuits above `name`, nearest first, the root last."""
        return tuple(self.circuits[number].name for number in self.chains[self.index[name]][1:])

    def rows(self, circuit: int, phases: Sequence[int]) -> tuple[int, ...]:
        """The rows that a load on `phases` behind `circuit` adds to, each with coefficient 1.

        A load on all three phases is even: it adds to no unbalance row.
        """
        rows = [number * PHASES + phase for number in self.chains[circuit] for phase in phases]
        if len(phases) < PHASES:
            for number in self.chains[circuit]:
                if number in self.uneven_rows:
                    rows.extend(self.uneven_rows[number] + phase for phase in phases)
        return tuple(rows)


def _check_names(circuits: Sequence[Circuit], connectors: Sequence[Connector]) -> None:
    for kind, names in (("circuit", [c.name for c in circuits]), ("connector", [c.id for c in connectors])):
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f'{kind} "{twice[0]}" is there more than once')
    for circuit in circuits:
        if not circuit.name:
            raise ValueError("a circuit has no name")
        if not 0 < circuit.limit_a < INFINITE:
            raise ValueError(f"circuit {circuit.name}: its limit of {circuit.limit_a:g} A is none")
    roots = [circuit.name for circuit in circuits if not circuit.parent]
    if len(roots) != 1:
        told = ", ".join(roots) or "none"
        raise ValueError(f"exactly one circuit must have none above it, the main fuse; now: {told}")


def _check_connector(connector: Connector, circuits: dict[str, int]) -> None:
    name = f"connector {connector.id}"
    if connector.circuit not in circuits:
        raise ValueError(f'{name}: there is no circuit "{connector.circuit}"')
    phases = connector.phases
    if not phases or len(set(phases)) != len(phases) or not set(phases) <= set(range(PHASES)):
        raise ValueError(f"{name}: its phases {phases} are not one to three different ones of 0, 1, 2")
    if not 0 <= connector.min_a <= connector.max_a < INFINITE or connector.max_a <= 0:
        raise ValueError(
            f"{name}: min {connector.min_a:g} A and max {connector.max_a:g} A do not go together"
        )
    if connector.step_a <= 0 or connector.weight <= 0:
        raise ValueError(f"{name}: step and weight must be above zero")


def check_safe(tree: Tree) -> list[str]:
    """What does not fit when nobody steers: every charger at its safe value, everything else at its worst.

    One complaint per circuit and phase, each with the sum and the limit; empty when all is well.
    """
    complaints = []
    for number, circuit in enumerate(tree.circuits):
        for phase in range(PHASES):
            members = [tree.connectors[n] for n in tree.below[number] if phase in tree.connectors[n].phases]
            safe = sum(connector.safe_a for connector in members)
            if safe + circuit.reserve_a > circuit.limit_a + 1e-9:
                complaints.append(
                    f"circuit {circuit.name}, {PHASE_NAMES[phase]}: {len(members)} chargers draw {safe:g} A "
                    f"when nobody steers them, with the reserve of {circuit.reserve_a:g} A that is "
                    f"{safe + circuit.reserve_a:g} A on a fuse of {circuit.limit_a:g} A"
                )
    return complaints
