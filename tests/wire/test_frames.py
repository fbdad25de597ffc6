"""OCPP-J framing: what is read, what is refused, and what the peer is told (fault cases 14 to 30)."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from edgegw.wire import frames
from edgegw.wire.frames import Call, CallError, CallResult, CallResultError, FrameRefused, Send, parse
from edgegw.wire.versions import Version

V16, V201, V21 = Version.V16, Version.V201, Version.V21
EVERY = (V16, V201, V21)
NEWER = (V201, V21)


def refusal(raw: bytes, version: Version) -> FrameRefused:
    with pytest.raises(FrameRefused) as caught:
        parse(raw, version)
    return caught.value


def reply(raw: bytes, version: Version) -> list[Any] | None:
    """(type, id, code) of what the peer is answered, or None."""
    answer = refusal(raw, version).reply
    if answer is None:
        return None
    elements = json.loads(answer)
    assert len(elements) == 5
    assert isinstance(elements[3], str)
    assert elements[4] == {}
    return elements[:3]


# --- what is read ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", EVERY)
def test_the_three_frames_of_every_version(version):
    raw = b'[2,"1","Heartbeat",{}]'
    assert parse(raw, version) == Call("1", "Heartbeat", {}, raw)
    raw = b' [3 , "1" , {"a": 1}]\n'
    assert parse(raw, version) == CallResult("1", {"a": 1}, raw)
    raw = b'[4,"1","InternalError","no","x"]'.replace(b'"x"', b'{"x":1}')
    assert parse(raw, version) == CallError("1", "InternalError", "no", {"x": 1}, raw)


def test_the_two_frames_of_2_1():
    raw = b'[5,"1","FormatViolation","",{}]'
    assert parse(raw, V21) == CallResultError("1", "FormatViolation", "", {}, raw)
    raw = b'[6,"1","NotifyPeriodicEventStream",{"id":1}]'
    assert parse(raw, V21) == Send("1", "NotifyPeriodicEventStream", {"id": 1}, raw)


@pytest.mark.parametrize(
    ("raw", "payload"),
    [(b'[2,"1","Heartbeat",null]', {}), (b'[3,"1",null]', {}), (b'[6,"1","A",null]', {})],
)
def test_null_is_an_empty_payload(raw, payload):
    frame = parse(raw, V21)
    assert not isinstance(frame, CallError | CallResultError)
    assert frame.payload == payload
    assert frame.raw == raw


@pytest.mark.parametrize(
    ("tail", "description", "details"),
    [
        (b"", "", {}),
        (b',"why"', "why", {}),
        (b',"why",null', "why", {}),
        (b",null,{}", "", {}),
        (b',{"a":1},[]', "", {}),
    ],
)
def test_sloppy_error_answers_are_answers(tail, description, details):
    raw = b'[4,"1","InternalError"' + tail + b"]"
    assert parse(raw, V16) == CallError("1", "InternalError", description, details, raw)


@pytest.mark.parametrize(
    "action", ["BootNotification", "BootNotification-Signed", "Vendor.Thing_2", "A" * 50]
)
def test_actions_that_are_names(action):
    frame = parse(frames.call("1", action, {}), V201)
    assert isinstance(frame, Call)
    assert frame.action == action


def test_an_id_of_36_characters_counts_characters_not_bytes():
    raw = json.dumps([2, "ü" * 36, "Heartbeat", {}], ensure_ascii=False).encode()
    assert parse(raw, V16).id == "ü" * 36


# --- text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [b'[2,"1","A",{"a":"\xff"}]', b"\xc3", b'["\xed\xa0\x80"]'])
@pytest.mark.parametrize("version", EVERY)
def test_fault_15_bytes_that_are_not_utf_8_end_the_connection(raw, version):
    refused = refusal(raw, version)
    assert (refused.rule, refused.close_code, refused.reply) == ("not_utf8", 1007, None)


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (b"", "not_json"),
        (b"hello", "not_json"),
        (b"\xef\xbb\xbf[]", "not_json"),
        (b"[2,", "not_json"),
        (b"null", "not_a_frame"),
        (b"42", "not_a_frame"),
        (b'"x"', "not_a_frame"),
        (b"{}", "not_a_frame"),
        (b"[]", "not_a_frame"),
        (b"[2]", "not_a_frame"),
        (b'{"2":"1"}', "not_a_frame"),
    ],
)
def test_fault_18_what_is_no_frame_is_answered_on_2x_only(raw, rule):
    assert refusal(raw, V16).rule == rule
    assert refusal(raw, V16).close_code is None
    assert reply(raw, V16) is None
    for version in NEWER:
        assert refusal(raw, version).rule == rule
        assert reply(raw, version) == [4, "-1", "RpcFrameworkError"]


def test_fault_18_trailing_data_after_a_legible_call():
    raw = b'[2,"1","Heartbeat",{}] x'
    assert reply(raw, V16) == [4, "1", "FormationViolation"]
    assert reply(raw, V21) == [4, "1", "FormatViolation"]


@pytest.mark.parametrize(
    "bad", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000, b"01", b"1.", b"'a'"]
)
def test_faults_19_and_20_numbers_that_are_none(bad):
    raw = b'[2,"1","MeterValues",{"value":' + bad + b"}]"
    assert refusal(raw, V16).rule == "not_json"
    assert reply(raw, V16) == [4, "1", "FormationViolation"]
    assert reply(raw, V201) == [4, "1", "FormatViolation"]


@pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000])
def test_fault_19_nesting_without_end(raw):
    assert refusal(raw, V16).rule == "nesting"


@pytest.mark.parametrize(("depth", "is_read"), [(32, True), (33, False), (200, False), (1500, False)])
@pytest.mark.parametrize(("opens", "closes"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_fault_19_nesting_limit(depth, is_read, opens, closes):
    inner = depth - 2  # the frame and the payload are two levels themselves
    raw = b'[2,"1","DataTransfer",{"data":' + opens * inner + b"1" + closes * inner + b"}]"
    if is_read:
        assert parse(raw, V16).raw == raw
    else:
        assert refusal(raw, V16).rule == "nesting"
        assert reply(raw, V16) == [4, "1", "FormationViolation"]


def test_fault_19_width_is_not_depth():
    raw = b'[2,"1","DataTransfer",{"data":[' + b"[],{}," * 5000 + b'"[[[["]}]'
    assert parse(raw, V16).raw == raw


@pytest.mark.parametrize(
    "payload",
    [
        b'{"connectorId":1,"connectorId":2}',
        b'{"connectorId":1,"connectorId":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":[{"b":1 , "c":2 , "b":"x"}]}',
        b'{"a":1,"\\u0061":2}',
        b'{"a\\"":1,"a\\u0022":2}',
        b'{"a":1,"a":2,"b":"\\u0022\\u0022"}',  # as many quotation marks as without the first member
        b'{"\\ud800":1,"\\ud800":2}',
    ],
)
def test_fault_21_a_member_twice(payload):
    raw = b'[2,"1","StatusNotification",' + payload + b"]"
    assert refusal(raw, V16).rule == "duplicate_key"
    assert reply(raw, V16) == [4, "1", "FormationViolation"]
    assert reply(raw, V21) == [4, "1", "FormatViolation"]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":{"b":1},"c":{"b":1}}',
        b'{"a":"\\u0022","b":"\\\\u0022"}',
        b'{"a":"b\\"c","a\\"":1}',
        b'{ "a" : 1.10 }',
    ],
)
def test_fault_21_no_false_alarm(payload):
    raw = b'[2,"1","StatusNotification",' + payload + b"]"
    assert parse(raw, V16).raw == raw


def test_fault_22_half_a_surrogate_pair_is_kept_and_reads_as_a_replacement():
    raw = b'[2,"1","StartTransaction",{"idTag":"A\\uD800\\u0041","x":"\\ud83d\\ude00","y":"\\\\ud800"}]'
    frame = parse(raw, V16)
    assert frame == Call(
        "1", "StartTransaction", {"idTag": "A\ufffdA", "x": "\U0001f600", "y": "\\ud800"}, raw
    )


def test_fault_22_control_characters_are_content():
    raw = b'[2,"1","StartTransaction",{"idTag":"\\u0000\\u001b[2J\\u202e"}]'
    assert parse(raw, V16).raw == raw


def test_numbers_beyond_64_bits_are_read_and_the_bytes_stay():
    raw = b'[2,"1","StatusNotification",{"connectorId":1180591620717411303424}]'
    assert parse(raw, V16) == Call("1", "StatusNotification", {"connectorId": 2.0**70}, raw)


# --- type, id, action, payload --------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [b"0", b"1", b"5", b"6", b"9", b"-1", b'"2"', b"true", b"2.0", b"null", b"[]", b"{}"]
)
def test_fault_23_message_types_that_do_not_exist(kind):
    raw = b"[" + kind + b',"1","Heartbeat",{}]'
    assert refusal(raw, V16).rule == "message_type"
    assert reply(raw, V16) is None
    assert refusal(raw, V201).rule == "message_type"
    assert reply(raw, V201) == [4, "1", "MessageTypeNotSupported"]
    assert reply(b"[" + kind + b",7]", V201) == [4, "-1", "RpcFrameworkError"]


@pytest.mark.parametrize(
    "message_id",
    [b"7", b"null", b"{}", b"[]", b"true", b'""', b'"' + b"x" * 37 + b'"', b'"' + b"x" * 10_000 + b'"'],
)
def test_fault_24_message_ids_that_break_the_rule(message_id):
    raw = b"[2," + message_id + b',"Heartbeat",{}]'
    assert refusal(raw, V16).rule == "message_id"
    assert reply(raw, V16) is None
    assert reply(raw, V21) == [4, "-1", "RpcFrameworkError"]


@pytest.mark.parametrize(
    "action",
    [
        b'"../x"',
        b'"a\\u0000b"',
        b'"a\\nb"',
        b'"a b"',
        b'"\\\\x"',
        b'""',
        b'"\\u00e9"',
        b'"' + b"A" * 51 + b'"',
        b'"\\ud800"',
        b'["a"]',
        b"7",
        b"null",
        b"{}",
    ],
)
def test_fault_28_actions_that_are_no_names(action):
    raw = b'[2,"1",' + action + b",{}]"
    for version in EVERY:
        assert refusal(raw, version).rule == "action"
        assert reply(raw, version) == [4, "1", "NotImplemented"]


@pytest.mark.parametrize(
    "rest", [b"", b',"A"', b',"A",{},1', b',"A",[]', b',"A","x"', b',"A",false', b',"A",0']
)
def test_a_call_with_a_broken_rest(rest):
    raw = b'[2,"1"' + rest + b"]"
    assert refusal(raw, V16).rule in ("arity", "payload")
    assert reply(raw, V16) == [4, "1", "FormationViolation"]
    assert reply(raw, V201) == [4, "1", "FormatViolation"]


BROKEN_ANSWERS = [
    b'[3,"1"]',
    b'[3,"1",[]]',
    b'[3,"1",{},{}]',
    b"[3,7,{}]",
    b'[3,"' + b"x" * 37 + b'",{}]',
    b'[3,"1",{"a":1,"a":2}]',
    b'[3,"1",{"a":NaN}]',
    b"[3]",
    b'[3,"1"',
    b'[4,"1"]',
    b'[4,"1",7]',
    b'[4,"1","A","b",{},0]',
    b'[4,"",""]',
]
BROKEN_IN_2_1 = [
    b'[5,"1"]',
    b'[5,7,"A","",{}]',
    b'[6,"1","A"]',
    b'[6,"1","../A",{}]',
    b'[6,7,"A",{}]',
    b'[6,"1","A",[]]',
]


@pytest.mark.parametrize("version", EVERY)
@pytest.mark.parametrize("raw", BROKEN_ANSWERS)
def test_an_answer_is_never_answered(raw, version):
    assert reply(raw, version) is None


@pytest.mark.parametrize("raw", BROKEN_IN_2_1)
def test_neither_a_result_error_nor_a_send_is_ever_answered(raw):
    assert reply(raw, V21) is None


def test_a_refusal_repeats_nothing_the_peer_wrote():
    for raw in (b'[2,"1","SECRET/x",{}]', b'[2,"1","A","SECRET"]', b'[2,"SECRET' + b"x" * 40 + b'","A",{}]'):
        refused = refusal(raw, V21)
        assert refused.reply is not None
        assert b"SECRET" not in refused.reply
        assert "SECRET" not in str(refused)


# --- writing --------------------------------------------------------------------------------------


def test_what_is_written_is_read():
    assert parse(frames.call("1", "Reset", {"type": "Soft"}), V16) == Call(
        "1", "Reset", {"type": "Soft"}, b'[2,"1","Reset",{"type":"Soft"}]'
    )
    assert frames.result("1", {}) == b'[3,"1",{}]'
    assert frames.error("1", "NotSupported") == b'[4,"1","NotSupported","",{}]'
    assert (
        frames.result_error("1", "FormatViolation", "x", {"a": 1}) == b'[5,"1","FormatViolation","x",{"a":1}]'
    )
    assert frames.send("1", "A", {"a": None}) == b'[6,"1","A",{"a":null}]'


def test_a_description_is_cut_to_255_characters():
    assert len(json.loads(frames.error("1", "GenericError", "ü" * 300))[3]) == 255


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, "\ud800", 2**64])
def test_fault_20_what_json_cannot_say_is_not_written(bad):
    for payload in ({"limit": bad}, {"a": [None, {"b": (1, bad)}]}):
        with pytest.raises(ValueError, match="cannot be written as JSON"):
            frames.call("1", "SetChargingProfile", payload)
