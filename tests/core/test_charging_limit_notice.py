"""The cloud of a 2.x charger hears when the site holds it down (OCPP 2.x K11 to K14, K24, K25)."""

from __future__ import annotations

from typing import Any

import pytest

from edgegw.balance.model import Binding
from edgegw.core import charging_limits
from edgegw.core.box_to_cloud import tell_cloud
from edgegw.core.power import Wiring
from tests.core.balanced_story import BalancedStory, balanced
from tests.core.story import V16, V21, V201, time_at

ONLY_2X = pytest.mark.parametrize("version", [V201, V21])
SITE = Binding.CIRCUIT


def notices(told: BalancedStory) -> list[tuple[str, Any]]:
    """(action, limit or None) since the last time; the cloud thanks for each."""
    found = []
    while told.cloud.raw and (frame := told.cloud.last)[0] == 2:
        if frame[2] == "NotifyChargingLimit":
            (schedule,) = frame[3]["chargingSchedule"]
            found.append((frame[2], schedule["chargingSchedulePeriod"][0]["limit"]))
            assert frame[3]["chargingLimit"] == {"chargingLimitSource": "EMS"}
        else:
            found.append((frame[2], frame[3].get("chargingLimitSource")))
        told.cloud.take()
        told.cloud.answers({})
    told.cloud.take()
    return found


def charging(version: Any, *wirings: Wiring) -> BalancedStory:
    told = balanced(version, *wirings, notify_cloud=True)
    told.begins()
    told.grants(32.0, binding=Binding.MAXIMUM)
    told.forget()
    return told


@ONLY_2X
def test_a_limit_of_the_site_that_begins_to_bind_is_told_and_its_end_as_well(version):
    told = charging(version)
    told.seconds(2)
    assert notices(told) == []
    told.grants(10.0, binding=SITE)
    assert told.cloud.last[3]["evseId"] == 1
    assert notices(told) == [("NotifyChargingLimit", 10.0)]
    told.seconds(61)
    told.grants(32.0, binding=Binding.MAXIMUM)
    assert told.cloud.last[3] == {"chargingLimitSource": "EMS", "evseId": 1}
    assert notices(told) == [("ClearedChargingLimit", "EMS")]
    told.seconds(120)
    assert notices(told) == []


@ONLY_2X
def test_only_a_change_by_more_than_a_tenth_is_told_again(version):
    told = charging(version)
    told.grants(10.0, binding=SITE)
    notices(told)
    told.seconds(61)
    told.grants(11.0, binding=SITE)
    assert notices(told) == []
    told.grants(11.1, binding=SITE)
    assert notices(told) == [("NotifyChargingLimit", 11.1)]


@ONLY_2X
def test_not_twice_within_a_minute_but_the_newest_then(version):
    told = charging(version)
    told.grants(10.0, binding=SITE)
    assert notices(told) == [("NotifyChargingLimit", 10.0)]
    for limit in (20.0, 0.0, 12.0):
        told.grants(limit, binding=SITE)
        told.seconds(10)
    assert notices(told) == []
    assert not charging_limits.due(told.core.state, told.now)
    told.seconds(31)
    assert notices(told) == [("NotifyChargingLimit", 12.0)]


@ONLY_2X
def test_a_pause_is_a_limit_of_0(version):
    told = charging(version)
    told.grants(0.0, binding=Binding.PAUSED)
    assert notices(told) == [("NotifyChargingLimit", 0.0)]
    told.seconds(61)
    told.grants(0.0, binding=SITE)
    assert notices(told) == []


@ONLY_2X
@pytest.mark.parametrize("binding", [Binding.DEMAND, Binding.FREE, Binding.CLOUD, Binding.MAXIMUM])
def test_what_is_not_the_sites_limit_is_not_told(version, binding):
    told = charging(version)
    told.grants(10.0, binding=binding)
    told.seconds(5)
    assert notices(told) == []


