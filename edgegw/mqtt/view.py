"""All that is published of a state, at one instant: data. `snapshot` makes it, `state` makes topics of it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from edgegw.mqtt import payloads


class ChargerFacts(msgspec.Struct, frozen=True, kw_only=True):
    online: bool
    info: payloads.ChargerInfo
    cloud: payloads.ChargerCloud
    connectors: Mapping[int, payloads.ConnectorState] = {}
    sessions: Mapping[int, payloads.SessionState] = {}  # the running or last one
    firmware: payloads.FirmwareState


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Keys are raw names: identities, names of meters and circuits, sources of limits, ids of alarms."""

    at: float = 0.0  # wall clock, seconds since 1970; 0: not said, then no limit on a source expires
    info: payloads.Info
    health: payloads.Health
    cloud: payloads.CloudState
    site: payloads.SiteState
    balancer: payloads.BalancerState
    meters: Mapping[str, payloads.MeterState] = {}
    circuits: Mapping[str, payloads.CircuitState] = {}
    limits: Mapping[str, payloads.LimitState] = {}
    chargers: Mapping[str, ChargerFacts] = {}
    named: frozenset[str] = frozenset()  # chargers that the site file names: no stranger takes their topics
    alarms: Mapping[str, payloads.AlarmState] = {}
