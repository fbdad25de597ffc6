"""How long to wait before the broker is dialled again, and whether somebody else has our client id.

Rules of this file:
- Pure: time and chance are arguments.
- A broker that is away is dialled often, at most REDIAL_MAX_S apart, so that it is told everything within
  5 s of its return. One that breaks the rules of MQTT again and again is dialled less and less often. One
  that refuses us is left in peace: only a person can change that.
- Two clients with one id throw each other out for ever (fault 71). MQTT 5 brokers should say so (0x8E), but
  mosquitto 2.0.11 and those of 3.1.1 only close: then it shows as a broker that is there at once and closes
  again, three times in a row. We give way, at most TAKEN_OVER_MAX_S.
"""

from __future__ import annotations

from typing import Literal

REDIAL_MIN_S = 0.5
REDIAL_MAX_S = 3.0
REFUSED_S = 30.0
TAKEN_OVER_MIN_S = 15.0  # somebody's mosquitto_sub with our id is often gone by then
TAKEN_OVER_MAX_S = 60.0
# A connection that lasts this long is nobody's prey: the other one, if it is a gateway, comes back sooner.
PEACE_S = 2.5 * TAKEN_OVER_MAX_S
CLOSED_SOON_MAX = 3

# "breach": it sent what no broker may send.
# "closed": the broker ended the connection without a word. "lost": anything else that ended it.
EndKind = Literal["unreachable", "refused", "taken_over", "breach", "closed", "lost"]


class Redial:
    """The history of our connections, as far as it says what to do next."""

    def __init__(self) -> None:
        self._failures = 0  # in a row, without a connection
        self._takeovers = 0  # without a connection that lasted
        self._closed_soon = 0  # in a row
        self._breaches = 0  # without a connection that lasted
        self._refused = False

    @property
    def taken_over(self) -> bool:
        """Another client seems to use our id."""
        return self._takeovers > 0

    @property
    def refused(self) -> bool:
        return self._refused

    def connected(self) -> None:
        self._failures = 0
        self._refused = False

    def lasted(self, seconds: float) -> None:
        """The present connection is this old."""
        if seconds >= PEACE_S:
            self._takeovers = self._closed_soon = self._breaches = 0

    def ended(self, kind: EndKind, lasted_s: float, rand: float) -> float:
        """A connection, or the attempt to get one, is over. Returns the seconds to wait.

        `lasted_s`: since the broker accepted us, 0 when it did not. `rand`: uniform in [0, 1).
        """
        self.lasted(lasted_s)
        self._refused = kind == "refused"
        if kind == "closed":
            self._closed_soon += 1
        else:  # also "unreachable": a broker that restarts is away for a moment
            self._closed_soon = 0
        if kind == "taken_over" or self._closed_soon >= CLOSED_SOON_MAX:
            return self._give_way(rand)
        if kind == "refused":
            return REFUSED_S * (0.9 + 0.2 * rand)
        if kind == "breach":
            self._breaches += 1
            return self._within(min(REFUSED_S, REDIAL_MIN_S * 2.0 ** min(self._breaches, 10)), rand)
        return self._soon(rand)

    def _give_way(self, rand: float) -> float:
        self._takeovers += 1
        wait_s = min(TAKEN_OVER_MAX_S, TAKEN_OVER_MIN_S * 2.0 ** (self._takeovers - 1))
        return wait_s * (0.8 + 0.2 * rand)

    def _soon(self, rand: float) -> float:
        """Full jitter: many gateways that lost one broker must not come back as one."""
        self._failures += 1
        return self._within(min(REDIAL_MAX_S, REDIAL_MIN_S * 2.0 ** min(self._failures, 10)), rand)

    def _within(self, ceiling_s: float, rand: float) -> float:
        return REDIAL_MIN_S + rand * (ceiling_s - REDIAL_MIN_S)
