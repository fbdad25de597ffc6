"""What the cloud asks to see of a balanced charger's limits: GetCompositeSchedule, GetChargingProfiles.

Rules of this file:
- It answers from the book as the charger has accepted it, with the site's own limit on top: what the car may
  really draw. The site's limit of this moment is taken as lasting.
- A connector that does not keep to limits has no schedule to report: Rejected (2.x K08.FR.05).
- The site's limit is reported the way 2.x wants a limit from outside: source EMS, a negative id, and
  ChargingStationExternalConstraints for its purpose (K11.FR.06).
"""

from __future__ import annotations

from typing import Any, TypeGuard

import orjson
from msgspec.structs import replace

from edgegw.balance import composite
from edgegw.balance.composite import Composite
from edgegw.balance.profile_book import Criteria, Refusal, get_criteria
from edgegw.balance.profiles import Period, Profile, Purpose, Unit
from edgegw.core import cloud_cap, limit_profiles, profile_store, profile_wishes
from edgegw.core.box_to_cloud import tell_cloud
from edgegw.core.effects import Effect, SendCloud
from edgegw.core.events import Instant
from edgegw.core.power import ConnectorPower
from edgegw.core.state import ChargerState
from edgegw.wire import frames
from edgegw.wire.error_codes import ErrorMeaning, error_code
from edgegw.wire.frames import Call

SOURCE = "EMS"
CLOUD_SOURCE = "CSO"
DURATION_MAX_S = 7 * 86400  # a longer schedule is answered as far as that, and says so in its duration
REPORT_BYTES_MAX = 16_384  # of profiles in one ReportChargingProfiles


# --- GetCompositeSchedule (1.6 5.7, 2.x K08) ----------------------------------------------------------


