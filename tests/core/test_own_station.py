"""The box as a station of its own: registration, heartbeats, notices in order, what a cloud may ask it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.core import own_mail
from edgegw.core.own_answers import FIXED
from edgegw.core.own_mail import (
    ASKED_MAX,
    ATTEMPTS_MAX,
    BOOT_WAIT_S,
    FORGOTTEN_WAIT_S,
    NOTICE_WAIT_S,
    SILENCES_MAX,
)
from edgegw.core.own_variables import TABLE
from edgegw.core.publishing import Stage
from edgegw.core.state import Registration
from edgegw.wire import frames
from edgegw.wire.schemas import known_actions
from tests.core.own_story import IDENTITY, MD5, ORDER, V21, V201, OwnStory

STATUS = "PublishFirmwareStatusNotification"
HTTP = "http://10.0.0.5/fw/a/wall-2.bin"


@pytest.fixture(params=[V201, V21], ids=str)
def story(request) -> OwnStory:
    return OwnStory(request.param)


@pytest.fixture
def up(story) -> OwnStory:
    return story.is_up()


def component_variable(component: str, variable: str, instance: str = "", **more) -> dict:
    named = {"name": variable, "instance": instance} if instance else {"name": variable}
    return {"component": {"name": component}, "variable": named, **more}


# --- registration ---------------------------------------------------------------------------------


def test_b01_it_boots_before_it_says_anything_else(story):
    story.connects()
    boot = story.is_accepted()
    assert boot == {
        "reason": "PowerUp",
        "chargingStation": {
            "model": "edgegw",
            "vendorName": "edgegw",
            "firmwareVersion": "1.2.3",
            "serialNumber": IDENTITY,
        },
    }
    started = story.hears("SecurityEventNotification")
    assert started == {"type": "StartupOfTheDevice", "timestamp": "2026-09-21T14:13:20.000Z"}
    assert story.is_quiet


def test_an_identity_that_is_no_serial_number_is_not_cut_to_one():
    story = OwnStory(identity="x" * 26)
    story.connects()
    assert "serialNumber" not in story.is_accepted()["chargingStation"]


@pytest.mark.parametrize("word", ["Pending", "Rejected"])
@pytest.mark.parametrize(("interval", "wait_s"), [(20, 20.0), (0, BOOT_WAIT_S), (-5, BOOT_WAIT_S)])
def test_b02_b03_it_boots_again_after_the_interval(story, word, interval, wait_s):
    story.connects()
    story.hears("BootNotification", story.registration(word, interval))
    story.passes(wait_s - 0.5)
    assert story.is_quiet
    story.passes(1)
    assert story.is_accepted()["reason"] == "PowerUp"


@pytest.mark.parametrize("word", ["Pending", "Rejected"])
def test_b02_fr04_a_new_connection_is_no_reason_to_boot_earlier(story, word):
    story.connects()
    story.hears("BootNotification", story.registration(word, 100))
    story.passes(10)
    story.loses()
    story.connects()
    story.passes(80)
    assert story.is_quiet
    story.passes(20)
    story.is_accepted()


def test_an_accepted_station_does_not_boot_again_after_a_reconnect(up):
    up.loses()
    up.passes(1000)
    up.connects()
    up.hears("Heartbeat", {"currentTime": "2026-11-30T12:00:00Z"})  # B04: a sign of life
    assert up.is_quiet


def test_it_boots_again_after_a_restart(up):
    up.restart()
    up.is_up()


@pytest.mark.parametrize("answer", [{}, {"status": "Perhaps"}, {"status": 5, "interval": "x"}])
def test_an_answer_without_sense_is_none(story, answer):
    story.connects()
    story.hears("BootNotification", answer)
    assert story.station.registration is Registration.NEVER
    story.passes(BOOT_WAIT_S + 1)
    story.is_accepted()


def test_a_boot_that_is_not_answered_is_repeated_later(story):
    story.connects()
    story.cloud.heard.popleft()
    story.passes(30 + BOOT_WAIT_S - 1)
    assert story.is_quiet
    story.passes(2)
    assert story.refuses("InternalError") == "BootNotification"
    story.passes(BOOT_WAIT_S - 1)
    assert story.is_quiet
    story.passes(2)
    story.is_accepted()


def test_a_boot_that_was_cut_off_is_said_at_once_on_the_next_leg(story):
    story.connects()
    story.loses()
    story.connects()
    story.is_accepted()


def test_b03_a_rejected_station_answers_security_error_and_says_nothing(story):
    story.connects()
    story.hears("BootNotification", story.registration("Rejected", 100))
    for action, payload in (
        ("TriggerMessage", {"requestedMessage": "BootNotification"}),
        ("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"}),
        ("PublishFirmware", ORDER),
    ):
        assert story.error_of(action, payload) == "SecurityError"
    assert story.is_quiet


def test_b02_a_pending_station_sends_only_what_it_is_asked_for(story):
    story.connects()
    story.hears("BootNotification", story.registration("Pending", 1000))
    assert story.is_quiet  # the start-up event waits
    story.call("GetBaseReport", {"requestId": 1, "reportBase": "FullInventory"})
    assert story.hears("NotifyReport")["requestId"] == 1
    story.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    story.hears("Heartbeat", {"currentTime": "2026-11-30T12:00:00Z"})
    answer = story.call("PublishFirmware", ORDER)  # its statuses could not be sent
    assert (answer["status"], answer["statusInfo"]["reasonCode"]) == ("Rejected", "CSNotAccepted")
    assert story.is_quiet
    story.call("TriggerMessage", {"requestedMessage": "BootNotification"})
    assert story.is_accepted()["reason"] == "Triggered"
    story.hears("SecurityEventNotification")


def test_what_is_asked_before_the_first_boot_is_answered_waits_for_it(story):
    story.connects()
    story.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    story.is_accepted()
    story.hears("Heartbeat", {"currentTime": "2026-11-30T12:00:00Z"})
    story.hears("SecurityEventNotification")


def test_b01_fr08_nothing_goes_before_a_boot_that_was_not_answered(story):
    story.connects()
    assert story.refuses("GenericError") == "BootNotification"
    story.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    assert story.is_quiet
    story.passes(BOOT_WAIT_S + 1)
    story.is_accepted()


def test_f06_fr17_an_accepted_station_does_not_boot_on_demand(up):
    assert up.call("TriggerMessage", {"requestedMessage": "BootNotification"})["status"] == "Rejected"
    assert up.is_quiet


def test_a_cloud_that_has_forgotten_the_station_is_told_again(up):
    up.call("PublishFirmware", ORDER)
    up.run_is(Stage.DOWNLOADING)
    assert up.refuses("SecurityError") == STATUS
    up.passes(FORGOTTEN_WAIT_S - 1)
    assert up.is_quiet
    up.passes(2)
    up.is_accepted()
    up.passes(NOTICE_WAIT_S)
    assert up.statuses() == ["Downloading"]


# --- heartbeats -----------------------------------------------------------------------------------


def test_g02_the_interval_of_the_cloud_counts_from_the_last_message(story):
    story.connects()
    story.is_accepted(interval=50)
    story.passes(10)
    story.hears("SecurityEventNotification")
    story.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    story.hears("Heartbeat", {"currentTime": "2026-11-30T12:00:00Z"})
    story.passes(49)
    assert story.is_quiet
    story.passes(2)
    story.hears("Heartbeat", {"currentTime": "2026-11-30T12:00:00Z"})


def test_an_interval_of_zero_leaves_it_to_the_station(story):
    story.connects()
    story.is_accepted(interval=0)
    story.hears("SecurityEventNotification")
    story.passes(299)
    assert story.is_quiet
    story.passes(2)
    story.hears("Heartbeat", {"currentTime": "2026-11-30T12:00:00Z"})


def test_the_cloud_sets_the_interval(up):
    heartbeat = component_variable("OCPPCommCtrlr", "HeartbeatInterval", attributeValue="20")
    result = up.call("SetVariables", {"setVariableData": [heartbeat]})["setVariableResult"][0]
    assert (result["attributeStatus"], result["attributeType"]) == ("Accepted", "Actual")
    up.passes(21)
    up.hears("Heartbeat", {"currentTime": "2026-11-30T12:00:00Z"})


# --- notices --------------------------------------------------------------------------------------


def publishes(story: OwnStory, number: int = 0) -> None:
    story.call("PublishFirmware", ORDER | {"checksum": f"{number:032x}", "requestId": number})
    story.run_is(Stage.PUBLISHED, HTTP)


def test_one_call_at_a_time_and_in_order(up):
    publishes(up)
    assert up.statuses() == ["Downloading", "Downloaded", "ChecksumVerified", "Published"]
    assert up.cloud.most_at_once == 1


def test_notices_wait_for_the_cloud_and_keep_their_order(up):
    up.call("PublishFirmware", ORDER)
    up.run_is(Stage.DOWNLOADING)  # sent, and not answered any more
    first = up.cloud.heard[0]
    up.loses()
    up.run_is(Stage.PUBLISHED, HTTP)
    up.passes(5000)
    up.connects()
    assert up.cloud.heard[0][1:] == first[1:]  # the same message id
    assert up.statuses() == ["Downloading", "Downloaded", "ChecksumVerified", "Published"]


def test_a_refusal_for_good_costs_one_notice(up):
    publishes(up)
    assert up.refuses("NotSupported") == STATUS
    assert up.statuses() == ["Downloaded", "ChecksumVerified", "Published"]
    assert up.notices[-1].kind == "own_notice_dropped"


def test_a_refusal_that_may_pass_is_repeated_and_the_others_wait(up):
    publishes(up)
    assert up.refuses("InternalError") == STATUS
    assert up.is_quiet
    up.passes(NOTICE_WAIT_S + 1)
    assert up.statuses() == ["Downloading", "Downloaded", "ChecksumVerified", "Published"]


def test_it_is_not_repeated_for_ever(up):
    publishes(up)
    for attempt in range(ATTEMPTS_MAX):
        assert up.refuses("GenericError") == STATUS
        if attempt < ATTEMPTS_MAX - 1:
            assert up.is_quiet
            up.passes(NOTICE_WAIT_S + 1)
    assert up.statuses() == ["Downloaded", "ChecksumVerified", "Published"]


def test_a_cloud_that_does_not_answer_gets_a_new_connection(up):
    publishes(up)
    for _ in range(SILENCES_MAX):
        assert not up.hung_up
        up.cloud.heard.popleft()
        up.passes(31)
    assert up.hung_up == ["the cloud does not answer"]
    up.connects()
    assert up.statuses() == ["Downloaded", "ChecksumVerified", "Published"]


def test_an_answer_that_comes_late_still_counts(up):
    up.call("PublishFirmware", ORDER)
    up.run_is(Stage.DOWNLOADING)
    late = up.cloud.heard.popleft()[1]
    up.passes(31)
    again = up.cloud.heard.popleft()
    assert again[1] == late
    up.says(frames.result(late, {}))
    up.run_is(Stage.DOWNLOADED)
    assert up.statuses() == ["Downloaded"]


def test_too_many_notices_cost_the_oldest_statuses(up, monkeypatch):
    monkeypatch.setattr(own_mail, "NOTICES_MAX", 5)
    for number in range(2):
        up.call("PublishFirmware", ORDER | {"checksum": f"{number:032x}", "requestId": number})
    up.loses()
    for wanted in up.wanted:
        up.run_is(Stage.PUBLISHED, HTTP, run=wanted.run)
    up.connects()
    assert up.statuses() == ["Published", "Downloading", "Downloaded", "ChecksumVerified", "Published"]
    assert [notice.kind for notice in up.notices].count("own_notice_dropped") == 3


def test_the_start_is_told_even_when_too_much_waits(monkeypatch):
    monkeypatch.setattr(own_mail, "NOTICES_MAX", 2)
    story = OwnStory()
    story.connects()
    story.is_accepted()
    started = story.cloud.heard[0]
    story.call("PublishFirmware", ORDER)
    story.loses()
    story.run_is(Stage.PUBLISHED, HTTP)
    story.connects()
    assert story.cloud.heard[0] == started
    story.hears("SecurityEventNotification")
    assert story.statuses() == ["Published"]


def test_an_answer_to_nothing_is_passed_over(up):
    up.says(frames.result("nobody", {"status": "Accepted"}))
    up.says(frames.error("nobody", "SecurityError"))
    assert up.station.registration is Registration.ACCEPTED
    assert up.is_quiet


def test_what_21_sends_without_an_answer_is_passed_over():
    story = OwnStory(V21).is_up()
    story.says(frames.send("s1", "NotifyPeriodicEventStream", {}))
    story.says(frames.result_error("m1", "InternalError"))
    assert story.is_quiet


def test_what_was_asked_on_a_leg_that_is_gone_is_not_sent_on_the_next(up):
    publishes(up)  # the first status is under way, so that the triggered one waits
    up.call("TriggerMessage", {"requestedMessage": "Heartbeat"})
    up.loses()
    up.connects()
    assert len(up.statuses()) == 4
    assert up.is_quiet


# --- what a cloud may ask -------------------------------------------------------------------------

SAMPLE_CALLS = {
    "CancelReservation": {"reservationId": 1},
    "CertificateSigned": {"certificateChain": "x"},
    "ChangeAvailability": {"operationalStatus": "Inoperative"},
    "ClearCache": {},
    "CustomerInformation": {"requestId": 1, "report": True, "clear": False},
    "DataTransfer": {"vendorId": "x"},
    "DeleteCertificate": {
        "certificateHashData": {
            "hashAlgorithm": "SHA256",
            "issuerNameHash": "a",
            "issuerKeyHash": "b",
            "serialNumber": "c",
        }
    },
    "GetInstalledCertificateIds": {},
    "GetLocalListVersion": {},
    "GetLog": {"logType": "SecurityLog", "requestId": 1, "log": {"remoteLocation": "http://a.example/"}},
    "GetMonitoringReport": {"requestId": 1},
    "GetTransactionStatus": {},
    "InstallCertificate": {"certificateType": "V2GRootCertificate", "certificate": "x"},
    "RequestStartTransaction": {"remoteStartId": 1, "idToken": {"idToken": "x", "type": "Central"}},
    "RequestStopTransaction": {"transactionId": "t"},
    "ReserveNow": {
        "id": 1,
        "expiryDateTime": "2026-12-01T00:00:00Z",
        "idToken": {"idToken": "x", "type": "Central"},
    },
    "Reset": {"type": "Immediate"},
    "SendLocalList": {"versionNumber": 1, "updateType": "Full"},
    "SetMonitoringBase": {"monitoringBase": "All"},
    "SetMonitoringLevel": {"severity": 5},
    "SetNetworkProfile": {
        "configurationSlot": 1,
        "connectionData": {
            "ocppVersion": "OCPP20",
            "ocppTransport": "JSON",
            "ocppCsmsUrl": "wss://a.example",
            "messageTimeout": 30,
            "securityProfile": 1,
            "ocppInterface": "Wired0",
        },
    },
    "UnlockConnector": {"evseId": 1, "connectorId": 1},
    "UpdateFirmware": {
        "requestId": 1,
        "firmware": {"location": "http://a.example/f", "retrieveDateTime": "2026-12-01T00:00:00Z"},
    },
}


@pytest.mark.parametrize("action", sorted(FIXED))
def test_a_station_without_evses_says_no_in_the_words_of_the_schema(up, action):
    assert up.call(action, SAMPLE_CALLS[action]) == FIXED[action]
    assert up.is_quiet


def test_every_other_action_gets_the_error_code_of_the_specification(up):
    handled = set(SAMPLE_CALLS) | {
        "GetBaseReport",
        "GetReport",
        "GetVariables",
        "PublishFirmware",
        "SetVariables",
        "TriggerMessage",
        "UnpublishFirmware",
    }
    assert up.error_of("Heartbeat", {}) == "NotSupported"  # an action, but of the other direction
    assert up.error_of("CostUpdated", {"totalCost": 1.0, "transactionId": "t"}) == "NotSupported"
    assert up.error_of("StartTransaction", {}) == "NotImplemented"  # of 1.6
    assert up.error_of("Junk", {"a": [None]}) == "NotImplemented"
    for action in known_actions(up.version) - handled:
        up.error_of(action, {})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"location": 5}, "TypeConstraintViolation"),
        ({"requestId": "7"}, "TypeConstraintViolation"),
        ({"retries": 1.5}, "TypeConstraintViolation"),
        ({"checksum": "0" * 33}, "PropertyConstraintViolation"),
        ({"location": "http://a.example/" + "x" * 2000}, "PropertyConstraintViolation"),
        ({"more": 1}, "FormatViolation"),
    ],
)
def test_a_payload_that_breaks_the_schema_is_named_as_such(up, change, code):
    assert up.error_of("PublishFirmware", ORDER | change) == code
    assert up.wanted == []


@pytest.mark.parametrize("missing", ["location", "checksum", "requestId"])
def test_a_payload_with_something_missing(up, missing):
    payload = {key: value for key, value in ORDER.items() if key != missing}
    assert up.error_of("PublishFirmware", payload) == "OccurrenceConstraintViolation"


def test_a_signed_address_longer_than_201_allows_is_used_all_the_same():
    story = OwnStory(V201).is_up()
    url = "https://files.example/fw?sig=" + "a" * 900
    assert story.call("PublishFirmware", ORDER | {"location": url})["status"] == "Accepted"
    assert story.wanted[0].url == url


def test_nothing_of_the_peer_is_repeated_in_an_error(up):
    asked = up.asks("PublishFirmware", ORDER | {"SECRET": 1})
    assert "SECRET" not in str(up.cloud.answers[asked])


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.sampled_from(
    [
        "location",
        "checksum",
        "requestId",
        "retries",
        "retryInterval",
        "requestedMessage",
        "reportBase",
        "getVariableData",
        "setVariableData",
        "componentVariable",
        "componentCriteria",
        "type",
        "evse",
    ]
)
_ACTIONS = st.sampled_from(sorted(known_actions(V201)))


@given(action=_ACTIONS, payload=st.dictionaries(_FIELDS, _JSON, max_size=4))
def test_whatever_a_cloud_sends_is_answered_and_nothing_breaks(action, payload):
    story = OwnStory(V201).is_up()
    asked = story.asks(action, payload)
    assert asked in story.cloud.answers or story.unpublishing
    assert story.station.registration is Registration.ACCEPTED


@pytest.mark.parametrize("message", ["StatusNotification", "MeterValues", "FirmwareStatusNotification"])
def test_f06_fr08_other_messages_are_not_implemented(up, message):
    assert up.call("TriggerMessage", {"requestedMessage": message}) == {"status": "NotImplemented"}
    assert up.is_quiet


def test_f06_fr04_the_answer_to_a_trigger_goes_before_the_message(up):
    order = []
    up.cloud.hear = lambda data: order.append(data[1:2])
    up.asks("TriggerMessage", {"requestedMessage": "Heartbeat"})
    assert order == [b"3", b"2"]


def test_a_cloud_that_asks_more_than_it_hears_is_told_no(up):
    publishes(up)  # the first status is under way, so that everything waits
    heartbeat = {"requestedMessage": "Heartbeat"}
    words = [up.call("TriggerMessage", heartbeat)["status"] for _ in range(ASKED_MAX + 1)]
    assert words == ["Accepted"] * ASKED_MAX + ["Rejected"]
    report = {"requestId": 1, "reportBase": "FullInventory"}
    assert up.call("GetBaseReport", report) == {"status": "Rejected"}


# --- variables ------------------------------------------------------------------------------------


def read(story: OwnStory, *asked: dict) -> list[dict]:
    return story.call("GetVariables", {"getVariableData": list(asked)})["getVariableResult"]


def written(story: OwnStory, asked: dict) -> tuple[str, str]:
    (result,) = story.call("SetVariables", {"setVariableData": [asked]})["setVariableResult"]
    return result["attributeStatus"], result.get("attributeStatusInfo", {}).get("reasonCode", "")


def test_b06_what_is_asked_is_answered_one_by_one(up):
    results = read(
        up,
        component_variable("OCPPCommCtrlr", "HeartbeatInterval"),
        component_variable("ocppcommctrlr", "FILETRANSFERPROTOCOLS"),  # names are compared without case
        component_variable("OCPPCommCtrlr", "MessageTimeout", "Default"),
        component_variable("OCPPCommCtrlr", "MessageTimeout"),
        component_variable("OCPPCommCtrlr", "HeartbeatInterval", attributeType="Target"),
        component_variable("OCPPCommCtrlr", "Nonsense"),
        component_variable("Connector", "Available"),
        component_variable("ClockCtrlr", "DateTime"),
        {"component": {"name": "ChargingStation", "evse": {"id": 1}}, "variable": {"name": "Model"}},
    )
    assert [(r["attributeStatus"], r.get("attributeValue")) for r in results] == [
        ("Accepted", "300"),
        ("Accepted", "HTTP,HTTPS,FTP,SFTP"),
        ("Accepted", "30"),
        ("UnknownVariable", None),
        ("NotSupportedAttributeType", None),
        ("UnknownVariable", None),
        ("UnknownComponent", None),
        ("Accepted", "2026-09-21T14:13:20.000Z"),
        ("UnknownComponent", None),
    ]
    assert results[1]["component"] == {"name": "ocppcommctrlr"}  # B06.FR.02: as it was asked
    assert {r["attributeType"] for r in results} == {"Actual", "Target"}


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("60", ("Accepted", "")),
        ("0", ("Rejected", "ValueTooLow")),
        ("604801", ("Rejected", "ValueTooHigh")),
        ("-1", ("Rejected", "InvalidValue")),
        ("1.5", ("Rejected", "InvalidValue")),
        ("\u0663", ("Rejected", "InvalidValue")),
        ("9" * 500, ("Rejected", "InvalidValue")),
        ("", ("Rejected", "InvalidValue")),
    ],
)
def test_b05_the_heartbeat_interval(up, value, status):
    asked = component_variable("OCPPCommCtrlr", "HeartbeatInterval", attributeValue=value)
    assert written(up, asked) == status


def test_b05_what_cannot_be_set(up):
    def of(*address: str, **more: str) -> tuple[str, str]:
        return written(up, component_variable(*address, attributeValue="1", **more))

    assert of("SecurityCtrlr", "Identity") == ("Rejected", "ReadOnly")
    assert of("SecurityCtrlr", "BasicAuthPassword") == ("UnknownVariable", "")
    assert of("Connector", "Available") == ("UnknownComponent", "")
    assert of("OCPPCommCtrlr", "HeartbeatInterval", attributeType="MaxSet")[0] == "NotSupportedAttributeType"


@pytest.mark.parametrize(
    ("base", "count"), [("FullInventory", len(TABLE)), ("ConfigurationInventory", 1), ("SummaryInventory", 1)]
)
def test_b07_base_reports(up, base, count):
    assert up.call("GetBaseReport", {"requestId": 5, "reportBase": base}) == {"status": "Accepted"}
    report = up.hears("NotifyReport")
    assert (report["requestId"], report["seqNo"]) == (5, 0)
    assert len(report["reportData"]) == count
    if base == "FullInventory":
        values = {
            row["variable"]["name"]: row["variableAttribute"][0]["value"] for row in report["reportData"]
        }
        assert values["Identity"] == IDENTITY
        assert values["AvailabilityState"] == "Available"


@pytest.mark.parametrize(
    ("criteria", "count"),
    [
        ({}, len(TABLE)),
        ({"componentCriteria": ["Active"]}, len(TABLE)),
        ({"componentCriteria": ["Problem"]}, 0),
        ({"componentVariable": [{"component": {"name": "OCPPCommCtrlr"}}]}, 3),
        ({"componentVariable": [component_variable("DeviceDataCtrlr", "ItemsPerMessage")]}, 3),
        ({"componentVariable": [component_variable("DeviceDataCtrlr", "ItemsPerMessage", "GetReport")]}, 1),
        ({"componentVariable": [{"component": {"name": "Connector"}}]}, 0),
        ({"componentVariable": [{"component": {"name": "ChargingStation", "evse": {"id": 1}}}]}, 0),
    ],
)
def test_b08_custom_reports(up, criteria, count):
    answer = up.call("GetReport", {"requestId": 6, **criteria})
    if not count:
        assert answer == {"status": "EmptyResultSet"}
        assert up.is_quiet
        return
    assert answer == {"status": "Accepted"}
    assert len(up.hears("NotifyReport")["reportData"]) == count


def test_too_many_variables_at_once(up):
    asked = component_variable("Connector", "Available")
    many = {"getVariableData": [asked] * 101}
    assert up.error_of("GetVariables", many) == "OccurrenceConstraintViolation"
    many = {"setVariableData": [asked | {"attributeValue": "1"}] * 101}
    assert up.error_of("SetVariables", many) == "OccurrenceConstraintViolation"
    many = {"requestId": 1, "componentVariable": [asked] * 101}
    assert up.error_of("GetReport", many) == "OccurrenceConstraintViolation"


def test_md5_of_the_order_is_what_is_kept(up):
    up.call("PublishFirmware", ORDER)
    assert list(up.documents) == [MD5]
