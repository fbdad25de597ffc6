"""Laws of the text layer, tried on JSON spelt in every legal way: white space, escapes, number forms."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.wire import frames, json_text, tokens
from edgegw.wire.versions import Version

# A text with few distinct characters meets quotation marks, backslashes and equal names often.
TEXTS = st.text(alphabet='ab"\\/\x00\nü\u2028😀:{}[],', max_size=4)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
)


class Members(list[tuple[str, Any]]):
    """An object as the sequence of its members, in which a name may come twice."""


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.lists(st.tuples(TEXTS, inner), max_size=4).map(Members),
    max_leaves=12,
)
OBJECTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)
PAYLOADS = st.dictionaries(TEXTS, OBJECTS, max_size=4)
RANDOMS = st.randoms(use_true_random=False)


def spell(value: Any, chance: random.Random) -> str:
    """One of the many texts that stand for `value`."""
    space = chance.choice(["", "", " ", "\n\t", "\r "])
    if isinstance(value, Members):
        members = (f"{spell(n, chance)}{space}:{spell(v, chance)}" for n, v in value)
        text = "{" + space + ",".join(members) + "}"
    elif isinstance(value, dict):
        return spell(Members(value.items()), chance)
    elif isinstance(value, list):
        text = "[" + ",".join(spell(item, chance) for item in value) + space + "]"
    elif isinstance(value, str):
        text = '"' + "".join(spell_character(character, chance) for character in value) + '"'
    else:
        text = json.dumps(value)
    return space + text + space


def spell_character(character: str, chance: random.Random) -> str:
    escaped = json.dumps(character)[1:-1]  # as short as it gets: a pair of \\u for what is beyond 16 bits
    plain = json.dumps(character, ensure_ascii=False)[1:-1]
    unicode = f"\\u{ord(character):04x}" if ord(character) < 0x10000 else escaped
    return chance.choice(
        [
            plain,
            plain,
            escaped,
            unicode,
            unicode.upper().replace("\\U", "\\u"),
            "\\/" if character == "/" else plain,
        ]
    )


def has_name_twice(value: Any) -> bool:
    if isinstance(value, Members):
        names = [name for name, _ in value]
        return len(set(names)) != len(names) or any(has_name_twice(inner) for _, inner in value)
    return isinstance(value, list) and any(map(has_name_twice, value))


def plain(value: Any) -> Any:
    if isinstance(value, Members):
        return {name: plain(inner) for name, inner in value}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


@given(VALUES, RANDOMS)
def test_fault_21_a_name_twice_is_found_however_it_is_spelt(value, chance):
    raw = spell(value, chance).encode()
    if has_name_twice(value):
        with pytest.raises(json_text.JsonRefused, match="duplicate_key"):
            json_text.read(raw)
    else:
        assert json_text.read(raw) == plain(value)


def frame_text(payload: Any, chance: random.Random) -> bytes:
    return spell(
        chance.choice([[2, "id", "Action", payload], [3, "id", payload], [4, "i", "c", "d", payload]]), chance
    ).encode()


def paths(value: Any) -> list[tuple[str | int, ...]]:
    """Every path into `value`, the empty one too."""
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [(), *((step, *rest) for step, inner in children for rest in paths(inner))]


def edited(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = edited(value[path[0]], path[1:], new)
    return copy


@given(PAYLOADS, OBJECTS, RANDOMS)
def test_editing_the_text_is_editing_the_object(payload, new, chance):
    raw = frame_text(payload, chance)
    path = chance.choice(paths(payload))
    token = json.dumps(new).encode()
    start, end = tokens.value_span(raw, path)
    result = tokens.with_value(raw, path, token)
    assert json.loads(result)[-1] == edited(payload, path, new)
    assert result == raw[:start] + token + raw[end:]
    old = payload
    for step in path:
        old = old[step]
    assert json.loads(raw[start:end]) == old


@given(PAYLOADS, TEXTS, OBJECTS, RANDOMS)
def test_a_member_is_replaced_or_put_first(payload, name, new, chance):
    raw = frame_text(payload, chance)
    token = json.dumps(new).encode()
    result = tokens.with_member(raw, name, token)
    assert json.loads(result)[-1] == payload | {name: new}
    if name not in payload:
        at = tokens.value_span(raw, ())[0] + 1
        added = len(result) - len(raw)
        assert result[:at] + result[at + added :] == raw


@given(PAYLOADS, TEXTS, RANDOMS)
def test_another_message_id(payload, new_id, chance):
    raw = frame_text(payload, chance)
    result = json.loads(tokens.with_message_id(raw, new_id))
    assert result == [json.loads(raw)[0], new_id, *json.loads(raw)[2:]]


@given(VALUES, RANDOMS, st.sampled_from(Version), st.data())
def test_mutated_frames_are_read_or_refused_and_nothing_else(value, chance, version, data):
    raw = bytearray(spell([chance.randint(1, 7), "id", "Action", value], chance).encode())
    for _ in range(data.draw(st.integers(0, 4))):
        at = chance.randrange(len(raw) + 1)
        piece = chance.choice(
            [b"", b'"', b"\\", b"\\ud800", b"[", b"}", b",", b"1e999", b"\xff", b"null", b"true"]
        )
        raw[at : at + chance.randint(0, 3)] = piece
    read_or_refuse(bytes(raw), version)


@given(
    st.binary(max_size=40) | st.text(alphabet='[]{}",:\\u0d8 12346tn', max_size=40).map(str.encode),
    st.sampled_from(Version),
)
def test_noise_is_read_or_refused_and_nothing_else(raw, version):
    read_or_refuse(raw, version)


def read_or_refuse(raw: bytes, version: Version) -> None:
    try:
        frame = frames.parse(raw, version)
    except frames.FrameRefused as refused:
        check_reply(refused.reply, version)
        return
    assert frame.raw is raw
    assert 0 < len(frame.id) <= 36
    frame.id.encode()
    if isinstance(frame, frames.Call | frames.CallResult | frames.Send):
        json.dumps(frame.payload, ensure_ascii=False, allow_nan=False).encode()


def check_reply(reply: bytes | None, version: Version) -> None:
    if reply is not None:
        assert isinstance(frames.parse(reply, version), frames.CallError)
