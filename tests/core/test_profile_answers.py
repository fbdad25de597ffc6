"""What the cloud sees of a balanced charger's limits: the truth, in the form of its version."""

from __future__ import annotations

from typing import Any

import pytest

from edgegw.balance.model import Binding
from edgegw.core.cloud_cap import cap_for, share_out, site_limit_a
from edgegw.core.power import Capabilities, Wiring
from tests.core.balanced_story import (
    TWO,
    BalancedStory,
    balanced,
    composite,
    limits_in,
    profile,
    set_limit,
    set_payload,
    status_of,
)
from tests.core.story import V16, V21, V201, event, time_at

EVERY_VERSION = pytest.mark.parametrize("version", [V16, V201, V21])
ONLY_2X = pytest.mark.parametrize("version", [V201, V21])


# --- GetCompositeSchedule -----------------------------------------------------------------------------


@EVERY_VERSION
def test_the_composite_is_the_lower_of_cloud_and_site_over_time(version):
    told = balanced(version)
    transaction = told.begins()
    periods = [{"startPeriod": 0, "limit": 10.0}, {"startPeriod": 1800, "limit": 25.0}]
    set_limit(told, None, transactionId=transaction, periods=periods, at=told.wall - 1_790_000_000.0)
    told.grants(16.0, binding=Binding.CIRCUIT)
    told.seconds(1)
    reply = composite(told)
    assert reply["status"] == "Accepted"
    assert [limit for _, limit in limits_in(reply)] == [10.0, 16.0]
    told.grants(10.0, binding=Binding.CLOUD)  # the site would give more
    assert [limit for _, limit in limits_in(composite(told))] == [10.0, 25.0]


