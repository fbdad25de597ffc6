"""The local API over its Unix socket: every answer against the served OpenAPI document."""

from __future__ import annotations

import asyncio
import logging

import pytest

from edgegw.errors import StoreFault
from tests.control.house import DEADLINE_S, START, TAG, Api, House
from tests.links.house import eventually


async def parked(house: House) -> tuple[int, object]:
    """CP-1 with a Start and a Stop that were stored and that the cloud refuses for good."""
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    transaction_id = await house.starts(charger)
    await house.stops(charger, transaction_id)
    wire = await house.cloud.comes_back("CP-1")
    for _ in range(2):
        frame = await wire.hears()
        wire.says([4, frame[1], "InternalError", "no such contract", {}])
    await house.all_is_stored()
    return transaction_id, wire


def audit(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "edgegw.control"]


# --- the box --------------------------------------------------------------------------------------


async def test_health_of_a_box_at_rest(api: Api):
    health = await api.get("/v1/health")
    assert (health["status"], health["reasons"]) == ("ok", [])
    assert health["cloud"]["mode"] == "serving"
    assert health["store"]["stored"] == 0
    assert health["store"]["free_disk_bytes"] > 0
    assert health["started_at"].endswith("Z")


async def test_a_cloud_that_is_away_is_told_and_is_not_a_fault_of_the_box(house: House, api: Api):
    charger = await house.boots("CP-1")
    assert (await api.get("/v1/health"))["cloud"] == {
        "mode": "serving", "connected_legs": 1, "error": "",
        "since": (await api.get("/v1/chargers/{identity}", identity="CP-1"))["cloud"]["since"],
    }  # fmt: skip
    house.cloud.goes_down()
    await house.starts(charger)
    health = await api.get("/v1/health")
    assert (health["status"], health["cloud"]["mode"]) == ("away", "away")
    assert "cloud is not reached" in health["reasons"][0]


async def test_a_store_that_is_broken_makes_the_box_degraded(house: House, api: Api, monkeypatch):
    async def counts():
        raise StoreFault("gone")

    monkeypatch.setattr(house.journal, "counts", counts)
    health = await api.get("/v1/health")
    assert health["status"] == "degraded"
    assert "store" in health["reasons"][0]
    assert health["store"]["stored"] is None


async def test_a_store_that_hangs_does_not_hang_the_health(house: House, api: Api, monkeypatch):
    asked = asyncio.Event()

    async def counts():
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(house.journal, "counts", counts)
    monkeypatch.setattr("edgegw.control.health.COUNTS_WITHIN_S", 0.01)
    health = await api.get("/v1/health")
    assert asked.is_set()
    assert health["reasons"] == ["the store does not answer: check the disk"]


async def test_many_who_ask_count_the_store_once(house: House, api: Api, monkeypatch):
    counted = []
    count = house.journal.counts

    async def counts():
        counted.append(1)
        return await count()

    monkeypatch.setattr(house.journal, "counts", counts)
    monkeypatch.setattr("edgegw.control.health.COUNTS_KEPT_S", DEADLINE_S)
    await asyncio.gather(*(api.get("/v1/health") for _ in range(10)))
    assert len(counted) == 1


async def test_the_site_counts_chargers_transactions_and_queue(house: House, api: Api):
    charger = await house.boots("CP-1")
    await house.boots("CP-2")
    house.cloud.goes_down()
    await house.starts(charger)
    site = await api.get("/v1/site")
    assert (site["id"], site["name"]) == ("depot-1", "Deck")
    assert site["chargers"] == {"known": 3, "connected": 2, "to_cloud": 0}
    assert site["running_transactions"] == 1
    assert (site["queue"]["stored"], site["queue"]["in_flight"]) == (1, 0)
    assert site["queue"]["oldest_unsent_at"]


