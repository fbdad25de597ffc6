"""What Home Assistant shows of the site, of a charger and of a connector: one row per entity, as data.

Rules of this file:
- `key` becomes part of the entity's unique id: it is never changed and never used for something else.
- A template reads one payload of `topics`. What is null there renders as "None", which Home Assistant reads
  as "unknown"; a text that is empty is made null, and no text is longer than a state may be.
- `more` is what Home Assistant documents for the platform, word for word.
- Nothing here starts or stops a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from edgegw.config_mqtt import Verb
from edgegw.mqtt.events import KINDS

STATE_MAX = 255  # characters; Home Assistant makes a longer state "unknown"

Platform = Literal["sensor", "binary_sensor", "event", "number", "switch", "button"]


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """One that only shows. `channel` names the topic it reads."""

    key: str
    platform: Platform = "sensor"
    name: str
    channel: str
    value: str = ""  # Jinja, rendered by Home Assistant; "": the payload as it is
    charger_away: Literal["shown", "unavailable"] = "unavailable"  # while the charger is not connected
    more: Mapping[str, Any] = {}


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """One that orders something. `fields` of the request: its name and a Jinja expression."""

    key: str
    platform: Platform
    name: str
    verb: Verb
    fields: Mapping[str, str] = {}
    channel: str = ""  # what it reads back, if anything
    value: str = ""
    more: Mapping[str, Any] = {}


# --- how a template says it -----------------------------------------------------------------------


def _field(name: str) -> str:
    return "{{ value_json." + name + " }}"


def _text(name: str) -> str:
    return "{{ value_json." + name + f"[:{STATE_MAX}] or none }}}}"


def _on_if(condition: str) -> str:
    return "{{ 'ON' if " + condition + " else 'OFF' }}"


def _one_of(name: str, options: tuple[str, ...]) -> dict[str, Any]:
    """`value` and `more` of an enum: what is not in the list is unknown, not an error in its log."""
    value = "{{ value_json." + name + " if value_json." + name + f" in {options!r} else none }}}}"
    return {"value": value, "more": {"device_class": "enum", "options": list(options)}}


def _measure(device_class: str, unit: str, **more: Any) -> dict[str, Any]:
    return {
        "device_class": device_class,
        "unit_of_measurement": unit,
        "state_class": "measurement",
        **more,
    }


_POWER = _measure("power", "W", suggested_display_precision=0)
_CURRENT = _measure("current", "A", suggested_display_precision=1)
_ENERGY = {"device_class": "energy", "unit_of_measurement": "Wh", "state_class": "total_increasing"}
_COUNT = {"state_class": "measurement"}
_DIAGNOSTIC = {"entity_category": "diagnostic"}
_PROBLEM = {"device_class": "problem"}
_CONNECTIVITY = {"device_class": "connectivity"}


def _phases(channel: str) -> tuple[Entity, ...]:
    """L1, L2, L3 as the payload has them."""
    return tuple(
        Entity(
            key=f"current_l{number}",
            name=f"Current L{number}",
            channel=channel,
            value=_field(f"current_l_a[{number - 1}]"),
            more=_CURRENT,
        )
        for number in (1, 2, 3)
    )


# --- the site -------------------------------------------------------------------------------------

SEVERITIES = ("none", "info", "warning", "error", "critical")

_EVENT = (
    "{{ {'event_type': value_json.kind if value_json.kind in "
    + repr(KINDS)
    + " else 'notice', 'target': value_json.target, 'severity': value_json.severity, "
    "'text': value_json.text, 'at': value_json.at} | tojson }}"
)

SITE: tuple[Entity, ...] = (
    Entity(key="grid_power", name="Grid power", channel="site", value=_field("import_w"), more=_POWER),
    *_phases("site"),
    Entity(key="limit", name="Limit", channel="site", value=_field("limit_a"), more=_CURRENT),
    Entity(key="limit_source", name="Limit source", channel="site", value=_text("limit_source")),
    Entity(key="headroom", name="Headroom", channel="site", value=_field("headroom_a"), more=_CURRENT),
    Entity(key="chargers_power", name="Chargers power", channel="site", value=_field("chargers_w"),
           more=_POWER),
    Entity(key="energy", name="Chargers energy", channel="site", value=_field("energy_wh"), more=_ENERGY),
    Entity(key="chargers_connected", name="Chargers connected", channel="site",
           value=_field("chargers_connected"), more=_COUNT),
    Entity(key="connectors_charging", name="Connectors charging", channel="site",
           value=_field("connectors_charging"), more=_COUNT),
    Entity(key="alarms", name="Alarms", channel="site", value=_field("alarms"), more=_COUNT),
    Entity(key="worst_alarm", name="Worst alarm", channel="site",
           value="{{ value_json.worst_severity or 'none' }}",
           more={"device_class": "enum", "options": list(SEVERITIES)}),
    Entity(key="problem", platform="binary_sensor", name="Problem", channel="site",
           value=_on_if("value_json.worst_severity in ('error', 'critical')"), more=_PROBLEM),
    Entity(key="cloud", platform="binary_sensor", name="Cloud", channel="cloud",
           value="{{ {'serving': 'ON', 'away': 'OFF'}.get(value_json.mode) }}",  # standalone: unknown
           more=_CONNECTIVITY | _DIAGNOSTIC),
    Entity(key="queue_depth", name="Messages for the cloud", channel="cloud", value=_field("queue_depth"),
           more=_COUNT | _DIAGNOSTIC),
    Entity(key="parked", name="Messages parked", channel="cloud", value=_field("parked"),
           more=_COUNT | _DIAGNOSTIC | {"enabled_by_default": False}),
    Entity(key="health", name="Health", channel="health", value=_field("status"),
           more={"device_class": "enum", "options": ["ok", "away", "degraded"]} | _DIAGNOSTIC),
    Entity(key="health_reasons", name="Health reasons", channel="health",
           value="{{ ((value_json.reasons + value_json.warnings) | join('; '))"
           f"[:{STATE_MAX}] or none }}}}",
           more=_DIAGNOSTIC),
    Entity(key="balancing", name="Balancing", channel="balancer", value=_field("mode"),
           more={"device_class": "enum", "options": ["off", "steering", "failing"]} | _DIAGNOSTIC),
    Entity(key="event", platform="event", name="Event", channel="event", value=_EVENT,
           more={"event_types": list(KINDS)}),
)  # fmt: skip

# --- a charger ------------------------------------------------------------------------------------

CHARGER: tuple[Entity, ...] = (
    Entity(key="online", platform="binary_sensor", name="Online", channel="availability",
           charger_away="shown",
           more=_CONNECTIVITY | _DIAGNOSTIC | {"payload_on": "online", "payload_off": "offline"}),
    Entity(key="verdict", name="Verdict", channel="charger", value=_text("verdict"), charger_away="shown",
           more=_DIAGNOSTIC),
    Entity(key="cloud", platform="binary_sensor", name="Cloud", channel="chargerCloud",
           value=_on_if("value_json.connected"), charger_away="shown", more=_CONNECTIVITY | _DIAGNOSTIC),
    Entity(key="cloud_error", name="Cloud error", channel="chargerCloud", value=_text("last_error"),
           charger_away="shown", more=_DIAGNOSTIC | {"enabled_by_default": False}),
    Entity(key="queue_depth", name="Messages for the cloud", channel="chargerCloud",
           value=_field("queue_depth"), charger_away="shown",
           more=_COUNT | _DIAGNOSTIC | {"enabled_by_default": False}),
    Entity(key="firmware", name="Firmware", channel="charger", value=_text("firmware"), charger_away="shown",
           more=_DIAGNOSTIC),
    Entity(key="firmware_update", name="Firmware update", channel="firmware", value=_text("state"),
           charger_away="shown", more=_DIAGNOSTIC),
)  # fmt: skip

# --- a connector ----------------------------------------------------------------------------------

STATUSES = (  # OCPP 1.6 7.7 and 2.0.1 3.22
    "Available", "Preparing", "Occupied", "Charging", "SuspendedEV", "SuspendedEVSE", "Finishing",
    "Reserved", "Unavailable", "Faulted",
)  # fmt: skip
_HAS_ERROR = "value_json.error_code not in ('', 'NoError')"

CONNECTOR: tuple[Entity, ...] = (
    Entity(key="status", name="Status", channel="connector", **_one_of("status", STATUSES)),
    Entity(key="power", name="Power", channel="connector", value=_field("power_w"), more=_POWER),
    Entity(key="energy", name="Energy", channel="connector", value=_field("energy_wh"),
           charger_away="shown", more=_ENERGY),
    *_phases("connector"),
    Entity(key="limit", name="Limit", channel="connector", value=_field("limit_a"), more=_CURRENT),
    Entity(key="limit_reason", name="Limit reason", channel="connector", value=_text("limit_reason")),
    Entity(key="session_energy", name="Session energy", channel="session", value=_field("energy_wh"),
           charger_away="shown", more=_ENERGY),
    Entity(key="problem", platform="binary_sensor", name="Problem", channel="connector",
           value=_on_if(f"value_json.status == 'Faulted' or {_HAS_ERROR}"), more=_PROBLEM),
    Entity(key="error", name="Error", channel="connector",
           value="{{ ([value_json.error_code, value_json.info] | select | join(': '))"
           f"[:{STATE_MAX}] if {_HAS_ERROR} else 'none' }}}}",
           charger_away="shown", more=_DIAGNOSTIC),
)  # fmt: skip
