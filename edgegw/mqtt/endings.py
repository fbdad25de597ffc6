"""How a connection to the broker ended: what kind of end, and in which words. Pure.

The broker's own word goes first, then what it sent that is no MQTT, then what the line knows.
"""

from __future__ import annotations

import ssl

import msgspec
from paho.mqtt.reasoncodes import ReasonCode

from edgegw.links.tls import describe_failure
from edgegw.mqtt import refusal
from edgegw.mqtt.line import Line
from edgegw.mqtt.redial import EndKind


class End(msgspec.Struct, frozen=True):
    kind: EndKind
    text: str


def turned_away(reason: ReasonCode) -> End:
    """CONNACK says no."""
    kind: EndKind = "unreachable" if refusal.is_for_now(reason) else "refused"
    return End(kind, refusal.connect_words(reason))


def said(reason: ReasonCode) -> End:
    """DISCONNECT of the broker."""
    kind: EndKind = "taken_over" if reason.value == refusal.TAKEN_OVER else "lost"
    return End(kind, refusal.disconnect_words(reason))


def of_line(line: Line, early: bool, host: str, reason: ReasonCode | None) -> End:
    """Without a word of the broker. `early`: before it had let us in."""
    if line.closed_by_broker:
        return End("unreachable" if early else "closed", "the broker closed the connection")
    if line.failure is not None:
        refused = early and isinstance(line.failure, ssl.SSLError)
        return End("refused" if refused else "lost", describe_failure(line.failure, host))
    return End("lost", f"no word from the broker ({str(reason).lower()})")
