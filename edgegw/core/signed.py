"""Signed messages of OCPP 2.x (Part 4, chapter 7): read like the message inside, forwarded as they came.

The receiver takes the normal message out of the JWS and processes it; only a charging station has to sign
its replies. Nothing here checks a signature, and nothing ever changes a byte of a signed message.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import Any

import orjson

from edgegw.wire.frames import Call
from edgegw.wire.versions import Version

SUFFIX = "-Signed"


def plain(version: Version, call: Call) -> Call:
    """The message inside, with the bytes of the signed one; `call` itself when it is not signed.

    A JWS that cannot be read is read as an empty payload: it is kept, and the cloud may know better.
    """
    if not version.is_2x or not call.action.endswith(SUFFIX):
        return call
    return Call(call.id, call.action.removesuffix(SUFFIX), _inside(call.payload.get("payload")), call.raw)


def _inside(payload: object) -> dict[str, Any]:
    if not isinstance(payload, str):
        return {}
    try:
        value = orjson.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
