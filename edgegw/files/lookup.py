"""From a host name to addresses that were checked: what a source connects to, and nothing else.

Rules of this file:
- One look-up per hop; a caller connects to the addresses it got here, so a name that answers differently
  the second time (DNS rebinding, fault 75) is never asked a second time.
- An IP address in the URL is not looked up, but it is checked all the same.
- getaddrinfo blocks as long as the DNS servers let it: it runs in daemon threads of its own, a few at
  once, and a dead DNS server delays neither the loop nor the end of the program.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import Final

from edgegw.files.addresses import AddressGuard, AddressRefused
from edgegw.files.source import Retry

Lookup = Callable[[str], list[str]]

THREADS_MAX: Final = 4  # hung look-ups hold one each until the resolver gives up


class CheckedLookup:
    def __init__(self, guard: AddressGuard, lookup: Lookup | None = None) -> None:
        self._guard = guard
        self._lookup = lookup or system_lookup
        self._free = asyncio.Semaphore(THREADS_MAX)

    async def addresses(self, host: str, timeout_s: float) -> list[str]:
        """Addresses of `host` that may be connected to. Raises AddressRefused, Retry."""
        found = [host] if _is_literal(host) else await self._resolve(host, timeout_s)
        allowed, refused = [], None
        for address in found:
            try:
                self._guard.check(host, address)
                allowed.append(address)
            except AddressRefused as error:
                refused = error
        if refused is not None and not allowed:
            raise refused
        return allowed

    async def _resolve(self, host: str, timeout_s: float) -> list[str]:
        try:
            async with asyncio.timeout(timeout_s):
                await self._free.acquire()
                return await self._start(host)
        except TimeoutError:
            raise Retry(f"no answer for {host} within {timeout_s:g} s") from None
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not a host name"
            raise Retry(f"{host}: {why}") from None

    def _start(self, host: str) -> asyncio.Future[list[str]]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def finish(found: list[str], failure: Exception | None) -> None:
            self._free.release()
            if answer.done():
                return
            if failure is None:
                answer.set_result(found)
            else:
                answer.set_exception(failure)

        def run() -> None:
            found: list[str] = []
            failure: Exception | None = None
            try:
                found = list(dict.fromkeys(self._lookup(host)))
                if not found:
                    failure = OSError(0, "has no address")
            except (OSError, UnicodeError) as error:
                failure = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(finish, found, failure)

        threading.Thread(target=run, name="firmware dns", daemon=True).start()
        return answer


def system_lookup(host: str) -> list[str]:
    """getaddrinfo, addresses only. Blocks."""
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in infos]


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
