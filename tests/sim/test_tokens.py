"""The differ forgives two tokens and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.sim.tokens import NotJson, difference, tokens

STOP = '[2, "7", "StopTransaction", {"transactionId": 1073741825, "meterStop": 1200, "x": "\\u00E4\\/"}]'
EVENT = '[2,"7","TransactionEvent",{"eventType":"Ended","seqNo":2,"transactionInfo":{"transactionId":"a"}}]'


def stop(sent: str, received: str, version: str = "ocpp1.6", action: str = "StopTransaction") -> str | None:
    return difference(sent, received, version=version, action=action)


def event(sent: str, received: str, version: str = "ocpp2.0.1") -> str | None:
    return difference(sent, received, version=version, action="TransactionEvent")


def test_equal_texts_do_not_differ():
    assert stop(STOP, STOP) is None


def test_a_16_transaction_id_may_change():
    assert stop(STOP, STOP.replace("1073741825", "17")) is None
    assert stop(STOP, STOP.replace("1073741825", "-1")) is None


@pytest.mark.parametrize(
    "change",
    [
        ("1200", "1201"),
        ("1200", "1200.0"),
        ("1073741825", '"17"'),
        ("1073741825", "17.0"),
        ('"transactionId": ', '"transactionId":'),
        ("\\u00E4", "\\u00e4"),
        ("\\u00E4", "ä"),
        ("\\/", "/"),
        ('"7"', '"8"'),
        (', "meterStop": 1200', ""),
        ("StopTransaction", "StopTransactiom"),
        ("}]", ', "transactionId": 3}]'),
    ],
)
def test_any_other_change_is_found(change: tuple[str, str]):
    assert stop(STOP, STOP.replace(*change)) is not None
    assert stop(STOP, STOP.replace(*change).replace("1073741825", "17", 1)) is not None


def test_the_words_say_where():
    assert "meterStop" in str(stop(STOP, STOP.replace("1200", "1300")))


def test_a_transaction_id_may_change_only_where_a_gateway_maps_it():
    start = STOP.replace("StopTransaction", "StartTransaction")
    assert stop(start, start.replace("1073741825", "17"), action="StartTransaction") is not None
    assert stop(STOP, STOP.replace("1073741825", "17"), version="ocpp2.1") is not None
    nested = '[2,"7","StopTransaction",{"transactionId":1,"data":{"transactionId":1}}]'
    assert stop(nested, nested.replace('{"transactionId":1}', '{"transactionId":2}')) is not None


@pytest.mark.parametrize(
    "received",
    [
        EVENT.replace('{"eventType"', '{"offline":true,"eventType"'),
        EVENT.replace('{"eventType"', '{"offline": true, "eventType"'),
        EVENT.replace("}}]", '},"offline":true}]'),
        EVENT.replace('"seqNo":2', '"seqNo":2,"offline":true'),
    ],
)
def test_offline_may_be_put_in(received: str):
    assert received != EVENT
    assert event(EVENT, received) is None
    assert event(EVENT, received, "ocpp2.1") is None
    assert event(EVENT, received, "ocpp1.6") is not None
    assert event(EVENT, received.replace("true", "false")) is not None
    assert event(EVENT, received.replace('"seqNo":2', '"seqNo":3')) is not None
    assert event(received, EVENT) is not None


def test_offline_false_may_become_true_and_nothing_else():
    said = EVENT.replace('"seqNo":2', '"offline":false,"seqNo":2')
    assert event(said, said.replace("false", "true")) is None
    assert event(said, EVENT) is not None
    assert event(said.replace("false", "true"), said) is not None


def test_offline_inside_another_object_is_no_exception():
    assert event(EVENT, EVENT.replace('{"transactionId"', '{"offline":true,"transactionId"')) is not None


def test_what_is_no_json_is_said_so():
    assert stop(STOP, "[2, oops]") == "no JSON token at offset 4: 'oops]'"
    with pytest.raises(NotJson):
        list(tokens("'"))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values, st.sampled_from([None, 1]), st.booleans())
def test_tokens_are_the_whole_text(value: object, indent: int | None, ascii_only: bool):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert "".join(token.text for token in tokens(text)) == text


@given(st.lists(st.integers(0, 9) | st.dictionaries(st.text("ab", min_size=1), st.integers(0, 9))))
def test_a_path_leads_to_its_value(value: list[object]):
    text = json.dumps(value)
    for token in tokens(text):
        if token.kind == "number":
            found: object = value
            for step in token.path:
                found = found[step]  # type: ignore[index]
            assert found == int(token.text)
