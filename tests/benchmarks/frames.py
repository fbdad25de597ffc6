"""WebSocket frames written and read by hand, so that load and echo cost next to nothing.

Rules of this file:
- Only what the benchmark's own peers send: whole text frames, close, ping and pong.
- Shares no code with the gateway except the compiled masking of `websockets`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import struct

from websockets.speedups import apply_mask

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
_MASK = os.urandom(4)  # one for the run: the receiver pays for unmasking just the same
_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3


def _header(opcode: int, length: int, mask_bit: int) -> bytes:
    first = 0x80 | opcode
    if length < 126:
        return bytes((first, mask_bit | length))
    if length < 1 << 16:
        return struct.pack("!BBH", first, mask_bit | 126, length)
    return struct.pack("!BBQ", first, mask_bit | 127, length)


def masked(text: bytes, opcode: int = TEXT) -> bytes:
    """One final frame as a client sends it."""
    return _header(opcode, len(text), 0x80) + _MASK + apply_mask(text, _MASK)


def plain(text: bytes, opcode: int = TEXT) -> bytes:
    """One final frame as a server sends it."""
    return _header(opcode, len(text), 0) + text


def accept_key(key: bytes) -> bytes:
    return base64.b64encode(hashlib.sha1(key + _ACCEPT_GUID).digest())


class Reader:
    """Bytes in, whole frames out. Fragments are not expected: no peer here makes any."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """(opcode, payload) of every frame that is complete now."""
        if self._rest:
            data = self._rest + data
        found: list[tuple[int, bytes]] = []
        at, size = 0, len(data)
        while size - at >= 2:
            length, start = data[at + 1] & 0x7F, at + 2
            if length == 126:
                length, start = int.from_bytes(data[start : start + 2], "big"), start + 2
            elif length == 127:
                length, start = int.from_bytes(data[start : start + 8], "big"), start + 8
            masking = data[at + 1] & 0x80
            end = start + length + (4 if masking else 0)
            if end > size:
                break
            payload = data[start + 4 : end] if masking else data[start:end]
            if masking:
                payload = apply_mask(payload, data[start : start + 4])
            found.append((data[at] & 0x0F, payload))
            at = end
        self._rest = data[at:]
        return found
