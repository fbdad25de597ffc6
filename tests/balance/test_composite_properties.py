"""The composite against a slow second opinion, and what must hold for any profile whatsoever."""

from __future__ import annotations

import json
import math
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from edgegw.balance.composite import Moment, limit_at, schedule
from edgegw.balance.profile_book import (
    Criteria,
    ProfileBook,
    Refusal,
    clear_criteria,
    get_criteria,
    parse_profile,
)
from edgegw.balance.profiles import Kind, Period, Profile, Purpose, Schedule, Unit
from tests.balance.payloads import at, written_2x, written_16
from tests.balance.slow_composite import Limits, Site, limits

ZONES = [ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("UTC")]
# An ordinary day, the two nights when Berlin's clock is set, and one of Lord Howe (half an hour).
BASES = [int(at(day)) for day in ("2026-06-03", "2026-03-29", "2026-10-25", "2026-04-04 12:00")]
HOUR, MINUTE = 3600, 60
TRANSACTION = "t"


def minutes(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high).map(lambda count: count * MINUTE)


@st.composite
def schedules(draw: st.DrawFn, base: int, kind: Kind) -> Schedule:
    starts = [0, *sorted(draw(st.sets(minutes(1, 30 * 60), max_size=4)))]
    limit = st.one_of(st.none(), st.integers(0, 40).map(float)) if draw(st.booleans()) else st.integers(0, 40)
    has_start = kind not in (Kind.RELATIVE, Kind.DYNAMIC)
    with_soc = draw(st.booleans())
    return Schedule(
        unit=draw(st.sampled_from(Unit)),
        periods=tuple(
            Period(start, draw(limit), draw(st.sampled_from([None, None, 1, 2, 3]))) for start in starts
        ),
        start=base + draw(minutes(-9 * 24 * 60, 12 * 60)) if has_start else None,
        duration_s=draw(st.one_of(st.none(), minutes(0, 40 * 60))),
        local_time=has_start and draw(st.booleans()),
        soc_percent=50 if with_soc else None,
        soc_limit=5 if with_soc else None,
    )


