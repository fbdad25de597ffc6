"""A program that is told what to do line by line: each answer goes to whoever asked for it."""

from __future__ import annotations

import asyncio

import pytest

from edgegw.sim.lines import LineProcess, ProcessEnded


async def test_an_answer_that_nobody_waits_for_any_more_is_given_to_nobody_else():
    async with await LineProcess.start("edgegw.sim.meter", "--building", "10") as process:
        asking = asyncio.create_task(process.command("meter negative on"))
        await asyncio.sleep(0)  # it is said
        asking.cancel()
        await asyncio.wait([asking])
        assert not (await process.command("no such thing"))["ok"]
        assert (await process.command("meter ok"))["ok"]


async def test_a_program_that_does_not_begin_is_not_left_behind():
    with pytest.raises(ProcessEnded):
        await LineProcess.start("edgegw.sim.meter", "--port", "no port")
    with pytest.raises(TimeoutError):
        await LineProcess.start("edgegw.sim.meter", timeout_s=0.0)
