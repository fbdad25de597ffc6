"""Settings of a charger over the local API: asked of it in 1.6 and 2.x, kept, changed, refused."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from edgegw.control import setting_desk, setting_rules, setting_words
from edgegw.core.records import Document
from edgegw.wire import frames
from edgegw.wire.versions import Version
from tests.control.house import House, Wire
from tests.links.house import eventually

SETTINGS = "/v1/chargers/CP-5/settings"


def get(http: httpx.AsyncClient, **params) -> asyncio.Task:
    return asyncio.create_task(http.get(SETTINGS, params=params))


def put(http: httpx.AsyncClient, name: str, value: str) -> asyncio.Task:
    return asyncio.create_task(http.put(SETTINGS, json={"name": name, "value": value}))


async def hears(charger: Wire, action: str) -> list:
    frame = await charger.hears()
    assert frame[2] == action, frame
    return frame


# --- 1.6 --------------------------------------------------------------------------------------------

KEYS = [
    {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
    {"key": "NumberOfConnectors", "readonly": True, "value": "2\x1b[2J"},
    {"key": "AuthorizationKey", "readonly": False, "value": "0123456789abcdef"},
    {"key": "VendorBackendUrl", "readonly": False, "value": "wss://user:secret@cloud.example"},
    {"key": "Empty", "readonly": False},
    {"key": "GprsApnPwd", "readonly": False, "value": "geheim"},
    {"key": "FreeVendIdTag", "readonly": False, "value": "04A1B2C3D4"},
]


async def test_the_keys_of_a_16_charger_are_asked_kept_and_searched(house: House):
    charger = await house.connects("CP-5")
    async with house.http() as http:
        asking, second = get(http), get(http)
        frame = await hears(charger, "GetConfiguration")
        assert frame[3] == {}
        await asyncio.sleep(0)
        charger.says([3, frame[1], {"configurationKey": KEYS}])
        found = (await asking).json()
        assert (await second).json() == found, "who asks meanwhile waits for the same answer"
        by_name = {one["name"]: one for one in found["settings"]}
        assert list(by_name) == sorted(by_name, key=str.casefold)
        assert (found["protocol"], found["complete"], found["text"]) == ("ocpp1.6", True, "")
        assert by_name["HeartbeatInterval"]["value"] == "300"
        assert by_name["NumberOfConnectors"]["read_only"]
        assert by_name["NumberOfConnectors"]["value"].isprintable()
        assert by_name["AuthorizationKey"]["value"] is None
        assert "secret" in by_name["AuthorizationKey"]["note"]
        assert "0123456789abcdef" not in str(found)
        assert ":secret@" not in str(found)
        assert by_name["GprsApnPwd"]["value"] is None
        assert by_name["FreeVendIdTag"]["value"] == "****C3D4"
        assert "where it connects" in by_name["VendorBackendUrl"]["note"]
        searched = (await get(http, search="heart")).json()
        assert [one["name"] for one in searched["settings"]] == ["HeartbeatInterval"]
        fresh = get(http, fresh=True)
        frame = await hears(charger, "GetConfiguration")
        charger.says([3, frame[1], {"configurationKey": KEYS[:1]}])
        assert len((await fresh).json()["settings"]) == 1


async def test_who_may_only_read_asks_no_charger_and_sees_what_is_known(house: House):
    charger = await house.connects("CP-5")
    reader = {"edgegw-role": "read-only"}
    async with house.http() as http:
        for asked in ({}, {"fresh": True}):
            refused = await http.get(SETTINGS, params=asked, headers=reader)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "read_only")
        asking = get(http)
        frame = await hears(charger, "GetConfiguration")
        charger.says([3, frame[1], {"configurationKey": KEYS}])
        found = (await asking).json()
        assert (await http.get(SETTINGS, headers=reader)).json() == found
        assert (await http.get(SETTINGS, params={"fresh": True}, headers=reader)).status_code == 403
        assert charger._heard.empty(), "one question, and nobody else's"


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        ("SimPIN", True),
        ("WifiPSK", True),
        ("Modem.PinCode@1", True),
        ("CloudToken@1", True),
        ("OCPPCommCtrlr.BasicAuthPassword", True),
        ("SpinUpTime", False),
        ("AuthorizationCacheEnabled", False),
        ("TokenReaderTimeout", False),
    ],
)
def test_names_of_secrets(name: str, is_secret: bool):
    assert setting_rules.is_secret(name) is is_secret


def test_what_a_variable_has_beside_its_value_is_shown_where_it_differs():
    def part(name: str, *attributes: dict) -> dict:
        return {
            "component": {"name": "Ctrlr"},
            "variable": {"name": name},
            "variableAttribute": list(attributes),
        }

    found = setting_words.of_report(
        [
            part(
                "Limit", {"value": "10"}, {"type": "Target", "value": "16"}, {"type": "MinSet", "value": "10"}
            ),
            part("Same", {"type": "Actual", "value": "1"}, {"type": "Target", "value": "1"}),
            part("Wish", {"type": "Target", "value": "5"}),
            part("AdminPassword", {"value": "a"}, {"type": "Target", "value": "b"}),
        ]
    )
    assert [(one.name, one.value, one.in_words) for one in found] == [
        ("Ctrlr.Limit", "10", "10 (Target 16)"),
        ("Ctrlr.Same", "1", "1"),
        ("Ctrlr.Wish", None, "- (Target 5)"),
        ("Ctrlr.AdminPassword", None, "-"),
    ]
    assert [one.read_only for one in found] == [False, False, True, False]


async def test_a_key_is_set_and_the_answer_is_words(house: House):
    charger = await house.connects("CP-5")
    async with house.http() as http:
        for status, words in (("RebootRequired", "next restart"), ("NotSupported", "no such setting")):
            asking = put(http, "MeterValueSampleInterval", "10")
            frame = await hears(charger, "ChangeConfiguration")
            assert frame[3] == {"key": "MeterValueSampleInterval", "value": "10"}
            charger.says([3, frame[1], {"status": status}])
            answer = (await asking).json()
            assert answer["status"] == status
            assert words in answer["text"]


async def test_a_charger_that_answers_with_an_error_or_not_at_all(house: House):
    charger = await house.connects("CP-5")
    async with house.http() as http:
        asking = get(http)
        frame = await hears(charger, "GetConfiguration")
        charger.says([4, frame[1], "InternalError", "broken", {}])
        refused = await asking
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "charger_error")
        house.is_impatient()
        assert (await get(http)).status_code == 504


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("AuthorizationKey", "0123456789abcdef", "secret"),
        ("VendorWifiPassword", "x", "secret"),
        ("CentralSystemUrl", "cloud.example", "moves_charger"),
        ("VendorThing", "wss://cloud.example/ocpp", "moves_charger"),
        ("SecurityProfile", "2", "moves_charger"),
    ],
)
async def test_what_would_lock_it_out_or_lead_it_away_is_refused(
    house: House, name: str, value: str, code: str
):
    charger = await house.connects("CP-5")
    async with house.http() as http:
        refused = await put(http, name, value)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, code)
        asking = put(http, "HeartbeatInterval", "60")
        frame = await charger.hears()
        assert frame[3]["key"] == "HeartbeatInterval", "nothing else was sent"
        charger.says([3, frame[1], {"status": "Accepted"}])
        assert (await asking).status_code == 200


def rule(name: str, value: str) -> str:
    raw = frames.call("m", "ChangeConfiguration", {"key": name, "value": value})
    refusal = setting_rules.why_not(name, value, frames.parse(raw, Version.V16), balanced=True)
    return refusal.code if refusal else ""


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("MeterValueSampleInterval", "0", "needed_here"),
        ("MeterValueSampleInterval", "900", "needed_here"),
        ("MeterValueSampleInterval", "30", ""),
        ("SampledDataCtrlr.TxUpdatedInterval@1", "0", "needed_here"),
        ("SmartChargingCtrlr.Enabled", "false", "needed_here"),
        ("SmartChargingCtrlr.Enabled", "true", ""),
        ("WebSocketPingInterval", "30", ""),
        ("OCPPCommCtrlr.NetworkConfigurationPriority", "2", "moves_charger"),
        ("SecurityCtrlr.BasicAuthPassword", "x", "secret"),
    ],
)
def test_what_balancing_stands_on_stays(name: str, value: str, code: str):
    assert rule(name, value) == code


# --- 2.x --------------------------------------------------------------------------------------------


async def two(house: House) -> Wire:
    charger = await house.connects("CP-5", "ocpp2.0.1")
    return charger


def variable(name: str, value: str | None, **attribute) -> dict:
    given = {} if value is None else {"value": value}
    return {
        "component": {"name": "OCPPCommCtrlr", "evse": {"id": 1, "connectorId": 2}},
        "variable": {"name": name, "instance": "a"},
        "variableAttribute": [{**given, **attribute}],
        "variableCharacteristics": {
            "dataType": "integer",
            "unit": "s",
            "minLimit": 1,
            "maxLimit": 9,
            "supportsMonitoring": False,
        },
    }


def part(request_id: int, number: int, *data: dict, more: bool = False) -> dict:
    return {
        "requestId": request_id,
        "generatedAt": "2026-11-20T10:00:00Z",
        "seqNo": number,
        "tbc": more,
        "reportData": list(data),
    }


async def test_the_report_of_a_2x_charger_is_gathered_and_the_cloud_hears_nothing_of_it(house: House):
    charger = await two(house)
    wire = house.cloud.wires["CP-5"]
    async with house.http() as http:
        asking = get(http)
        frame = await hears(charger, "GetBaseReport")
        assert frame[3]["reportBase"] == "FullInventory"
        charger.says([3, frame[1], {"status": "Accepted"}])
        number = frame[3]["requestId"]
        first = charger.calls("NotifyReport", part(number, 0, variable("A", "5"), more=True))
        assert (await charger.hears())[:2] == [3, first]
        others = charger.calls("NotifyReport", part(4711, 0, variable("B", "5")))
        assert (await wire.hears())[1] == others, "a report that the cloud asked for is the cloud's"
        last = charger.calls("NotifyReport", part(number, 1, variable("Z", None, mutability="WriteOnly")))
        assert (await charger.hears())[:2] == [3, last]
        found = (await asking).json()
        assert (found["complete"], found["text"]) == (True, "")
        first_one, second_one = found["settings"]
        assert first_one["name"] == "OCPPCommCtrlr.A/a@1/2"
        assert (first_one["value"], first_one["type"], first_one["note"]) == ("5", "integer", "s, 1 to 9")
        assert (second_one["value"], second_one["note"]) == (None, "it cannot be read, s, 1 to 9")
        asking = put(http, "OCPPCommCtrlr.A/a@1/2", "7")
        frame = await hears(charger, "SetVariables")
        (item,) = frame[3]["setVariableData"]
        assert item == {
            "component": {"name": "OCPPCommCtrlr", "evse": {"id": 1, "connectorId": 2}},
            "variable": {"name": "A", "instance": "a"},
            "attributeValue": "7",
        }
        result = {"attributeStatus": "Accepted", "component": item["component"], "variable": item["variable"]}
        charger.says([3, frame[1], {"setVariableResult": [result]}])
        assert (await asking).json()["status"] == "Accepted"
        wrong = await put(http, "Nonsense", "7")
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "no_such_setting")


async def test_a_late_report_of_the_box_is_not_the_clouds_after_a_restart_either(house: House, tmp_path):
    charger = await two(house)
    async with house.http() as http:
        asking = get(http)
        frame = await hears(charger, "GetBaseReport")
        number = frame[3]["requestId"]
        charger.says([3, frame[1], {"status": "Rejected"}])
        await hears(charger, "GetVariables")
        asking.cancel()
    state = house.gateway.sessions["CP-5"].charger.state
    await house.all_is_stored()
    (kept,) = (await house.journal.recover("CP-5")).chargers
    document = next(one for one in kept.documents if str(number).encode() in one.value)
    assert isinstance(document, Document)
    assert number in state.files.site.reports
    late = charger.calls("NotifyReport", part(number, 0, variable("A", "5")))
    other = charger.calls("Heartbeat", {})
    heard = [await charger.hears() for _ in range(1)]
    assert heard[0][:2] == [3, late]
    assert (await house.cloud.wires["CP-5"].hears())[1] == other


@pytest.mark.parametrize("answer", [[3, {"status": "NotSupported"}], [4, "NotImplemented", "", {}]])
async def test_a_charger_without_reports_is_asked_for_the_usual_ones(house: House, answer: list):
    charger = await two(house)
    async with house.http() as http:
        asking = get(http)
        frame = await hears(charger, "GetBaseReport")
        charger.says([answer[0], frame[1], *answer[1:]])
        asked = 0
        while asked < len(setting_words.USUAL):
            frame = await hears(charger, "GetVariables")
            wanted = frame[3]["getVariableData"]
            asked += len(wanted)
            known = [
                {**one, "attributeStatus": "Accepted", "attributeValue": "1"}
                if one["variable"]["name"] == "HeartbeatInterval"
                else {**one, "attributeStatus": "UnknownVariable"}
                for one in wanted
            ]
            charger.says([3, frame[1], {"getVariableResult": known}])
        found = (await asking).json()
        assert [one["name"] for one in found["settings"]] == ["OCPPCommCtrlr.HeartbeatInterval"]
        assert not found["complete"]
        assert "only the 1 usual settings" in found["text"]


async def test_a_report_that_stops_is_shown_as_far_as_it_came(house: House, monkeypatch):
    monkeypatch.setattr(setting_desk, "NEXT_PART_WITHIN_S", 0.2)
    charger = await two(house)
    async with house.http() as http:
        asking = get(http)
        frame = await hears(charger, "GetBaseReport")
        charger.says([3, frame[1], {"status": "Accepted"}])
        charger.calls("NotifyReport", part(frame[3]["requestId"], 0, variable("A", "5"), more=True))
        found = (await asking).json()
        assert len(found["settings"]) == 1
        assert (found["complete"], "stopped telling after 1" in found["text"]) == (False, True)


async def test_who_waits_for_settings_is_told_that_the_box_stops(house: House):
    charger = await two(house)
    async with house.http() as http:
        asking = get(http)
        frame = await hears(charger, "GetBaseReport")
        charger.says([3, frame[1], {"status": "Accepted"}])
        await eventually(lambda: charger._heard.empty())
        await house.server.service.close()
        refused = await asking
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "stopping")


@pytest.mark.parametrize(
    "junk",
    [
        {"configurationKey": "x"},
        {"configurationKey": [5, {}, {"key": None, "value": {"a": 1}}]},
    ],
)
def test_whatever_a_16_charger_says_is_shown_as_text(junk: dict):
    for one in setting_words.of_16(junk):
        assert isinstance(one.name, str)


@pytest.mark.parametrize(
    "junk",
    [
        {},
        {"component": 5, "variable": None},
        {"component": {"name": "A"}, "variable": {"name": "B"}, "variableAttribute": 7},
        {
            "component": {"name": "A"},
            "variable": {"name": "B"},
            "variableAttribute": [None, {"type": "MaxSet"}, {"type": []}],
        },
    ],
)
def test_whatever_a_report_says_breaks_nothing(junk: dict):
    assert setting_words.of_report([junk]) == ()


def test_names_are_read_as_they_are_written():
    for name in ("A.B", "A/x.B/y@1/2", "A.B@3"):
        component, named = setting_words.parts_of(name) or ({}, {})
        assert setting_words.name_of(component, named) == name
    assert setting_words.parts_of("A.B@x") is None