def composite_schedule(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    is_2x = state.version.is_2x
    number, duration = call.payload.get("evseId" if is_2x else "connectorId"), call.payload.get("duration")
    wanted = call.payload.get("chargingRateUnit")
    if not is_whole(number) or not is_whole(duration) or wanted not in (None, "A", "W"):
        return malformed(state, call)
    connectors = touched(state, number)
    refused = _why_no_schedule(state, connectors, duration, wanted)
    if refused is not None:
        return [profile_wishes.no(state, call.id, refused)]
    unit = Unit(wanted) if wanted else default_unit(state, connectors)
    found = _composite(state, number, connectors, min(duration, DURATION_MAX_S), unit, now)
    body = {
        "duration": int(found.duration_s),
        "chargingRateUnit": unit.value,
        "chargingSchedulePeriod": [_wire_period(state, period, connectors, unit) for period in found.periods],
    }
    reply: dict[str, Any] = {"status": "Accepted"}
    start = {"scheduleStart": state.site.time_text(now)}
    if is_2x:
        reply |= {"schedule": {"evseId": number, **start, **body}}
    else:  # without startSchedule: the periods count from scheduleStart (1.6 errata 3.57)
        reply |= {"connectorId": number, **start, "chargingSchedule": body}
    return [profile_wishes.answer(call.id, reply)]


def _why_no_schedule(
    state: ChargerState, connectors: tuple[int, ...], duration: int, wanted: str | None
) -> Refusal | None:
    if not connectors:
        return Refusal("Rejected", "UnknownEvse", "no such connector is known here")
    if duration < 0:
        return Refusal("Rejected", "ValuePositiveOnly", "the duration is below 0")
    known = state.power.capabilities
    if state.version.is_2x and known.read and wanted and not (known.amps if wanted == "A" else known.watts):
        return Refusal("Rejected", "UnsupportedRateUnit", f"the charger has no unit {wanted}")  # K08.FR.07
    return profile_wishes.not_steered(state, connectors)


def _composite(
    state: ChargerState, number: int, connectors: tuple[int, ...], duration: int, unit: Unit, now: Instant
) -> Composite:
    book = profile_store.settled(state.power)
    asked = [
        (cloud_cap.moment(state, one, now), _ceiling_a(state, state.power.connectors[one], now))
        for one in connectors
    ]
    if number == 0:
        return composite.charger_schedule(book, asked, duration, unit)
    when, ceiling_a = asked[0]
    return composite.schedule(book, when, duration, unit, ceiling_a=ceiling_a)


def _ceiling_a(state: ChargerState, power: ConnectorPower, now: Instant) -> float:
    most_a = cloud_cap.site_gives_a(state, power, now)
    return most_a * power.wiring.efficiency if power.wiring.dc else most_a


def _wire_period(
    state: ChargerState, period: Period, connectors: tuple[int, ...], unit: Unit
) -> dict[str, Any]:
    wire: dict[str, Any] = {"startPeriod": round(period.start_s)}
    if period.limit is not None:
        wire["limit"] = period.limit
    wirings = [state.power.connectors[number].wiring for number in connectors]
    phases = period.phases or max(wiring.phases for wiring in wirings)
    if unit is Unit.AMPS and not any(wiring.dc for wiring in wirings):
        wire["numberPhases"] = phases
    return wire


# --- GetChargingProfiles (2.x K09) ---------------------------------------------------------------------


def charging_profiles(state: ChargerState, call: Call, now: Instant) -> list[Effect]:
    request_id = call.payload.get("requestId")
    criteria = get_criteria(call.payload)
    if not is_whole(request_id):
        return malformed(state, call)
    if isinstance(criteria, Refusal):
        refused = replace(criteria, status="NoProfiles")
        return [profile_wishes.no(state, call.id, refused)]
    groups = _found(state, criteria, now)
    if not groups:
        return [profile_wishes.answer(call.id, {"status": "NoProfiles"})]
    effects: list[Effect] = [profile_wishes.answer(call.id, {"status": "Accepted"})]
    reports = [(source, number, part) for (source, number), found in groups.items() for part in _split(found)]
    for left, (source, number, part) in zip(range(len(reports) - 1, -1, -1), reports, strict=True):
        report = {
            "requestId": request_id,
            "chargingLimitSource": source,
            "evseId": number,
            "chargingProfile": part,
        }
        if left:
            report["tbc"] = True  # K09.FR.02
        effects += tell_cloud(state, "ReportChargingProfiles", report, "report", now)
    return effects


def _found(
    state: ChargerState, criteria: Criteria, now: Instant
) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """What is reported, by source and EVSE: one report has but one of each."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    if criteria.sources is None or CLOUD_SOURCE in criteria.sources:
        for profile in profile_store.settled(state.power).find(criteria):
            groups.setdefault((CLOUD_SOURCE, profile.connector), []).append(_as_set(profile))
    for number, power in state.power.connectors.items():
        own = _site_profile(state, power, now)
        if own is not None and _asks_for(criteria, number):
            groups[SOURCE, number] = [own]
    return groups


def _as_set(profile: Profile) -> dict[str, Any]:
    """As the cloud wrote it; one that came with a remote start names its transaction by now."""
    return {**profile.raw, "transactionId": profile.transaction} if profile.transaction else profile.raw


def _asks_for(criteria: Criteria, number: int) -> bool:
    """Is the site's own limit on this connector meant?"""
    return (
        (criteria.ids is None or -number in criteria.ids)
        and criteria.connector in (None, number)
        and criteria.purpose in (None, Purpose.EXTERNAL)
        and criteria.stack_level in (None, 0)
        and (criteria.sources is None or SOURCE in criteria.sources)
    )


def _site_profile(state: ChargerState, power: ConnectorPower, now: Instant) -> dict[str, Any] | None:
    limit_a = cloud_cap.site_limit_a(state, power, now)
    if limit_a is None:
        return None
    return {
        "id": -power.wiring.connector,
        "stackLevel": 0,
        "chargingProfilePurpose": "ChargingStationExternalConstraints",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [flat_schedule(state, power, limit_a, now)],
    }


def flat_schedule(state: ChargerState, power: ConnectorPower, limit_a: float, now: Instant) -> dict[str, Any]:
    """One limit from now on, as a ChargingSchedule of 2.x: AC in amps, DC in watts, one decimal."""
    wiring = power.wiring
    unit = "W" if wiring.dc else "A"
    limit = limit_profiles.amount(limit_a, unit, wiring, state.power.nominal_v)
    period: dict[str, Any] = {"startPeriod": 0, "limit": limit}
    if not wiring.dc:
        period["numberPhases"] = wiring.phases
    return {
        "id": wiring.connector,
        "startSchedule": state.site.time_text(now),
        "chargingRateUnit": unit,
        "chargingSchedulePeriod": [period],
    }


def _split(profiles: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    parts: list[list[dict[str, Any]]] = []
    size = REPORT_BYTES_MAX
    for profile in profiles:
        more = len(orjson.dumps(profile))
        if size + more > REPORT_BYTES_MAX:
            parts.append([])
            size = 0
        parts[-1].append(profile)
        size += more
    return parts


# --- what both, and those who set profiles, need -----------------------------------------------------


def is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def touched(state: ChargerState, number: int) -> tuple[int, ...]:
    """The connectors that a profile or a question on `number` is for; empty when it is unknown."""
    if number == 0:
        return tuple(state.power.connectors)
    return (number,) if number in state.power.connectors else ()


def default_unit(state: ChargerState, connectors: tuple[int, ...]) -> Unit:
    return Unit.WATTS if any(state.power.connectors[one].wiring.dc for one in connectors) else Unit.AMPS


def malformed(state: ChargerState, call: Call) -> list[Effect]:
    """A member is missing or no JSON value of its kind."""
    code = error_code(state.version, ErrorMeaning.FORMATION)
    return [SendCloud(frames.error(call.id, code, f"not a {call.action} request"))]
