"""Somebody at the door while a person changes their mind about them."""

from __future__ import annotations

import asyncio

from edgegw.runtime.ports import Refused
from tests.control.wired_house import WiredHouse


async def test_who_is_taken_back_while_its_cloud_is_dialled_is_not_let_in(tmp_path, monkeypatch):
    site = WiredHouse(tmp_path)
    await site.start()
    try:
        await site.accept("CP-7")
        dialled, answers = asyncio.Event(), asyncio.Event()

        async def dials(*_):
            dialled.set()
            await answers.wait()

        monkeypatch.setattr(site.app.gateway.entrance, "_dial_for", dials)
        knocking = asyncio.create_task(site.knocks("CP-7"))
        await dialled.wait()
        assert (await site.http.delete("/v1/chargers/CP-7/accept")).status_code == 200
        answers.set()
        refused = await knocking
        assert isinstance(refused, Refused), refused
        assert "taken back" in refused.reason
    finally:
        await site.stop()
