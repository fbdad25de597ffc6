"""A charger's connectors change while it is connected: what it took stays counted, what it lacks is set."""

from __future__ import annotations

import msgspec
import pytest

from edgegw.core.actuation import standing_a
from edgegw.core.events import RenewalWithheld, Rewired
from edgegw.core.limit_orders import READY
from edgegw.core.power import Control, Wiring
from tests.core.limit_story import LimitStory, charging, new_charger, steered
from tests.core.story import V16, V21, V201, Version, status

EVERY = [V16, V201, V21]


def rewire(told: LimitStory, *wirings: Wiring) -> None:
    """The site's policy changes for all, and this charger hears of it."""
    wired = {told.core.state.identity: wirings} if wirings else {}
    told.core.state.site.power = msgspec.structs.replace(told.core.state.site.power, wirings=wired)
    told.happens(Rewired())


@pytest.mark.parametrize("version", EVERY)
def test_a_connector_that_leaves_is_told_nothing_more_and_nothing_is_remembered(version: Version) -> None:
    told = charging(version, grant_a=16.0)
    rewire(told)
    sent = len(told.sent_calls)
    told.seconds(400)
    assert len(told.sent_calls) == sent
    assert not told.core.state.power.balanced
    told.restart()  # with the plan of before
    assert (told.power().accepted_a, told.power().safe_accepted_a) == (None, None)


@pytest.mark.parametrize("version", EVERY)
def test_one_that_comes_back_is_met_anew_and_counts_with_its_maximum_until_then(version: Version) -> None:
    told = charging(version, grant_a=16.0)
    rewire(told)
    told.seconds(5)
    rewire(told, Wiring(connector=1, safe_a=7.0))
    power = told.power()
    assert (power.accepted_a, power.safe_accepted_a) == (None, None)
    assert standing_a(told.core.state, power, told.now) == 32.0
    told.seconds(20)
    assert told.core.state.power.stage == READY
    assert power.safe_accepted_a == 7.0
    assert power.control is Control.STEERED
    assert "ClearChargingProfile" in [action for action, *_ in told.sent_calls[-12:]]


@pytest.mark.parametrize("version", EVERY)
def test_a_charger_that_was_left_alone_is_brought_under_control_without_a_boot(version: Version) -> None:
    told = steered(version)
    rewire(told)
    told.seconds(3)
    rewire(told, Wiring(connector=1))
    told.seconds(20)
    assert told.may_draw(1) == 6.0


def test_another_connector_comes_and_the_first_keeps_what_it_has() -> None:
    told = charging(V16, grant_a=16.0)
    before = told.power()
    rewire(told, Wiring(connector=1), Wiring(connector=2, safe_a=8.0))
    assert told.core.state.power.connectors[1] is before
    assert standing_a(told.core.state, before, told.now) == 16.0
    told.seconds(15)
    assert told.may_draw(2) == 8.0
    assert told.may_draw(1) == 16.0


def test_another_safe_value_is_told_and_the_live_limit_lives_on() -> None:
    told = charging(V16, grant_a=16.0)
    rewire(told, Wiring(connector=1, safe_a=9.0))
    told.seconds(15)
    assert told.power().safe_accepted_a == 9.0
    assert told.may_draw(1) == 16.0


def test_an_answer_that_comes_after_the_change_is_not_taken_for_another_connector() -> None:
    told = new_charger(V16, Wiring(connector=2))
    told.takes = ""
    told.boots()
    told.seconds(10)  # the standing limit of 2 is under way and not answered
    rewire(told, Wiring(connector=1, safe_a=8.0), Wiring(connector=2))
    told.takes = "Accepted"
    told.seconds(60)
    assert told.core.state.power.connectors[1].safe_accepted_a == 8.0
    assert told.core.state.power.connectors[2].safe_accepted_a == 6.0


def test_a_connector_that_was_a_stranger_is_none_any_more() -> None:
    told = steered(V16)
    told.charger.sends("StatusNotification", status(2))
    assert 2 in told.core.state.power.strangers
    rewire(told, Wiring(connector=1), Wiring(connector=2))
    assert 2 not in told.core.state.power.strangers


# --- seeing it fall back -------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V16, V201])
def test_a_limit_that_is_not_renewed_ends_and_is_told_again_afterwards(version: Version) -> None:
    told = charging(version, grant_a=16.0)
    left_s = told.power().expires_at - told.now.mono
    told.happens(RenewalWithheld(1, left_s + 100.0))
    told.seconds(int(left_s) + 40)
    assert told.may_draw(1) == 6.0
    told.happens(RenewalWithheld(1, 0.0))
    told.seconds(2)
    assert told.may_draw(1) == 16.0


def test_what_is_lower_is_told_all_the_same() -> None:
    told = charging(V16, grant_a=16.0)
    told.happens(RenewalWithheld(1, 200.0))
    told.grants(8.0)
    told.seconds(2)
    assert told.may_draw(1) == 8.0
    told.grants(16.0)
    told.seconds(60)
    assert told.may_draw(1) == 8.0
