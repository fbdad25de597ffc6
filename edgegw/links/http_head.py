"""The head of an HTTP request or response, collected byte by byte within limits.

Rules of this file:
- `websockets` parses the head; this file decides how much of it a stranger may make us keep, and
  recognises what is not HTTP/1.1 at all from its first bytes (faults 5, 10, 13).
- What follows the head stays in `rest`, untouched.
"""

from __future__ import annotations

LINE_BYTES_MAX = 4096  # a target is a path and an identity of at most 48 characters
HEAD_BYTES_MAX = 16 * 1024
REST_BYTES_MAX = 64 * 1024  # frames sent before the handshake was answered
HTTP2_PREFACE = b"PRI * HTTP/2"
TLS_HANDSHAKE = b"\x16\x03"


class HeadRefused(Exception):
    """The bytes cannot become a head. `status` is what to answer; None: close without an answer."""

    def __init__(self, reason: str, status: int | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class HeadCollector:
    """Feed it bytes until `complete`; then `head` ends with the empty line and `rest` follows it."""

    __slots__ = ("_buffer", "complete", "head", "rest")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.complete = False
        self.head = b""
        self.rest = bytearray()

    def feed(self, data: bytes) -> None:
        """Take more bytes. Raises HeadRefused as soon as they can no longer become a head."""
        if self.complete:
            self.rest += data
            return
        searched = max(0, len(self._buffer) - 3)
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n", searched)
        self._check(len(self._buffer) if end < 0 else end + 4)
        if end >= 0:
            self.complete = True
            self.head = bytes(self._buffer[: end + 4])
            self.rest = self._buffer[end + 4 :]
            self._buffer = bytearray()

    def drop(self) -> None:
        """Nothing of it is wanted any more."""
        self._buffer, self.rest, self.head = bytearray(), bytearray(), b""

    def _check(self, size: int) -> None:
        buffer = self._buffer
        if buffer.startswith(TLS_HANDSHAKE):
            raise HeadRefused("TLS on the port without TLS", None)
        if buffer.startswith(HTTP2_PREFACE):
            raise HeadRefused("HTTP/2, which carries no OCPP", 400)
        line = buffer.find(b"\r\n", 0, size)
        if (size if line < 0 else line) > LINE_BYTES_MAX:
            raise HeadRefused(f"request line longer than {LINE_BYTES_MAX} bytes", 414)
        if size > HEAD_BYTES_MAX:
            raise HeadRefused(f"headers longer than {HEAD_BYTES_MAX} bytes", 431)
        if b"\x00" in buffer[:size]:
            raise HeadRefused("binary data instead of HTTP", 400)
