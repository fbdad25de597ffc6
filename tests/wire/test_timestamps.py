"""Times as chargers write them (fault 34) and as edgegw does."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.wire.timestamps import format_timestamp, parse_timestamp

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-20T12:00:00Z", NOON),
        ("2026-11-20t12:00:00z", NOON),
        ("2026-11-20 12:00:00Z", NOON),
        ("2026-11-20T12:00Z", NOON),
        ("2026-11-20T12:00:00.25Z", NOON + 0.25),
        ("2026-11-20T12:00:00,250Z", NOON + 0.25),
        ("2026-11-20T12:00:00.123456789Z", NOON + 0.123456789),
        ("2026-11-20T14:00:00+02:00", NOON),
        ("2026-11-20T14:00:00+0200", NOON),
        ("2026-11-20T14:00:00 +02", NOON),
        ("2026-11-20T06:30:00-05:30", NOON),
        ("2026-11-21T01:45:00+13:45", NOON),
        ("2026-11-20T12:00:00-00:00", NOON),
    ],
)
def test_forms_of_the_field(text, seconds):
    moment = parse_timestamp(text)
    assert moment is not None
    assert moment[0] == pytest.approx(seconds, abs=1e-6)
    assert moment[1] == ()


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("2026-11-20T12:00:00", ("no_zone", "clock_suspect")),
        ("1970-01-01T00:00:05Z", ("clock_suspect",)),
        ("2009-12-31T23:59:59Z", ("clock_suspect",)),
        ("2010-01-01T00:00:00Z", ()),
        ("2106-02-07T06:28:15Z", ("clock_suspect",)),
        ("2026-12-31T23:59:60Z", ("clock_suspect",)),
        ("2026-11-21T02:00:00+14:00", ("clock_suspect",)),
    ],
)
def test_fault_34_doubt_is_flagged(text, flags):
    moment = parse_timestamp(text)
    assert moment is not None
    assert moment[1] == flags


def test_fault_34_a_60th_second_is_the_next_one():
    leap, after = parse_timestamp("2026-12-31T23:59:60Z"), parse_timestamp("2027-01-01T00:00:00Z")
    assert leap is not None
    assert after is not None
    assert leap[0] == after[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "yesterday",
        "2026-11-20",
        "12:00:00Z",
        "222222017-10-27T19:10:11Z",
        "0000-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T12:60:00Z",
        "2026-11-20T12:00:61Z",
        "2026-11-20T12:00:00+25:00",
        "2026-11-20T12:00:00+02:60",
        "2026-11-20T12:00:00Zx",
        "2026-11-20T12:00:00Z\n",
        "\u0662\u0660\u0662\u0666-11-20T12:00:00Z",
        "2026-11-20T12:00:00." + "1" * 100 + "Z",
    ],
)
def test_fault_34_what_is_no_time(text):
    assert parse_timestamp(text) is None


def test_writing():
    assert format_timestamp(NOON + 0.25) == "2026-11-20T12:00:00.250Z"
    assert format_timestamp(NOON + 0.9996) == "2026-11-20T12:00:01.000Z"
    assert format_timestamp(0) == "1970-01-01T00:00:00.000Z"


@given(st.integers(-62_000_000_000_000, 250_000_000_000_000))
def test_what_is_written_is_read(milliseconds):
    text = format_timestamp(milliseconds / 1000)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    moment = parse_timestamp(text)
    assert moment is not None
    assert moment[0] == pytest.approx(milliseconds / 1000, abs=1e-3)


@given(st.text(alphabet="0123456789-:TZ+., ", max_size=30))
def test_any_text_is_a_time_or_none(text):
    parse_timestamp(text)
