"""One phrase on a connector's limit, for the technician who asks why it is what it is."""

from __future__ import annotations

from edgegw.balance.model import Binding
from edgegw.core.power import ConnectorPower, Control


def connector_words(number: int, power: ConnectorPower) -> str:
    if power.control in (Control.REFUSES, Control.DISOBEYS, Control.SILENT):
        kept = f"; {power.why.rpartition(': ')[2]}" if power.binding is Binding.UNSTEERED else ""
        return f"connector {number} is not steered: {power.fault or power.control.value}{kept}"
    if power.binding is Binding.UNSTEERED:
        return f"connector {number}: {power.why}"
    has = power.accepted_a
    words = f"connector {number} at {power.granted_a:g} A"
    if has is not None and abs(has - power.granted_a) > 0.05:
        words += f" (has {has:g} A so far)"
    return f"{words}: {power.why}" if power.why else words
