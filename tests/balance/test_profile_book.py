"""Which profiles may stand side by side, what replaces what, what is cleared, found and kept."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edgegw.balance.composite import Moment, limit_at
from edgegw.balance.profile_book import (
    PROFILES_MAX,
    Criteria,
    ProfileBook,
    Refusal,
    clear_criteria,
    for_transaction,
    get_criteria,
)
from edgegw.balance.profiles import Profile, Purpose
from edgegw.wire.error_codes import ErrorMeaning
from tests.balance.payloads import (
    MAX_2X,
    MAX_16,
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


class Cloud:
    """Sets profiles one after the other, as a story."""

    def __init__(self, is_2x: bool, running: dict[int, str] | None = None) -> None:
        self.is_2x = is_2x
        self.running = running or {}
        self.book = ProfileBook()

    def sets(self, number: int, connector: int = 1, **changes: Any) -> Refusal | None:
        if self.is_2x:
            profile = taken(read_21(written_2x(id=number, **changes), connector))
        else:
            profile = taken(read_16(written_16(chargingProfileId=number, **changes), connector))
        answer = self.book.set(profile, is_2x=self.is_2x, running=self.running)
        if isinstance(answer, Refusal):
            return answer
        self.book = answer
        return None

    @property
    def ids(self) -> list[int]:
        return [profile.id for profile in self.book.profiles]


# --- what replaces what -----------------------------------------------------------------------------


def test_the_same_id_replaces_in_every_version():
    for is_2x in (False, True):
        cloud = Cloud(is_2x)
        cloud.sets(1, stackLevel=0)
        cloud.sets(1, connector=2, stackLevel=5)
        assert [(p.id, p.connector, p.stack_level) for p in cloud.book.profiles] == [(1, 2, 5)]


def test_1_6_the_same_stack_level_and_purpose_replaces():
    cloud = Cloud(is_2x=False)
    cloud.sets(1, stackLevel=2)
    cloud.sets(2, stackLevel=2)
    assert cloud.ids == [2]
    cloud.sets(3, stackLevel=3)
    cloud.sets(4, connector=2, stackLevel=2)
    cloud.sets(5, connector=0, stackLevel=2)
    cloud.sets(6, connector=0, stackLevel=2, **MAX_16)
    assert cloud.ids == [2, 3, 4, 5, 6]


def test_1_6_replacing_one_with_a_later_one_leaves_a_gap():
    """3.13.2: default behaviour until validFrom of the new one."""
    cloud = Cloud(is_2x=False)
    cloud.sets(1)
    cloud.sets(2, validFrom="2026-07-01T00:00:00Z")
    assert limit_at(cloud.book, Moment(now=at("2026-06-15"), connector=1)).limit_a is None


def test_2_x_the_same_stack_level_with_another_id_is_refused():
    cloud = Cloud(is_2x=True)
    cloud.sets(1)
    assert cloud.sets(2) == Refusal(
        "Rejected", "DuplicateProfile", "profile 1 has stackLevel 0 (K01.FR.06, 39, 52, 53)"
    )
    assert cloud.sets(3, stackLevel=1) is None
    assert cloud.sets(4, connector=2) is None
    assert cloud.ids == [1, 3, 4]


def test_2_x_the_same_stack_level_at_another_time_is_taken():
    cloud = Cloud(is_2x=True)
    cloud.sets(1, validTo="2026-07-01T00:00:00Z")
    assert cloud.sets(2, validFrom="2026-07-01T00:00:00Z") is None
    assert refused_now(cloud.sets(3, validFrom="2026-06-30T23:59:59Z")).reason == "DuplicateProfile"


def test_2_x_a_default_for_all_and_one_for_an_evse_may_not_share_a_stack_level():
    """K01.FR.52 and 53: whatever their validity is."""
    for first, second in ((0, 1), (1, 0)):
        cloud = Cloud(is_2x=True)
        cloud.sets(1, connector=first, validTo="2026-07-01T00:00:00Z")
        answer = cloud.sets(2, connector=second, validFrom="2026-08-01T00:00:00Z")
        assert refused_now(answer).reason == "DuplicateProfile"
        assert cloud.sets(1, connector=second) is None  # the same id replaces


def test_an_external_constraint_is_not_replaced():
    """K01.FR.05."""
    profile = taken(read_201(written_2x(id=9)))
    book = ProfileBook([msgspec.structs.replace(profile, purpose=Purpose.EXTERNAL)])
    answer = book.set(taken(read_201(written_2x(id=9, stackLevel=4))), is_2x=True, running={})
    assert refused(answer).reason == "InvalidProfileId"


def test_there_is_room_for_so_many_profiles():
    cloud = Cloud(is_2x=False)
    for number in range(PROFILES_MAX):
        assert cloud.sets(number, stackLevel=number) is None
    assert refused_now(cloud.sets(900, stackLevel=900)).reason == "OutOfStorage"
    assert cloud.sets(901, stackLevel=5) is None  # it replaces one
    assert len(cloud.ids) == PROFILES_MAX


def test_setting_makes_a_new_book_and_leaves_the_old_one():
    cloud = Cloud(is_2x=False)
    before = cloud.book
    cloud.sets(1)
    assert (before.profiles, cloud.ids) == ((), [1])


# --- profiles of a transaction ----------------------------------------------------------------------


def test_a_tx_profile_needs_its_transaction():
    for is_2x, running, number in ((False, "4711", 4711), (True, "4711", "4711")):
        cloud = Cloud(is_2x, {1: running})
        assert cloud.sets(1, transactionId=number, **TX) is None
        assert refused_now(cloud.sets(2, connector=2, transactionId=number, **TX)).reason == "TxNotFound"
        other = 4712 if not is_2x else "4712"
        assert refused_now(cloud.sets(3, transactionId=other, **TX)).reason == "TxNotFound"
        assert cloud.ids == [1]


def test_1_6_a_tx_profile_without_id_is_one_of_the_running_transaction():
    cloud = Cloud(False, {1: "4711"})
    cloud.sets(1, **TX)
    assert cloud.book.profiles[0].transaction == "4711"


def test_2_x_tx_profiles_of_one_transaction_have_different_stack_levels():
    cloud = Cloud(True, {1: "t"})
    cloud.sets(1, transactionId="t", **TX)
    assert refused_now(cloud.sets(2, transactionId="t", **TX)).reason == "DuplicateProfile"  # K01.FR.39
    assert cloud.sets(3, transactionId="t", stackLevel=1, **TX) is None


def test_the_end_of_a_transaction_deletes_its_profiles_alone():
    cloud = Cloud(True, {1: "a", 2: "b"})
    cloud.sets(1)
    cloud.sets(2, transactionId="a", **TX)
    cloud.sets(3, transactionId="a", stackLevel=1, **TX)
    cloud.sets(4, connector=2, transactionId="b", **TX)
    assert [profile.id for profile in cloud.book.transaction_ended("a").profiles] == [1, 4]
    assert cloud.book.transaction_ended("z") is cloud.book
    assert [profile.id for profile in cloud.book.only_transactions(["b"]).profiles] == [1, 4]
    assert cloud.book.only_transactions(["a", "b"]) is cloud.book


def test_the_profile_of_a_remote_start_is_bound_when_the_transaction_begins():
    waiting = taken(read_16(written_16(**TX), connector=0, for_start=True))
    bound = for_transaction(waiting, 2, "77")
    book = ProfileBook().set(bound, is_2x=False, running={2: "77"})
    assert isinstance(book, ProfileBook)
    assert limit_at(book, Moment(now=at("2026-06-01"), connector=2, transaction="77")).limit_a == 16
    assert limit_at(book, Moment(now=at("2026-06-01"), connector=2, transaction="78")).limit_a is None


# --- phases -----------------------------------------------------------------------------------------


def test_one_phase_for_the_station_and_another_for_the_transaction_is_refused():
    """2.x K 3.8."""
    cloud = Cloud(True, {1: "t"})
    first = {"chargingSchedulePeriod": periods((0, 16), numberPhases=1, phaseToUse=1)}
    third = {"chargingSchedulePeriod": periods((0, 16), numberPhases=1, phaseToUse=3)}
    cloud.sets(1, connector=0, schedule=first, **MAX_2X)
    assert refused_now(cloud.sets(2, transactionId="t", schedule=third, **TX)).reason == "InvalidSchedule"
    assert cloud.sets(3, transactionId="t", schedule=first, **TX) is None
    assert cloud.sets(4, schedule={}) is None


# --- clearing ---------------------------------------------------------------------------------------


def filled(is_2x: bool) -> ProfileBook:
    cloud = Cloud(is_2x, {1: "5", 2: "6"})
    tx = "5" if is_2x else 5
    cloud.sets(1, connector=0, **(MAX_2X if is_2x else MAX_16))
    cloud.sets(2, connector=0, stackLevel=1)
    cloud.sets(3, connector=1, stackLevel=2)
    cloud.sets(4, connector=2, stackLevel=2)
    cloud.sets(5, connector=1, stackLevel=2, transactionId=tx, **TX)
    assert cloud.ids == [1, 2, 3, 4, 5]
    return cloud.book


@pytest.mark.parametrize(
    ("payload", "left"),
    [
        ({}, []),
        ({"id": 3}, [1, 2, 4, 5]),
        ({"id": 3, "connectorId": 2, "stackLevel": 7}, [1, 2, 4, 5]),  # errata 3.26: the others are ignored
        ({"id": 9}, [1, 2, 3, 4, 5]),
        ({"connectorId": 0}, [3, 4, 5]),
        ({"connectorId": 1}, [1, 2, 4]),
        ({"stackLevel": 2}, [1, 2]),
        ({"stackLevel": 2, "connectorId": 1}, [1, 2, 4]),
        ({"chargingProfilePurpose": "TxDefaultProfile"}, [1, 5]),
        ({"chargingProfilePurpose": "TxDefaultProfile", "connectorId": 1, "stackLevel": 1}, [1, 2, 3, 4, 5]),
    ],
)
def test_1_6_clear(payload: Json, left: list[int]):
    criteria = clear_criteria(payload, is_2x=False)
    assert isinstance(criteria, Criteria)
    book, cleared = filled(is_2x=False).clear(criteria)
    assert [profile.id for profile in book.profiles] == left
    assert cleared == 5 - len(left)


@pytest.mark.parametrize(
    ("payload", "left"),
    [
        ({"chargingProfileId": 3}, [1, 2, 4, 5]),
        ({"chargingProfileId": 3, "chargingProfileCriteria": {"stackLevel": 7}}, [1, 2, 4, 5]),
        ({"chargingProfileCriteria": {"evseId": 0}}, [3, 4, 5]),
        ({"chargingProfileCriteria": {"evseId": 1, "stackLevel": 2}}, [1, 2, 4]),
        ({"chargingProfileCriteria": {"chargingProfilePurpose": "TxProfile"}}, [1, 2, 3, 4]),
        ({"chargingProfileCriteria": {"chargingProfilePurpose": "PriorityCharging"}}, [1, 2, 3, 4, 5]),
    ],
)
def test_2_x_clear(payload: Json, left: list[int]):
    criteria = clear_criteria(payload, is_2x=True)
    assert isinstance(criteria, Criteria)
    book, cleared = filled(is_2x=True).clear(criteria)
    assert [profile.id for profile in book.profiles] == left
    assert cleared == 5 - len(left)


def test_2_x_clear_without_anything_clears_nothing():
    answer = clear_criteria({}, is_2x=True)
    assert isinstance(answer, Refusal)
    assert answer.status == "Unknown"  # K10.FR.02


def test_external_constraints_and_local_generation_are_never_cleared():
    profile = taken(read_21(written_2x()))
    book = ProfileBook(
        msgspec.structs.replace(profile, id=number, purpose=purpose)
        for number, purpose in enumerate((Purpose.EXTERNAL, Purpose.LOCAL_GENERATION, Purpose.TX_DEFAULT))
    )
    assert book.clear(Criteria(ids=(0,))) == (book, 0)  # K10.FR.09
    assert book.clear(Criteria(purpose=Purpose.LOCAL_GENERATION)) == (book, 0)
    left, cleared = book.clear(Criteria())
    assert ([profile.id for profile in left.profiles], cleared) == ([0, 1], 1)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"id": "3"}, ErrorMeaning.TYPE),
        ({"stackLevel": 0.5}, ErrorMeaning.TYPE),
        ({"chargingProfilePurpose": "Max"}, ErrorMeaning.PROPERTY),
    ],
)
def test_criteria_that_are_not_to_the_schema(payload: Json, error: ErrorMeaning):
    answers = [clear_criteria(payload, is_2x=False)]
    in_2x = {"chargingProfileId" if key == "id" else key: value for key, value in payload.items()}
    wrapped = in_2x if "id" in payload else {"chargingProfileCriteria": in_2x}
    answers.append(clear_criteria(wrapped, is_2x=True))
    for answer in answers:
        assert isinstance(answer, Refusal)
        assert answer.error is error


# --- asking -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "ids"),
    [
        ({"chargingProfile": {}}, [1, 2, 3, 4, 5]),
        ({"chargingProfile": {"chargingProfileId": [3, 5, 99]}}, [3, 5]),
        ({"evseId": 0, "chargingProfile": {}}, [1, 2]),
        ({"evseId": 1, "chargingProfile": {"stackLevel": 2}}, [3, 5]),
        ({"chargingProfile": {"chargingProfilePurpose": "TxDefaultProfile"}}, [2, 3, 4]),
        ({"chargingProfile": {"chargingLimitSource": ["CSO"], "stackLevel": 0}}, [1]),
        ({"chargingProfile": {"chargingLimitSource": ["EMS", "SO"]}}, []),
    ],
)
def test_get_charging_profiles(payload: Json, ids: list[int]):
    criteria = get_criteria(payload)
    assert isinstance(criteria, Criteria)
    assert [profile.id for profile in filled(is_2x=True).find(criteria)] == ids


def test_get_charging_profiles_that_is_not_to_the_schema():
    for payload in ({}, {"chargingProfile": {"chargingProfileId": []}}, {"chargingProfile": 5}):
        assert isinstance(get_criteria(payload), Refusal)


# --- dynamic profiles (2.1 K28) ---------------------------------------------------------------------


def dynamic(**changes: Any) -> Profile:
    schedule = {"startSchedule": None, "duration": 120, **changes.pop("schedule", {})}
    return taken(read_21(written_2x(chargingProfileKind="Dynamic", schedule=schedule, **changes)))


def test_an_update_changes_the_limit_and_the_time():
    book = ProfileBook([dynamic()])
    later = at("2026-06-01 00:01:40")
    changed = book.update_dynamic(1, {"limit": 9.87, "numberPhases": 1}, at=later)
    assert isinstance(changed, ProfileBook)
    (profile,) = changed.profiles
    assert profile.schedules[0].periods[0].limit == 9.8
    assert profile.schedules[0].periods[0].phases is None  # an update has no such field
    assert profile.raw["dynUpdateTime"] == "2026-06-01T00:01:40.000Z"
    assert profile.raw["chargingSchedule"][0]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 9.87}]
    assert book.profiles[0].raw["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 16
    # K28.FR.13, FR.14: the duration counts anew.
    moment = Moment(now=at("2026-06-01 00:03:00"), connector=1)
    assert limit_at(book, moment).limit_a is None
    assert limit_at(changed, moment).limit_a == 9.8


def test_an_update_of_what_is_not_dynamic_is_refused():
    book = ProfileBook([taken(read_21(written_2x()))])
    for number in (1, 2):
        assert (
            refused(book.update_dynamic(number, {"limit": 5}, at=0)).reason == "InvalidProfile"
        )  # K28.FR.11
    assert refused(ProfileBook([dynamic()]).update_dynamic(1, {"limit": -5}, at=0)).status == "Rejected"


def test_dyn_update_time_of_the_cloud_counts_but_not_from_the_future():
    assert dynamic(dynUpdateTime="2026-05-31T23:59:00Z").received_at == at("2026-05-31 23:59:00")
    assert dynamic(dynUpdateTime="2027-01-01T00:00:00Z").received_at == at("2026-06-01")
    assert dynamic(dynUpdateInterval=60).pull_interval_s == 60


# --- the cloud was away (2.1 K01.FR.101, 102) -------------------------------------------------------


def test_after_an_outage_a_profile_is_valid_again_unless_it_says_otherwise():
    back = written_2x(id=1, stackLevel=1, maxOfflineDuration=600)
    gone = written_2x(id=2, stackLevel=2, maxOfflineDuration=600, invalidAfterOfflineDuration=True)
    book = ProfileBook([taken(read_21(back)), taken(read_21(gone))])
    lost = at("2026-06-01 10:00")
    assert book.cloud_returned(lost, lost + 599) is book
    returned = book.cloud_returned(lost, lost + 600)
    assert [profile.lapsed for profile in returned.profiles] == [False, True]
    assert limit_at(book, Moment(now=lost + 600, connector=1)).bound_by == (2,)
    assert limit_at(returned, Moment(now=lost + 600, connector=1)).bound_by == (1,)
    assert returned.cloud_returned(lost, lost + 600) is returned


def test_the_book_survives_the_store():
    book = filled(is_2x=True)
    again = ProfileBook.from_json(book.to_json())
    assert again == book
    assert again.ranking == book.ranking
    for text in (b"", b"{}", b'[{"id": 1}]', b'[{"id": "x"}]'):
        with pytest.raises(ValueError, match=r".+"):
            ProfileBook.from_json(text)


def refused_now(answer: Refusal | None) -> Refusal:
    assert answer is not None
    return answer
