"""Name look-ups for the cloud, apart from everything else.

Rules of this file:
- getaddrinfo blocks for as long as the DNS servers let it. It runs in two threads of its own, never
  in the loop's default executor, and they are daemons: a dead DNS server delays neither another
  look-up of the program nor its end (fault 66).
- N chargers that dial one cloud share one look-up, and its answer for CACHE_S.
"""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

CACHE_S = 30.0
HOSTS_MAX = 256
THREADS = 2

Lookup = Callable[[str], list[str]]


class LookupFailed(Exception):
    """The name has no address now; the text says why."""


@dataclass(frozen=True, slots=True)
class _Cached:
    addresses: tuple[str, ...]
    until: float


class Resolver:
    """`await resolve(host)` -> addresses in the system's order of preference."""

    def __init__(self, lookup: Lookup | None = None, cache_s: float = CACHE_S) -> None:
        self._lookup = lookup or system_lookup
        self._cache_s = cache_s
        self._cache: dict[str, _Cached] = {}
        self._running: dict[str, asyncio.Future[tuple[str, ...]]] = {}
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = 0

    async def resolve(self, host: str, timeout_s: float) -> tuple[str, ...]:
        """Addresses of `host`. Raises LookupFailed, also when there was no answer in `timeout_s`."""
        loop = asyncio.get_running_loop()
        cached = self._cache.get(host)
        if cached is not None and loop.time() < cached.until:
            return cached.addresses
        flight = self._running.get(host) or self._start(host, loop)
        # `wait` does not cancel the look-up that others wait for too.
        done, _ = await asyncio.wait((flight,), timeout=timeout_s)
        if not done:
            raise LookupFailed(f"no answer for {host} within {timeout_s:g} s")
        return flight.result()

    def close(self) -> None:
        """Let the threads end; one that hangs in a look-up dies with the process."""
        for _ in range(self._threads):
            self._work.put(None)
        self._threads = 0

    def _start(self, host: str, loop: asyncio.AbstractEventLoop) -> asyncio.Future[tuple[str, ...]]:
        flight: asyncio.Future[tuple[str, ...]] = loop.create_future()
        self._running[host] = flight

        def run() -> None:
            addresses: tuple[str, ...] = ()
            failure = ""
            try:
                addresses = tuple(dict.fromkeys(self._lookup(host)))
                failure = "" if addresses else f"{host} has no address"
            except (OSError, UnicodeError) as exc:
                failure = f"{host}: {exc.strerror if isinstance(exc, OSError) else 'not a host name'}"
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._finish, host, flight, addresses, failure)

        self._work.put(run)
        if self._threads < THREADS:
            self._threads += 1
            threading.Thread(target=_worker, args=(self._work,), name="dns", daemon=True).start()
        return flight

    def _finish(
        self, host: str, flight: asyncio.Future[tuple[str, ...]], addresses: tuple[str, ...], failure: str
    ) -> None:
        self._running.pop(host, None)
        if flight.done():
            return
        if failure:
            flight.set_exception(LookupFailed(failure))
            flight.exception()  # everyone may have given up waiting
            return
        if len(self._cache) >= HOSTS_MAX:
            self._cache.clear()
        self._cache[host] = _Cached(addresses, asyncio.get_running_loop().time() + self._cache_s)
        flight.set_result(addresses)


def system_lookup(host: str) -> list[str]:
    """getaddrinfo, addresses only. Blocks."""
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in infos]


def _worker(work: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    while (job := work.get()) is not None:
        job()