@st.composite
def profiles(draw: st.DrawFn, base: int, number: int) -> Profile:
    purpose = draw(st.sampled_from(Purpose))
    kinds = [kind for kind in Kind if purpose is not Purpose.MAX or kind is not Kind.RELATIVE]
    kind = draw(st.sampled_from(kinds))
    near = st.one_of(st.none(), minutes(-6 * 60, 30 * 60).map(lambda offset: base + offset))
    connectors = {Purpose.MAX: [0], Purpose.TX: [1]}.get(purpose, [0, 1, 2])
    return Profile(
        id=number,
        connector=draw(st.sampled_from(connectors)),
        purpose=purpose,
        kind=kind,
        # One stackLevel of its own: what a book with two of the same would come to is not settled.
        stack_level=number,
        schedules=(draw(schedules(base, kind)),),
        transaction=draw(st.sampled_from([TRANSACTION, "other"])) if purpose is Purpose.TX else "",
        valid_from=draw(near),
        valid_to=draw(near),
        received_at=base + draw(minutes(-60, 0)),
        max_offline_s=draw(st.sampled_from([None, None, 600])),
        lapsed=draw(st.integers(0, 9)) == 0,
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[ProfileBook, Site, int]:
    base = draw(st.sampled_from(BASES))
    numbers = draw(st.permutations(range(draw(st.integers(1, 6)))))
    book = ProfileBook([draw(profiles(base, number)) for number in numbers])
    site = Site(
        connector=draw(st.sampled_from([1, 1, 1, 0])),
        transaction=draw(st.sampled_from([TRANSACTION, ""])),
        started=base - draw(minutes(0, 5 * 60)),
        zone=draw(st.sampled_from(ZONES)),
        offline_since=draw(st.one_of(st.none(), minutes(-20, 20).map(lambda offset: base + offset))),
        priority=draw(st.booleans()),
        soc=draw(st.sampled_from([None, 49, 50])),
    )
    return book, site, base


def moment(site: Site, second: int) -> Moment:
    return Moment(
        now=float(second),
        connector=site.connector,
        transaction=site.transaction,
        started=site.started,
        tz=site.zone,
        offline_since=site.offline_since,
        priority=site.priority,
        soc_percent=site.soc,
    )


def close(ours: float | None, theirs: Any) -> bool:
    return ours is theirs is None or (
        ours is not None and theirs is not None and math.isclose(ours, theirs, abs_tol=1e-9)
    )


def agrees(book: ProfileBook, site: Site, second: int) -> Limits:
    cap, other = limit_at(book, moment(site, second)), limits(book.profiles, site, second)
    assert close(cap.limit_a, other.both), (cap, other)
    assert close(cap.own_a, other.own), (cap, other)
    assert close(cap.charger_a, other.charger), (cap, other)
    assert cap.phases == other.phases, (cap, other)
    return other


INSTANTS = st.lists(
    st.tuples(minutes(-4 * 60, 28 * 60), st.sampled_from([0, 0, -1, 1])), min_size=4, max_size=8
)


@settings(max_examples=150, deadline=None)
@given(cases(), INSTANTS)
def test_the_limit_is_what_the_second_opinion_says(
    case: tuple[ProfileBook, Site, int], instants: list[tuple[int, int]]
):
    book, site, base = case
    for minute, second in instants:
        agrees(book, site, base + minute + second)


@settings(max_examples=100, deadline=None)
@given(
    cases(), minutes(-4 * 60, 28 * 60), st.lists(st.floats(0, 1, exclude_max=True), min_size=3, max_size=3)
)
def test_nothing_changes_before_until(
    case: tuple[ProfileBook, Site, int], minute: int, fractions: list[float]
):
    book, site, base = case
    now = base + minute
    cap = limit_at(book, moment(site, now))
    assert cap.until > now
    end = min(cap.until, now + 40 * 24 * HOUR)
    held = limits(book.profiles, site, now)
    for fraction in (*fractions, 1.0):
        second = min(now + int((end - now) * fraction), int(end) - 1)
        assert limits(book.profiles, site, second) == held


@settings(max_examples=40, deadline=None)
@given(cases(), minutes(-60, 26 * 60), st.sampled_from(Unit))
def test_a_composite_schedule_is_the_limits_one_after_the_other_and_no_period_more(
    case: tuple[ProfileBook, Site, int], minute: int, unit: Unit
):
    book, site, base = case
    begin, ceiling = base + minute, 32
    found = schedule(book, moment(site, begin), 5 * HOUR, unit, ceiling_a=ceiling)
    assert found.duration_s == 5 * HOUR
    assert found.periods[0].start_s == 0
    neighbours = list(zip(found.periods, found.periods[1:], strict=False))
    for earlier, later in neighbours:
        assert later.start_s > earlier.start_s
        assert (later.limit, later.phases) != (earlier.limit, earlier.phases)
    for offset in range(0, 5 * HOUR, 2 * MINUTE):
        running = [period for period in found.periods if period.start_s <= offset][-1]
        other = limits(book.profiles, site, begin + offset)
        phases = other.phases or 3
        expected = min(ceiling, ceiling if other.both is None else other.both)
        expected = expected if unit is Unit.AMPS else expected * 230 * phases
        assert running.phases == phases
        assert running.limit is not None
        assert running.limit <= expected + 1e-6
        assert expected - running.limit < 0.1 + 1e-6


# --- anything at all --------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = [
    "chargingProfileId", "id", "stackLevel", "chargingProfilePurpose", "chargingProfileKind",
    "recurrencyKind", "validFrom", "validTo", "transactionId", "chargingSchedule",
    "maxOfflineDuration", "invalidAfterOfflineDuration", "dynUpdateTime", "dynUpdateInterval",
]  # fmt: skip
OF_SCHEDULE = [
    "startSchedule", "duration", "chargingRateUnit", "chargingSchedulePeriod", "minChargingRate",
    "useLocalTime", "randomizedDelay", "limitAtSoC",
]  # fmt: skip
OF_PERIOD = ["startPeriod", "limit", "limit_L2", "numberPhases", "phaseToUse", "setpoint", "operationMode"]
WORDS = [
    "TxProfile", "TxDefaultProfile", "ChargingStationMaxProfile", "PriorityCharging", "Recurring",
    "Relative", "Dynamic", "Daily", "W", "A", "Idle", "2026-06-01T00:00:00Z", "2026-13-01T00:00:00Z",
]  # fmt: skip


