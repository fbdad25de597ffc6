"""Durations and sizes: what is read, what is refused and in which words, and the way back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20 s", 20.0),
        ("20s", 20.0),
        ("500 ms", 0.5),
        ("0.1 min", 6.0),
        ("5 min", 300.0),
        ("2 h", 7200.0),
        ("1 day", 86_400.0),
        ("14 days", 1_209_600.0),
        ("0 s", 0.0),
    ],
)
def test_a_duration_is_read(text: str, seconds: float):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("20", "a unit is missing"),
        ("", "write a duration such as"),
        ("-5 s", "write a duration such as"),
        ("1e3 s", "write a duration such as"),
        ("5 minutes", 'unknown unit "minutes"; known are ms, s, min, h, day, days'),
        ("5 S", 'unknown unit "S"'),
        ("5  s", "write a duration such as"),
        ("5 s\n", "write a duration such as"),
        ("\u0665 s", "write a duration such as"),
        ("9999999999999999 s", "write a duration such as"),
    ],
)
def test_a_wrong_duration_is_refused_in_words(text: str, words: str):
    with pytest.raises(ValueError, match="^" + words.replace("?", r"\?")):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("512 MiB", 512 * 1024 * 1024),
        ("4 KiB", 4096),
        ("10 MB", 10_000_000),
        ("1.5 KiB", 1536),
        ("100 B", 100),
        ("1 GiB", 1024**3),
    ],
)
def test_a_size_is_read(text: str, count: int):
    assert parse_size(text) == count
    assert isinstance(parse_size(text), int)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("512", "a unit is missing"),
        ("4 kib", 'unknown unit "kib"'),
        ("0.5 B", "not a whole number of bytes"),
        ("4 Mib", 'unknown unit "Mib"'),
    ],
)
def test_a_wrong_size_is_refused_in_words(text: str, words: str):
    with pytest.raises(ValueError, match=words):
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (0.25, "250 ms"), (90.0, "90 s"), (300.0, "5 min"), (86_400.0, "1 day"), (1.5, "1.5 s")],
)
def test_a_duration_is_written_in_one_unit(seconds: float, text: str):
    assert format_duration(seconds) == text


@given(st.integers(0, 10**12))
def test_a_written_duration_reads_back(milliseconds: int):
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 999_999_999) | st.integers(0, 900_000).map(lambda count: count * 1024))
def test_a_written_size_reads_back(count: int):
    assert parse_size(format_size(count)) == count