@ONLY_2X
def test_nothing_is_told_without_a_transaction_and_its_end_clears(version):
    told = balanced(version, notify_cloud=True)
    told.grants(10.0, binding=SITE)
    told.seconds(3)
    assert notices(told) == []
    transaction = told.begins()
    assert notices(told) == [("NotifyChargingLimit", 10.0)]
    told.ends(transaction)
    told.cloud.take()
    told.seconds(61)
    assert notices(told) == [("ClearedChargingLimit", "EMS")]


@ONLY_2X
def test_each_evse_is_told_for_itself(version):
    told = charging(version, Wiring(connector=1), Wiring(connector=2))
    told.begins(2, "B", id="tx-2")
    told.grants(32.0, 2, binding=Binding.MAXIMUM)
    told.cloud.take()
    told.grants(10.0, 2, binding=SITE)
    assert told.cloud.last[3]["evseId"] == 2
    assert notices(told) == [("NotifyChargingLimit", 10.0)]


@ONLY_2X
def test_after_a_loss_of_the_cloud_it_is_told_again(version):
    told = charging(version)
    told.grants(10.0, binding=SITE)
    notices(told)
    told.cloud.goes_away()
    told.seconds(70)
    assert told.cloud.raw == []
    told.cloud.comes_back()
    told.seconds(1)
    assert notices(told) == [("NotifyChargingLimit", 10.0)]


@ONLY_2X
def test_an_end_that_the_cloud_may_have_missed_is_told_again_an_old_one_is_not(version):
    told = charging(version)
    told.grants(10.0, binding=SITE)
    notices(told)
    told.seconds(61)
    told.grants(32.0, binding=Binding.MAXIMUM)
    told.cloud.goes_away()
    told.seconds(30)
    told.cloud.comes_back()
    told.cloud.take()
    told.seconds(31)
    assert notices(told) == [("ClearedChargingLimit", "EMS")]
    told.seconds(61)
    told.cloud.goes_away()
    told.cloud.comes_back()
    told.seconds(61)
    assert notices(told) == []


def test_nothing_is_queued_for_a_cloud_that_is_away():
    told = balanced(V21)
    told.cloud.goes_away()
    assert tell_cloud(told.core.state, "Heartbeat", {}, "test", told.now) == []
    assert told.core.state.to_cloud.waiting == []


@ONLY_2X
def test_a_dc_limit_is_told_in_watts(version):
    wiring = Wiring(connector=1, dc=True, max_a=200.0, min_a=10.0, safe_a=20.0)
    told = balanced(version, wiring, notify_cloud=True, grant_a=200.0)
    told.begins()
    told.grants(200.0, binding=Binding.MAXIMUM)
    told.forget()
    told.grants(100.0, binding=SITE)
    (schedule,) = told.cloud.last[3]["chargingSchedule"]
    assert schedule["chargingRateUnit"] == "W"
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 100.0 * 3 * 230}]


def test_1_6_knows_no_such_message():
    told = charging(V16)
    told.grants(10.0, binding=SITE)
    told.seconds(5)
    assert notices(told) == []


@ONLY_2X
def test_the_site_file_may_switch_it_off(version):
    told = balanced(version)
    told.begins()
    told.cloud.take()
    told.grants(10.0, binding=SITE)
    told.seconds(5)
    assert notices(told) == []


@ONLY_2X
def test_a_cloud_that_says_nothing_to_it_is_no_trouble(version):
    told = charging(version)
    told.grants(10.0, binding=SITE)
    told.charger.sends("Heartbeat")
    told.seconds(6)  # the notice is given up, the charger's own message goes
    assert told.cloud.actions == ["NotifyChargingLimit", "Heartbeat"]
    told.cloud.answers({"currentTime": time_at()})
    told.grants(20.0, binding=SITE)
    told.seconds(120)
    assert told.cloud.actions == ["NotifyChargingLimit", "Heartbeat"]  # it does not listen
    assert told.closed == []
