"""A loop with a bug in it goes on, and does not fill the log."""

from __future__ import annotations

import asyncio
import logging

import pytest

from edgegw.runtime.loop_guard import BUGS_LOGGED_EVERY, LoopGuard

log = logging.getLogger("edgegw.test")


def test_a_pass_that_fails_is_not_the_last_one(caplog: pytest.LogCaptureFixture):
    guard, passes = LoopGuard(log, "counting"), 0
    for _ in range(BUGS_LOGGED_EVERY + 1):
        with guard:
            passes += 1
            raise ZeroDivisionError
    assert passes == guard.bugs == BUGS_LOGGED_EVERY + 1
    assert [record.getMessage() for record in caplog.records] == [
        "bug while counting (1 so far); it goes on",
        "bug while counting (1001 so far); it goes on",
    ]
    assert all(record.exc_info for record in caplog.records)


def test_a_pass_that_is_well_is_not_noticed():
    guard = LoopGuard(log, "counting")
    with guard:
        pass
    assert guard.bugs == 0


def test_who_is_cancelled_ends():
    guard = LoopGuard(log, "counting")
    with pytest.raises(asyncio.CancelledError), guard:
        raise asyncio.CancelledError
    assert guard.bugs == 0
