"""Two brakes: failed logins per address, and new cloud connections per second.

Rules of this file:
- A brake slows, it never locks out: a charger with the right password gets in, from an address that
  guessed wrong a moment ago too, only later (fault 7).
- Tables are bounded; what is dropped is what failed longest ago.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict, deque

FREE_FAILURES = 5  # per window, without any delay
WINDOW_S = 60.0
DELAY_MAX_S = 30.0
ADDRESSES_MAX = 4096


class LoginLimiter:
    """Delay of the answer to a login, per address. Times are seconds of a monotonic clock."""

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def failed(self, ip: str, now: float) -> float:
        """Count a failed login; seconds to wait before it is answered (0, then 1, 2, 4 ... 30)."""
        key = _network(ip)
        times = self._failures.setdefault(key, deque(maxlen=16))
        self._failures.move_to_end(key)
        times.append(now)
        if len(self._failures) > ADDRESSES_MAX:
            self._failures.popitem(last=False)
        return self.delay_s(ip, now)

    def delay_s(self, ip: str, now: float) -> float:
        """The wait that the failures of the last minute have earned this address."""
        times = self._failures.get(_network(ip))
        if times is None:
            return 0.0
        while times and times[0] <= now - WINDOW_S:
            times.popleft()
        excess = len(times) - FREE_FAILURES
        return 0.0 if excess <= 0 else min(2.0 ** (excess - 1), DELAY_MAX_S)

    @property
    def addresses(self) -> int:
        return len(self._failures)


def _network(ip: str) -> str:
    """An IPv6 host owns its whole /64."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return ip


class DialGate:
    """Lets dials through one by one, first come first served, `rate_per_s` of them per second.

    A token bucket with room for one second's worth; 0 means unlimited.
    """

    __slots__ = ("_loop", "_rate", "_room", "_timer", "_tokens", "_updated", "_waiting")

    def __init__(self, rate_per_s: float) -> None:
        self._rate = rate_per_s
        self._room = max(1.0, rate_per_s)
        self._tokens = self._room
        self._updated: float | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def wait(self) -> None:
        """Returns when it is this caller's turn. A cancelled caller takes no turn."""
        if self._rate <= 0:
            return
        self._loop = asyncio.get_running_loop()
        self._refill(self._loop.time())
        if not self._waiting and self._tokens >= 1.0:
            self._tokens -= 1.0
            return
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(turn)
        self._schedule()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._tokens += 1.0  # it was given a turn and did not take it
                self._schedule()
            raise

    @property
    def waiting(self) -> int:
        return sum(not turn.done() for turn in self._waiting)

    def _refill(self, now: float) -> None:
        if self._updated is not None:
            self._tokens = min(self._room, self._tokens + (now - self._updated) * self._rate)
        self._updated = now

    def _schedule(self) -> None:
        if self._timer is None and self._waiting and self._loop is not None:
            wait_s = max(0.0, (1.0 - self._tokens) / self._rate)
            self._timer = self._loop.call_later(wait_s, self._admit)

    def _admit(self) -> None:
        assert self._loop is not None
        self._timer = None
        self._refill(self._loop.time())
        # A timer may fire a clock tick early: what is missing then is less than the rounding.
        while self._waiting and (self._waiting[0].done() or self._tokens >= 1.0 - 1e-3):
            turn = self._waiting.popleft()
            if not turn.done():
                self._tokens -= 1.0
                turn.set_result(None)
        self._schedule()
