"""What no rule touches is forwarded as the bytes that came in, both ways, in every version."""

from __future__ import annotations

import pytest

from tests.core.story import V16, V21, V201, Story, online

EVERY_VERSION = pytest.mark.parametrize("version", [V16, V201, V21])

# Odd but legal: key order, spacing, escapes, numbers no float survives, an unknown action, a null payload.
ODD_CALLS = [
    b'[2,"odd-1","DataTransfer",{"vendorId":"x","data":"\\u00e9\\/\\ud83d\\ude00"}]',
    b'[2 , "odd-2" ,\n"DataTransfer", { "messageId" : "m" , "vendorId" : "x" , "data" : "1.10" } ]',
    b'[2,"odd-3","VendorSpecial",{"z":1.0,"a":1e2,"n":-0,"big":12345678901234567890123,"tiny":0.1e-7}]',
    b'[2,"odd-4","Heartbeat",null]',
    '[2,"odd-5","DataTransfer",{"vendorId":"Ohm\u2126","data":"{\'a\': \'b\'}"}]'.encode(),
]
SIGNED_16 = (
    b'[2,"sig-1","MeterValues",{"connectorId":1,"transactionId":7,"meterValue":[{"timestamp":'
    b'"2026-09-21T14:13:20Z","sampledValue":[{"value":'
    b'"OCMF|{\\"FV\\" : \\"1.0\\"}|{\\"SD\\":\\"30\\/45\\u0022\\"}",'
    b'"format":"SignedData"}]}]}]'
)
SIGNED_2X = (
    b'[2,"sig-2","TransactionEvent",{"seqNo":1,"eventType":"Updated","timestamp":"2026-09-21T14:13:20.000Z",'
    b'"triggerReason":"MeterValuePeriodic","transactionInfo":{"transactionId":"t"},"meterValue":[{"timestamp":'
    b'"2026-09-21T14:13:20Z","sampledValue":[{"value":1.50,"signedMeterValue":{"signedMeterData":"T0NNRg==\\/",'
    b'"signingMethod":"ECDSA-secp256r1-SHA256","encodingMethod":"OCMF","publicKey":"\\u0041"}}]}]}]'
)


def goes_up_untouched(told: Story, raw: bytes) -> None:
    told.charger.says(raw)
    assert told.cloud.take() == [raw]
    answer = told.cloud.answers({})
    assert told.charger.take() == [answer]


@EVERY_VERSION
@pytest.mark.parametrize("raw", ODD_CALLS)
def test_a_call_of_the_charger_reaches_the_cloud_byte_for_byte(version, raw):
    told = online(version)
    told.charger.says(raw)
    assert told.cloud.take() == [raw]


@EVERY_VERSION
@pytest.mark.parametrize("raw", ODD_CALLS)
def test_a_call_of_the_cloud_reaches_the_charger_byte_for_byte(version, raw):
    told = online(version)
    told.cloud.says(raw)
    assert told.charger.take() == [raw]


@EVERY_VERSION
def test_answers_travel_byte_for_byte_in_both_directions(version):
    told = online(version)
    told.charger.sends("Heartbeat", id="h")
    answer = b'[3, "h",{ "currentTime":"2026-09-21T14:13:20.000000Z" , "x":1.00}]'
    told.cloud.says(answer)
    assert told.charger.take() == [answer]
    told.cloud.sends("GetLog", id="g")
    answer = b'[3,"g",{"status":"Accepted","filename":"a\\/b"} ]'
    told.charger.says(answer)
    assert told.cloud.take()[-1] == answer


@EVERY_VERSION
def test_error_answers_travel_byte_for_byte_in_both_directions(version):
    told = online(version)
    told.charger.sends("Heartbeat", id="h")
    refusal = b'[4,"h","InternalError","caf\\u00e9",{"a":1.0}]'
    told.cloud.says(refusal)
    assert told.charger.take() == [refusal]
    told.cloud.sends("Reset", id="r")
    refusal = b'[4, "r", "OccurenceConstraintViolation", "", {}]'
    told.charger.says(refusal)
    assert told.cloud.take()[-1] == refusal


@pytest.mark.parametrize(("version", "raw"), [(V16, SIGNED_16), (V201, SIGNED_2X), (V21, SIGNED_2X)])
def test_fault_43_signed_meter_values_reach_the_cloud_byte_for_byte(version, raw):
    goes_up_untouched(online(version), raw)


def test_send_passes_at_once_in_both_directions_while_a_call_is_pending():
    told = online(V21)
    told.charger.sends("Heartbeat")
    told.cloud.sends("GetVariables", {"getVariableData": []})
    told.forget()
    up = b'[6,"s1","NotifyPeriodicEventStream",{"id":1,"pending":0,"basetime":"2026-09-21T14:13Z","data":[]}]'
    down = b'[6, "s2", "VendorPush", {"a":1.0}]'
    told.charger.says(up)
    told.cloud.says(down)
    assert told.cloud.take() == [up]
    assert told.charger.take() == [down]


def test_a_send_while_the_cloud_is_away_is_answered_by_nobody():
    told = online(V21)
    told.cloud.goes_away()
    told.charger.says(b'[6,"s1","NotifyPeriodicEventStream",{"id":1}]')
    assert told.charger.take() == []
    assert told.stored == []


def test_a_result_error_travels_byte_for_byte_in_both_directions():
    told = online(V21)
    told.charger.sends("Heartbeat", id="h")
    told.cloud.answers({"currentTime": 5})
    told.cloud.sends("GetVariables", {"getVariableData": []}, id="g")
    told.charger.answers({"getVariableResult": "x"})
    told.forget()
    up = b'[5,"h","TypeConstraintViolation","not a time",{"a":1.0}]'
    down = b'[5, "g","FormatViolation","",{ }]'
    told.charger.says(up)
    told.cloud.says(down)
    assert told.cloud.take() == [up]
    assert told.charger.take() == [down]


def test_the_cloud_hears_no_result_error_about_an_answer_it_never_gave():
    told = online(V21)
    told.cloud.goes_away()
    told.charger.sends("Heartbeat", id="h")
    told.cloud.comes_back()
    told.cloud.take()
    told.charger.says(b'[5,"h","FormatViolation","",{}]')
    assert told.cloud.take() == []


@pytest.mark.parametrize("version", [V201, V21])
def test_a_signed_call_is_relayed_untouched(version):
    raw = b'[2,"j","TransactionEvent-Signed",{"payload":"e30","protected":"e30","signature":"AA"}]'
    goes_up_untouched(online(version), raw)
