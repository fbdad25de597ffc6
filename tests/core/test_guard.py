"""Messages that would take a charger away from the box, and passwords that change in passing (fault 54)."""

from __future__ import annotations

from typing import Any

import pytest

from edgegw.wire.schemas import Schemas
from tests.core.story import V16, V21, V201, Version, online

GATEWAY = "ws://box.example:9000/ocpp"
ELSEWHERE = "wss://other.example/ocpp"
ACCEPTED = {"status": "Accepted"}


def variable(name: str, value: str, component: str = "NetworkConfiguration") -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": name}, "attributeValue": value}


def profile(url: str) -> dict[str, Any]:
    data = {
        "ocppVersion": "OCPP20",
        "ocppTransport": "JSON",
        "ocppCsmsUrl": url,
        "messageTimeout": 30,
        "securityProfile": 2,
        "ocppInterface": "Wired0",
    }
    return {"configurationSlot": 1, "connectionData": data}


MOVES: list[tuple[Version, str, dict[str, Any]]] = [
    (V16, "ChangeConfiguration", {"key": "BackendUrl", "value": ELSEWHERE}),
    (V16, "ChangeConfiguration", {"key": "x", "value": " WS://other.example"}),
    (V201, "SetNetworkProfile", profile(ELSEWHERE)),
    (V21, "SetNetworkProfile", profile(ELSEWHERE)),
    (V21, "SetVariables", {"setVariableData": [variable("x", "1"), variable("OcppCsmsUrl", ELSEWHERE)]}),
]
EVERY_MOVE = pytest.mark.parametrize(("version", "action", "payload"), MOVES)


@EVERY_MOVE
def test_fault_54_a_move_is_refused_and_noticed(version, action, payload):
    told = online(version)
    told.cloud.sends(action, payload, id="m")
    assert told.charger.take() == []
    kind, message_id, answer = told.cloud.last
    assert (kind, message_id) == (3, "m")
    assert "Rejected" in str(answer)
    assert "Accepted" not in str(answer)
    assert Schemas().complaints(version, "response", action, answer) == ()
    assert told.noticed == ["move_refused"]


@pytest.mark.parametrize("version", [V201, V21])
def test_fault_54_a_switch_to_other_network_profiles_is_refused(version):
    told = online(version)
    payload = {"setVariableData": [variable("NetworkConfigurationPriority", "2,1", "OCPPCommCtrlr")]}
    told.cloud.sends("SetVariables", payload)
    assert told.charger.take() == []
    assert told.noticed == ["move_refused"]


@EVERY_MOVE
def test_fault_54_a_move_that_is_adopted_gives_the_charger_our_address(version, action, payload):
    told = online(version, adopt_moves=True, gateway_url=GATEWAY)
    told.cloud.sends(action, payload)
    assert GATEWAY in str(told.charger.last[3])
    assert "other.example" not in str(told.charger.last[3])
    assert told.core.state.profile.cloud_url == ""
    results = [{"attributeStatus": "Accepted"}, {"attributeStatus": "Accepted"}]
    told.charger.answers({"setVariableResult": results} if action == "SetVariables" else ACCEPTED)
    assert told.core.state.profile.cloud_url.lower().startswith(("wss://other.example", "ws://other.example"))
    told.restart()
    assert told.core.state.profile.cloud_url != ""


@pytest.mark.parametrize("outcome", ["RebootRequired"])
def test_fault_54_a_move_that_needs_a_reboot_is_adopted_too(outcome):
    told = online(adopt_moves=True, gateway_url=GATEWAY)
    told.cloud.sends("ChangeConfiguration", {"key": "BackendUrl", "value": ELSEWHERE})
    told.charger.answers({"status": outcome})
    assert told.core.state.profile.cloud_url == ELSEWHERE


@pytest.mark.parametrize("outcome", ["Rejected", "NotSupported", "Failed"])
def test_fault_54_a_move_the_charger_refuses_is_not_adopted(outcome):
    told = online(adopt_moves=True, gateway_url=GATEWAY)
    told.cloud.sends("ChangeConfiguration", {"key": "BackendUrl", "value": ELSEWHERE})
    told.charger.answers({"status": outcome})
    assert told.core.state.profile.cloud_url == ""


