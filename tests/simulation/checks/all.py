"""All checkers over one ledger. Each reads what chargers, cloud and wires noted, and nothing of the core."""

from __future__ import annotations

from tests.simulation.checks import (
    answers,
    authorised,
    delivered,
    durable,
    energy,
    flagged,
    identity,
    ordered,
    parked,
    refused,
    repeated,
    single,
    unchanged,
)
from tests.simulation.checks.books import Books
from tests.simulation.ledger import Ledger
from tests.simulation.script import Script

CHECKERS = {
    "delivered": delivered.check,
    "repeated": repeated.check,
    "ordered": ordered.check,
    "unchanged": unchanged.check,
    "identity": identity.check,
    "answers": answers.check,
    "single": single.check,
    "energy": energy.check,
    "durable": durable.check,
    "refused": refused.check,
    "flagged": flagged.check,
    "parked": parked.check,
    "authorised": authorised.check,
}


def complaints(ledger: Ledger, script: Script) -> list[str]:
    """`checker: what is wrong`, worst first as far as one can tell; empty when all is well."""
    books = Books(ledger, script)
    found = [f"bug: {text}" for text in ledger.bugs]
    for name, check in CHECKERS.items():
        found += [f"{name}: {text}" for text in check(books)]
    return found
