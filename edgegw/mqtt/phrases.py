"""What the words of all topics share: where a payload belongs, and numbers as people say them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

import msgspec

from edgegw.mqtt import payloads
from edgegw.wording import number as number
from edgegw.wording import span as span

SOON_S = 300.0


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What words need beside the payload."""

    names: Mapping[str, str] = {}  # identity by the charger's name in topics
    zone: tzinfo = UTC
    ts: datetime | None = None
    parts: Mapping[str, str] = {}  # of the topic

    @property
    def charger(self) -> str:
        slug = self.parts["charger"]
        return self.names.get(slug, slug)

    @property
    def connector(self) -> str:
        return f"{self.charger}/{self.parts['connector']}"

    def clock(self, time: str | None) -> str:
        """`23:40`; with the seconds when that is soon, with the day when it is another one; "" for none."""
        if time is None:
            return ""
        at = parsed(time)
        local, now = at.astimezone(self.zone), self.ts and self.ts.astimezone(self.zone)
        if now and 0 < (at - now).total_seconds() < SOON_S:
            return f"{local:%H:%M:%S}"
        return f"{local:%H:%M}" if now and local.date() == now.date() else f"{local:%Y-%m-%d %H:%M}"


def parsed(time: str) -> datetime:
    found = datetime.fromisoformat(time)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def power(watts: float) -> str:
    return f"{watts / 1000:.1f} kW" if abs(watts) >= 1000 else f"{watts:.0f} W"


def energy(watt_hours: float) -> str:
    return f"{watt_hours / 1000:.1f} kWh" if watt_hours >= 1000 else f"{watt_hours:.0f} Wh"


def amps(values: payloads.PhaseValues) -> str:
    """`27 28 27 A`; "" when none is known."""
    known = any(value is not None for value in values)
    return " ".join("-" if value is None else f"{value:.0f}" for value in values) + " A" if known else ""


def listed(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def waiting(count: int, parked: int) -> str:
    waits = f"{number(count, 'message')} {'waits' if count == 1 else 'wait'}" if count else ""
    return listed(waits, f"{parked} parked" if parked else "")


def fields(found: Mapping[str, Any]) -> str:
    known = {name: value for name, value in found.items() if name != "ts" and value is not None}
    return ", ".join(
        f"{name} {value if isinstance(value, str) else _compact(value)}" for name, value in known.items()
    )


def _compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()
