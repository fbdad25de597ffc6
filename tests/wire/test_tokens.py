"""One token of a frame is edited; the rest stays the bytes it was."""

from __future__ import annotations

import pytest

from edgegw.wire import tokens

START = (
    b'[ 2, "19", "StartTransaction",\n\t{ "connectorId" : 1 , "meterStart":1.10e1,'
    b' "nested": {"transactionId":-1,"l":[1, {"x":"]}\\""}]} } ]'
)


def test_the_message_id():
    assert tokens.with_message_id(START, "new") == START.replace(b'"19"', b'"new"')
    assert tokens.with_message_id(b'[3,"a\\"b",{}]', "x") == b'[3,"x",{}]'


@pytest.mark.parametrize(
    ("path", "old"),
    [
        (("connectorId",), b"1"),
        (("meterStart",), b"1.10e1"),
        (("nested", "transactionId"), b"-1"),
        (("nested", "l"), b'[1, {"x":"]}\\""}]'),
        (("nested", "l", 1, "x"), b'"]}\\""'),
    ],
)
def test_a_value(path, old):
    start, end = tokens.value_span(START, path)
    assert START[start:end] == old
    assert tokens.with_value(START, path, b"true") == START[:start] + b"true" + START[end:]


@pytest.mark.parametrize(
    "path",
    [("nope",), ("nested", "nope"), ("connectorId", "x"), ("nested", "l", 2), (0,), ("nested", "l", -1)],
)
def test_a_value_that_is_not_there(path):
    with pytest.raises(KeyError):
        tokens.with_value(START, path, b"1")


@pytest.mark.parametrize(
    ("raw", "payload"),
    [
        (b'[2,"1","A",{"p":1}]', b'{"p":1}'),
        (b'[3,"1",{"p":1}]', b'{"p":1}'),
        (b'[4,"1","C","d",{"p":1}]', b'{"p":1}'),
        (b'[5,"1","C","d",{"p":1}]', b'{"p":1}'),
        (b'[6,"1","A",{"p":1}]', b'{"p":1}'),
    ],
)
def test_the_payload_of_each_type(raw, payload):
    start, end = tokens.value_span(raw, ())
    assert raw[start:end] == payload


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'[2,"1","T",{"offline":false,"a":1}]', b'[2,"1","T",{"offline":true,"a":1}]'),
        (b'[2,"1","T",{"a":1}]', b'[2,"1","T",{"offline":true,"a":1}]'),
        (b'[2,"1","T",{ }]', b'[2,"1","T",{"offline":true }]'),
        (b'[2,"1","T",{}]', b'[2,"1","T",{"offline":true}]'),
        (b'[2,"1","T", null ]', b'[2,"1","T", {"offline":true} ]'),
        (b'[2,"1","T",{"a":{"offline":0}}]', b'[2,"1","T",{"offline":true,"a":{"offline":0}}]'),
        (b'[2,"1","T",{"\\u006fffline":0}]', b'[2,"1","T",{"\\u006fffline":true}]'),
        (b'[2,"1","T",{"\\ud800":0}]', b'[2,"1","T",{"offline":true,"\\ud800":0}]'),
    ],
)
def test_a_member_replaced_or_inserted(before, after):
    assert tokens.with_member(before, "offline", b"true") == after


@pytest.mark.parametrize("token", [b"", b"1 2", b"NaN", b'"', b"1,", b"}"])
def test_a_token_that_would_break_the_frame(token):
    for edit in (
        lambda: tokens.with_value(START, ("connectorId",), token),
        lambda: tokens.with_member(START, "new", token),
    ):
        with pytest.raises(ValueError, match=r".+"):
            edit()


@pytest.mark.parametrize("cut", range(len(START)))
def test_text_that_is_no_frame_is_refused_not_searched_for_ever(cut):
    with pytest.raises((ValueError, KeyError)):
        tokens.value_span(START[:cut], ("nope",))


def test_long_messages_take_linear_time():
    raw = b'[2,"1","A",{"s":"' + b'\\"' * 500_000 + b'","l":[' + b"[]," * 100_000 + b'0],"last":1}]'
    assert tokens.with_value(raw, ("last",), b"2") == raw[:-3] + b"2}]"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'[2,"1","R",{"p":{"a":[1,{"p":2}]},"t":1.10}]', b'[2,"1","R",{"t":1.10}]'),
        (b'[2,"1","R", { "t" : 1.10 , "p" : {"a":"}"} } ]', b'[2,"1","R", { "t" : 1.10 } ]'),
        (b'[2,"1","R",{"a":1, "p" : null ,\n "t":2e0}]', b'[2,"1","R",{"a":1, "t":2e0}]'),
        (b'[2,"1","R",{ "p":{} }]', b'[2,"1","R",{  }]'),
        (b'[2,"1","R",{"\\u0070":{},"t":"\\ud800"}]', b'[2,"1","R",{"t":"\\ud800"}]'),
    ],
)
def test_a_member_cut_out(before, after):
    assert tokens.without_member(before, ("p",)) == after


def test_a_member_cut_out_of_an_object_inside():
    before = b'[2,"1","R",{"in":[0,{"a":1,"p":2}],"p":3}]'
    assert tokens.without_member(before, ("in", 1, "p")) == b'[2,"1","R",{"in":[0,{"a":1}],"p":3}]'


@pytest.mark.parametrize("path", [("nope",), ("nested", "nope"), ("connectorId", "x"), ("nested", "l", "x")])
def test_a_member_that_is_not_there_is_not_cut_out(path):
    with pytest.raises(KeyError):
        tokens.without_member(START, path)
