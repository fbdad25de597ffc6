"""Look-ups share, expire, time out, and never stand in anyone else's way (fault 66)."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edgegw.links.resolver import LookupFailed, Resolver
from tests.links.house import DEADLINE_S, eventually


class Names:
    def __init__(self, *answers) -> None:
        self.asked: list[str] = []
        self.answers = answers or (["192.0.2.1"],)
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        self.go_on.wait()
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_many_dials_share_one_lookup():
    names = Names(["192.0.2.1", "192.0.2.1", "192.0.2.2"])
    names.go_on.clear()
    resolver = Resolver(names)
    asking = asyncio.gather(*(resolver.resolve("cloud", DEADLINE_S) for _ in range(200)))
    await asyncio.sleep(0)
    names.go_on.set()
    assert set(await asking) == {("192.0.2.1", "192.0.2.2")}
    assert await resolver.resolve("cloud", DEADLINE_S) == ("192.0.2.1", "192.0.2.2")
    assert names.asked == ["cloud"]
    resolver.close()


async def test_the_answer_expires_and_failures_are_not_kept():
    names = Names(["192.0.2.1"], OSError(-3, "Temporary failure"), ["192.0.2.9"])
    resolver = Resolver(names, cache_s=0.0)
    assert await resolver.resolve("cloud", DEADLINE_S) == ("192.0.2.1",)
    with pytest.raises(LookupFailed, match="cloud: Temporary failure"):
        await resolver.resolve("cloud", DEADLINE_S)
    assert await resolver.resolve("cloud", DEADLINE_S) == ("192.0.2.9",)
    resolver.close()


async def test_fault_66_a_dead_dns_server_stops_nobody_else():
    names = Names()
    names.go_on.clear()
    resolver = Resolver(names)
    with pytest.raises(LookupFailed, match=r"no answer for dead within 0\.05 s"):
        await resolver.resolve("dead", 0.05)
    # The loop's default executor is free.
    assert await asyncio.wait_for(asyncio.to_thread(lambda: 7), DEADLINE_S) == 7
    # A cancelled caller does not take the look-up away from the others.
    first = asyncio.gather(resolver.resolve("dead", DEADLINE_S))
    second = asyncio.gather(resolver.resolve("dead", DEADLINE_S))
    await asyncio.sleep(0)
    first.cancel()
    names.go_on.set()
    assert await second == [("192.0.2.1",)]
    assert names.asked == ["dead"]
    with pytest.raises(asyncio.CancelledError):
        await first
    resolver.close()


async def test_fault_66_at_most_two_threads_and_they_are_daemons():
    names = Names()
    names.go_on.clear()
    resolver = Resolver(names)
    before = {thread for thread in threading.enumerate() if thread.name == "dns"}
    for host in "abcde":
        with pytest.raises(LookupFailed):
            await resolver.resolve(host, 0.01)
    mine = [thread for thread in threading.enumerate() if thread.name == "dns" and thread not in before]
    assert len(mine) == 2
    assert all(thread.daemon for thread in mine)
    resolver.close()
    names.go_on.set()
    await eventually(lambda: not any(thread.is_alive() for thread in mine))


async def test_what_is_no_name():
    resolver = Resolver()
    with pytest.raises(LookupFailed):
        await resolver.resolve("x" * 300, DEADLINE_S)
    assert await resolver.resolve("127.0.0.1", DEADLINE_S) == ("127.0.0.1",)
    with pytest.raises(LookupFailed, match="has no address"):
        await Resolver(lambda host: []).resolve("empty", DEADLINE_S)
    resolver.close()
