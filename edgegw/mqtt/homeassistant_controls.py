"""What Home Assistant may order: one row per entity, as data. Each is there only if its verb is switched on.

Rules of this file:
- Never an entity that starts or stops a transaction: a dashboard is touched by accident.
- A request is made by a template at the moment it is sent, so that its `ts` is fresh and its `transaction` is
  new; `requests` says what it may hold.
- A limit names no expiry and no fallback: [mqtt] limit_expiry and limit_fallback hold, for Home Assistant
  as for everybody. Home Assistant does not repeat itself: an automation that wants a limit to stay sets the
  number again before `until`, which is an attribute of it; when it goes silent, the limit falls back.
- The limits of Home Assistant are those of the first of [mqtt] limit_sources.
- There is no `update` entity: the box does not know which firmware is the newest, and to say "up to date"
  would be a guess.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256

from edgegw.mqtt.homeassistant_entities import STATE_MAX, Control, Entity

SITE: tuple[Control, ...] = (
    Control(
        key="limit_set", platform="number", name="Set limit", verb="limit/set", channel="limit",
        fields={"source": "source", "limit_a": "value"},
        more={"device_class": "current", "unit_of_measurement": "A", "min": 0, "step": 1, "mode": "box"},
    ),
    Control(
        key="limit_release", platform="button", name="Release limit", verb="limit/release",
        fields={"source": "source", "circuit": "''"},
    ),
)  # fmt: skip

CHARGER: tuple[Control, ...] = (
    Control(
        key="reset", platform="button", name="Restart", verb="charger/reset",
        fields={"charger": "charger"},
        more={"device_class": "restart", "entity_category": "config"},
    ),
)  # fmt: skip

CONNECTOR: tuple[Control, ...] = (
    Control(
        key="available", platform="switch", name="In service", verb="charger/availability",
        fields={"charger": "charger", "connector": "connector", "operative": "value == 'ON'"},
        channel="connector",
        value="{{ 'OFF' if value_json.status == 'Unavailable' else 'ON' }}",
        more={"entity_category": "config"},
    ),
    Control(
        key="unlock", platform="button", name="Unlock", verb="charger/unlock",
        fields={"charger": "charger", "connector": "connector"},
        more={"entity_category": "config"},
    ),
)  # fmt: skip

ANSWER = Entity(  # of the box to any command, whoever gave it
    key="answer", name="Last answer", channel="response",
    value="{{ (value_json.error.text if value_json.error else value_json.status)" + f"[:{STATE_MAX}] }}}}",
    more={"entity_category": "diagnostic"},
)  # fmt: skip

_NOW_MS = "(utcnow().timestamp() * 1000) | round | int"


def command_template(control: Control, names: Mapping[str, str | int]) -> str:
    """`names`: what `fields` may speak of beside `value`. The transaction is new for every press, and another
    for every charger and connector: an automation presses many buttons in one millisecond."""
    of = sha256(repr(sorted(names.items())).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    members = {
        "transaction": f"'ha-{control.key}-{of}-' ~ {_NOW_MS}",
        "ts": "utcnow().isoformat()",
        **{name: _named(expression, names) for name, expression in control.fields.items()},
    }
    return "{{ {" + ", ".join(f"'{name}': {said}" for name, said in members.items()) + "} | tojson }}"


def _named(expression: str, names: Mapping[str, str | int]) -> str:
    return literal(names[expression]) if expression in names else expression


def literal(value: str | int) -> str:
    """As Jinja reads it: what JSON escapes, Jinja escapes the same way."""
    return json.dumps(value, ensure_ascii=False)


def own_limit(circuit: str, most_a: float) -> dict[str, str]:
    """How the number reads what its source limits the site to: unknown while it has no limit.

    One above `most_a`, the fuse, limits nothing: shown as the fuse, for a number must be within its bounds.
    """
    mine = (
        "{% set mine = (value_json.limits if value_json is defined else [])"
        f" | selectattr('circuit', 'equalto', {literal(circuit)}) | list %}}"
    )
    shown = "{'until': mine[0].until, 'state': mine[0].state, 'fallback_a': mine[0].fallback_a}"
    return {
        "value_template": mine + f"{{{{ [mine[0].limit_a, {most_a:g}] | min if mine else none }}}}",
        "json_attributes_template": mine + "{{ (" + shown + " if mine else {}) | tojson }}",
    }