def test_fault_54_a_refused_variable_beside_an_accepted_one_is_not_adopted():
    told = online(V21, adopt_moves=True, gateway_url=GATEWAY)
    told.cloud.sends("SetVariables", {"setVariableData": [variable("a", "1"), variable("u", ELSEWHERE)]})
    told.charger.answers(
        {"setVariableResult": [{"attributeStatus": "Accepted"}, {"attributeStatus": "Rejected"}]}
    )
    assert told.core.state.profile.cloud_url == ""


def test_fault_54_the_box_never_adopts_itself_as_its_cloud():
    told = online(adopt_moves=True, gateway_url=GATEWAY)
    told.cloud.sends("ChangeConfiguration", {"key": "BackendUrl", "value": GATEWAY})
    told.charger.answers(ACCEPTED)
    assert told.core.state.profile.cloud_url == ""


def test_fault_54_two_addresses_in_one_message_do_not_let_the_second_one_pass():
    told = online(V21, adopt_moves=True, gateway_url=GATEWAY)
    both = [variable("OcppCsmsUrl", ELSEWHERE), variable("OcppCsmsUrl", "wss://third.example")]
    told.cloud.sends("SetVariables", {"setVariableData": both})
    assert not any("third.example" in str(frame) for frame in told.charger.frames)


def test_a_move_is_refused_while_nobody_knows_our_own_address():
    told = online(adopt_moves=True, gateway_url="")
    told.cloud.sends("ChangeConfiguration", {"key": "BackendUrl", "value": ELSEWHERE})
    assert told.charger.take() == []


@pytest.mark.parametrize(
    ("version", "action", "payload"),
    [
        (V16, "ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "60"}),
        (V16, "ChangeConfiguration", {"key": "Text", "value": "see wss://help"}),
        (V201, "SetVariables", {"setVariableData": [variable("Interval", "60", "AlignedDataCtrlr")]}),
        (V201, "SetVariables", {"setVariableData": "odd"}),
        (V16, "ChangeConfiguration", {}),
    ],
)
def test_other_settings_pass_untouched(version, action, payload):
    told = online(version)
    told.cloud.sends(action, payload, id="m")
    assert told.charger.last == [2, "m", action, payload]


@pytest.mark.parametrize("value", ["1", "5"])
def test_fault_54_a_very_short_heartbeat_interval_is_let_through_with_a_warning(value):
    told = online()
    told.cloud.sends("ChangeConfiguration", {"key": "HeartbeatInterval", "value": value})
    told.charger.answers(ACCEPTED)
    assert told.noticed == ["heartbeat_interval_short"]


def test_fault_54_the_same_in_2x():
    told = online(V201)
    told.cloud.sends(
        "SetVariables", {"setVariableData": [variable("HeartbeatInterval", "1", "OCPPCommCtrlr")]}
    )
    told.charger.answers({"setVariableResult": [{"attributeStatus": "Accepted"}]})
    assert told.noticed == ["heartbeat_interval_short"]


def test_a_usual_heartbeat_interval_is_nothing_to_notice():
    told = online()
    told.cloud.sends("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "300"})
    told.charger.answers(ACCEPTED)
    assert told.noticed == []


# --- passwords ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "known"), [("Accepted", ["a" * 40]), ("Rejected", []), ("NotSupported", [])]
)
def test_a_password_of_16_counts_from_the_charger_s_yes(outcome, known):
    told = online()
    told.cloud.sends("ChangeConfiguration", {"key": "AuthorizationKey", "value": "a" * 40})
    assert told.passwords == []
    told.charger.answers({"status": outcome})
    assert told.passwords == known


@pytest.mark.parametrize(
    ("version", "component"), [(V201, "SecurityCtrlr"), (V21, "SecurityCtrlr"), (V21, "NetworkConfiguration")]
)
def test_a_password_of_2x_counts_from_the_charger_s_yes(version, component):
    told = online(version)
    both = [variable("Other", "1"), variable("BasicAuthPassword", "secret-secret-secret", component)]
    told.cloud.sends("SetVariables", {"setVariableData": both})
    told.charger.answers(
        {"setVariableResult": [{"attributeStatus": "Rejected"}, {"attributeStatus": "Accepted"}]}
    )
    assert told.passwords == ["secret-secret-secret"]


def test_a_password_is_never_written_into_the_store_or_a_notice():
    told = online()
    told.cloud.sends("ChangeConfiguration", {"key": "AuthorizationKey", "value": "c0ffee" * 6})
    told.charger.answers(ACCEPTED)
    kept = str(told.store.documents) + str(told.store.rows) + str(told.notices)
    assert "c0ffee" not in kept
