"""Tells the cloud of a 2.x charger when the site's limit holds it down, and when it no longer does.

OCPP 2.x K11 to K14, K24 and K25: NotifyChargingLimit with source EMS and the limit as a schedule, and
ClearedChargingLimit, in the name of the charger, on its own leg.

Rules of this file:
- Only while a transaction runs on the connector, and only a limit that the site sets: not the cloud's own,
  not what the car does not take.
- Told again when it differs by more than `SIGNIFICANCE` (LimitChangeSignificance) from what was told last,
  and not twice within `PAUSE_S` on one connector.
- After a loss of the cloud what was told counts as not told.
- A cloud that leaves one unanswered is sent no other on this connection: the charger's own messages would
  wait behind it.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from edgegw.core import cloud_cap, profile_answers
from edgegw.core.box_to_cloud import tell_cloud
from edgegw.core.effects import Effect
from edgegw.core.events import Instant
from edgegw.core.power import ConnectorPower, ToldLimit
from edgegw.core.state import ChargerState

SIGNIFICANCE = 0.10  # of the last told: the usual value of SmartChargingCtrlr.LimitChangeSignificance
PAUSE_S = 60.0
ANSWER_TIMEOUT_S = 5.0  # below the patience of any charger whose message waits meanwhile


def due(state: ChargerState, now: Instant) -> bool:
    """Is there anything that `notices` would tell?"""
    return any(_is_news(state, power, now) for power in _connectors(state))


def notices(state: ChargerState, now: Instant) -> list[Effect]:
    """Tell the cloud what it does not know yet, one thing at a time. Once per second is enough."""
    news = next((power for power in _connectors(state) if _is_news(state, power, now)), None)
    return [] if news is None else _tell(state, news, now)


def on_cloud_lost(state: ChargerState, now: Instant) -> None:
    """It may not have heard the newest; of an end that it had time to hear nothing more is to be said."""
    known = state.power.told_limits
    state.power.told_limits = {
        number: replace(told, sure=False)
        for number, told in known.items()
        if told.limit_a is not None or now.mono - told.at < PAUSE_S
    }


def _connectors(state: ChargerState) -> list[ConnectorPower]:
    """Those whose limits the cloud hears of; none where it does not listen."""
    power = state.power
    is_there = state.cloud_up and state.charger_up and not state.cloud_says_wait
    if not (is_there and state.version.is_2x and state.site.power.notify_cloud):
        return []
    return [] if state.to_cloud.is_pending(power.notice_id) else list(power.connectors.values())


def _limit_a(state: ChargerState, power: ConnectorPower, now: Instant) -> float | None:
    if power.wiring.connector not in cloud_cap.running(state):
        return None
    return cloud_cap.site_limit_a(state, power, now)


def _is_news(state: ChargerState, power: ConnectorPower, now: Instant) -> bool:
    told = state.power.told_limits.get(power.wiring.connector)
    limit_a = _limit_a(state, power, now)
    if told is None:
        return limit_a is not None
    if now.mono - told.at < PAUSE_S:
        return False
    if limit_a is None or told.limit_a is None:
        return limit_a is not told.limit_a or not told.sure
    return not told.sure or abs(limit_a - told.limit_a) > SIGNIFICANCE * told.limit_a


def _tell(state: ChargerState, power: ConnectorPower, now: Instant) -> list[Effect]:
    number, limit_a = power.wiring.connector, _limit_a(state, power, now)
    state.power.told_limits[number] = ToldLimit(limit_a, now.mono)
    state.power.notice_id = state.site.new_id()
    action = "ClearedChargingLimit" if limit_a is None else "NotifyChargingLimit"
    source = {"chargingLimitSource": profile_answers.SOURCE}
    payload: dict[str, Any] = {"evseId": number, **source}
    if limit_a is not None:
        schedule = profile_answers.flat_schedule(state, power, limit_a, now)
        payload = {"evseId": number, "chargingLimit": source, "chargingSchedule": [schedule]}
    return tell_cloud(
        state,
        action,
        payload,
        "limit",
        now,
        message_id=state.power.notice_id,
        timeout_s=ANSWER_TIMEOUT_S,
    )
