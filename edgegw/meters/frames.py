"""What a Modbus answer must look like, before anything believes it. Pure: bytes in, words for people out.

Rules of this file:
- Modbus TCP is judged strictly, byte by byte: its transaction id says whose answer it is, so whatever else
  does not fit is a fault of the device, not of the timing.
- An answer to an older transaction is no fault: it came late, and is skipped. One with transaction 0, which
  is never asked with, is: it could be anybody's.
"""

from __future__ import annotations

import msgspec

MBAP_BYTES = 7  # transaction, protocol, length, unit (Modbus Messaging on TCP/IP 1.0b, 3.1.3)
EXCEPTION_BIT = 0x80
READ_HOLDING, READ_INPUT = 3, 4

# Modbus application protocol 1.1b3, section 7, in a technician's words
EXCEPTIONS = {
    1: "it does not know this function",
    2: "it has no such register, or not that many in one read",
    3: "it does not take this register count",
    4: "it has an internal failure",
    5: "it needs longer and has no answer yet",
    6: "it is busy",
    8: "its memory failed a check",
    10: "the gateway has no path to it",
    11: "the gateway got no answer from it",
}


class Request(msgspec.Struct, frozen=True):
    """One read: which unit, which registers."""

    unit: int
    function: int
    address: int
    count: int

    def __str__(self) -> str:
        kind = "input" if self.function == READ_INPUT else "holding"
        return f"unit {self.unit}, {kind} register {self.address}, {self.count} of them"


def exception_text(code: int) -> str:
    return f"exception {code}: {EXCEPTIONS.get(code, 'of its own making')}"


def tcp_fault(data: bytes, transaction: int, request: Request) -> str | None:
    """What is wrong with the newest answer in `data`; None: nothing so far, or not complete."""
    while len(data) >= MBAP_BYTES + 1:
        if data[2:4] != b"\0\0":
            return f"protocol id {int.from_bytes(data[2:4], 'big')} is not Modbus"
        size = 6 + int.from_bytes(data[4:6], "big")
        answered = int.from_bytes(data[0:2], "big")
        if answered == 0:
            return "an answer without a transaction id"
        if answered == transaction:
            return _answer_fault(data, size, request)
        if len(data) < size:
            return None
        data = data[size:]
    return None


def _answer_fault(data: bytes, size: int, request: Request) -> str | None:
    unit, function = data[6], data[7]
    if unit != request.unit:
        return f"unit {unit} answered in place of unit {request.unit}"
    if function == request.function | EXCEPTION_BIT:
        return None if size == MBAP_BYTES + 2 else f"an exception of {size} bytes"
    if function != request.function:
        return f"function {function} was answered, asked was {request.function}"
    if len(data) <= MBAP_BYTES + 1:
        return None
    wanted = 2 * request.count
    if data[8] != wanted or size != MBAP_BYTES + 2 + wanted:
        said = f"{data[8]} bytes announced in a frame with room for {size - MBAP_BYTES - 2}"
        return f"{said}, asked were {wanted}"
    return None


def without_noise(data: bytes, request: Request) -> bytes:
    """RTU bytes from where an answer to `request` may begin: a transceiver that turns round without bias
    resistors puts a byte or two before it. The check sum at the end decides."""
    heads = [bytes((request.unit, code)) for code in (request.function, request.function | EXCEPTION_BIT)]
    if data[:2] in heads:
        return data
    starts = [at for head in heads if (at := data.find(head)) > 0]
    return data[min(starts) :] if starts else data