async def test_who_could_not_come_in_is_shown(house: House, api: Api):
    house.gateway.handshake_failed("192.0.2.66", "no TLS")
    house.gateway.handshake_failed("192.0.2.67", "junk")
    site = await api.get("/v1/site")
    assert [(f["charger"], f["text"]) for f in site["handshake_failures"]] == [
        ("192.0.2.67", "junk"),
        ("192.0.2.66", "no TLS"),
    ]
    assert site["counters"]["handshake_refused"] == 2


# --- chargers -------------------------------------------------------------------------------------


async def test_a_charger_in_detail(house: House, api: Api):
    charger = await house.boots("CP-1")
    fault = {"connectorId": 2, "errorCode": "GroundFailure", "status": "Faulted", "info": "wet"}
    asked = charger.calls("StatusNotification", fault)
    await house.cloud.wires["CP-1"].hears()
    house.cloud.wires["CP-1"].says([3, asked, {}])
    await charger.hears()
    shown = await api.get("/v1/chargers/{identity}", identity="CP-1")
    assert (shown["vendor"], shown["model"], shown["firmware"]) == ("Acme", "Wall", "1.2")
    assert (shown["connected"], shown["peer_ip"], shown["registration"]) == (True, "192.0.2.7", "accepted")
    assert shown["version"] == "ocpp1.6"
    assert shown["cloud"]["up"] is True
    assert [(c["id"], c["status"], c["error_code"]) for c in shown["connectors"]] == [
        ("2", "Faulted", "GroundFailure")
    ]
    assert shown["verdict"] == "connector 2 reports GroundFailure (wet); connected, nothing charging"


async def test_chargers_of_the_site_file_are_listed_before_they_ever_came(house: House, api: Api):
    await house.boots("CP-2")
    chargers = (await api.get("/v1/chargers"))["chargers"]
    assert [(c["identity"], c["connected"]) for c in chargers] == [
        ("CP-1", False),
        ("CP-2", True),
        ("CP-9", False),
    ]
    assert chargers[0]["verdict"] == "has never connected"
    assert "CP-9" not in house.gateway.sessions  # looking does not make a session


async def test_an_identity_is_percent_decoded(house: House, api: Api):
    await house.connects("CP%2B1@home")
    assert (await api.get("/v1/chargers/{identity}", identity="CP+1@home"))["identity"] == "CP+1@home"


async def test_an_unknown_charger_is_named_with_those_like_it(api: Api):
    answer = await api.get("/v1/chargers/{identity}", identity="cp-8", status=404)
    assert answer["error"]["code"] == "no_such_charger"
    assert "CP-9" in answer["error"]["text"]


async def test_refused_frames_are_shown_without_secrets(house: House, api: Api):
    charger = await house.boots("CP-1")
    charger.says(b'[2,"x","Authorize",{"idTag":"' + TAG.encode() + b'"')
    charger.says(b'[2,"y","DataTransfer",{"password":"hunter2"')
    shown = await api.get("/v1/chargers/{identity}/quarantine", identity="CP-1")
    assert [f["why"] for f in shown["frames"]] == ["charger: not_json"] * 2
    newest, oldest = (f["text"] for f in shown["frames"])
    assert "hunter2" not in newest
    assert TAG not in oldest
    assert TAG[-4:] in oldest
    assert (await api.get("/v1/chargers/{identity}", identity="CP-1"))["quarantined"] == 2


async def test_schema_complaints_are_counted(house: House, api: Api):
    charger = await house.boots("CP-1")
    charger.calls("Heartbeat", {"extra": 1})
    complaints = (await api.get("/v1/chargers/{identity}", identity="CP-1"))["complaints"]
    assert complaints == [{"rule": "Heartbeat request : additional_properties", "count": 1}]


# --- transactions ---------------------------------------------------------------------------------


async def test_a_list_masks_card_ids_and_one_transaction_does_not(house: House, api: Api):
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    transaction_id = await house.starts(charger)
    await house.stops(charger, transaction_id)
    (listed,) = (await api.get("/v1/transactions"))["transactions"]
    assert listed["id_tag"] == "****" + TAG[-4:]
    assert (listed["energy_wh"], listed["running"], listed["offline"]) == (2500, False, True)
    route = "/v1/transactions/{charger}/{transaction_id}"
    one = await api.get(route, charger="CP-1", transaction_id=str(transaction_id))
    assert one["id_tag"] == TAG
    missing = await api.get(route, charger="CP-1", transaction_id="77", status=404)
    assert missing["error"]["code"] == "no_such_transaction"