@st.composite
def spoiled(draw: st.DrawFn, is_2x: bool) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(json.dumps(written_2x() if is_2x else written_16()))
    inner = payload["chargingSchedule"][0] if is_2x else payload["chargingSchedule"]
    period = inner["chargingSchedulePeriod"][0]
    for target, names in ((payload, MEMBERS), (inner, OF_SCHEDULE), (period, OF_PERIOD)):
        for name in draw(st.lists(st.sampled_from(names), max_size=2)):
            target[name] = draw(JSON | st.sampled_from(WORDS) | st.integers(-3, 100))
    return payload


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from([(False, False), (True, False), (True, True)]), st.sampled_from([0, 1]))
def test_whatever_is_sent_is_taken_or_refused_and_what_is_taken_can_be_reckoned(
    data: st.DataObject, version: tuple[bool, bool], connector: int
):
    is_2x, is_21 = version
    payload = data.draw(st.one_of(spoiled(is_2x), spoiled(is_2x), JSON))
    profile = parse_profile(
        payload, is_2x=is_2x, is_21=is_21, connector=connector, received_at=float(BASES[0])
    )
    if isinstance(profile, Refusal):
        assert profile.status == "Rejected"
        assert len(profile.reason) <= 20
        return
    book = ProfileBook().set(profile, is_2x=is_2x, running={1: profile.transaction or TRANSACTION})
    assert isinstance(book, ProfileBook)
    assert ProfileBook.from_json(book.to_json()).profiles[0].schedules == profile.schedules
    when = Moment(now=float(BASES[0]), connector=1, transaction=TRANSACTION, tz=ZONES[0], priority=True)
    cap = limit_at(book, when)
    assert cap.until > when.now
    assert cap.limit_a is None or 0 <= cap.limit_a <= 1e10
    for period in schedule(book, when, HOUR, Unit.WATTS, ceiling_a=32).periods:
        assert period.limit is not None
        assert 0 <= period.limit <= 32 * 690


@settings(max_examples=100, deadline=None)
@given(JSON, st.booleans())
def test_whatever_is_asked_is_understood_or_refused(payload: Any, is_2x: bool):
    assert isinstance(clear_criteria(payload, is_2x=is_2x), Criteria | Refusal)
    assert isinstance(get_criteria(payload), Criteria | Refusal)
    wrapped = {
        "chargingProfile": payload,
        "chargingProfileCriteria": payload,
        "evseId": payload,
        "id": payload,
    }
    assert isinstance(clear_criteria(wrapped, is_2x=is_2x), Criteria | Refusal)
    assert isinstance(get_criteria(wrapped), Criteria | Refusal)


@settings(max_examples=40, deadline=None)
@given(st.lists(cases(), min_size=1, max_size=3), st.booleans())
def test_in_a_book_no_two_profiles_claim_the_same_place(
    several: list[tuple[ProfileBook, Site, int]], is_2x: bool
):
    book = ProfileBook()
    for other, _, _ in several:
        for profile in other.profiles:
            answer = book.set(profile, is_2x=is_2x, running={1: profile.transaction})
            book = book if isinstance(answer, Refusal) else answer
    ids = [profile.id for profile in book.profiles]
    assert len(ids) == len(set(ids))
    places = [(p.purpose, p.stack_level, p.connector, p.transaction) for p in book.profiles]
    if not is_2x:
        assert len(places) == len(set(places))
    cleared, count = book.clear(Criteria())
    assert len(cleared.profiles) + count == len(ids)
    assert cleared.clear(Criteria()) == (cleared, 0)
