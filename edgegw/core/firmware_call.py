"""What stands where in UpdateFirmware and SignedUpdateFirmware of each version. Pure reading."""

from __future__ import annotations

from typing import Any

from edgegw.core.events import Instant
from edgegw.core.file_orders import FirmwareOrder
from edgegw.core.files import FetchFirmware
from edgegw.core.state import ChargerState
from edgegw.wire.frames import Call, parse
from edgegw.wire.timestamps import parse_timestamp
from edgegw.wire.versions import Version

LINK_LIFETIME_S = 7 * 86_400.0  # behind the retrieveDate


def says_nothing(version: Version, action: str) -> bool:
    """Plain 1.6: the answer is {}, statuses have no id, and there is no word for a bad signature."""
    return version is Version.V16 and action == "UpdateFirmware"


def location_of(call: Call) -> str | None:
    inner = _body(call)
    location = inner.get("location") if inner is not None else None
    return location if isinstance(location, str) else None


def path_of(call: Call) -> tuple[str, ...]:
    return ("firmware", "location") if "firmware" in call.payload else ("location",)


def request_id_of(call: Call) -> int | None:
    number = call.payload.get("requestId")
    return number if isinstance(number, int) else None


def _body(call: Call) -> dict[str, Any] | None:
    """Where the address stands: the payload of plain 1.6, `firmware` of the others."""
    inner = call.payload.get("firmware", call.payload)
    return inner if isinstance(inner, dict) else None


def fetch(state: ChargerState, order: FirmwareOrder, now: Instant) -> FetchFirmware:
    """What the file service needs to know of an order."""
    call = parse(order.raw, state.version)
    body = (_body(call) if isinstance(call, Call) else None) or {}
    when = body.get("retrieveDate", body.get("retrieveDateTime"))
    parsed = parse_timestamp(when) if isinstance(when, str) else None
    retrieve_at = max(parsed[0], now.wall) if parsed is not None else now.wall
    certificate, signature = body.get("signingCertificate"), body.get("signature")
    return FetchFirmware(
        order=order.id,
        url=order.location,
        certificate=certificate if isinstance(certificate, str) else "",
        signature=signature if isinstance(signature, str) else "",
        needed_until=retrieve_at + LINK_LIFETIME_S,
        failures=order.failures,
    )
