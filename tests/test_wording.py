"""How people are told counts, lengths of time and sizes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from edgegw import wording
from edgegw.cli import tables
from edgegw.mqtt import phrases
from edgegw.tui import words


@pytest.mark.parametrize(
    ("seconds", "long", "short"),
    [
        (0.4, "0 s", "0s"),
        (119.0, "119 s", "119s"),
        (120.0, "2 min", "2m"),
        (7200.0, "2 h", "2h"),
        (2 * 86_400.0, "2 days", "2d"),
        (40 * 86_400.0, "40 days", "40d"),
    ],
)
def test_a_length_of_time_in_the_unit_that_fits_twice(seconds: float, long: str, short: str):
    assert (wording.span(seconds), wording.short_span(seconds)) == (long, short)


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (None, "unknown"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (3 * 2**20, "3.0 MiB"),
        (2**31, "2.0 GiB"),
    ],
)
def test_a_size(count: float | None, shown: str):
    assert wording.size(count) == shown


def test_one_and_many():
    assert [wording.number(n, "message") for n in (0, 1, 2)] == ["0 messages", "1 message", "2 messages"]


def test_what_is_still_to_come_is_now():
    now = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    assert wording.seconds_since("2026-11-20T10:00:09Z", now) == 0.0
    assert wording.seconds_since("2026-11-20T09:59:00Z", now) == 60.0
    assert tables.age("2026-11-20T09:30:00Z", now) == "30 min"
    assert words.age("2026-11-20T09:30:00Z", "2026-11-20T10:00:00Z") == "30m"


def test_everybody_says_it_in_the_same_words():
    for name in ("number", "span"):
        assert getattr(tables, name) is getattr(phrases, name) is getattr(wording, name)
    assert words.number is wording.number
    assert words.span is wording.short_span
    assert words.size is tables.size is wording.size
