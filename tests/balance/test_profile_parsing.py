"""What is taken as a charging profile and what is not, and what the cloud is told."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from edgegw.balance.profile_book import PROFILES_MAX, ProfileBook, Refusal
from edgegw.balance.profiles import Kind, Purpose, Unit
from edgegw.wire.error_codes import ErrorMeaning
from tests.balance.payloads import (
    DAILY,
    MAX_2X,
    MAX_16,
    RELATIVE,
    TX,
    Json,
    at,
    periods,
    read_16,
    read_21,
    read_201,
    refused,
    taken,
    written_2x,
    written_16,
)

INF, NAN = float("inf"), float("nan")


def test_every_field_of_1_6_is_read():
    payload = written_16(
        chargingProfileId=100,
        stackLevel=3,
        chargingProfilePurpose="TxProfile",
        transactionId=4711,
        chargingProfileKind="Recurring",
        recurrencyKind="Weekly",
        validFrom="2026-02-01T00:00:00+01:00",
        validTo="2026-03-01T00:00:00Z",
        schedule={
            "duration": 3600,
            "chargingRateUnit": "W",
            "minChargingRate": 1000.0,
            "chargingSchedulePeriod": periods((0, 11000.0), (1800, 3680), numberPhases=1),
        },
    )
    profile = taken(read_16(payload, connector=2))
    assert (profile.id, profile.stack_level, profile.connector) == (100, 3, 2)
    assert (profile.purpose, profile.kind, profile.transaction) == (Purpose.TX, Kind.WEEKLY, "4711")
    assert profile.valid_from == at("2026-01-31 23:00")
    assert profile.valid_to == at("2026-03-01")
    (schedule,) = profile.schedules
    assert (schedule.unit, schedule.duration_s, schedule.min_rate) == (Unit.WATTS, 3600, 1000)
    assert schedule.start == at("2026-01-01")
    assert [(p.start_s, p.limit, p.phases) for p in schedule.periods] == [(0, 11000, 1), (1800, 3680, 1)]
    assert profile.raw == payload


def test_every_field_of_2_1_is_read():
    payload = written_2x(
        id=7,
        chargingProfilePurpose="TxProfile",
        transactionId="tx-1",
        maxOfflineDuration=600,
        invalidAfterOfflineDuration=True,
        schedule={
            "useLocalTime": True,
            "startSchedule": "2026-01-01T08:00:00+05:00",
            "randomizedDelay": 300,
            "limitAtSoC": {"soc": 80, "limit": 8.05},
            "chargingSchedulePeriod": periods((0, 16), numberPhases=1, phaseToUse=2),
        },
    )
    profile = taken(read_21(payload))
    assert (profile.max_offline_s, profile.invalid_after_offline) == (600, True)
    (schedule,) = profile.schedules
    assert schedule.local_time
    assert schedule.start == at("2026-01-01 08:00")  # K01.FR.90: the zone is of no account
    assert (schedule.random_delay_s, schedule.soc_percent, schedule.soc_limit) == (300, 80, 8.0)
    assert (schedule.periods[0].phases, schedule.periods[0].phase_to_use) == (1, 2)


def test_2_0_1_knows_nothing_of_what_2_1_added():
    profile = taken(read_201(written_2x(maxOfflineDuration=600, schedule={"useLocalTime": True})))
    assert profile.max_offline_s is None
    assert not profile.schedules[0].local_time
    for changes in ({"chargingProfileKind": "Dynamic"}, {"chargingProfilePurpose": "LocalGeneration"}):
        assert refused(read_201(written_2x(**changes))).error is ErrorMeaning.PROPERTY
        assert not isinstance(read_21(written_2x(**changes)), Refusal)


@pytest.mark.parametrize(
    ("written", "taken_as"),
    [(16.15, 16.1), (16.3, 16.3), (8.1, 8.1), (0.3, 0.3), (0, 0), (5.99, 5.9), (16, 16), (999999, 999999)],
)
def test_a_limit_is_rounded_down_to_one_decimal(written: float, taken_as: float):
    payload = written_16(schedule={"chargingSchedulePeriod": periods((0, written))})
    assert taken(read_16(payload)).schedules[0].periods[0].limit == taken_as
    assert payload["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == written


@pytest.mark.parametrize("limit", [-1, -0.1, INF, NAN, 1e301, 10**400, json.loads("1e999")])
def test_a_limit_that_is_no_current_is_refused(limit: float):
    for read, written in ((read_16, written_16), (read_201, written_2x), (read_21, written_2x)):
        answer = refused(read(written(schedule={"chargingSchedulePeriod": periods((0, limit))})))
        assert (answer.status, answer.reason, answer.error) == ("Rejected", "InvalidSchedule", None)


def test_a_very_high_limit_can_still_be_reckoned_with():
    profile = taken(read_16(written_16(schedule={"chargingSchedulePeriod": periods((0, 1e299))})))
    assert profile.schedules[0].periods[0].limit == 1e9


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schedule": {"chargingSchedulePeriod": periods((60, 16))}}, "InvalidSchedule"),
        ({"schedule": {"chargingSchedulePeriod": periods((0, 16), (60, 8), (60, 9))}}, "InvalidSchedule"),
        ({"schedule": {"chargingSchedulePeriod": periods((0, 16), (60, 8), (30, 9))}}, "InvalidSchedule"),
        ({"schedule": {"chargingSchedulePeriod": periods((0, 16), numberPhases=4)}}, "InvalidSchedule"),
        ({"schedule": {"chargingSchedulePeriod": periods((0, 16), numberPhases=0)}}, "InvalidSchedule"),
        ({"schedule": {"chargingSchedulePeriod": periods((-5, 16))}}, "InvalidValue"),
        ({"schedule": {"duration": -1}}, "InvalidValue"),
        ({"schedule": {"minChargingRate": NAN}}, "InvalidSchedule"),
        ({**DAILY, "schedule": {"startSchedule": None}}, "InvalidSchedule"),
        ({"chargingProfileKind": "Recurring"}, "MissingParam"),
        ({"stackLevel": -1}, "InvalidStackLevel"),
        ({"validFrom": "2026-02-01T00:00:00Z", "validTo": "2026-02-01T00:00:00Z"}, "InvalidProfile"),
    ],
)
def test_rules_of_every_version(changes: Json, reason: str):
    for read, written in ((read_16, written_16), (read_201, written_2x), (read_21, written_2x)):
        answer = refused(read(written(**changes)))
        assert (answer.status, answer.reason, answer.error) == ("Rejected", reason, None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schedule": {"startSchedule": None}}, "InvalidSchedule"),  # K01.FR.40
        ({"chargingProfileKind": "Relative"}, "InvalidSchedule"),  # K01.FR.41
        ({"chargingProfilePurpose": "ChargingStationExternalConstraints"}, "InvalidProfile"),  # K01.FR.22
        (TX, "MissingParam"),  # K01.FR.03
        (
            {"schedule": {"chargingSchedulePeriod": periods((0, 16), phaseToUse=1)}},
            "InvalidSchedule",
        ),  # K01.FR.19
        (
            {"schedule": {"chargingSchedulePeriod": periods((0, 16), phaseToUse=1, numberPhases=3)}},
            "InvalidSchedule",
        ),
    ],
)
def test_rules_of_2_x(changes: Json, reason: str):
    for read in (read_201, read_21):
        assert refused(read(written_2x(**changes))).reason == reason


DYNAMIC = {"chargingProfileKind": "Dynamic"}
PRIORITY = {"chargingProfilePurpose": "PriorityCharging"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({**PRIORITY, "schedule": {"duration": 3600}}, "InvalidSchedule"),  # K01.FR.70
        (
            {**PRIORITY, "schedule": {"chargingSchedulePeriod": periods((0, 9), operationMode="Idle")}},
            "InvalidSchedule",
        ),  # K01.FR.71
        ({"dynUpdateInterval": 60}, "InvalidProfile"),  # K01.FR.122
        (
            {**DYNAMIC, "schedule": {"chargingSchedulePeriod": periods((0, 9), (60, 8))}},
            "InvalidSchedule",
        ),  # K28.FR.01
        (
            {"chargingProfilePurpose": "LocalGeneration", "schedule": {"randomizedDelay": 60}},
            "InvalidSchedule",
        ),
        (
            {"schedule": {"chargingSchedulePeriod": periods((0, 9), limit_L2=8)}},
            "PhaseConflict",
        ),  # K01.FR.144: not a TxProfile
        (
            {
                **TX,
                "transactionId": "t",
                "schedule": {"chargingSchedulePeriod": [{"startPeriod": 0, "limit_L2": 8}]},
            },
            "PhaseConflict",
        ),  # K01.FR.146
    ],
)
def test_rules_of_2_1(changes: Json, reason: str):
    assert refused(read_21(written_2x(**changes))).reason == reason


def test_which_purpose_may_be_on_which_connector():
    assert refused(read_16(written_16(**MAX_16), connector=1)).reason == "InvalidProfile"
    assert refused(read_201(written_2x(**MAX_2X), connector=1)).reason == "InvalidProfile"
    assert refused(read_16(written_16(**TX, transactionId=1), connector=0)).reason == "InvalidProfile"
    assert refused(read_201(written_2x(**TX, transactionId="t"), connector=0)).reason == "InvalidProfile"
    for connector in (0, 1):
        taken(read_16(written_16(), connector=connector))
        taken(read_21(written_2x(**PRIORITY), connector=connector))


def test_a_relative_maximum():
    relative = {**RELATIVE, **MAX_2X}
    assert refused(read_201(written_2x(**relative), connector=0)).reason == "InvalidProfile"  # K01.FR.38
    # 1.6 does not forbid it and clouds send it: it counts from when it came.
    profile = taken(read_16(written_16(**{**RELATIVE, **MAX_16}), connector=0))
    assert (profile.kind, profile.schedules[0].start) == (Kind.ABSOLUTE, at("2026-06-01"))


def test_1_6_absolute_without_a_start_counts_from_the_start_of_charging():
    profile = taken(read_16(written_16(schedule={"startSchedule": None})))
    assert (profile.kind, profile.schedules[0].start) == (Kind.RELATIVE, None)


def test_phases_on_a_dc_evse():
    payload = written_2x(schedule={"chargingSchedulePeriod": periods((0, 16), numberPhases=3)})
    assert refused(read_201(payload, dc=True)).reason == "NoPhaseForDC"
    taken(read_201(payload))
    taken(read_201(written_2x(), dc=True))


def test_phase_to_use_where_the_phase_cannot_be_chosen():
    payload = written_2x(schedule={"chargingSchedulePeriod": periods((0, 16), numberPhases=1, phaseToUse=2)})
    assert refused(read_201(payload, phase_switching=False)).reason == "InvalidSchedule"
    assert taken(read_201(payload)).schedules[0].periods[0].phase_to_use == 2


def test_the_profile_of_a_remote_start():
    for read, written in ((read_16, written_16), (read_201, written_2x)):
        profile = taken(read(written(**TX), connector=0, for_start=True))
        assert (profile.purpose, profile.transaction) == (Purpose.TX, "")
        assert refused(read(written(), connector=1, for_start=True)).reason == "InvalidProfile"


# --- what the schema of the message forbids is a CALLERROR ------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"chargingProfileId": None, "id": None}, ErrorMeaning.OCCURRENCE),
        ({"stackLevel": None}, ErrorMeaning.OCCURRENCE),
        ({"chargingProfilePurpose": None}, ErrorMeaning.OCCURRENCE),
        ({"chargingProfilePurpose": "MaxProfile"}, ErrorMeaning.PROPERTY),
        ({"chargingProfileKind": "absolute"}, ErrorMeaning.PROPERTY),
        ({"chargingProfileKind": 3}, ErrorMeaning.PROPERTY),
        ({**DAILY, "recurrencyKind": "Monthly"}, ErrorMeaning.PROPERTY),
        ({"stackLevel": "1"}, ErrorMeaning.TYPE),
        ({"stackLevel": True}, ErrorMeaning.TYPE),
        ({"stackLevel": 1.5}, ErrorMeaning.TYPE),
        ({"stackLevel": NAN}, ErrorMeaning.TYPE),
        ({"stackLevel": 10**40}, ErrorMeaning.TYPE),
        ({"validTo": "tomorrow"}, ErrorMeaning.PROPERTY),
        ({"validTo": 1700000000}, ErrorMeaning.TYPE),
        ({"schedule": {"chargingRateUnit": "kW"}}, ErrorMeaning.PROPERTY),
        ({"schedule": {"chargingRateUnit": None}}, ErrorMeaning.OCCURRENCE),
        ({"schedule": {"chargingSchedulePeriod": []}}, ErrorMeaning.OCCURRENCE),
        ({"schedule": {"chargingSchedulePeriod": {"startPeriod": 0}}}, ErrorMeaning.TYPE),
        ({"schedule": {"chargingSchedulePeriod": [7]}}, ErrorMeaning.TYPE),
        ({"schedule": {"chargingSchedulePeriod": [{"limit": 7}]}}, ErrorMeaning.OCCURRENCE),
        ({"schedule": {"chargingSchedulePeriod": [{"startPeriod": False, "limit": 7}]}}, ErrorMeaning.TYPE),
        ({"schedule": {"chargingSchedulePeriod": periods((0, "16"))}}, ErrorMeaning.TYPE),
        (
            {"schedule": {"chargingSchedulePeriod": periods(*((n, 6) for n in range(1025)))}},
            ErrorMeaning.OCCURRENCE,
        ),
        ({"chargingSchedule": "none"}, ErrorMeaning.TYPE),
    ],
)
def test_what_is_not_to_the_schema(changes: Json, error: ErrorMeaning):
    for read, written in ((read_16, written_16), (read_201, written_2x), (read_21, written_2x)):
        assert refused(read(written(**changes))).error is error


def test_a_limit_may_be_missing_in_2_1_only():
    payload = written_2x(schedule={"chargingSchedulePeriod": [{"startPeriod": 0}]})
    assert refused(read_201(payload)).error is ErrorMeaning.OCCURRENCE
    assert taken(read_21(payload)).schedules[0].periods[0].limit is None


def test_what_is_no_object_at_all():
    for payload in (None, 7, "profile", [], True):
        assert refused(read_16(payload)).error is ErrorMeaning.TYPE  # type: ignore[arg-type]


def test_1024_periods_are_taken():
    payload = written_16(schedule={"chargingSchedulePeriod": periods(*((n, 6) for n in range(1024)))})
    assert len(taken(read_16(payload)).schedules[0].periods) == 1024


def test_whole_numbers_written_with_a_point_and_nulls_are_read():
    payload = written_16(stackLevel=2.0, validTo=None)
    payload["recurrencyKind"] = None
    assert taken(read_16(payload)).stack_level == 2


@pytest.mark.parametrize(
    ("unit", "period", "limit"),
    [
        ("A", {"limit": 16, "limit_L2": 10, "limit_L3": 12}, 10),
        ("W", {"limit": 3000, "limit_L2": 2000, "limit_L3": 2500}, 6000),  # each of its phase alone
        ("W", {"limit": 9000}, 9000),
        ("W", {"limit": 9000, "setpoint": 4000.05}, 4000.0),
        ("W", {"limit": 9000, "setpoint": -4000}, 0),  # it is to discharge
        ("W", {"setpoint": 1e299}, 1e9),
        ("W", {"limit": 9000, "operationMode": "Idle"}, 0),
        ("W", {"operationMode": "ExternalLimits"}, None),
    ],
)
def test_what_a_period_of_2_1_allows_for_charging(unit: str, period: Json, limit: float | None):
    schedule = {"chargingRateUnit": unit, "chargingSchedulePeriod": [{"startPeriod": 0, **period}]}
    profile = taken(read_21(written_2x(**TX, transactionId="t", schedule=schedule)))
    assert profile.schedules[0].periods[0].limit == limit


@pytest.mark.parametrize("nonsense", [[None], {"a": 1}, 7, "", True])
def test_members_that_only_some_rules_look_at_may_be_nonsense(nonsense: Any):
    period = {"startPeriod": 0, "limit": 6, "operationMode": nonsense}
    payload = written_2x(schedule={"chargingSchedulePeriod": [period]})
    taken(read_21(payload))
    taken(read_201(payload))


def test_every_reason_fits_the_field():
    """statusInfo: reasonCode has at most 20 characters, additionalInfo 512 (2.0.1)."""
    answers: list[Any] = [
        read_21(written_2x(**MAX_2X)),
        read_21(written_2x(schedule={"chargingRateUnit": "x" * 5000})),
        read_21(written_2x(stackLevel=10**4000)),
        ProfileBook(taken(read_16(written_16(chargingProfileId=n))) for n in range(PROFILES_MAX)).set(
            taken(read_16(written_16(chargingProfileId=-1, stackLevel=9))), is_2x=False, running={}
        ),
    ]
    for answer in answers:
        assert len(refused(answer).reason) <= 20
        assert len(refused(answer).text) <= 255


def test_a_profile_from_a_json_decoder_survives_the_store():
    text = json.dumps(written_2x(customData={"vendorId": "x", "n": [1.5, None, "ü"]})).encode()
    book = ProfileBook([taken(read_21(msgspec.json.decode(text)))])
    assert ProfileBook.from_json(book.to_json()) == book
