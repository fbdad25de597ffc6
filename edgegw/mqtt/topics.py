"""The tree of topics: names, what is on each, how it is kept. One table; AsyncAPI is made from it.

Base: `<base>/1/<gateway>`; the 1 is the major number of the tree (`payloads.API`). The part after it is what
stands in `CHANNELS`. Names in topics are of a-z 0-9 and "-" only; the raw identity is in the payload.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Literal

import msgspec

from edgegw.mqtt import payloads

SLUG_MAX = 48

_NOT_SLUG = re.compile(r"[^a-z0-9]+")


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """`address` with {parameters}. `payload` None: a bare scalar, described by `about`."""

    name: str
    address: str
    payload: type[payloads.Payload] | None
    retain: bool
    qos: Literal[0, 1]
    expiry_s: int | None = None
    about: str


CHANNELS: tuple[Channel, ...] = (
    Channel(name="status", address="status", payload=None, retain=True, qos=1,
            about='"online"; "offline" by the last will'),
    Channel(name="info", address="info", payload=payloads.Info, retain=True, qos=1,
            about="what this gateway is and which chargers it has"),
    Channel(name="health", address="health", payload=payloads.Health, retain=True, qos=0, expiry_s=180,
            about="how the box is"),
    Channel(name="cloud", address="cloud/state", payload=payloads.CloudState, retain=True, qos=1,
            about="the way to the operator's cloud, and what waits for it"),
    Channel(name="meter", address="meter/{meter}/state", payload=payloads.MeterState, retain=True, qos=0,
            expiry_s=60, about="one meter"),
    Channel(name="site", address="site/state", payload=payloads.SiteState, retain=True, qos=0, expiry_s=60,
            about="the main fuse and the chargers at a glance"),
    Channel(name="circuit", address="circuit/{circuit}/state", payload=payloads.CircuitState, retain=True,
            qos=0, expiry_s=60, about="one circuit of the fuse tree"),
    Channel(name="limit", address="limit/{source}/state", payload=payloads.LimitState, retain=True, qos=1,
            about="limits that this source set and that hold now"),
    Channel(name="balancer", address="balancer/state", payload=payloads.BalancerState, retain=True, qos=0,
            expiry_s=120, about="who may draw what, and why"),
    Channel(name="availability", address="charger/{charger}/availability", payload=None, retain=True, qos=1,
            about='"online" while the charger is connected, else "offline"'),
    Channel(name="charger", address="charger/{charger}/info", payload=payloads.ChargerInfo, retain=True,
            qos=1, about="what the charger is"),
    Channel(name="chargerCloud", address="charger/{charger}/cloud", payload=payloads.ChargerCloud,
            retain=True, qos=1, about="the charger's own connection onward"),
    Channel(name="connector", address="charger/{charger}/connector/{connector}/state",
            payload=payloads.ConnectorState, retain=True, qos=0, expiry_s=60, about="one connector (EVSE)"),
    Channel(name="session", address="charger/{charger}/session/{connector}", payload=payloads.SessionState,
            retain=True, qos=1, about="the running or the last transaction at a connector"),
    Channel(name="firmware", address="charger/{charger}/firmware", payload=payloads.FirmwareState,
            retain=True, qos=1, about="the firmware of the charger"),
    Channel(name="alarm", address="alarm/{alarm}", payload=payloads.AlarmState, retain=True, qos=1,
            about="one alarm; an empty payload when it is over"),
    Channel(name="event", address="event", payload=payloads.Event, retain=False, qos=1, expiry_s=3600,
            about="something happened; kept while the broker is away, up to a limit"),
    Channel(name="log", address="log", payload=payloads.LogLine, retain=False, qos=0, expiry_s=60,
            about="lines of the log, when [mqtt] log is set"),
    Channel(name="response", address="response/{verb}", payload=payloads.Response, retain=False, qos=1,
            expiry_s=60, about="what became of a command"),
    Channel(name="scalar", address="v/{path}", payload=None, retain=True, qos=0,
            about="one value of the state as a bare scalar, when [mqtt] flat is set"),
)  # fmt: skip

BY_NAME: Mapping[str, Channel] = {channel.name: channel for channel in CHANNELS}


def slug(name: str) -> str:
    """A name as it stands in topics."""
    return _NOT_SLUG.sub("-", name.lower()).strip("-")[:SLUG_MAX] or "x"


def slugs(names: Iterable[str], first: Container[str] = ()) -> dict[str, str]:
    """By name; two that would be the same differ by a hash.

    The plain one is for those in `first` before all others, then for who is spelt most like it.
    """
    taken: set[str] = set()
    found: dict[str, str] = {}
    for name in sorted(set(names), key=lambda name: (name not in first, *_likest_first(name))):
        found[name] = next(candidate for candidate in _candidates(name) if candidate not in taken)
        taken.add(found[name])
    return found


def _likest_first(name: str) -> tuple[bool, bool, str]:
    """ "CP-1" keeps its topic when a "cp 1" turns up."""
    plain = slug(name)
    return name != plain, name.lower() != plain, name


def _candidates(name: str) -> Iterator[str]:
    plain, digest = slug(name), sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    yield plain
    for length in range(6, len(digest) + 1):
        yield f"{plain}-{digest[:length]}"


class Tree:
    """The topics of one gateway."""

    def __init__(self, base: str, gateway: str) -> None:
        """`base` without slashes at its ends; `gateway` as the site file names it."""
        self.root = f"{base}/{payloads.API}/{slug(gateway)}"
        self.gateway = slug(gateway)

    def topic(self, channel: str, **parameters: object) -> str:
        """KeyError for a channel or a parameter that is not there."""
        return f"{self.root}/{BY_NAME[channel].address.format(**parameters)}"
