"""Charging profiles as a cloud writes them, and times, for the tests of this directory."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from edgegw.balance.profile_book import ProfileBook, Refusal, parse_profile
from edgegw.balance.profiles import Profile

Json = dict[str, Any]


def at(text: str) -> float:
    """`2026-03-29 01:30` in UTC -> seconds since 1970."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def periods(*starts_and_limits: tuple[float, float], **more: Any) -> list[Json]:
    return [{"startPeriod": start, "limit": limit, **more} for start, limit in starts_and_limits]


def written_16(**changes: Any) -> Json:
    """csChargingProfiles: a TxDefaultProfile of 16 A since 2026 began. `schedule` changes its schedule."""
    schedule = {
        "startSchedule": "2026-01-01T00:00:00Z",
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": periods((0, 16)),
        **changes.pop("schedule", {}),
    }
    return _without_none(
        {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": _without_none(schedule),
            **changes,
        }
    )


def written_2x(**changes: Any) -> Json:
    """chargingProfile of 2.0.1 and 2.1: the same."""
    schedule = {
        "id": 1,
        "startSchedule": "2026-01-01T00:00:00Z",
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": periods((0, 16)),
        **changes.pop("schedule", {}),
    }
    return _without_none(
        {
            "id": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": [_without_none(schedule)],
            **changes,
        }
    )


RELATIVE = {"chargingProfileKind": "Relative", "schedule": {"startSchedule": None}}
DAILY = {"chargingProfileKind": "Recurring", "recurrencyKind": "Daily"}
WEEKLY = {"chargingProfileKind": "Recurring", "recurrencyKind": "Weekly"}
MAX_16 = {"chargingProfilePurpose": "ChargePointMaxProfile"}
MAX_2X = {"chargingProfilePurpose": "ChargingStationMaxProfile"}
TX = {"chargingProfilePurpose": "TxProfile"}


def read_16(payload: Json, connector: int = 1, **options: Any) -> Profile | Refusal:
    return parse_profile(payload, is_2x=False, connector=connector, received_at=at("2026-06-01"), **options)


def read_201(payload: Json, connector: int = 1, **options: Any) -> Profile | Refusal:
    return parse_profile(payload, is_2x=True, connector=connector, received_at=at("2026-06-01"), **options)


def read_21(payload: Json, connector: int = 1, **options: Any) -> Profile | Refusal:
    return read_201(payload, connector, is_21=True, **options)


def taken(answer: Profile | Refusal) -> Profile:
    assert isinstance(answer, Profile), answer
    return answer


def refused(answer: Profile | ProfileBook | Refusal) -> Refusal:
    assert isinstance(answer, Refusal), answer
    assert answer.text
    return answer


def book_of(*answers: Profile | Refusal) -> ProfileBook:
    return ProfileBook(taken(answer) for answer in answers)


def _without_none(members: Json) -> Json:
    return {key: value for key, value in members.items() if value is not None}
