"""The cloud's charging profiles of a balanced charger: the lower limit holds, the cloud is told the truth."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from edgegw.core.effects import SendCloud
from edgegw.core.power import Control
from edgegw.core.profile_wishes import WISHES_MAX
from edgegw.core.records import SaveDocument
from edgegw.wire import frames
from tests.core.balanced_story import (
    TWO,
    BalancedStory,
    balanced,
    composite,
    profile,
    set_limit,
    set_payload,
    status_of,
)
from tests.core.story import V16, V21, V201, event, online, start

EVERY_VERSION = pytest.mark.parametrize("version", [V16, V201, V21])
ONLY_2X = pytest.mark.parametrize("version", [V201, V21])


def clear_all(told: BalancedStory) -> Any:
    if not told.version.is_2x:
        return told.asks("ClearChargingProfile", {})
    criteria = {"chargingProfilePurpose": "TxProfile"}
    return told.asks("ClearChargingProfile", {"chargingProfileCriteria": criteria})


# --- the lower one holds ------------------------------------------------------------------------------


@EVERY_VERSION
def test_a_lower_limit_of_the_cloud_holds_and_is_accepted_when_the_charger_has_it(version):
    told = balanced(version)
    transaction = told.begins()
    assert told.told[1] == 32.0
    told.takes = ""  # does not answer yet
    asked = set_limit(told, 10.0, transactionId=transaction)
    assert told.reply(asked) is None
    assert told.charger.actions[-1] == "SetChargingProfile"
    told.takes = "Accepted"
    told.effects = []
    told._take(told.charger.frames[-1][3])
    told.charger.answers({"status": "Accepted"})
    assert status_of(told, asked) == "Accepted"
    assert told.told[1] == 10.0
    kinds = [type(e) for e in told.effects if isinstance(e, SendCloud) or _is_profiles(e)]
    assert kinds == [SaveDocument, SendCloud]  # durable before the cloud hears it


def _is_profiles(effect: object) -> bool:
    return isinstance(effect, SaveDocument) and effect.kind == "profiles" and effect.durable


@EVERY_VERSION
def test_the_profile_of_the_cloud_never_reaches_the_charger(version):
    told = balanced(version)
    transaction = told.begins()
    told.forget()
    asked = set_limit(told, 10.0, transactionId=transaction, id=4711)
    told.seconds(60)
    assert status_of(told, asked) == "Accepted"
    assert told.charger.raw
    assert not any(b"4711" in raw or asked.encode() in raw for raw in told.charger.raw)


@EVERY_VERSION
def test_a_higher_limit_of_the_cloud_than_the_sites_is_accepted_at_once_and_changes_nothing(version):
    told = balanced(version)
    transaction = told.begins()
    told.grants(12.0)
    told.forget()
    asked = set_limit(told, 20.0, transactionId=transaction)
    assert status_of(told, asked) == "Accepted"
    assert told.charger.raw == []
    assert told.told[1] == 12.0


@EVERY_VERSION
def test_a_schedule_of_later_is_accepted_at_once_and_holds_when_its_time_has_come(version):
    told = balanced(version)
    transaction = told.begins()
    asked = set_limit(told, 8.0, transactionId=transaction, at=told.wall - 1_790_000_000.0 + 60)
    assert status_of(told, asked) == "Accepted"
    assert told.told[1] == 32.0
    told.seconds(63)
    assert told.told[1] == 8.0


@EVERY_VERSION
def test_without_a_transaction_a_default_is_accepted_at_once_and_meets_the_next_car(version):
    told = balanced(version)
    asked = set_limit(told, 9.0, purpose="TxDefaultProfile")
    assert status_of(told, asked) == "Accepted"
    told.begins()
    assert told.told[1] == 9.0


@EVERY_VERSION
def test_without_a_transaction_nothing_is_waited_for_and_accepted_is_durable_first(version):
    told = balanced(version)
    told.takes = ""
    told.effects = []
    asked = set_limit(told, 5.0, purpose="TxDefaultProfile")  # below what stands in the charger
    assert status_of(told, asked) == "Accepted"
    kinds = [type(e) for e in told.effects if isinstance(e, SendCloud) or _is_profiles(e)]
    assert kinds == [SaveDocument, SendCloud]


@EVERY_VERSION
def test_more_changes_at_once_than_a_cloud_may_ask_for(version):
    told = balanced(version)
    transaction = told.begins()
    told.takes = ""
    asked = [set_limit(told, 10.0, transactionId=transaction) for _ in range(WISHES_MAX + 1)]
    assert [told.reply(one) for one in asked] == [None] * WISHES_MAX + ["GenericError"]


@EVERY_VERSION
def test_the_cloud_clears_everything_and_the_sites_limit_is_back(version):
    told = balanced(version)
    transaction = told.begins()
    set_limit(told, 10.0, transactionId=transaction)
    told.grants(20.0)
    assert told.told[1] == 10.0
    assert clear_all(told) == {"status": "Accepted"}
    told.seconds(5)
    assert told.told[1] == 20.0
    assert "ClearChargingProfile" not in told.charger.actions
    assert clear_all(told)["status"] == "Unknown"


@EVERY_VERSION
def test_a_profile_with_the_same_id_replaces_the_old_one(version):
    told = balanced(version)
    transaction = told.begins()
    set_limit(told, 10.0, transactionId=transaction)
    set_limit(told, 15.0, transactionId=transaction)
    told.seconds(6)
    assert told.told[1] == 15.0
    assert len(told.core.state.power.book.profiles) == 1


@EVERY_VERSION
def test_the_maximum_of_the_charger_is_shared_by_those_who_charge(version):
    told = balanced(version, *TWO)
    told.begins(1, "A", id="tx-1")
    purpose = "ChargingStationMaxProfile" if version.is_2x else "ChargePointMaxProfile"
    asked = set_limit(told, 20.0, 0, purpose=purpose)
    told.seconds(2)
    assert status_of(told, asked) == "Accepted"
    assert told.told[1] == 20.0
    told.begins(2, "B", id="tx-2")
    told.seconds(8)
    assert told.told[1] == told.told[2] == 10.0


# --- what the charger does not do ---------------------------------------------------------------------


@EVERY_VERSION
def test_a_charger_that_refuses_makes_it_rejected_and_the_old_profile_comes_back(version):
    told = balanced(version)
    transaction = told.begins()
    set_limit(told, 20.0, transactionId=transaction)
    told.takes = "Rejected"
    asked = set_limit(told, 10.0, transactionId=transaction)
    told.seconds(40)
    assert status_of(told, asked) == "Rejected"
    assert [p.schedules[0].periods[0].limit for p in told.core.state.power.book.profiles] == [20.0]
    assert "cloud_profile_refused" in told.noticed


@EVERY_VERSION
def test_a_charger_that_is_silent_makes_it_rejected_by_the_deadline(version):
    told = balanced(version)
    transaction = told.begins()
    told.takes = ""
    asked = set_limit(told, 10.0, transactionId=transaction)
    told.seconds(31)
    assert status_of(told, asked) == "Rejected"
    assert told.core.state.power.book.profiles == ()
    if version.is_2x:
        assert told.reply(asked)["statusInfo"]["additionalInfo"]


@EVERY_VERSION
def test_a_limit_taken_but_too_high_is_no_limit_and_rejected_by_the_deadline(version):
    told = balanced(version)
    transaction = told.begins()
    told.core.state.power.quirks = told.core.state.power.quirks.__class__(
        limit_steps_a=(13.0, 32.0), zero_pauses=False
    )
    asked = set_limit(told, 10.0, transactionId=transaction)
    told.seconds(29)
    assert told.reply(asked) is None
    told.seconds(2)
    assert status_of(told, asked) == "Rejected"


@EVERY_VERSION
def test_a_charger_that_leaves_makes_it_rejected(version):
    told = balanced(version)
    transaction = told.begins()
    told.takes = ""
    asked = set_limit(told, 10.0, transactionId=transaction)
    told.charger.leaves()
    assert status_of(told, asked) == "Rejected"
    assert told.core.state.power.book.profiles == ()


@EVERY_VERSION
def test_a_charger_that_cannot_be_steered_is_asked_nothing(version):
    told = balanced(version)
    transaction = told.begins()
    told.core.state.power.connectors[1].control = Control.DISOBEYS
    asked = set_limit(told, 10.0, transactionId=transaction)
    assert status_of(told, asked) == "Rejected"
    assert composite(told)["status"] == "Rejected"
    told.ends(transaction)
    assert status_of(told, set_limit(told, 10.0, purpose="TxDefaultProfile")) == "Rejected"


@EVERY_VERSION
def test_a_lost_cloud_gets_no_answer_later_and_its_profile_is_gone(version):
    told = balanced(version)
    transaction = told.begins()
    told.takes = ""
    asked = set_limit(told, 10.0, transactionId=transaction)
    told.cloud.goes_away()
    told.cloud.comes_back()
    told.takes = "Accepted"
    told.charger.answers({"status": "Accepted"})
    told.seconds(40)
    assert told.reply(asked) is None
    assert told.core.state.power.book.profiles == ()
    assert told.told[1] == 32.0


@EVERY_VERSION
def test_of_two_that_wait_the_second_is_not_answered_before_the_first(version):
    told = balanced(version)
    transaction = told.begins()
    told.takes = ""
    first = set_limit(told, 10.0, transactionId=transaction, id=1)
    cleared = told.cloud.sends(
        "ClearChargingProfile", {"chargingProfileId": 1} if version.is_2x else {"id": 1}
    )
    assert told.reply(first) is None
    assert told.reply(cleared) is None
    told.takes = "Accepted"
    told.charger.answers({"status": "Accepted"})
    told.seconds(2)
    answered = [frame[1] for frame in told.cloud.frames if frame[0] == 3 and frame[1] in (first, cleared)]
    assert answered == [first, cleared]
    assert told.core.state.power.book.profiles == ()


@EVERY_VERSION
def test_when_the_first_of_two_is_refused_the_second_stands_on_what_was_before(version):
    told = balanced(version)
    transaction = told.begins()
    told.takes = ""
    first = set_limit(told, 10.0, transactionId=transaction, id=1, stack=0)
    second = set_limit(told, 31.0, purpose="TxDefaultProfile", id=2)
    told.seconds(31)
    assert status_of(told, first) == "Rejected"
    assert status_of(told, second) == "Rejected"  # it would have to slow down too, and is silent
    assert told.core.state.power.book.profiles == ()


@EVERY_VERSION
def test_the_same_call_again_while_it_waits_is_one_wish(version):
    told = balanced(version)
    transaction = told.begins()
    told.takes = ""
    wire = profile(version, 10.0, transactionId=transaction)
    raw = frames.call("same", "SetChargingProfile", set_payload(version, wire))
    told.cloud.says(raw)
    told.cloud.says(raw)
    assert len(told.core.state.power.wishes) == 1
    told.takes = "Accepted"
    told.charger.answers({"status": "Accepted"})
    assert status_of(told, "same") == "Accepted"


# --- power cuts and transactions ----------------------------------------------------------------------


@EVERY_VERSION
def test_the_book_survives_a_power_cut(version):
    told = balanced(version)
    transaction = told.begins()
    set_limit(told, 10.0, transactionId=transaction)
    assert told.told[1] == 10.0
    told.restart()
    assert [p.id for p in told.core.state.power.book.profiles] == [7]
    told.cloud.comes_back()
    told.charger.connects()
    told.seconds(10)
    told.grants(32.0)
    told.seconds(10)
    assert told.told[1] == 10.0


@EVERY_VERSION
def test_what_was_not_accepted_does_not_survive_a_power_cut(version):
    told = balanced(version)
    transaction = told.begins()
    told.takes = ""
    set_limit(told, 10.0, transactionId=transaction)
    told.restart()
    assert told.core.state.power.book.profiles == ()


@EVERY_VERSION
def test_with_the_transaction_its_profile_ends(version):
    told = balanced(version)
    transaction = told.begins()
    set_limit(told, 10.0, transactionId=transaction)
    told.ends(transaction)
    assert told.core.state.power.book.profiles == ()
    told.restart()
    assert told.core.state.power.book.profiles == ()


def test_a_transaction_id_of_the_cloud_is_the_local_one_of_the_charger():
    told = balanced(V16)
    told.cloud.goes_away()
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.cloud.comes_back()
    told.seconds(3)
    told.cloud.answers({"transactionId": 55, "idTagInfo": {"status": "Accepted"}})
    told.grants(32.0)
    told.seconds(8)
    asked = set_limit(told, 10.0, transactionId=55)
    told.seconds(2)
    assert status_of(told, asked) == "Accepted"
    assert told.core.state.power.book.profiles[0].transaction == str(local)
    assert told.told[1] == 10.0


@ONLY_2X
def test_a_profile_for_a_transaction_whose_start_the_cloud_has_not_answered_yet(version):
    told = balanced(version)
    told.charger.sends("TransactionEvent", event("Started", "tx-9", token="TAG", evse={"id": 1}))
    began = told.cloud.newest_call
    asked = set_limit(told, 10.0, transactionId="tx-9")
    told.cloud.answers({}, id=began)
    told.seconds(8)
    assert status_of(told, asked) == "Accepted"
    assert told.told[1] == 10.0


# --- fault 53: what the cloud should not have asked -----------------------------------------------------


@EVERY_VERSION
@pytest.mark.parametrize("limit", [-1, "x", True])
def test_fault_53_a_limit_that_is_none_is_not_taken(version, limit):
    told = balanced(version)
    transaction = told.begins()
    asked = set_limit(told, limit, transactionId=transaction)
    told.seconds(2)
    assert status_of(told, asked) in ("Rejected", "TypeConstraintViolation", "PropertyConstraintViolation")
    assert told.told[1] == 32.0
    assert told.core.state.power.book.profiles == ()


@EVERY_VERSION
def test_fault_53_more_decimals_than_there_are_come_down_to_one(version):
    told = balanced(version)
    transaction = told.begins()
    asked = set_limit(told, 16.15, transactionId=transaction)
    told.seconds(2)
    assert status_of(told, asked) == "Accepted"
    assert told.told[1] == 16.1


@EVERY_VERSION
def test_fault_53_more_than_any_number_is_no_json(version):
    told = balanced(version)
    wire = orjson.dumps(set_payload(version, profile(version, 4711))).replace(b"4711", b"1e999")
    with pytest.raises(frames.FrameRefused):
        told.cloud.says(b'[2,"big","SetChargingProfile",' + wire + b"]")


@EVERY_VERSION
def test_fault_53_a_wrong_purpose_or_connector_is_not_taken(version):
    told = balanced(version)
    told.begins()
    for connector, purpose in ((1, "Nonsense"), (9, "TxDefaultProfile"), (0, "TxProfile")):
        asked = set_limit(told, 8.0, connector, purpose=purpose)
        assert status_of(told, asked) in ("Rejected", "PropertyConstraintViolation")
    assert told.core.state.power.book.profiles == ()
    if version.is_2x:
        asked = set_limit(told, 8.0, 0, purpose="ChargingStationExternalConstraints")
        assert status_of(told, asked) == "Rejected"  # K01.FR.22


@EVERY_VERSION
def test_fault_53_a_profile_for_no_transaction_is_not_taken(version):
    told = balanced(version)
    asked = set_limit(told, 8.0, transactionId="nobody" if version.is_2x else 4711)
    assert status_of(told, asked) == "Rejected"


@EVERY_VERSION
def test_fault_53_a_stack_level_taken_twice(version):
    """1.6: the newer replaces the older. 2.x K01.FR.06: it is refused."""
    told = balanced(version)
    first = set_limit(told, 20.0, purpose="TxDefaultProfile", id=1)
    second = set_limit(told, 10.0, purpose="TxDefaultProfile", id=2)
    assert status_of(told, first) == "Accepted"
    assert status_of(told, second) == ("Rejected" if version.is_2x else "Accepted")
    assert [p.id for p in told.core.state.power.book.profiles] == ([1] if version.is_2x else [2])


@EVERY_VERSION
@pytest.mark.parametrize("action", ["SetChargingProfile", "GetCompositeSchedule"])
def test_a_call_without_its_members_is_a_formation_violation(version, action):
    told = balanced(version)
    wanted = "FormatViolation" if version.is_2x else "FormationViolation"
    assert told.asks(action, {}) == wanted


# --- 2.1 --------------------------------------------------------------------------------------------


def test_a_dynamic_profile_follows_its_updates():
    told = balanced(V21)
    transaction = told.begins()
    wire = profile(V21, 20.0, transactionId=transaction, chargingProfileKind="Dynamic")
    del wire["chargingSchedule"][0]["startSchedule"]
    asked = told.cloud.sends("SetChargingProfile", set_payload(V21, wire))
    told.seconds(2)
    assert status_of(told, asked) == "Accepted"
    update = told.cloud.sends(
        "UpdateDynamicSchedule", {"chargingProfileId": 7, "scheduleUpdate": {"limit": 9.0}}
    )
    told.seconds(2)
    assert status_of(told, update) == "Accepted"
    assert told.told[1] == 9.0
    unknown = {"chargingProfileId": 8, "scheduleUpdate": {"limit": 9.0}}
    assert told.asks("UpdateDynamicSchedule", unknown)["status"] == "Rejected"


def test_priority_charging_takes_the_place_of_the_profile_of_the_transaction():
    told = balanced(V21)
    transaction = told.begins()
    set_limit(told, 10.0, transactionId=transaction, id=1)
    on = {"transactionId": transaction, "activate": True}
    assert told.asks("UsePriorityCharging", on)["status"] == "NoProfile"
    set_limit(told, 30.0, 0, purpose="PriorityCharging", id=2)
    assert told.asks("UsePriorityCharging", on)["status"] == "Accepted"
    assert told.cloud.frames[-1][2:] == [
        "NotifyPriorityCharging",
        {"transactionId": transaction, "activated": True},
    ]
    told.cloud.answers({})
    told.seconds(6)
    assert told.told[1] == 30.0
    told.asks("UsePriorityCharging", {**on, "activate": False})
    told.seconds(3)
    assert told.told[1] == 10.0
    nobody = {"transactionId": "nobody", "activate": True}
    assert told.asks("UsePriorityCharging", nobody)["status"] == "Rejected"


def test_a_profile_ends_while_the_cloud_is_away_for_longer_than_it_may():
    told = balanced(V21)
    transaction = told.begins()
    set_limit(told, 10.0, transactionId=transaction, maxOfflineDuration=60, invalidAfterOfflineDuration=True)
    told.seconds(2)
    assert told.told[1] == 10.0
    told.cloud.goes_away()
    told.seconds(59)
    assert told.told[1] == 10.0
    told.seconds(10)
    assert told.told[1] == 32.0
    told.cloud.comes_back()
    told.seconds(5)
    assert told.told[1] == 32.0


# --- left out ---------------------------------------------------------------------------------------


@EVERY_VERSION
def test_a_charger_that_is_left_out_is_relayed_byte_for_byte(version):
    told = online(version)
    start_action = "RequestStartTransaction" if version.is_2x else "RemoteStartTransaction"
    wire = profile(version, 10.0)
    for action, payload in (
        ("SetChargingProfile", set_payload(version, wire)),
        (start_action, {"idTag": "T", "chargingProfile": wire}),
        ("ClearChargingProfile", {}),
        ("GetCompositeSchedule", {"connectorId": 1, "evseId": 1, "duration": 60}),
        ("GetChargingProfiles", {"requestId": 1, "chargingProfile": {"stackLevel": 0}}),
        ("UpdateDynamicSchedule", {"chargingProfileId": 1, "scheduleUpdate": {}}),
        ("UsePriorityCharging", {"transactionId": "t", "activate": True}),
    ):
        raw = b' [2, "%s" ,"%s" , %s ]' % (action.encode(), action.encode(), orjson.dumps(payload))
        told.cloud.says(raw)
        assert told.charger.take() == [raw]
        answer = b' [3,"%s" , {"status" : "Accepted"} ]' % action.encode()
        told.charger.says(answer)
        assert told.cloud.take() == [answer]
