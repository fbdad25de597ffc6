"""One message for the broker, one from it, and the whole state as messages by topic."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """`body` is what is compared to see whether a state is new; `payload` is what goes to the broker."""

    topic: str
    body: bytes  # JSON without `ts`; or a bare scalar; b"" removes a retained topic
    retain: bool = True
    qos: int = 0
    expiry_s: int | None = None  # MQTT 5 message expiry; a state is sent again when half of it is over
    correlation: bytes | None = None  # MQTT 5 correlation data of the request this answers
    stamped: bool = True  # False: a bare scalar (status, availability, v/...), sent as it is

    def payload(self, ts: str) -> bytes:
        """`ts`: RFC 3339, UTC."""
        if not self.stamped or not self.body:
            return self.body
        return (
            b'{"ts":"%b",%b' % (ts.encode(), self.body[1:])
            if self.body != b"{}"
            else b'{"ts":"%b"}' % ts.encode()
        )


class Incoming(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message from the broker. The last two are of MQTT 5."""

    topic: str
    payload: bytes
    retain: bool
    response_topic: str | None = None
    correlation: bytes | None = None


State = Mapping[str, Message]  # by topic
