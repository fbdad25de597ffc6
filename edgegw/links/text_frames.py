"""The short lane for the one frame that nearly all traffic is: a whole, final, uncompressed text frame.

Rules of this file:
- `websockets` is the protocol engine. These functions only recognise (or write) the plain case in a
  fraction of the time and give None for everything else, which then goes through the engine.
- The result must equal the engine's for every input; the tests hold the two against each other.

RFC 6455 5.2: byte 0 is FIN + opcode (0x81: final, text), byte 1 is the mask bit + length, then
2 more length bytes when it says 126, then 4 mask bytes from a client.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import urandom

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the compiled part
    from websockets.utils import apply_mask

FINAL_TEXT = 0x81
MASKS_AT_A_TIME = 256  # one call of the kernel for many masks: each is used once
LENGTH_MAX = 0xFFFF  # longer messages are rare and their cost is the copying


def _masks() -> Iterator[bytes]:
    while True:
        pool = urandom(4 * MASKS_AT_A_TIME)
        for at in range(0, len(pool), 4):
            yield pool[at : at + 4]


_fresh_mask = _masks().__next__

_SHORT_PLAIN = [bytes((FINAL_TEXT, length)) for length in range(126)]  # headers


def read_masked(chunk: bytes) -> bytes | None:
    """The text of `chunk` when that is exactly one final text frame of a client."""
    size = len(chunk)
    if size < 6 or chunk[0] != FINAL_TEXT:
        return None
    length = chunk[1] - 0x80
    start = 6
    if length == 126 and size >= 8:
        length = chunk[2] << 8 | chunk[3]
        start = 8
    elif not 0 <= length < 126:
        return None
    if size != start + length:
        return None
    return apply_mask(chunk[start:], chunk[start - 4 : start])


def read_plain(chunk: bytes) -> bytes | None:
    """The text of `chunk` when that is exactly one final text frame of a server."""
    size = len(chunk)
    if size < 2 or chunk[0] != FINAL_TEXT:
        return None
    length = chunk[1]
    start = 2
    if length == 126 and size >= 4:
        length = chunk[2] << 8 | chunk[3]
        start = 4
    elif length >= 126:
        return None
    return chunk[start:] if size == start + length else None


def write_plain(text: bytes) -> bytes:
    """One final text frame as a server sends it."""
    length = len(text)
    if length < 126:
        return _SHORT_PLAIN[length] + text  # nearly every answer
    return _header(length, 0) + text


def write_masked(text: bytes) -> bytes:
    """One final text frame as a client sends it, with a fresh unpredictable mask (RFC 6455 5.3)."""
    mask = _fresh_mask()
    return b"".join((_header(len(text), 0x80), mask, apply_mask(text, mask)))


def _header(length: int, mask_bit: int) -> bytes:
    if length < 126:
        return bytes((FINAL_TEXT, mask_bit | length))
    if length <= LENGTH_MAX:
        return (FINAL_TEXT << 24 | (mask_bit | 126) << 16 | length).to_bytes(4, "big")
    return bytes((FINAL_TEXT, mask_bit | 127)) + length.to_bytes(8, "big")
