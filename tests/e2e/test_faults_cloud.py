"""Faults 44 to 54: what the cloud does wrong, how the box says so, and what the charger is spared."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from edgegw.sim.audit import audit, table
from edgegw.sim.charger import SimCharger
from edgegw.sim.cloud import SimCloud
from edgegw.sim.desk import Desk
from edgegw.sim.habits import Habits
from tests.e2e.children import DEADLINE_S
from tests.e2e.faults import (
    V16,
    V201,
    ask,
    charger,
    drained,
    meter,
    start_tx,
    stop_tx,
    tcp_server,
    until,
)
from tests.e2e.gateway import GatewayProcess, Gateways


async def cloud_error(gateway: GatewayProcess, needle: str) -> dict[str, Any]:
    """The cloud leg of CP1 as `edgegw chargers --json` shows it, once its error holds `needle`."""

    async def look() -> dict[str, Any] | None:
        (view,) = (await ask(gateway, "/v1/chargers"))["chargers"]
        leg: dict[str, Any] = view["cloud"]
        return leg if not leg["up"] and needle.casefold() in leg["error"].casefold() else None

    return await until(look)


async def test_fault_44_why_the_cloud_is_not_reached_is_shown(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        async with charger(gateway, "CP1") as one:
            for status in (401, 403, 404, 500, 503):
                cloud.refuse_handshake(status)
                with contextlib.suppress(Exception):
                    cloud.drop("CP1")
                await cloud_error(gateway, str(status))
            await cloud.cut()
            await cloud_error(gateway, "refused")
            shown = (await gateway.command("chargers"))["chargers"][0]
            assert shown["connected"]
            assert "refused" in shown["cloud"]["error"]
            assert (await one.call("Heartbeat", {}))[0] == 3
            cloud.refuse_handshake(None)
            await cloud.restore()
            await cloud.wait_connected("CP1", DEADLINE_S)
            assert not one.closed


async def test_fault_44_retry_after_is_obeyed(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        async with charger(gateway, "CP1"), charger(gateway, "CP2"):
            cloud.refuse_handshake(429, 3)
            cloud.drop("CP1")
            await cloud.wait_for(lambda: cloud.refused_handshakes == 1, DEADLINE_S)
            begun = asyncio.get_running_loop().time()
            cloud.drop("CP2")
            await cloud.wait_for(lambda: cloud.refused_handshakes == 2, DEADLINE_S)
            assert asyncio.get_running_loop().time() - begun > 1.5, "said once, it holds for the whole site"


async def test_fault_44_a_redirect_to_another_host_is_not_followed(gateways: Gateways) -> None:
    visitors, dialled = [], []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitors.append(await reader.readline())

    async with tcp_server(elsewhere) as port:

        async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            place = f"Location: ws://127.0.0.1:{port}/x\r\n".encode()
            writer.write(b"HTTP/1.1 307 Temporary Redirect\r\n" + place + b"Content-Length: 0\r\n\r\n")
            await writer.drain()
            dialled.append(port)

        async with tcp_server(redirect) as gate:
            gateway = await gateways(f"ws://127.0.0.1:{gate}/csms")
            async with charger(gateway, "CP1", boot=False):
                await cloud_error(gateway, "307")
                again = len(dialled) + 1  # who follows it goes there before it dials anew
                await until(lambda: len(dialled) > again)
        assert not visitors


async def test_fault_45_a_cloud_that_never_answers(gateways: Gateways) -> None:
    """Answered here in time; the same id and bytes go up on the next link; that was no attempt of it."""
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url, {"cloud": {"answer_timeout": "300 ms"}})
        async with charger(gateway, "CP1") as one:
            cloud.silence()
            answer = await one.call("StartTransaction", start_tx(), "the-start")
            assert answer[2]["transactionId"] >= 0x40000000
            await cloud.wait_calls("StartTransaction", count=3, timeout_s=DEADLINE_S)
            cloud.speak()
            await drained(gateway)
            assert len({call.raw for call in cloud.calls("StartTransaction")}) == 1
            rows = (await ask(gateway, "/v1/queue/rows"))["rows"]
            (row,) = [row for row in rows if row["lane"] == "transaction"]
            assert (row["message_id"], row["state"], row["attempts"]) == ("the-start", "delivered", 0)
            assert not one.closed


async def test_fault_46_a_cloud_that_is_always_late(gateways: Gateways) -> None:
    """Later than the charger may wait, sooner than the leg is given up: nothing is sent twice."""
    async with SimCloud(desk=Desk(deduplicate=False)) as cloud:
        gateway = await gateways(cloud.url, {"cloud": {"answer_timeout": "2 s"}})
        async with charger(gateway, "CP1") as one:
            cloud.late(2.2)
            local = (await one.call("StartTransaction", start_tx()))[2]["transactionId"]
            await one.call("MeterValues", meter(local, 1100))
            await one.call("StopTransaction", stop_tx(local))
            await drained(gateway)
            billed = [c.action for c in cloud.received if c.action.endswith(("Transaction", "Values"))]
            assert list(dict.fromkeys(billed)) == ["StartTransaction", "MeterValues", "StopTransaction"]
            # A machine so busy that an answer comes after 3 s costs a leg, and one message is sent again. A
            # gateway that gives legs up too soon is never done.
            assert len(billed) - 3 <= len(cloud.history) - 1
            ids = {
                call.payload["transactionId"] for call in cloud.received if "transactionId" in call.payload
            }
            assert ids == {1}, "the cloud's own id, on all of them"


async def test_fault_47_what_the_cloud_refuses_for_good_is_parked(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        async with charger(gateway, "CP1") as one:
            await cloud.cut()
            first = (await one.call("StartTransaction", start_tx("REFUSED", 1), "refused"))[2][
                "transactionId"
            ]
            second = (await one.call("StartTransaction", start_tx("TAG2", 2)))[2]["transactionId"]
            await one.call("StopTransaction", stop_tx(first))
            await one.call("StopTransaction", stop_tx(second))
            cloud.refuse("StartTransaction", "FormationViolation", times=3)
            await cloud.restore()
            await drained(gateway)
            assert [call.id for call in cloud.calls("StartTransaction")][:3] == ["refused"] * 3
            assert [call.payload["transactionId"] for call in cloud.calls("StopTransaction")] == [-1, 1]
            queue = await gateway.command("queue")
            assert (queue["stored"], queue["in_flight"], queue["parked"]) == (0, 0, 1)
            (parked,) = (await ask(gateway, "/v1/queue/rows?state=parked"))["rows"]
            assert parked["message_id"] == "refused"
            assert "FormationViolation" in parked["error"]
            assert parked["attempts"] == 3


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_fault_48_the_connection_ends_at_each_byte_of_an_answer(
    gateways: Gateways, tmp_path: Path, version: str
) -> None:
    """A naive cloud, cut off in the middle of answer after answer: the same id and bytes each time."""
    ledgers = tmp_path / "ledgers"
    ledgers.mkdir()
    async with SimCloud(ledger=tmp_path / "cloud.jsonl", desk=Desk(deduplicate=False)) as cloud:
        gateway = await gateways(cloud.url)
        habits = Habits(meter_interval_s=0.02, backoff_min_s=0.05, retry_interval_s=0.1)
        async with SimCharger(
            "CP1", version, gateway.url, ledger=ledgers / "CP1.jsonl", habits=habits
        ) as one:
            await one.wait_online(DEADLINE_S)
            offsets = [0, 1, 2, 3, 7, 20, 44, 60]
            charging = asyncio.create_task(one.charge(samples=20))
            for offset in offsets:
                action = "MeterValues" if version == "1.6" else "TransactionEvent"
                before = len(cloud.history)
                cloud.close_before_answer(1, answer_bytes=offset, action=action)
                await cloud.wait_for(lambda before=before: len(cloud.history) > before, DEADLINE_S)
            await charging
            await one.drained(DEADLINE_S)
            await drained(gateway)
    verdict = await asyncio.to_thread(audit, [ledgers], tmp_path / "cloud.jsonl", complete=True)
    assert verdict.holds, table(verdict)
    assert 1 <= verdict.facts["arrived_more_than_once"] <= len(offsets)


async def test_fault_52_yesterday_s_orders_are_not_carried_out(gateways: Gateways) -> None:
    """A CALL of the cloud is live or nothing: what waited for its turn when the leg went is void."""
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        async with charger(gateway, "CP1", answers=False) as one:
            for number in range(4):
                await cloud.send_text("CP1", json.dumps([2, f"order-{number}", "Reset", {"type": "Soft"}]))
            await one.seen(lambda frame: frame[1] == "order-0")
            cloud.refuse_handshake(503)  # it stays away until the box has noticed
            cloud.drop("CP1")
            await cloud_error(gateway, "503")
            await one.send('[3,"order-0",{"status":"Accepted"}]')
            cloud.refuse_handshake(None)
            await cloud.wait_connected("CP1", DEADLINE_S)
            await one.call("Heartbeat", {})
            await cloud.send_text("CP1", '[2,"today","Reset",{"type":"Soft"}]')
            await one.seen(lambda frame: frame[1] == "today")
            assert [frame[1] for frame in one.frames if frame[0] == 2] == ["order-0", "today"]
        await until(lambda: "CP1" not in cloud.connections)


MOVES: dict[str, tuple[str, dict[str, Any]]] = {
    "1.6 address": (
        "ChangeConfiguration",
        {"key": "BackendURL", "value": "wss://elsewhere.example/ocpp"},
    ),
    "2.0.1 profile": (
        "SetNetworkProfile",
        {
            "configurationSlot": 1,
            "connectionData": {
                "ocppVersion": "OCPP20",
                "ocppTransport": "JSON",
                "ocppCsmsUrl": "wss://elsewhere.example/ocpp",
                "messageTimeout": 30,
                "securityProfile": 1,
                "ocppInterface": "Wired0",
            },
        },
    ),
    "2.0.1 priority": (
        "SetVariables",
        {
            "setVariableData": [
                {
                    "attributeValue": "2,1",
                    "component": {"name": "OCPPCommCtrlr"},
                    "variable": {"name": "NetworkConfigurationPriority"},
                }
            ]
        },
    ),
}


async def test_fault_54_a_charger_is_not_led_away(gateways: Gateways) -> None:
    async with SimCloud() as cloud:
        gateway = await gateways(cloud.url)
        async with charger(gateway, "A") as a, charger(gateway, "B", offers=(V201,)) as b:
            for name, (action, payload) in MOVES.items():
                identity = "A" if name.startswith(V16[4:]) else "B"
                answer = await cloud.call(identity, action, payload)
                assert "Rejected" in str(answer), (name, answer)
            harmless = {"key": "MeterValueSampleInterval", "value": "60"}
            assert await cloud.call("A", "ChangeConfiguration", harmless) == {"status": "Accepted"}
            asked = [frame[2] for one in (a, b) for frame in one.frames if frame[0] == 2]
            assert asked == ["ChangeConfiguration"], "only the harmless one came through"
            notices = (await ask(gateway, "/v1/site"))["notices"]
            assert [notice["kind"] for notice in notices].count("move_refused") == 3
