"""A door that charging does not need: tried again, told meanwhile, once in the log."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from edgegw.config_values import Address
from edgegw.runtime.shut_doors import ShutDoors, why_shut
from tests.links.house import eventually

WHERE = Address("10.0.0.5", 9080)


class Door:
    """Cannot be opened so many times."""

    def __init__(self, *failures: OSError) -> None:
        self.failures = list(failures)
        self.tries = 0

    async def open(self) -> None:
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)


def taken() -> OSError:
    return OSError(errno.EADDRINUSE, "asyncio says this in its own words, with the address")


async def test_a_door_that_opens_is_no_news(caplog: pytest.LogCaptureFixture):
    doors, door = ShutDoors(), Door()
    await doors.open("[files] listen", WHERE, door.open)
    assert (doors.shut, door.tries, caplog.records) == ({}, 1, [])


async def test_a_door_is_tried_until_it_opens_and_said_once(caplog: pytest.LogCaptureFixture):
    doors, door = ShutDoors(retry_every_s=0.001), Door(*(taken() for _ in range(5)))
    await doors.open("[files] listen", WHERE, door.open)
    assert doors.shut == {"[files] listen": why_shut("[files] listen", WHERE, taken())}
    await eventually(lambda: not doors.shut)
    assert door.tries == 6
    await doors.close()
    said = [record.getMessage() for record in caplog.records]
    assert [text.partition(";")[0] for text in said] == [
        "[files] listen = 10.0.0.5:9080: Address already in use",
        "[files] listen = 10.0.0.5:9080 is open now",
    ]


async def test_another_reason_is_said_anew(caplog: pytest.LogCaptureFixture):
    away = OSError(errno.EADDRNOTAVAIL, "x")
    doors, door = ShutDoors(retry_every_s=0.001), Door(taken(), away)
    await doors.open("[files] listen", WHERE, door.open)
    await eventually(lambda: not doors.shut)
    assert "has no such address" in caplog.text
    await doors.close()


async def test_closing_ends_the_tries():
    doors, door = ShutDoors(retry_every_s=0.001), Door(*(taken() for _ in range(10_000)))
    await doors.open("[files] listen", WHERE, door.open)
    await doors.close()
    tried = door.tries
    await asyncio.sleep(0)
    assert door.tries == tried


async def test_what_is_no_error_of_the_system_is_not_retried():
    async def bug() -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await ShutDoors().open("[files] listen", WHERE, bug)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (taken(), "Address already in use; another program has this port (ss -ltnp shows which): stop it"),
        (OSError(errno.EACCES, "x"), "Permission denied; ports below 1024"),
        (OSError(errno.EMFILE, "x"), "Too many open files; check the address in the site file"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known; check the address"),
    ],
)
def test_the_words_say_which_door_why_and_what_to_do(error: OSError, words: str):
    assert why_shut("[files] listen", WHERE, error).startswith(f"[files] listen = 10.0.0.5:9080: {words}")