async def test_a_running_transaction_shows_readings_that_are_not_in_the_store_yet(house: House, api: Api):
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    transaction_id = await house.starts(charger)
    sample = {"value": "1800", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    values = [{"timestamp": "2026-11-20T10:30:00Z", "sampledValue": [sample]}]
    charger.calls("MeterValues", {"connectorId": 1, "transactionId": transaction_id, "meterValue": values})
    await charger.hears()
    (listed,) = (await api.get("/v1/transactions", params={"running": "true"}))["transactions"]
    assert listed["energy_wh"] == 800
    assert (await api.get("/v1/transactions", params={"running": "false"}))["transactions"] == []


async def test_transactions_come_in_pages(house: House, api: Api):
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    given = []
    for meter in range(3):
        charger.calls("StartTransaction", START | {"meterStart": meter})
        given.append(str((await charger.hears())[2]["transactionId"]))
    await house.all_is_stored()
    seen, before = [], None
    for _ in range(3):
        asked = {"limit": 1, "charger": "CP-1"} | ({"before": before} if before else {})
        page = await api.get("/v1/transactions", params=asked)
        seen += [t["id"] for t in page["transactions"]]
        before = page["next_before"]
    assert seen == given[::-1]
    last = await api.get("/v1/transactions", params={"before": before})
    assert last == {"transactions": [], "next_before": None}


async def test_transactions_of_a_charger_nobody_knows(api: Api):
    await api.get("/v1/transactions", params={"charger": "nobody"}, status=404)
    assert (await api.get("/v1/transactions", params={"charger": "CP-9"}))["transactions"] == []


# --- the queue ------------------------------------------------------------------------------------


async def test_a_message_is_stored_then_in_flight_then_gone(house: House, api: Api):
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    await house.starts(charger)
    (row,) = (await api.get("/v1/queue/rows", params={"state": "stored"}))["rows"]
    assert (row["action"], row["lane"], row["state"], row["raw"]) == (
        "StartTransaction", "transaction", "stored", None,
    )  # fmt: skip

    wire = await house.cloud.comes_back("CP-1")
    frame = await wire.hears()
    queue = await api.get("/v1/queue")
    assert (queue["stored"], queue["in_flight"]) == (0, 1)
    assert queue["chargers"][0]["charger"] == "CP-1"
    assert (await api.get("/v1/queue/rows", params={"state": "stored"}))["rows"] == []
    (flying,) = (await api.get("/v1/queue/rows", params={"state": "in_flight"}))["rows"]
    assert (flying["message_id"], flying["state"]) == (frame[1], "in_flight")
    (any_state,) = (await api.get("/v1/queue/rows"))["rows"]
    assert any_state["state"] == "in_flight"
    assert (await api.get("/v1/health"))["store"]["in_flight"] == 1

    wire.says([3, frame[1], {"transactionId": 7, "idTagInfo": {"status": "Accepted"}}])
    await house.all_is_stored()
    (row,) = (await api.get("/v1/queue/rows", params={"charger": "CP-1"}))["rows"]
    assert row["state"] == "delivered"
    queue = await api.get("/v1/queue")
    assert (queue["stored"], queue["in_flight"], queue["chargers"]) == (0, 0, [])


async def test_a_raw_frame_is_shown_on_request_with_its_card_id_masked(house: House, api: Api):
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    await house.starts(charger)
    (row,) = (await api.get("/v1/queue/rows", params={"raw": "true"}))["rows"]
    assert TAG not in row["raw"]
    assert f'"idTag": "****{TAG[-4:]}"' in row["raw"]
    assert '"meterStart": 1000' in row["raw"]


async def test_parked_messages_are_sent_again(house: House, api: Api, caplog):
    caplog.set_level(logging.INFO, "edgegw.control")
    _, wire = await parked(house)
    assert (await api.get("/v1/queue"))["parked"] == 2
    rows = (await api.get("/v1/queue/rows", params={"state": "parked"}))["rows"]
    assert [(r["action"], r["attempts"]) for r in rows] == [("StopTransaction", 1), ("StartTransaction", 1)]
    assert rows[0]["error"] == "InternalError: no such contract"
    health = await api.get("/v1/health")
    assert (health["status"], health["store"]["parked"]) == ("ok", 2)
    assert "--state parked" in health["warnings"][0]

    order = {"charger": "CP-1", "seqs": [rows[1]["seq"]]}
    assert await api.post("/v1/queue/resend", order) == {"charger": "CP-1", "resent": 1}
    assert (await wire.hears())[2] == "StartTransaction"
    assert audit(caplog) == ["the control socket sent 1 parked messages of CP-1 again"]


async def test_a_resend_that_makes_no_sense(house: House, api: Api):
    await api.post("/v1/queue/resend", {"charger": "nobody"}, status=404)
    await api.post("/v1/queue/resend", {"charger": "CP-1", "seqs": []}, status=422)
    await api.post("/v1/queue/resend", {"charger": "CP-1", "rows": [1]}, status=422)
    assert await api.post("/v1/queue/resend", {"charger": "CP-1"}) == {"charger": "CP-1", "resent": 0}


async def test_a_standalone_box_has_no_cloud_to_send_to(tmp_path):
    house = House(tmp_path, standalone=True)
    await house.start()
    async with house.http() as http:
        api = await Api.of(http)
        charger = await house.boots("CP-1")
        await house.starts(charger)
        assert (await api.get("/v1/health"))["cloud"]["mode"] == "standalone"
        assert {r["state"] for r in (await api.get("/v1/queue/rows"))["rows"]} == {"recorded"}
        answer = await api.post("/v1/queue/resend", {"charger": "CP-1"}, status=409)
        assert answer["error"]["code"] == "no_cloud"
        assert (await api.get("/v1/site"))["running_transactions"] == 1
    await house.stop()


# --- calls ----------------------------------------------------------------------------------------

CALL = "/v1/chargers/{identity}/call"


async def test_a_call_returns_what_the_charger_answers(house: House, api: Api, caplog):
    caplog.set_level(logging.INFO, "edgegw.control")
    charger = await house.boots("CP-1")
    body = {"action": "ChangeConfiguration", "payload": {"key": "AuthorizationKey", "value": "s3cret"}}
    asked = asyncio.create_task(api.post(CALL, body, identity="CP-1"))
    frame = await charger.hears()
    assert frame[2:] == ["ChangeConfiguration", {"key": "AuthorizationKey", "value": "s3cret"}]
    charger.says([3, frame[1], {"status": "Accepted", "x": [None, 1.5, "ü"]}])
    answer = await asked
    assert answer["outcome"] == "result"
    assert answer["payload"] == {"status": "Accepted", "x": [None, 1.5, "ü"]}
    (line,) = audit(caplog)
    assert line.startswith("the control socket called CP-1 ChangeConfiguration: result after ")
    assert "s3cret" not in caplog.text


async def test_a_callerror_is_an_answer(house: House, api: Api):
    charger = await house.boots("CP-1")
    asked = asyncio.create_task(
        api.post(CALL, {"action": "Reset", "payload": {"type": "Soft"}}, identity="CP-1")
    )
    frame = await charger.hears()
    charger.says([4, frame[1], "NotSupported", "no", {"why": "x"}])
    assert await asked == {
        "outcome": "error", "payload": None,
        "code": "NotSupported", "description": "no", "details": {"why": "x"},
    }  # fmt: skip


async def test_a_silent_charger_is_504(house: House, api: Api):
    await house.boots("CP-1")
    house.is_impatient()
    answer = await api.post(CALL, {"action": "ClearCache"}, identity="CP-1", status=504)
    assert (answer["outcome"], answer["error"]["code"]) == ("timeout", "timeout")


async def test_a_call_behind_others_goes_out_in_its_turn(house: House, api: Api, monkeypatch):
    charger = await house.boots("CP-1")
    send, asked = house.gateway.call, asyncio.Semaphore(0)

    def call(*order):
        asked.release()
        return send(*order)

    monkeypatch.setattr(house.gateway, "call", call)
    first = asyncio.create_task(api.post(CALL, {"action": "ClearCache"}, identity="CP-1"))
    frame = await charger.hears()
    second = asyncio.create_task(api.post(CALL, {"action": "GetConfiguration"}, identity="CP-1"))
    for _ in range(2):
        await asked.acquire()
    await eventually(lambda: house.gateway.sessions["CP-1"].charger.state.to_charger.waiting)
    charger.says([3, frame[1], {"status": "Accepted"}])
    frame = await charger.hears()
    assert frame[2] == "GetConfiguration"
    charger.says([3, frame[1], {}])
    assert ((await first)["outcome"], (await second)["outcome"]) == ("result", "result")


async def test_a_charger_that_leaves_or_is_not_there_is_409(house: House, api: Api):
    answer = await api.post(CALL, {"action": "ClearCache"}, identity="CP-9", status=409)
    assert (answer["outcome"], answer["error"]["code"]) == ("gone", "not_connected")
    charger = await house.boots("CP-1")
    asked = asyncio.create_task(api.post(CALL, {"action": "ClearCache"}, identity="CP-1", status=409))
    await charger.hears()
    charger.cut()
    assert (await asked)["error"]["code"] == "gone"


async def test_calls_that_cannot_be_sent_are_refused_before_the_charger_sees_them(house: House, api: Api):
    charger = await house.boots("CP-1")

    async def refusal(body: dict) -> dict:
        return (await api.post(CALL, body, identity="CP-1", status=422))["error"]

    near = await refusal({"action": "RemoteStartTransactions"})
    assert near["code"] == "unknown_action"
    assert "RemoteStartTransaction" in near["text"]
    assert (await refusal({"action": "no action\n", "unchecked": True}))["code"] == "not_a_call"
    assert (await refusal({"action": "ClearCache", "payload": {"n": 10**30}}))["code"] == "not_a_call"
    assert (await refusal({"action": "ClearCache", "payload": []}))["code"] == "invalid"
    assert (await refusal({"payload": {}}))["code"] == "invalid"
    nested: dict = {}
    for _ in range(200):
        nested = {"n": nested}
    assert (await refusal({"action": "ClearCache", "payload": nested}))["code"] in ("not_a_call", "invalid")
    raw = b'{"action": "ClearCache", "payload": {"n": NaN}}'
    answer = await api.http.post(
        "/v1/chargers/CP-1/call", content=raw, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert house.gateway.sessions["CP-1"].charger_leg is charger  # and the session is as it was


async def test_an_unknown_action_is_sent_when_it_is_asked_for(house: House, api: Api):
    charger = await house.boots("CP-1")
    body = {"action": "VendorThing", "unchecked": True}
    asked = asyncio.create_task(api.post(CALL, body, identity="CP-1"))
    frame = await charger.hears()
    assert frame[2:] == ["VendorThing", {}]
    charger.says([3, frame[1], {}])
    assert (await asked)["payload"] == {}


async def test_a_box_that_stops_tells_who_waits(house: House, api: Api, monkeypatch):
    charger = await house.boots("CP-1")
    asked = asyncio.create_task(api.post(CALL, {"action": "ClearCache"}, identity="CP-1", status=503))
    await charger.hears()
    await house.server.stop()
    assert (await asked)["error"]["code"] == "stopping"
    assert not house.socket.exists()


# --- the web around it ----------------------------------------------------------------------------


async def test_every_refusal_has_one_shape(api: Api):
    for method, path, status, code in (
        ("GET", "/", 404, "no_such_path"),
        ("GET", "/docs", 404, "no_such_path"),
        ("GET", "/v1/nothing", 404, "no_such_path"),
        ("DELETE", "/v1/site", 405, "method_not_allowed"),
        ("GET", "/v1/queue/rows?limit=0", 422, "invalid"),
        ("GET", "/v1/queue/rows?state=lost", 422, "invalid"),
    ):
        answer = await api.http.request(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), path
        assert set(answer.json()["error"]) == {"code", "text"}


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_has_a_limit(house: House, api: Api, chunked: bool):
    body = b'{"action": "ClearCache", "payload": {"x": "' + b"a" * 2**20 + b'"}}'

    async def pieces():
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    content = pieces() if chunked else body
    headers = {"content-type": "application/json"}
    answer = await api.http.post("/v1/chargers/CP-1/call", content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert (await api.get("/v1/health"))["status"] == "ok"


async def test_a_broken_store_is_503_with_words(house: House, api: Api, monkeypatch):
    async def listing(**asked):
        raise StoreFault("the store cannot be read: disk I/O error")

    monkeypatch.setattr(house.journal, "listing", listing)
    answer = await api.get("/v1/queue/rows", status=503)
    assert answer["error"] == {"code": "store", "text": "the store cannot be read: disk I/O error"}


async def test_the_document_is_openapi_31_and_names_every_route(api: Api):
    assert api.document["openapi"].startswith("3.1")
    assert set(api.document["paths"]) == {
        "/healthz", "/readyz", "/metrics", "/v1/audit",
        "/v1/backup", "/v1/backup/{backup_id}",
        "/v1/strangers", "/v1/chargers/{identity}/accept",
        "/v1/wiring", "/v1/wiring/{identity}/{connector}", "/v1/wiring/{identity}/{connector}/fallback",
        "/v1/frames", "/v1/frames/stream", "/v1/frames/export",
        "/v1/me", "/v1/snapshot", "/v1/stream", "/v1/power/history", "/v1/log", "/v1/log/stream",
        "/v1/alarms", "/v1/alarms/catalogue", "/v1/alarms/acknowledge",
        "/v1/health", "/v1/site", "/v1/chargers", "/v1/chargers/{identity}",
        "/v1/chargers/{identity}/quarantine", "/v1/chargers/{identity}/call",
        "/v1/events", "/v1/chargers/{identity}/events",
        "/v1/transactions", "/v1/transactions/{charger}/{transaction_id}",
        "/v1/queue", "/v1/queue/rows", "/v1/queue/resend",
        "/v1/power", "/v1/limits",
        "/v1/firmware", "/v1/firmware/files", "/v1/firmware/files/{sha256}",
        "/v1/firmware/files/{sha256}/signature",
        "/v1/firmware/rollouts", "/v1/firmware/rollouts/{rollout_id}",
        "/v1/firmware/rollouts/{rollout_id}/pause", "/v1/firmware/rollouts/{rollout_id}/resume",
        "/v1/firmware/rollouts/{rollout_id}/stop", "/v1/chargers/{identity}/diagnostics",
        "/v1/diagnostics", "/v1/diagnostics/{order}", "/v1/diagnostics/{order}/file",
        "/v1/chargers/{identity}/detail", "/v1/chargers/{identity}/profile",
        "/v1/chargers/{identity}/settings",
        "/v1/chargers/{identity}/actions/reset", "/v1/chargers/{identity}/actions/unlock",
        "/v1/chargers/{identity}/actions/availability", "/v1/chargers/{identity}/actions/start",
        "/v1/chargers/{identity}/actions/stop", "/v1/chargers/{identity}/actions/trigger",
        "/v1/chargers/{identity}/bypass", "/v1/chargers/{identity}/limit",
    }  # fmt: skip
    assert api.document["paths"]["/v1/chargers/{identity}/call"]["post"]["operationId"] == "call"


async def test_many_chargers_are_looked_at_in_portions(house: House, api: Api):
    for number in range(120):
        house.gateway.session(f"X-{number:03}")
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await asyncio.sleep(0)
    before = turns
    assert len((await house.server.service.chargers()).chargers) == 122
    beside.cancel()
    assert turns - before >= 2
