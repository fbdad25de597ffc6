"""One charger over the local API: detail, profile over time, actions, bypass, limits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from edgegw.balance.connector_orders import ConnectorOrder
from edgegw.core.events import CloudSpoke
from edgegw.runtime.ports import HandshakeRequest
from edgegw.wire import frames
from edgegw.wire.timestamps import format_timestamp
from edgegw.wire.versions import Version
from tests.control.house import DEADLINE_S, GARAGE, TAG, Api, House, Wire
from tests.links.house import eventually


@pytest.fixture
async def garage(tmp_path) -> AsyncIterator[House]:
    house = House(tmp_path, plan=GARAGE, known=frozenset({"CP-9"}))
    await house.start()
    yield house
    await house.stop()


@pytest.fixture
async def api(garage: House) -> AsyncIterator[Api]:
    async with garage.http() as http:
        yield await Api.of(http)


async def answered(charger: Wire, action: str, payload: dict) -> dict:
    """The payload of the next CALL of this action, which is answered; others are taken note of."""
    while True:
        frame = await charger.hears()
        if frame[0] != 2:
            continue
        if frame[2] == action:
            charger.says([3, frame[1], payload])
            return frame[3]
        charger.says([3, frame[1], {"status": "Accepted"}])


async def obeys(garage: House, charger: Wire, identity: str = "CP-1") -> None:
    """It takes whatever profile it is sent until it is steered."""
    state = garage.gateway.sessions[identity].charger.state

    await eventually(lambda: state.power.stage != "")
    state.power.settle_at = state.power.retry_at = 0.0  # nobody waits here for a charger that has just booted
    garage.load.step()

    async def takes() -> None:
        while state.power.stage != "ready":
            frame = await charger.hears()
            if frame[0] == 2:
                charger.says([3, frame[1], {"status": "Accepted"}])

    await asyncio.wait_for(takes(), DEADLINE_S)
    garage.reads(0.0, 0.0, 0.0)


async def is_free(garage: House, charger: Wire) -> None:
    """CP-1 says that no car is there."""
    charger.calls("StatusNotification", {"connectorId": 1, "status": "Available", "errorCode": "NoError"})
    wire = garage.cloud.wires["CP-1"]
    wire.says([3, (await wire.hears())[1], {}])
    garage.load.step()


DETAIL = "/v1/chargers/{identity}/detail"


# --- detail ---------------------------------------------------------------------------------------


async def test_all_that_is_known_is_in_one_answer(garage: House, api: Api):
    charger = await garage.boots("CP-1")
    ahead = format_timestamp(time.time() + 90)
    status = {"connectorId": 1, "status": "Faulted", "errorCode": "GroundFailure", "timestamp": ahead}
    charger.calls("StatusNotification", status)
    wire = garage.cloud.wires["CP-1"]
    wire.says([3, (await wire.hears())[1], {}])
    await obeys(garage, charger)
    seen = await api.get(DETAIL, identity="CP-1")
    assert seen["charger"]["identity"] == "CP-1"
    assert 60 <= seen["clock_offset_s"] <= 91
    assert (seen["boot"]["vendor"], seen["boot"]["firmware"], seen["boot"]["reason"]) == ("Acme", "1.2", "")
    assert seen["boot"]["at"] is not None
    assert seen["events"][0]["code"] == "GroundFailure"
    (power,) = seen["power"]
    assert (power["connector"], power["circuit"]) == (1, "garage")
    newest = seen["profile_answers"][0]
    assert (newest["method"], newest["answer"], newest["limit_a"]) == ("standing", "Accepted", 6.0)
    assert seen["bypassed_until"] is None
    assert seen["alarms"] == seen["orders"] == []


async def test_the_reason_of_a_2x_boot_is_told(garage: House, api: Api):
    charger = await garage.connects("CP-5", "ocpp2.0.1")
    boot = {"reason": "Watchdog", "chargingStation": {"vendorName": "Acme", "model": "Two"}}
    asked = charger.calls("BootNotification", boot)
    wire = garage.cloud.wires["CP-5"]
    await wire.hears()
    wire.says([3, asked, {"status": "Accepted", "currentTime": "2026-11-20T10:00:00Z", "interval": 60}])
    await charger.hears()
    seen = await api.get(DETAIL, identity="CP-5")
    assert seen["boot"]["reason"] == "Watchdog"
    assert seen["power"] == []


async def test_a_charger_that_was_never_here_and_one_that_nobody_knows(api: Api):
    seen = await api.get(DETAIL, identity="CP-9")
    assert seen["boot"] is None
    assert seen["clock_offset_s"] is None
    refused = await api.get(DETAIL, identity="CP-0", status=404)
    assert refused["error"]["code"] == "no_such_charger"


async def test_old_times_and_times_without_a_zone_say_nothing_of_its_clock(garage: House, api: Api):
    charger = await garage.boots("CP-1")
    wire = garage.cloud.wires["CP-1"]
    for stamp in ("2026-11-20T10:00:00", "nonsense"):
        charger.calls(
            "StatusNotification",
            {"connectorId": 1, "status": "Available", "errorCode": "NoError", "timestamp": stamp},
        )
        wire.says([3, (await wire.hears())[1], {}])
    start = {"connectorId": 1, "idTag": TAG, "meterStart": 0, "timestamp": "2020-01-01T00:00:00Z"}
    charger.calls("StartTransaction", start)  # just connected: it may have kept it
    wire.says([3, (await wire.hears())[1], {"transactionId": 5, "idTagInfo": {"status": "Accepted"}}])
    assert (await api.get(DETAIL, identity="CP-1"))["clock_offset_s"] is None


def knock(identity: str, *, peer: str = "192.0.2.7", offers: tuple[str, ...] = ("ocpp1.6",)):
    return HandshakeRequest(
        target=f"/ocpp/{identity}" if identity else "/elsewhere/CP-1",
        subprotocols=offers,
        authorization=None,
        compression=False,
        peer_ip=peer,
        tls=False,
    )


async def test_failed_handshakes_are_found_by_name_and_by_address_with_what_to_do(garage: House, api: Api):
    await garage.boots("CP-1")
    garage.gateway.site.policy = garage.gateway.site.policy.__class__(accept_unknown_chargers=False)
    door = garage.gateway
    await door.admit(knock("CP-77", peer="192.0.2.99"))  # of somebody else
    await door.admit(knock("CP-1x"))
    await door.admit(knock("CP-1", peer="192.0.2.50"))
    await door.admit(knock(""))
    door.handshake_failed("192.0.2.50", "TLS: plain HTTP on the TLS port")
    told = (await api.get(DETAIL, identity="CP-1"))["handshake_failures"]
    texts = [one["text"] for one in told]
    assert texts == [
        "from its address 192.0.2.50: TLS: plain HTTP on the TLS port. Let the charger dial wss:// on this"
        " port, or ws:// on the one without TLS",
        "from its address 192.0.2.7: 404: path is not below /ocpp/. Set the path of the URL in the charger"
        " as [chargers] path of the site file says",
        "409: another connection of this identity is alive. Is another charger set to the same identity?"
        " Else wait a minute",
        "from its address 192.0.2.7 as 'CP-1x': 404: unknown charger: not in [chargers] known, nor accepted."
        " Accept it (edgegw commission), add it to [chargers] known, or correct its identity",
    ]


async def test_an_address_that_chargers_share_tells_nothing_of_one_of_them(garage: House, api: Api):
    await garage.boots("CP-1")
    await garage.boots("CP-2")  # behind the same router
    garage.gateway.site.policy = garage.gateway.site.policy.__class__(accept_unknown_chargers=False)
    for _ in range(3):
        await garage.gateway.admit(knock("CP-1x"))
    assert (await api.get(DETAIL, identity="CP-1"))["handshake_failures"] == []
    garage.gateway.sessions["CP-2"].charger_leg = None
    (told,) = (await api.get(DETAIL, identity="CP-1"))["handshake_failures"]
    assert told["text"].startswith("from its address 192.0.2.7 as 'CP-1x': 404")
    assert told["text"].endswith("(3 times)")


async def test_a_charger_that_speaks_no_version_of_ours_is_told_of(garage: House, api: Api):
    await garage.gateway.admit(knock("CP-9", offers=("ocpp0.5",)))
    (told,) = (await api.get(DETAIL, identity="CP-9"))["handshake_failures"]
    assert told["text"].startswith("no common subprotocol (offered: ocpp0.5). Set the charger to OCPP 1.6")


# --- profile over time ----------------------------------------------------------------------------


async def test_what_it_may_draw_from_now_on_and_what_binds_it(garage: House, api: Api):
    charger = await garage.boots("CP-1")
    await obeys(garage, charger)
    await is_free(garage, charger)
    route = "/v1/chargers/{identity}/profile"
    seen = await api.get(route, identity="CP-1", params={"connector": 1, "span_s": 3600})
    assert seen["steps"][0]["from_s"] == 0
    assert seen["steps"][0]["limit_a"] == 6.0
    assert "no car" in seen["steps"][0]["binds"]
    garage.load.stop()  # what is granted from here on is what the test says
    power = garage.gateway.sessions["CP-1"].charger.state.power
    c = power.connectors[1]
    c.granted_a, c.why, c.expires_at = 20.0, "garage L1", time.monotonic() + 120
    profile = {
        "chargingProfileId": 7,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "startSchedule": format_timestamp(time.time() - 10),
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 32.0},
                {"startPeriod": 70, "limit": 10.0},
                {"startPeriod": 1010, "limit": 4.0},
            ],
        },
    }
    raw = frames.call("c1", "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile})
    garage.gateway.sessions["CP-1"].handle(CloudSpoke(frames.parse(raw, Version.V16)))
    c.granted_a, c.why, c.expires_at = 20.0, "garage L1", time.monotonic() + 120
    seen = await api.get(route, identity="CP-1", params={"connector": 1, "span_s": 3600})
    assert [one["limit_a"] for one in seen["steps"]] == [20.0, 10.0, 6.0, 4.0]
    begins = [one["from_s"] for one in seen["steps"]]
    assert all(
        wanted - 50 < begin <= wanted for begin, wanted in zip(begins, (0, 60, 120, 1000), strict=True)
    )
    binds = [one["binds"] for one in seen["steps"]]
    assert binds[0] == "garage L1"
    assert binds[1] == "the cloud's profile 7 allows 10.0 A"
    assert "safe 6 A hold" in binds[2]


async def test_where_no_limit_was_taken_it_may_draw_its_maximum(garage: House, api: Api):
    route = "/v1/chargers/{identity}/profile"
    charger = await garage.boots("CP-1")
    c = garage.gateway.sessions["CP-1"].charger.state.power.connectors[1]
    (step,) = (await api.get(route, identity="CP-1"))["steps"]
    assert (step["limit_a"], "taken no limit" in step["binds"]) == (c.wiring.max_a, True)
    await obeys(garage, charger)
    await is_free(garage, charger)
    c.accepted_a, c.safe_accepted_a, c.expires_at = 6.0, None, time.monotonic() + 120
    steps = (await api.get(route, identity="CP-1"))["steps"]
    assert [one["limit_a"] for one in steps] == [6.0, c.wiring.max_a]


async def test_an_unbalanced_charger_has_no_profile_of_the_box(garage: House, api: Api):
    seen = await api.get("/v1/chargers/{identity}/profile", identity="CP-9")
    (step,) = seen["steps"]
    assert step["limit_a"] is None
    assert "does not balance it" in step["binds"]


# --- actions --------------------------------------------------------------------------------------

ACTIONS = [
    # action, body, OCPP 1.6 call, its answer, accepted, words
    ("reset", {}, "Reset", {"type": "Soft"}, "Accepted", True, "restarts"),
    ("reset", {"kind": "hard"}, "Reset", {"type": "Hard"}, "Rejected", False, "does not restart now"),
    ("unlock", {"connector": 2}, "UnlockConnector", {"connectorId": 2}, "Unlocked", True, "free"),
    ("unlock", {}, "UnlockConnector", {"connectorId": 1}, "UnlockFailed", False, "look at plug and lock"),
    ("availability", {"operative": False}, "ChangeAvailability", {"connectorId": 0, "type": "Inoperative"},
     "Scheduled", True, "as soon as"),
    ("start", {"id_tag": TAG}, "RemoteStartTransaction", {"connectorId": 1, "idTag": TAG}, "Accepted", True,
     "starts it"),
    ("stop", {"transaction": "5"}, "RemoteStopTransaction", {"transactionId": 5}, "Rejected", False,
     "does not know this transaction"),
    ("trigger", {"message": "Heartbeat"}, "TriggerMessage", {"requestedMessage": "Heartbeat"},
     "NotImplemented", False, "cannot be asked"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "body", "called", "payload", "status", "accepted", "words"), ACTIONS)
async def test_an_action_is_a_call_and_its_answer_words(
    garage: House, api: Api, action, body, called, payload, status, accepted, words
):
    charger = await garage.connects("CP-5")
    asking = asyncio.create_task(
        api.post(f"/v1/chargers/{{identity}}/actions/{action}", body, identity="CP-5")
    )
    assert await answered(charger, called, {"status": status}) == payload
    answer = await asking
    assert (answer["accepted"], answer["status"]) == (accepted, status)
    assert words in answer["text"]


async def test_a_callerror_is_a_no_in_words_and_shows_no_card(garage: House, api: Api):
    charger = await garage.connects("CP-5")
    body = {"id_tag": TAG}
    asking = asyncio.create_task(api.post("/v1/chargers/{identity}/actions/start", body, identity="CP-5"))
    frame = await charger.hears()
    charger.says([4, frame[1], "NotSupported", f"not {TAG}\x1b", {}])
    answer = await asking
    assert (answer["accepted"], answer["status"]) == (False, "NotSupported")
    assert TAG not in answer["text"]
    assert answer["text"].isprintable()


async def test_a_busy_charger_is_reset_only_by_force(garage: House, api: Api):
    charger = await garage.boots("CP-5")
    garage.cloud.goes_down()
    transaction = await garage.starts(charger)
    route = "/v1/chargers/{identity}/actions/"
    refused = await api.post(route + "reset", {}, identity="CP-5", status=409)
    assert refused["error"]["code"] == "busy"
    assert "1 transaction runs on CP-5" in refused["error"]["text"]
    asking = asyncio.create_task(api.post(route + "reset", {"force": True}, identity="CP-5"))
    await answered(charger, "Reset", {"status": "Accepted"})
    assert (await asking)["accepted"]
    asking = asyncio.create_task(api.post(route + "stop", {"connector": 1}, identity="CP-5"))
    assert await answered(charger, "RemoteStopTransaction", {"status": "Accepted"}) == {
        "transactionId": transaction
    }
    assert (await asking)["accepted"]
    refused = await api.post(route + "stop", {"connector": 2}, identity="CP-5", status=409)
    assert refused["error"]["code"] == "no_such_session"


@pytest.mark.parametrize(
    ("action", "body", "code"),
    [
        ("stop", {}, "invalid"),
        ("stop", {"transaction": "a", "connector": 1}, "invalid"),
        ("stop", {"transaction": "abc"}, "not_possible"),
        ("start", {"id_tag": "x" * 21}, "not_possible"),
        ("trigger", {"message": "TransactionEvent"}, "not_possible"),
        ("trigger", {"message": "Anything"}, "invalid"),
        ("reset", {"type": "Soft"}, "invalid"),
    ],
)
async def test_what_cannot_be_ordered_is_refused(garage: House, api: Api, action: str, body: dict, code: str):
    await garage.connects("CP-5")
    route = f"/v1/chargers/{{identity}}/actions/{action}"
    refused = await api.post(route, body, identity="CP-5", status=422)
    assert refused["error"]["code"] == code


async def test_a_charger_that_is_away_or_silent(garage: House, api: Api):
    route = "/v1/chargers/{identity}/actions/unlock"
    assert (await api.post(route, {}, identity="CP-9", status=409))["error"]["code"] == "not_connected"
    await garage.connects("CP-5")
    garage.is_impatient()
    assert (await api.post(route, {}, identity="CP-5", status=504))["outcome"] == "timeout"


# --- bypass and limit -----------------------------------------------------------------------------

BYPASS, LIMIT = "/v1/chargers/{identity}/bypass", "/v1/chargers/{identity}/limit"


async def test_a_bypass_that_does_not_fit_is_refused_with_the_sum(garage: House, api: Api):
    charger = await garage.boots("CP-1")
    await obeys(garage, charger)
    refused = await api.post(BYPASS, {}, identity="CP-1", status=409)  # 32 A maximum, 32 A fuse, 2 A margin
    assert refused["error"]["code"] == "no_room"
    assert (
        "garage L1: 32.0 A its maximum + 32.0 A connectors that cannot be steered" in refused["error"]["text"]
    )


async def test_a_bypass_needs_a_charger_that_can_be_told(garage: House, api: Api):
    refused = await api.post(BYPASS, {}, identity="CP-1", status=409)
    assert refused["error"]["code"] == "not_steered"
    assert "has never connected" in refused["error"]["text"]
    refused = await api.post(BYPASS, {}, identity="CP-9", status=409)
    assert refused["error"]["code"] == "not_balanced"
    refused = await api.post(BYPASS, {"connector": 7}, identity="CP-1", status=409)
    assert "there are 1" in refused["error"]["text"]
    assert (await api.post(BYPASS, {"for_s": 14_401}, identity="CP-1", status=422))["error"][
        "code"
    ] == "invalid"


@pytest.fixture
async def roomy(tmp_path) -> AsyncIterator[House]:
    """The same garage on a larger fuse."""
    main, below = GARAGE.circuits
    circuits = (main.__class__(name="main", limit_a=125.0, metered=True, reserve_a=20.0), below.__class__(
        name="garage", limit_a=80.0, parent="main"))  # fmt: skip
    house = House(tmp_path, plan=GARAGE.__class__(
        circuits=circuits, connectors=GARAGE.connectors, wirings=GARAGE.wirings,
        circuit_of_meter=GARAGE.circuit_of_meter))  # fmt: skip
    await house.start()
    yield house
    await house.stop()


async def test_a_bypass_holds_is_shown_and_is_ended(roomy: House):
    charger = await roomy.boots("CP-1")
    async with roomy.http() as http:
        api = await Api.of(http)
        await obeys(roomy, charger)
        await is_free(roomy, charger)
        (order,) = (await api.post(BYPASS, {"for_s": 600}, identity="CP-1"))["orders"]
        assert (order["kind"], order["connector"], order["limit_a"]) == ("bypass", 1, None)
        assert 500 < order["left_s"] <= 600
        seen = await api.get(DETAIL, identity="CP-1")
        assert seen["bypassed_until"] == order["until"]
        assert seen["power"][0]["why"] == "left out of balancing: 32 A are kept for a car"
        assert roomy.gateway.load.control.allocation.circuits[1].granted_a[0] >= 32
        ended = await http.delete("/v1/chargers/CP-1/bypass")
        assert ended.json() == {"orders": []}
        assert "left out" not in (await api.get(DETAIL, identity="CP-1"))["power"][0]["why"]
        again = await http.delete("/v1/chargers/CP-1/bypass")
        assert (again.status_code, again.json()["error"]["code"]) == (404, "no_such_order")


async def test_an_order_ends_by_itself_and_is_told(roomy: House):
    await obeys(roomy, await roomy.boots("CP-1"))
    wall = time.time()
    orders = roomy.load.control.connector_orders
    orders.set(ConnectorOrder(kind="bypass", connector="CP-1/1", set_at=wall - 9, expires_at=wall - 1))
    roomy.load.step()
    assert [notice.kind for notice in roomy.gateway.notices][-1] == "connector_bypass_ended"


async def test_a_limit_of_a_connector_shows_and_takes_the_place_of_a_bypass(garage: House, api: Api):
    await obeys(garage, await garage.boots("CP-1"))
    (order,) = (await api.post(LIMIT, {"limit_a": 3, "for_s": 600}, identity="CP-1"))["orders"]
    assert (order["kind"], order["limit_a"]) == ("limit", 3.0)
    (power,) = (await api.get(DETAIL, identity="CP-1"))["power"]
    assert power["limit_a"] == 0.0, "less than a car needs: a free connector is told nothing at all"
    ended = await api.http.delete("/v1/chargers/CP-1/limit", params={"connector": 1})
    assert ended.json() == {"orders": []}
    assert (await api.http.delete("/v1/chargers/CP-1/bypass")).status_code == 404
    for no_amps in (-1, True, "6"):
        refused = await api.post(LIMIT, {"limit_a": no_amps}, identity="CP-1", status=422)
        assert refused["error"]["code"] == "invalid"


async def test_orders_live_over_a_restart(tmp_path):
    house = House(tmp_path, plan=GARAGE)
    await house.start()
    async with house.http() as http:
        await http.post("/v1/chargers/CP-1/limit", json={"limit_a": 9})
    await house.all_is_stored()
    await house.stop()
    again = House(tmp_path, plan=GARAGE)
    await again.start()
    await eventually(lambda: again.load.steps > 0)
    order = again.load.control.connector_orders.of("CP-1/1")
    await again.stop()
    assert order is not None
    assert order.limit_a == 9.0
