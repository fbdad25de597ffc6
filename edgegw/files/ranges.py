"""Which bytes of a file a GET asks for: RFC 9110 section 14, as little of it as chargers need.

Rules of this file:
- One range or the whole file. Several ranges, or a header that is not well formed, are ignored, as
  RFC 9110 14.2 allows: a list of a thousand overlapping ranges costs no more than a plain GET (fault 79).
- One range that begins behind the end is an error of its own (416): a charger that resumes a complete file
  must learn that it has everything.
- A resumed download is only joined to what the charger has when it is the same file: If-Range is compared
  exactly.
"""

from __future__ import annotations

import re

import msgspec

HEADER_CHARACTERS_MAX = 64  # "bytes=" and two numbers of 20 digits
_ONE_RANGE = re.compile(r"bytes=\s*(\d{0,19})\s*-\s*(\d{0,19})\s*", re.ASCII | re.IGNORECASE)


class Span(msgspec.Struct, frozen=True):
    """Bytes `start` up to `stop` (not included). `partial`: answer 206."""

    start: int
    stop: int
    partial: bool

    @property
    def size_bytes(self) -> int:
        return self.stop - self.start


def span_of(header: str, size_bytes: int) -> Span | None:
    """The bytes that a Range header asks for; None when there are none such (416)."""
    whole = Span(0, size_bytes, False)
    if not header or len(header) > HEADER_CHARACTERS_MAX:
        return whole
    found = _ONE_RANGE.fullmatch(header.strip())
    if found is None or found.groups() == ("", ""):
        return whole
    first, last = found.groups()
    if not first:
        return _suffix(int(last), size_bytes)
    start, stop = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
    if last and int(last) < start:
        return whole  # not a range at all
    return Span(start, stop, True) if start < size_bytes else None


def _suffix(length: int, size_bytes: int) -> Span | None:
    """The last `length` bytes."""
    if length == 0 or size_bytes == 0:
        return None
    return Span(max(0, size_bytes - length), size_bytes, True)


def may_join(if_range: str, etag: str, last_modified: str) -> bool:
    """Whether a Range may be honoured beside this If-Range. A weak tag never matches (RFC 9110 13.1.5)."""
    return if_range.strip() in ("", etag, last_modified)
