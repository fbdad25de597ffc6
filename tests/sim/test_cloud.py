"""The simulated cloud does what it is told to do wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from edgegw.sim.charger import SimCharger
from edgegw.sim.cloud import SimCloud
from edgegw.sim.cloud_socket import NotConnected
from edgegw.sim.desk import CallRefused, Desk
from edgegw.sim.habits import Habits
from edgegw.sim.ledger import read
from edgegw.sim.lines import ProcessEnded, start_cloud
from edgegw.sim.watch import PATIENCE_S

Quick = Callable[..., Habits]


async def dial(cloud: SimCloud, tail: str = "CP1", *offers: str) -> ClientConnection:
    names = [Subprotocol(name) for name in offers or ("ocpp1.6",)]
    return await connect(f"{cloud.url}/{tail}", subprotocols=names, proxy=None, ping_interval=None)


async def ask(ws: ClientConnection, text: str) -> list[object]:
    await ws.send(text)
    answer: list[object] = json.loads(await asyncio.wait_for(ws.recv(), PATIENCE_S))
    return answer


HEARTBEAT = '[2,"1","Heartbeat",{}]'
START = (
    '[2,"%s","StartTransaction",'
    '{"connectorId":1,"idTag":"A","meterStart":1,"timestamp":"2026-01-01T00:00:00Z"}]'
)


async def test_it_sees_how_each_connection_came(cloud: SimCloud, quick: Quick):
    habits = quick(password="secret-of-sixteen")
    async with SimCharger("RDAM|7/c 1", "2.0.1", cloud.url, habits=habits) as charger:
        await charger.wait_online()
        seen = cloud.connections["RDAM|7/c 1"]
    assert seen.path == "/csms/RDAM%7C7%2Fc%201"
    assert seen.raw_segment == "RDAM%7C7%2Fc%201"
    assert (seen.subprotocol, seen.offered) == ("ocpp2.0.1", ("ocpp2.0.1",))
    assert seen.authorization is not None
    assert seen.authorization.startswith("Basic ")
    assert cloud.ledger is not None
    assert "Basic" not in cloud.ledger.path.read_text()


async def test_the_clients_order_of_subprotocols_counts(cloud: SimCloud):
    async with await dial(cloud, "CP1", "ocpp9", "ocpp1.6", "ocpp2.1") as ws:
        assert ws.subprotocol == "ocpp1.6"


async def test_without_a_common_subprotocol_it_opens_and_closes(cloud: SimCloud):
    async with await dial(cloud, "CP1", "ocpp9.9") as ws:
        assert ws.subprotocol is None
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(ws.recv(), PATIENCE_S)


async def test_cut_and_restore_keep_the_port(cloud: SimCloud):
    ws = await dial(cloud)
    port = cloud.port
    await cloud.cut()
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(ws.recv(), PATIENCE_S)
    with pytest.raises(ConnectionRefusedError):
        await dial(cloud)
    await cloud.restore()
    assert cloud.port == port
    async with await dial(cloud) as again:
        assert (await ask(again, HEARTBEAT))[0] == 3


async def test_a_refused_handshake_carries_status_and_retry_after(cloud: SimCloud):
    cloud.refuse_handshake(503, 7)
    with pytest.raises(InvalidStatus) as refused:
        await dial(cloud)
    assert refused.value.response.status_code == 503
    assert refused.value.response.headers["Retry-After"] == "7"
    cloud.refuse_handshake(None)
    async with await dial(cloud):
        pass
    with pytest.raises(InvalidStatus) as lost:
        await dial(cloud, "a/b")
    assert lost.value.response.status_code == 404


async def test_refusals_run_out(cloud: SimCloud):
    cloud.refuse("Heartbeat", "GenericError", 2)
    async with await dial(cloud) as ws:
        answers = [await ask(ws, HEARTBEAT) for _ in range(3)]
    assert [answer[0] for answer in answers] == [4, 4, 3]
    assert answers[0][2] == "GenericError"


async def test_silence_is_per_action(cloud: SimCloud):
    cloud.silence("Heartbeat")
    async with await dial(cloud) as ws:
        await ws.send(HEARTBEAT)
        assert (await ask(ws, '[2,"2","Authorize",{"idTag":"A"}]'))[1] == "2"
        cloud.speak()
        assert (await ask(ws, HEARTBEAT))[1] == "1"


async def test_late_answers_let_later_calls_pass_and_slow_ones_do_not(cloud: SimCloud):
    async with await dial(cloud) as ws:
        cloud.late(0.05)
        await ws.send(HEARTBEAT)
        await cloud.wait_calls("Heartbeat")
        cloud.late(0)
        assert (await ask(ws, '[2,"2","Authorize",{"idTag":"A"}]'))[1] == "2"
        assert json.loads(await ws.recv())[1] == "1"
        cloud.slow(0.05)
        await ws.send(HEARTBEAT)
        await cloud.wait_calls("Heartbeat", count=2)
        cloud.slow(0)
        assert (await ask(ws, '[2,"3","Authorize",{"idTag":"A"}]'))[1] == "1"


async def test_transaction_ids_come_from_its_own_sequence(tmp_path: Path):
    async with SimCloud(desk=Desk(first_transaction_id=40)) as cloud, await dial(cloud) as ws:
        given = [(await ask(ws, START % n))[2]["transactionId"] for n in "aab"]  # type: ignore[index]
        assert given == [40, 40, 41]
        cloud.desk.deduplicate = False
        assert (await ask(ws, START % "a"))[2]["transactionId"] == 42  # type: ignore[index]


async def test_a_cloud_that_starts_again_knows_the_ids_it_gave(tmp_path: Path):
    """Killed or stopped, its ledger is its memory: no id is given for two transactions."""
    given = []
    for messages in ("ab", "bc"):
        async with SimCloud(ledger=tmp_path / "cloud.jsonl") as cloud, await dial(cloud) as ws:
            given += [(await ask(ws, START % n))[2]["transactionId"] for n in messages]  # type: ignore[index]
    assert given == [1, 2, 2, 3]


async def test_what_makes_no_sense_is_answered_or_noted(cloud: SimCloud):
    async with await dial(cloud) as ws:
        assert (await ask(ws, '[2,"1","Nonsense",{}]'))[2] == "NotImplemented"
        assert (await ask(ws, '[2,"1","StartTransaction",{}]'))[2] == "InternalError"
        for junk in ("nonsense", "[]", "{}", '[9,"1"]', '[2,"1"]'):
            await ws.send(junk)
        assert (await ask(ws, HEARTBEAT))[0] == 3
    assert len(cloud.junk) == 5


async def test_a_send_of_21_is_noted_and_not_answered(cloud: SimCloud):
    async with await dial(cloud, "CP1", "ocpp2.1") as ws:
        await ws.send('[6,"9","NotifyPeriodicEventStream",{"id":1,"pending":0,"basetime":"x","data":[]}]')
        assert (await ask(ws, HEARTBEAT))[1] == "1"
    assert [r.action for r in cloud.received] == ["NotifyPeriodicEventStream", "Heartbeat"]


async def test_its_calls_end_with_the_answer_the_refusal_or_the_connection(cloud: SimCloud):
    with pytest.raises(NotConnected):
        await cloud.call("CP1", "ClearCache", {})
    async with await dial(cloud) as ws:
        await cloud.wait_connected("CP1")
        call = asyncio.ensure_future(cloud.call("CP1", "ClearCache", {}))
        await ws.send(json.dumps([3, json.loads(await ws.recv())[1], {"status": "Accepted"}]))
        assert (await call)["status"] == "Accepted"
        call = asyncio.ensure_future(cloud.call("CP1", "ClearCache", {}))
        await ws.send(json.dumps([4, json.loads(await ws.recv())[1], "Odd", "", {}]))
        with pytest.raises(CallRefused, match="Odd"):
            await call
        with pytest.raises(TimeoutError):
            await cloud.call("CP1", "ClearCache", {}, timeout_s=0.01)
        call = asyncio.ensure_future(cloud.call("CP1", "ClearCache", {}))
        await ws.recv()
        await ws.recv()
        ws.transport.abort()
        with pytest.raises(NotConnected):
            await call


async def test_the_process_obeys_its_lines(tmp_path: Path):
    ledger = tmp_path / "cloud.jsonl"
    async with await start_cloud("--ledger", str(ledger), "--control", "0") as process:
        url = process.ready["listening"]
        names = [Subprotocol("ocpp1.6")]
        async with connect(f"{url}/CP1", subprotocols=names, proxy=None) as ws:
            await ask(ws, HEARTBEAT)
            assert (await process.command("status"))["connected"] == ["CP1"]
            assert (await process.command("refuse Heartbeat GenericError 1"))["ok"]
            assert (await ask(ws, HEARTBEAT))[2] == "GenericError"
            assert (await process.command("cut"))["ok"]
            with pytest.raises(ConnectionClosed):
                await ws.recv()
        reader, writer = await asyncio.open_connection("127.0.0.1", process.ready["control"])
        writer.write(b"restore\n")
        assert json.loads(await reader.readline()) == {"ok": True}
        writer.close()
        await writer.wait_closed()
        async with connect(f"{url}/CP1", subprotocols=names, proxy=None) as ws:
            await ask(ws, HEARTBEAT)
        assert not (await process.command("nonsense"))["ok"]
        assert not (await process.command("call CP9 ClearCache {}"))["ok"]
        assert await process.stop() == 0
    kinds = [entry.kind for entry in read(ledger)]
    assert kinds.count("received_call") == 3
    with pytest.raises(ProcessEnded):
        await process.command("status")
