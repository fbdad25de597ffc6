"""What profiles come to: the examples of the specifications, then one rule after the other."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from edgegw.balance.composite import PERIODS_MAX, Cap, Moment, charger_schedule, limit_at, schedule
from edgegw.balance.profile_book import ProfileBook
from edgegw.balance.profiles import Profile, Purpose, Unit
from tests.balance.payloads import (
    DAILY,
    MAX_2X,
    TX,
    WEEKLY,
    at,
    book_of,
    periods,
    read_16,
    read_21,
    taken,
    written_2x,
    written_16,
)

BERLIN = ZoneInfo("Europe/Berlin")
NOON = at("2026-06-01 12:00")


def moment(text: str = "2026-06-01 12:00", **more: Any) -> Moment:
    return Moment(**{"now": at(text), "connector": 1, **more})


def amps(book: ProfileBook, text: str = "2026-06-01 12:00", **more: Any) -> float | None:
    return limit_at(book, moment(text, **more)).limit_a


def default(limit: float = 16, **changes: Any) -> Profile:
    connector = changes.pop("connector", 1)
    changes.setdefault("schedule", {"chargingSchedulePeriod": periods((0, limit))})
    return taken(read_21(written_2x(**changes), connector))


def of_tx(limit: float, **changes: Any) -> Profile:
    return default(limit, **TX, **{"transactionId": "t", **changes})


def station(limit: float, **changes: Any) -> Profile:
    return default(limit, connector=0, **MAX_2X, **{"id": 90, **changes})


def external(limit: float, connector: int = 0, number: int = 80) -> Profile:
    found = default(limit, connector=connector)
    return msgspec.structs.replace(found, purpose=Purpose.EXTERNAL, id=number)


# --- examples of the specifications -----------------------------------------------------------------


def test_example_of_1_6_6_kw_by_day():
    """1.6 3.13.7: 11 kW, from 08:00 to 20:00 6 kW, daily."""
    book = book_of(
        read_16(
            written_16(
                chargingProfileId=100,
                **DAILY,
                schedule={
                    "duration": 86400,
                    "startSchedule": "2013-01-01T00:00Z",
                    "chargingRateUnit": "W",
                    "chargingSchedulePeriod": periods(
                        (0, 11000), (28800, 6000), (72000, 11000), numberPhases=3
                    ),
                },
            )
        )
    )
    for text, watts in (("07:59:59", 11000), ("08:00", 6000), ("19:59:59", 6000), ("20:00", 11000)):
        cap = limit_at(book, moment(f"2026-06-01 {text}"))
        assert cap.limit_w == pytest.approx(watts)
        assert cap.limit_a == pytest.approx(watts / 690)
    day = schedule(book, moment("2026-06-01 06:00"), 86400, Unit.WATTS)
    assert [(p.start_s, p.limit, p.phases) for p in day.periods] == [
        (0, 11000, 3),
        (7200, 6000, 3),
        (50400, 11000, 3),
    ]


def stacked() -> ProfileBook:
    """2.1 K 3.7.1: 2 kW from 17 to 20 h, not on Sundays, not on Christmas Day 2020."""
    base = {"chargingRateUnit": "W", "duration": 86400, "chargingSchedulePeriod": periods((0, 999999))}
    peak = {
        "chargingRateUnit": "W",
        "duration": 10800,
        "startSchedule": "2020-01-09T17:00:00",
        "chargingSchedulePeriod": periods((0, 2000)),
    }
    return ProfileBook(
        [
            default(id=10, stackLevel=1, **DAILY, schedule=peak),
            default(id=11, stackLevel=2, **WEEKLY, schedule={**base, "startSchedule": "2020-01-05T00:00:00"}),
            default(
                id=12,
                stackLevel=3,
                validFrom="2020-01-01T00:00:00",
                validTo="2021-01-01T00:00:00",
                schedule={**base, "startSchedule": "2020-12-25T00:00:00"},
            ),
        ]
    )


@pytest.mark.parametrize(
    ("text", "watts"),
    [
        ("2020-01-09 16:59:59", None),
        ("2020-01-09 17:00", 2000),
        ("2020-01-09 20:00", None),
        ("2020-01-12 18:00", 999999),  # a Sunday
        ("2020-01-13 18:00", 2000),
        ("2020-12-25 18:00", 999999),
        ("2020-12-26 18:00", 2000),
        ("2020-01-08 18:00", None),  # before the first startSchedule
    ],
)
def test_example_of_2_1_stacked_profiles(text: str, watts: float | None):
    cap = limit_at(stacked(), moment(text))
    assert cap.limit_w == (None if watts is None else pytest.approx(watts))


def test_examples_of_2_1_several_purposes():
    """K 3.6, situations 1 and 2: the lowest of those that lead; TxProfile overrules TxDefaultProfile."""
    book = ProfileBook(
        [
            station(20),
            default(8, id=1, stackLevel=1),
            default(14, id=2, stackLevel=2),
            external(18),
        ]
    )
    assert limit_at(book, moment()).limit_a == 14
    with_tx = ProfileBook([*book.profiles, of_tx(19, id=3, stackLevel=1)])
    cap = limit_at(with_tx, moment(transaction="t"))
    assert (cap.limit_a, cap.own_a, cap.charger_a, cap.bound_by) == (18, 19, 18, (80,))


# --- within a purpose -------------------------------------------------------------------------------


def test_the_highest_stack_level_decides_and_not_the_lowest_limit():
    book = ProfileBook([default(6, id=1), default(32, id=2, stackLevel=7)])
    assert amps(book) == 32


def test_a_profile_without_a_period_now_leaves_the_word_to_the_one_below():
    high = default(id=2, stackLevel=7, schedule={"startSchedule": "2026-06-01T10:00:00Z", "duration": 3600})
    book = ProfileBook([default(6, id=1), high])
    for text, limit in (("09:59:59", 6), ("10:00", 16), ("10:59:59", 16), ("11:00", 6)):
        assert amps(book, f"2026-06-01 {text}") == limit
    untils = [limit_at(book, moment(f"2026-06-01 {text}")).until for text in ("09:00", "10:30", "11:00")]
    assert untils == [at("2026-06-01 10:00"), at("2026-06-01 11:00"), float("inf")]


def test_validity_begins_with_its_first_second_and_ends_before_its_last():
    book = ProfileBook([default(validFrom="2026-06-01T10:00:00Z", validTo="2026-06-01T11:00:00Z")])
    for text, limit in (("09:59:59", None), ("10:00", 16), ("10:59:59", 16), ("11:00", None)):
        assert amps(book, f"2026-06-01 {text}") == limit


def test_a_default_for_one_connector_goes_before_one_for_all():
    book = book_of(
        read_16(written_16(chargingProfileId=1), connector=0),
        read_16(written_16(chargingProfileId=2, schedule={"chargingSchedulePeriod": periods((0, 10))})),
    )
    assert amps(book) == 10
    assert amps(book, connector=2) == 16


def test_a_default_for_all_is_none_of_the_charger_as_a_whole():
    """K09.FR.05."""
    assert amps(ProfileBook([default(connector=0)]), connector=0) is None


# --- schedules --------------------------------------------------------------------------------------


def test_periods_beyond_the_duration_are_not_executed():
    book = ProfileBook(
        [
            default(
                schedule={
                    "startSchedule": "2026-06-01T12:00:00Z",
                    "duration": 100,
                    "chargingSchedulePeriod": periods((0, 10), (50, 8), (100, 6), (150, 7)),
                }
            )
        ]
    )
    for second, limit in ((0, 10), (49, 10), (50, 8), (99, 8), (100, None), (160, None)):
        assert limit_at(book, moment(now=NOON + second)).limit_a == limit


def test_the_last_period_lasts_without_a_duration():
    book = ProfileBook([default(schedule={"chargingSchedulePeriod": periods((0, 10), (60, 8))})])
    assert amps(book, "2036-06-01 12:00") == 8
    assert limit_at(book, moment("2036-06-01 12:00")).until == float("inf")


def test_what_lies_beyond_the_recurrence_is_cut_off():
    """1.6 errata 3.44."""
    daily = default(
        **DAILY,
        schedule={"duration": 200000, "chargingSchedulePeriod": periods((0, 10), (3600, 8), (90000, 6))},
    )
    book = ProfileBook([daily])
    for text, limit in (("00:30", 10), ("01:00", 8), ("23:59:59", 8)):
        assert amps(book, f"2026-06-02 {text}") == limit


def test_a_recurrence_with_a_short_duration_ends_each_time():
    book = ProfileBook([default(**DAILY, schedule={"duration": 3600}), station(25)])
    assert [amps(book, f"2026-06-02 {text}") for text in ("00:59:59", "01:00", "23:59:59")] == [16, 25, 25]


def test_weekly_recurs_on_the_day_of_its_start():
    weekly = default(**WEEKLY, schedule={"startSchedule": "2026-06-03T08:00:00Z", "duration": 3600})
    book = ProfileBook([weekly])
    assert amps(book, "2026-05-27 08:30") is None  # before the start
    assert [amps(book, f"2026-06-{day} 08:30") for day in ("03", "04", "10", "16", "17")] == [
        16,
        None,
        16,
        None,
        16,
    ]


def test_relative_counts_from_the_start_of_the_transaction():
    relative = of_tx(
        0,
        chargingProfileKind="Relative",
        schedule={"startSchedule": None, "chargingSchedulePeriod": periods((0, 16), (600, 8))},
    )
    book = ProfileBook([relative])
    for second, limit in ((0, 16), (599, 16), (600, 8)):
        at_second = moment(now=NOON + second, started=NOON, transaction="t")
        assert limit_at(book, at_second).limit_a == limit


def test_without_a_transaction_the_default_counts_as_if_one_began_now():
    """K08.FR.06."""
    book = book_of(
        read_21(
            written_2x(
                chargingProfileKind="Relative",
                schedule={"startSchedule": None, "chargingSchedulePeriod": periods((0, 16), (600, 8))},
            )
        )
    )
    assert amps(book) == 16
    found = schedule(book, moment(), 1200, Unit.AMPS)
    assert [(p.start_s, p.limit) for p in found.periods] == [(0, 16), (600, 8)]


def test_a_dynamic_profile_lapses_when_nothing_updates_it():
    book = book_of(
        read_21(written_2x(chargingProfileKind="Dynamic", schedule={"startSchedule": None, "duration": 60}))
    )
    assert amps(book, "2026-06-01 00:00:59") == 16
    assert amps(book, "2026-06-01 00:01:00") is None
    assert amps(book, "2026-05-31 23:59:59") == 16  # the clock was set back: it is there all the same


def test_a_random_delay_moves_every_period_but_the_first():
    schedule_ = {
        "randomizedDelay": 600,
        "duration": 7200,
        "startSchedule": "2026-06-01T12:00:00Z",
        "chargingSchedulePeriod": periods((0, 16), (3600, 8)),
    }
    book = ProfileBook([default(schedule=schedule_)])
    delays = []
    for transaction in ("a", "b", "c", "d"):
        when = moment(transaction=transaction)
        assert limit_at(book, when).limit_a == 16
        change = limit_at(book, when).until
        assert limit_at(book, moment(transaction=transaction, now=change)).limit_a == 8
        assert limit_at(book, moment(transaction=transaction, now=NOON + 7200)).limit_a is None
        delays.append(change - NOON - 3600)
    assert all(0 <= delay <= 600 for delay in delays)
    assert len(set(delays)) > 1
    assert limit_at(book, moment()).until == NOON + 3600  # K08.FR.06: none without a transaction


def test_a_delay_that_is_longer_than_a_period_swallows_it():
    many = periods(*((n * 10, 16 - n % 8) for n in range(100)))
    book = ProfileBook([default(schedule={"randomizedDelay": 300, "chargingSchedulePeriod": many})])
    found = schedule(book, moment("2026-01-01 00:00", transaction="a"), 2000, Unit.AMPS)
    assert len(found.periods) < 100
    assert [p.start_s for p in found.periods] == sorted({p.start_s for p in found.periods})
    assert found.periods[-1].limit == 16 - 99 % 8


# --- the local clock (2.1 K01.FR.90, 91) ------------------------------------------------------------


def local_peak(**changes: Any) -> ProfileBook:
    """From 01:30 to 03:30 local time 6 A, else 16 A, every day."""
    hours = {"chargingSchedulePeriod": periods((0, 16), (5400, 6), (12600, 16)), "useLocalTime": True}
    return ProfileBook([default(**DAILY, schedule={**hours, **changes})])


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("2026-01-15 00:29:59", 16),  # winter: UTC + 1
        ("2026-01-15 00:30", 6),
        ("2026-01-15 02:29:59", 6),
        ("2026-01-15 02:30", 16),
        ("2026-07-15 23:29:59", 16),  # summer: UTC + 2
        ("2026-07-15 23:30", 6),
        ("2026-07-15 01:30", 16),
        ("2026-03-29 00:59:59", 6),  # 01:59:59, then the clock is set to 03:00
        ("2026-03-29 01:00", 6),
        ("2026-03-29 01:29:59", 6),
        ("2026-03-29 01:30", 16),
        ("2026-10-25 00:30", 6),  # 02:30
        ("2026-10-25 01:00", 6),  # it was set back to 02:00
        ("2026-10-25 02:29:59", 6),
        ("2026-10-25 02:30", 16),
    ],
)
def test_a_schedule_in_local_time(text: str, limit: float):
    assert amps(local_peak(), text, tz=BERLIN) == limit


def spans(book: ProfileBook, text: str) -> list[tuple[float, float | None]]:
    found = schedule(book, moment(text, tz=BERLIN), 6 * 3600, Unit.AMPS)
    return [(p.start_s, p.limit) for p in found.periods]


def test_one_hour_less_when_summer_begins_and_one_more_when_it_ends():
    assert spans(local_peak(), "2026-03-28 23:00") == [(0, 16), (5400, 6), (9000, 16)]
    assert spans(local_peak(), "2026-10-24 22:00") == [(0, 16), (5400, 6), (16200, 16)]


def test_a_whole_period_is_skipped_or_repeated():
    """K01.FR.91: 02:00 to 03:00 local time 6 A."""
    hour = {"chargingSchedulePeriod": periods((0, 16), (7200, 6), (10800, 16))}
    assert spans(local_peak(**hour), "2026-03-28 23:00") == [(0, 16)]
    assert spans(local_peak(**hour), "2026-10-24 22:00") == [(0, 16), (7200, 6), (14400, 16)]
    quarter = {"chargingSchedulePeriod": periods((0, 16), (7200, 6), (8100, 16))}
    assert spans(local_peak(**quarter), "2026-10-24 22:00") == [
        (0, 16),
        (7200, 6),
        (8100, 16),
        (10800, 6),
        (11700, 16),
    ]


def test_an_absolute_local_schedule_has_its_start_on_the_local_clock():
    once = {"startSchedule": "2026-07-01T08:00:00Z", "useLocalTime": True, "duration": 3600}
    book = ProfileBook([default(schedule=once)])
    assert [
        amps(book, f"2026-07-01 {text}", tz=BERLIN) for text in ("05:59:59", "06:00", "06:59:59", "07:00")
    ] == [
        None,
        16,
        16,
        None,
    ]
    assert limit_at(book, moment("2026-07-01 05:00", tz=BERLIN)).until == at("2026-07-01 06:00")
    assert amps(book, "2026-07-01 08:00") == 16  # no zone known: UTC


def test_a_schedule_in_utc_does_not_follow_the_local_clock():
    book = ProfileBook([default(**DAILY, schedule={"duration": 3600})])
    for text in ("2026-03-28 00:30", "2026-03-29 00:30", "2026-03-30 00:30"):
        assert amps(book, text, tz=BERLIN) == 16


# --- across purposes --------------------------------------------------------------------------------


def test_own_and_whole_charger_are_told_apart():
    cap = limit_at(ProfileBook([station(40), default(16, id=1)]), moment())
    assert (cap.limit_a, cap.own_a, cap.charger_a, cap.bound_by) == (16, 16, 40, (1,))
    cap = limit_at(ProfileBook([station(10), default(16, id=1)]), moment())
    assert (cap.limit_a, cap.own_a, cap.charger_a, cap.bound_by) == (10, 16, 10, (90,))
    cap = limit_at(ProfileBook([station(10), default(16, id=1)]), moment(connector=0))
    assert (cap.limit_a, cap.own_a, cap.charger_a) == (10, None, 10)


def test_without_profiles_there_is_no_limit():
    nothing = Cap(
        limit_a=None,
        limit_w=None,
        own_a=None,
        charger_a=None,
        phases=None,
        phase_to_use=None,
        until=float("inf"),
        bound_by=(),
    )
    assert limit_at(ProfileBook(), moment()) == nothing


def test_a_tx_profile_that_ends_gives_back_to_the_default():
    """K02.FR.08."""
    book = ProfileBook([default(10, id=1), of_tx(32, id=2, validTo="2026-06-01T13:00:00Z")])
    assert [amps(book, f"2026-06-01 {text}", transaction="t") for text in ("12:59:59", "13:00")] == [32, 10]
    later = ProfileBook([default(10, id=1), of_tx(32, id=2, validFrom="2026-06-01T13:00:00Z")])
    assert limit_at(later, moment(transaction="t")).until == at("2026-06-01 13:00")
    assert amps(book) == 10
    assert amps(book, transaction="other") == 10


def test_priority_charging_overrules_the_transaction_but_not_the_station():
    """K21.FR.04."""
    priority = default(32, id=5, connector=0, chargingProfilePurpose="PriorityCharging")
    book = ProfileBook([default(10, id=1), of_tx(8, id=2), priority, station(25)])
    assert amps(book, transaction="t", priority=True) == 25
    assert limit_at(book, moment(transaction="t", priority=True)).own_a == 32
    assert amps(book, transaction="t") == 8
    assert amps(book, priority=True) == 10  # no transaction, nothing to give priority to


def test_external_constraints_bind_on_the_station_and_on_the_evse():
    book = ProfileBook([external(12), external(20, connector=1, number=81), default(16, id=1)])
    cap = limit_at(book, moment())
    assert (cap.limit_a, cap.own_a, cap.charger_a) == (12, 16, 12)
    assert limit_at(ProfileBook([external(9, connector=1)]), moment()).own_a == 9
    assert amps(ProfileBook([external(9, connector=1)]), connector=2) is None


def test_local_generation_is_added_on_top():
    """SC.01."""
    sun = default(4, id=6, connector=0, chargingProfilePurpose="LocalGeneration")
    book = ProfileBook([default(10, id=1), station(8), sun])
    cap = limit_at(book, moment())
    assert (cap.limit_a, cap.own_a, cap.charger_a, cap.bound_by) == (12, 14, 12, (90,))
    assert amps(ProfileBook([sun])) is None


def test_a_period_without_a_limit_overrules_those_below_it():
    free = default(id=2, stackLevel=3, schedule={"chargingSchedulePeriod": [{"startPeriod": 0}]})
    assert amps(ProfileBook([default(6, id=1), free])) is None


# --- units and phases -------------------------------------------------------------------------------


def test_amps_and_watts_are_compared_per_phase():
    in_watts = {"chargingRateUnit": "W", "chargingSchedulePeriod": periods((0, 11040))}
    book = ProfileBook([station(0, schedule=in_watts), default(20, id=1)])
    assert limit_at(book, moment()).limit_a == pytest.approx(16)
    assert limit_at(book, moment()).limit_w == pytest.approx(11040)
    one = {"chargingRateUnit": "W", "chargingSchedulePeriod": periods((0, 3680), numberPhases=1)}
    book = ProfileBook([default(0, id=1, schedule=one), station(20)])
    cap = limit_at(book, moment())
    assert (cap.limit_a, cap.limit_w, cap.phases) == (16, 3680, 1)


def test_watts_without_a_number_of_phases_mean_three():
    """K01.FR.49; 1.6 errata 3.34: also where fewer are there the current is not reckoned anew."""
    watts = {"chargingRateUnit": "W", "chargingSchedulePeriod": periods((0, 11040))}
    cap = limit_at(ProfileBook([default(0, schedule=watts)]), moment(phases=1))
    assert cap.limit_a == pytest.approx(16)
    assert cap.limit_w == pytest.approx(3680)


def test_the_lowest_number_of_phases_counts():
    """2.x K 3.8."""
    one = {"chargingSchedulePeriod": periods((0, 16), numberPhases=1, phaseToUse=2)}
    two = {"chargingSchedulePeriod": periods((0, 20), numberPhases=2)}
    cap = limit_at(ProfileBook([default(0, id=1, schedule=one), station(0, schedule=two)]), moment())
    assert (cap.phases, cap.phase_to_use, cap.limit_w) == (1, 2, 16 * 230)


def test_the_state_of_charge_lowers_the_limit_where_it_is_known():
    """K01.FR.100."""
    book = ProfileBook([default(schedule={"limitAtSoC": {"soc": 80, "limit": 8}})])
    assert [amps(book, soc_percent=soc) for soc in (None, 79, 80, 100)] == [16, 16, 8, 8]


# --- the cloud is away ------------------------------------------------------------------------------


def test_a_profile_for_online_times_gives_way_while_the_cloud_is_away():
    """K01.FR.101 and the remark of K21."""
    book = ProfileBook([default(10, id=1), default(32, id=2, stackLevel=1, maxOfflineDuration=300)])
    assert amps(book, offline_since=NOON - 299) == 32
    assert limit_at(book, moment(offline_since=NOON - 299)).until == NOON + 1
    assert amps(book, offline_since=NOON - 300) == 10
    assert amps(book) == 32


# --- the composite schedule -------------------------------------------------------------------------


def test_a_composite_has_no_period_more_than_it_needs():
    steps = {"chargingSchedulePeriod": periods(*((n * 60, 16 + n % 4) for n in range(50)))}
    book = ProfileBook([default(0, id=1, **DAILY, schedule=steps), station(10)])
    found = schedule(book, moment("2026-06-02 00:00"), 7200, Unit.AMPS)
    assert [(p.start_s, p.limit) for p in found.periods] == [(0, 10)]
    assert found.duration_s == 7200


def test_a_composite_is_rounded_down_and_capped_by_what_the_gateway_allows():
    watts = {"chargingRateUnit": "W", "chargingSchedulePeriod": periods((0, 12000), (60, 22000))}
    book = ProfileBook([default(0, schedule={**watts, "startSchedule": "2026-06-01T12:00:00Z"})])
    found = schedule(book, moment(), 120, Unit.AMPS, ceiling_a=20)
    assert [(p.start_s, p.limit, p.phases) for p in found.periods] == [(0, 17.3, 3), (60, 20, 3)]
    in_watts = schedule(book, moment(), 120, Unit.WATTS, ceiling_a=20)
    assert [p.limit for p in in_watts.periods] == [12000, 13800]


def test_a_composite_of_no_profile_is_the_ceiling_or_no_limit():
    assert schedule(ProfileBook(), moment(), 60, Unit.AMPS, ceiling_a=6).periods[0].limit == 6
    assert schedule(ProfileBook(), moment(), 60, Unit.AMPS).periods[0].limit is None
    assert len(schedule(ProfileBook(), moment(), 0, Unit.AMPS).periods) == 1


def test_the_composite_of_the_charger_is_the_sum_within_its_maximum():
    """K08.FR.03."""
    later = {"startSchedule": "2026-06-01T13:00:00Z"}
    book = ProfileBook(
        [
            default(16, id=1, connector=1),
            default(10, id=2, connector=2),
            station(0, schedule={**later, "chargingSchedulePeriod": periods((0, 20))}),
        ]
    )
    both = [(moment(connector=1), 32.0), (moment(connector=2, phases=1), 32.0)]
    found = charger_schedule(book, both, 7200, Unit.AMPS)
    assert [(p.start_s, p.limit) for p in found.periods] == [(0, 26), (3600, 20)]
    in_watts = charger_schedule(book, both, 7200, Unit.WATTS)
    assert [p.limit for p in in_watts.periods] == [16 * 690 + 10 * 230]  # within 20 x 690
    alone = charger_schedule(ProfileBook(), both, 60, Unit.AMPS)
    assert [p.limit for p in alone.periods] == [64]


def test_a_composite_of_very_many_changes_ends_early_and_says_so():
    steps = {"chargingSchedulePeriod": periods(*((n * 60, 6 + n % 2) for n in range(1000)))}
    book = ProfileBook([default(0, **DAILY, schedule=steps)])
    found = schedule(book, moment("2026-06-02 00:00"), 40 * 86400, Unit.AMPS)
    assert len(found.periods) == PERIODS_MAX
    assert found.duration_s < 2.5 * 86400
    assert found.periods[-1].start_s < found.duration_s


def test_profiles_that_change_all_the_time_without_effect_end_early_too():
    steps = {"chargingSchedulePeriod": periods(*((n * 60, 16 + n % 2) for n in range(1000)))}
    book = ProfileBook([default(0, id=1, **DAILY, schedule=steps), station(10)])
    found = schedule(book, moment("2026-06-02 00:00"), 400 * 86400, Unit.AMPS)
    assert [p.limit for p in found.periods] == [10]
    assert found.duration_s < 6 * 86400


def test_a_composite_moves_on_when_times_are_no_whole_seconds():
    odd = {"startSchedule": "2026-01-01T00:00:00.333333333Z", "duration": 7}
    book = ProfileBook([default(**DAILY, schedule=odd), station(20)])
    found = schedule(book, moment(now=at("2026-06-01") - 9.9), 86430, Unit.AMPS)
    assert [(p.start_s, p.limit) for p in found.periods] == [
        (0, 20),
        (10, 16),
        (17, 20),
        (86410, 16),
        (86417, 20),
    ]


def test_a_limit_in_watts_comes_back_as_it_was_written():
    for watts in range(1000, 23000, 10):
        book = ProfileBook(
            [default(0, schedule={"chargingRateUnit": "W", "chargingSchedulePeriod": periods((0, watts))})]
        )
        assert schedule(book, moment(), 60, Unit.WATTS).periods[0].limit == watts


def test_until_is_later_than_now_however_near_the_next_change_is():
    tiny = 2.0**-23  # less than a float of today can tell apart
    profile = default(**DAILY, schedule={"duration": 3600})
    begin = msgspec.structs.replace(profile.schedules[0], start=at("2001-01-01") + tiny)
    book = ProfileBook([msgspec.structs.replace(profile, schedules=(begin,))])
    cap = limit_at(book, moment("2026-06-01 00:00"))
    assert cap.limit_a is None
    assert cap.until > at("2026-06-01 00:00")