@EVERY_VERSION
def test_the_composite_in_the_form_of_the_version(version):
    told = balanced(version)
    told.begins()
    told.grants(16.0, binding=Binding.CIRCUIT)
    reply = composite(told, duration=600)
    period = {"startPeriod": 0, "limit": 16.0, "numberPhases": 3}
    body = {"duration": 600, "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
    start_text = told.site.time_text(told.now)
    if version.is_2x:
        assert reply == {"status": "Accepted", "schedule": {"evseId": 1, "scheduleStart": start_text, **body}}
    else:
        wanted = {"connectorId": 1, "scheduleStart": start_text, "chargingSchedule": body}
        assert reply == {"status": "Accepted", **wanted}


@EVERY_VERSION
def test_the_unit_that_was_asked_for(version):
    told = balanced(version)
    told.begins()
    told.grants(16.0, binding=Binding.CIRCUIT)
    assert limits_in(composite(told, chargingRateUnit="W")) == [(0, 16.0 * 3 * 230)]


@EVERY_VERSION
def test_connector_0_is_all_connectors_together(version):
    told = balanced(version, *TWO)
    told.grants(16.0, 1, binding=Binding.CIRCUIT)
    told.grants(10.0, 2, binding=Binding.CIRCUIT)
    assert limits_in(composite(told, 0)) == [(0, 26.0)]
    purpose = "ChargingStationMaxProfile" if version.is_2x else "ChargePointMaxProfile"
    set_limit(told, 20.0, 0, purpose=purpose)
    assert limits_in(composite(told, 0)) == [(0, 20.0)]


@EVERY_VERSION
def test_no_schedule_for_an_unknown_connector_or_a_time_below_0(version):
    told = balanced(version)
    assert composite(told, 2)["status"] == "Rejected"
    assert composite(told, 1, -1)["status"] == "Rejected"


@EVERY_VERSION
def test_the_composite_does_not_show_what_the_charger_has_not_taken(version):
    told = balanced(version)
    transaction = told.begins()
    told.takes = ""
    set_limit(told, 10.0, transactionId=transaction)
    assert limits_in(composite(told)) == [(0, 32.0)]


# --- GetChargingProfiles ------------------------------------------------------------------------------


def reports(told: BalancedStory, **criterion: Any) -> tuple[Any, list[dict[str, Any]]]:
    """The answer, and what was reported; the cloud thanks for each."""
    evse = {"evseId": criterion.pop("evse")} if "evse" in criterion else {}
    told.cloud.take()
    asked = told.cloud.sends("GetChargingProfiles", {"requestId": 42, "chargingProfile": criterion, **evse})
    found = []
    while (frame := told.cloud.frames[-1])[0] == 2:
        found.append(frame[3])
        told.cloud.answers({})
        if told.cloud.frames[-1] == frame:
            break
    return told.reply(asked), found


@ONLY_2X
def test_the_cloud_sees_its_own_profiles_and_the_sites_limit(version):
    told = balanced(version)
    transaction = told.begins()
    wire = profile(version, 20.0, transactionId=transaction)
    told.cloud.sends("SetChargingProfile", set_payload(version, wire))
    set_limit(told, 25.0, 0, purpose="ChargingStationMaxProfile", id=8)
    told.grants(12.0, binding=Binding.CIRCUIT)
    answer, found = reports(told)
    assert answer == {"status": "Accepted"}
    assert [(r["chargingLimitSource"], r["evseId"], r.get("tbc", False)) for r in found] == [
        ("CSO", 1, True),
        ("CSO", 0, True),
        ("EMS", 1, False),
    ]
    assert {r["requestId"] for r in found} == {42}
    assert found[0]["chargingProfile"] == [wire]
    (own,) = found[2]["chargingProfile"]
    assert own["id"] < 0
    assert own["chargingProfilePurpose"] == "ChargingStationExternalConstraints"
    assert own["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] == 12.0


@ONLY_2X
def test_only_what_was_asked_for(version):
    told = balanced(version, *TWO)
    set_limit(told, 20.0, 1, purpose="TxDefaultProfile", id=1)
    set_limit(told, 20.0, 2, purpose="TxDefaultProfile", id=2)
    told.grants(10.0, 2, binding=Binding.CIRCUIT)
    ids = lambda found: [p["id"] for r in found for p in r["chargingProfile"]]  # noqa: E731
    assert ids(reports(told, chargingProfileId=[2])[1]) == [2]
    assert ids(reports(told, chargingProfilePurpose="TxDefaultProfile", evse=1)[1]) == [1]
    assert ids(reports(told, chargingLimitSource=["EMS"])[1]) == [-2]
    assert reports(told, stackLevel=9)[0] == {"status": "NoProfiles"}


@ONLY_2X
def test_many_profiles_are_reported_in_parts(version):
    told = balanced(version)
    periods = [{"startPeriod": 60 * i, "limit": 20.0 + i / 10} for i in range(200)]
    for level in range(6):
        set_limit(told, None, purpose="TxDefaultProfile", id=level + 1, stack=level, periods=periods)
    _, found = reports(told, chargingProfilePurpose="TxDefaultProfile")
    assert len(found) > 1
    assert [r.get("tbc", False) for r in found] == [True] * (len(found) - 1) + [False]
    assert [p["id"] for r in found for p in r["chargingProfile"]] == [1, 2, 3, 4, 5, 6]


@ONLY_2X
def test_a_report_takes_its_turn_among_what_the_charger_says(version):
    told = balanced(version)
    set_limit(told, 20.0, purpose="TxDefaultProfile")
    told.charger.sends("Heartbeat")
    heartbeat = told.cloud.newest_call
    told.cloud.sends("GetChargingProfiles", {"requestId": 1, "chargingProfile": {"stackLevel": 0}})
    assert "ReportChargingProfiles" not in told.cloud.actions  # one CALL at a time
    told.cloud.answers({"currentTime": time_at()}, id=heartbeat)
    assert told.cloud.actions[-1] == "ReportChargingProfiles"
    told.charger.take()
    told.cloud.answers({})
    assert told.charger.raw == []  # the answer is for nobody


@EVERY_VERSION
def test_a_composite_goes_a_week_ahead_at_most_and_says_so(version):
    told = balanced(version)
    reply = composite(told, duration=10**9)
    found = reply.get("schedule") or reply["chargingSchedule"]
    assert found["duration"] == 7 * 86400


@ONLY_2X
def test_a_unit_that_the_charger_has_not_got(version):
    told = balanced(version)
    told.core.state.power.capabilities = Capabilities(read=True, watts=False)
    assert composite(told, chargingRateUnit="W")["statusInfo"]["reasonCode"] == "UnsupportedRateUnit"
    assert composite(told, chargingRateUnit="A")["status"] == "Accepted"


@EVERY_VERSION
def test_of_a_dc_charger_watts_are_what_the_car_gets(version):
    wiring = Wiring(connector=1, dc=True, max_a=200.0, min_a=10.0, safe_a=20.0, efficiency=0.9)
    told = balanced(version, wiring, grant_a=200.0)
    transaction = told.begins()
    told.grants(100.0, binding=Binding.CIRCUIT)
    assert limits_in(composite(told)) == [(0, 100.0 * 3 * 230 * 0.9)]
    asked = set_limit(told, 45_000.0, unit="W", transactionId=transaction)
    told.seconds(2)
    assert status_of(told, asked) == "Accepted"
    cap_a, why = cap_for(told.core.state, 1, told.now)
    assert round(cap_a * 3 * 230 * 0.9) == 45_000
    assert "7" in why
    assert limits_in(composite(told)) == [(0, 45_000.0)]


@ONLY_2X
def test_what_came_with_a_remote_start_is_reported_with_its_transaction(version):
    told = balanced(version)
    action, wire = "RequestStartTransaction", profile(version, 11.0)
    token = {"idToken": "REMOTE", "type": "Central"}
    told.cloud.sends(action, {"remoteStartId": 5, "idToken": token, "chargingProfile": wire})
    told.charger.answers({"status": "Accepted"})
    told.begins(tag="REMOTE")
    _, found = reports(told, chargingProfilePurpose="TxProfile")
    assert found[0]["chargingProfile"] == [{**wire, "transactionId": "tx-1"}]


def test_a_clock_that_cannot_be_right_is_not_the_one_of_schedules():
    told = balanced(V16)
    transaction = told.begins()
    told.charger.sends("Heartbeat")
    told.cloud.answers({"currentTime": time_at(10_000)})
    told.clock_trusted, told.wall = False, 5.0
    set_limit(told, 10.0, transactionId=transaction, at=9_000)
    told.seconds(3)
    assert told.told[1] == 10.0


@ONLY_2X
def test_an_event_that_leaves_the_only_evse_out(version):
    told = balanced(version)
    told.charger.sends("TransactionEvent", event("Started", "tx-9", token="TAG"))
    told.cloud.answers({})
    asked = set_limit(told, 10.0, transactionId="tx-9")
    told.seconds(8)
    assert status_of(told, asked) == "Accepted"
    assert told.told[1] == 10.0


def test_sharing_out_a_limit_for_all():
    assert share_out(20.0, [(6.0, 32.0), (6.0, 32.0)]) == [10.0, 10.0]
    assert share_out(20.0, [(6.0, 8.0), (6.0, 32.0)]) == [8.0, 12.0]
    assert share_out(10.0, [(6.0, 32.0), (6.0, 32.0)]) == [10.0, 0.0]
    assert share_out(5.0, [(6.0, 32.0)]) == [0.0]
    assert share_out(20.0, [(0.0, 0.0), (6.0, 16.0)]) == [0.0, 16.0]


@EVERY_VERSION
def test_a_grant_without_a_reason_that_is_the_clouds_limit_in_whole_amps_is_the_clouds(version):
    told = balanced(version)
    transaction = told.begins()
    set_limit(told, 10.9, transactionId=transaction)
    told.grants(10.0)
    power = told.core.state.power.connectors[1]
    assert site_limit_a(told.core.state, power, told.now) is None
    assert limits_in(composite(told)) == [(0, 10.9)]
    told.grants(9.0)
    assert site_limit_a(told.core.state, power, told.now) == 9.0
    assert limits_in(composite(told)) == [(0, 9.0)]
