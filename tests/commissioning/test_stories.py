"""A charger is commissioned: stories from a right wiring to a charger that ignores everything."""

from __future__ import annotations

import pytest

from edgegw.commissioning.plan import Plan
from edgegw.commissioning.words import Accept, EndFall, LetFall, Restore, SetLimit, Wire
from tests.commissioning.site import Site, Walk

ONE_PHASE = (0,)


def test_a_stranger_with_a_one_phase_car_and_the_right_wiring():
    walk = Walk(Site(car=ONE_PHASE)).run()
    assert walk.verdicts == "pppppr" + "p", walk.walk.records
    assert walk.step.progress.result == "passed with remarks"
    assert "Let it in?" in walk.asked[0]
    assert "L1 L2 L3 fits" in walk.text("phases")
    assert "L2, L3" in walk.values("phases")["not told"]
    assert walk.values("fallback")["fell from"] == "16 A"
    assert walk.site.limit_a is None
    assert not walk.site.held


def test_the_orders_come_in_their_order():
    walk = Walk(Site(car=ONE_PHASE)).run()
    kinds = [type(order) for order in walk.site.orders]
    assert kinds == [Accept, Wire, SetLimit, SetLimit, LetFall, EndFall, Restore]
    assert [order.limit_a for order in walk.site.orders if isinstance(order, SetLimit)] == [10.0, 16.0]


def test_a_connector_on_one_phase_is_told_apart_entirely():
    walk = Walk(Site(truth=(1,), car=ONE_PHASE), Plan("CP-7", phases="L2")).run()
    assert walk.verdicts == "ppppppp"
    assert walk.step.progress.result == "passed"


def test_a_one_phase_connector_on_the_wrong_phase_is_wired_right():
    walk = Walk(Site(truth=(2,), car=ONE_PHASE), Plan("CP-7", phases="L2")).run()
    assert walk.verdict("phases") == "remark"
    assert walk.site.wired is not None
    assert walk.site.wired.phases == "L3"
    assert walk.values("phases")["suggested"] == "L3"
    assert walk.values("phases")["meter moved by"].startswith("L1 0.0  L2 0.0  L3 ")


def test_rotated_phases_are_found_with_a_one_phase_car_and_the_rotation_assumed():
    walk = Walk(Site(truth=(1, 2, 0), car=ONE_PHASE)).run()
    assert walk.site.wired is not None
    assert walk.site.wired.phases == "L2 L3 L1"
    assert "rotation to the right is assumed" in walk.text("phases")


def test_a_car_on_two_phases_shows_the_third():
    walk = Walk(Site(truth=(2, 0, 1), car=(0, 1))).run()
    assert walk.site.wired is not None
    assert walk.site.wired.phases == "L3 L1 L2"
    assert "L1, L2" in walk.values("phases")["not told"]


def test_a_three_phase_car_says_what_it_cannot_tell():
    walk = Walk(Site(truth=(1, 2, 0))).run()
    assert walk.verdict("phases") == "remark"
    assert "a car on one phase would show it" in walk.text("phases")
    assert not [order for order in walk.site.orders if isinstance(order, Wire)][1:]


def test_the_person_may_leave_a_wrong_wiring_as_it_is():
    walk = Walk(Site(truth=(1, 2, 0), car=ONE_PHASE), answers={"phases": "no"}).run()
    assert walk.verdict("phases") == "failed"
    assert walk.step.progress.result == "failed"
    assert walk.verdict("fallback") == "passed"  # the rest is tested all the same


def test_what_the_site_file_wires_wrong_is_changed_there():
    site = Site(truth=(1,), car=ONE_PHASE, by_site_file=True, phases="L1")
    walk = Walk(site).run()
    assert 'write phases = "L2"' in walk.text("phases")
    assert not [order for order in site.orders if isinstance(order, Wire)]


def test_a_charger_that_ignores_limits_fails_and_everything_is_put_back():
    walk = Walk(Site(obeys=False, car=ONE_PHASE)).run()
    assert walk.verdict("step") == "failed"
    assert "ignores" in walk.text("step")
    assert walk.verdict("phases") == "skipped"
    assert walk.verdict("fallback") == "failed"
    assert walk.site.limit_a is None
    assert not walk.site.held


def test_a_charger_whose_limits_never_end_fails_the_fall():
    walk = Walk(Site(expires=False, car=ONE_PHASE)).run()
    assert walk.verdict("step") == "passed"
    assert walk.verdict("fallback") == "failed"
    assert "do not end in this charger" in walk.text("fallback")
    assert not walk.site.held


def test_a_charger_that_refuses_profiles_ends_early():
    walk = Walk(Site(refuses=True)).run()
    assert walk.verdicts == "ppf" + "ssss"
    assert "answers Rejected" in walk.text("connect")


def test_a_silent_meter_is_a_remark_and_not_the_chargers_fault():
    walk = Walk(Site(meter_until=20.0, car=ONE_PHASE)).run()
    assert walk.verdict("step") == "remark"
    assert "no answer for 20 s" in walk.text("step")
    assert walk.verdict("phases") == "remark"
    assert walk.verdict("fallback") == "passed"
    assert walk.step.progress.result == "incomplete"
    assert walk.step.progress.text == "not everything could be tested: the phases are right"


def test_a_meter_that_measures_elsewhere_is_noticed():
    walk = Walk(Site(measured=False, car=ONE_PHASE)).run()
    assert walk.verdict("step") == "remark"
    assert "does not measure this charger" in walk.text("phases")


def test_a_meter_with_turned_transformers_is_noticed():
    walk = Walk(Site(meter_sign=-1.0, car=ONE_PHASE)).run()
    assert "set invert = true" in walk.text("phases")


@pytest.mark.parametrize("seed", range(20))
def test_the_building_is_restless(seed: int):
    """Right, or not told: never a wrong wiring."""
    site = Site(truth=(1,), car=ONE_PHASE, noise_a=2.0, seed=seed)
    walk = Walk(site, Plan("CP-7", phases="L1")).run()
    assert site.wired is not None
    assert site.wired.phases in ("L2", "L1")
    assert site.wired.phases == "L2" or "too restless" in walk.text("phases"), walk.text("phases")


def test_most_restless_buildings_are_told_apart_by_more_steps():
    told = 0
    repeated = 0
    for seed in range(30):
        site = Site(truth=(1,), car=ONE_PHASE, noise_a=3.0, seed=seed)
        Walk(site, Plan("CP-7", phases="L1")).run()
        assert site.wired is not None
        told += site.wired.phases == "L2"
        repeated += len([order for order in site.orders if isinstance(order, SetLimit)]) > 2
    assert told >= 24
    assert repeated >= 3


def test_giving_up_puts_the_limit_back():
    walk = Walk(Site(car=ONE_PHASE)).until("step")
    while walk.site.limit_a is None:
        walk.once()
    walk.walk.abort()
    walk.run()
    assert walk.site.limit_a is None
    assert walk.step.progress.result == "aborted"
    assert walk.text("step") == "given up here"
    assert walk.verdict("fallback") == "skipped"


def test_giving_up_in_the_fall_lets_renewals_go_on():
    walk = Walk(Site(car=ONE_PHASE)).until("fallback")
    while not walk.site.held:
        walk.once()
    walk.walk.abort()
    walk.run()
    assert not walk.site.held


def test_a_step_is_skipped_with_a_reason_only():
    walk = Walk(Site(plugs_in_at=1e9)).until("charge")
    with pytest.raises(ValueError, match="say why"):
        walk.walk.skip("  ")
    walk.walk.skip("no car here today")
    walk.run()
    assert walk.text("charge") == "no car here today"
    assert walk.verdicts == "ppps" + "sss"
    assert walk.step.progress.result == "incomplete"
    assert walk.step.progress.text == (
        "not everything could be tested: a car charges, the limit is followed, the phases are right, "
        "it falls back by itself"
    )


# --- what a car draws is what it has come to ----------------------------------------------------------


def draws_a(walk: Walk) -> float:
    return float(walk.values("charge")["draws"].split()[1])


def test_what_a_car_draws_counts_when_it_is_given_no_more():
    """It is raised by 3 A at a time, and stands still in between."""
    walk = Walk(Site(car=ONE_PHASE, gives_a=23.0)).run()
    assert draws_a(walk) == 23.0
    assert [order.limit_a for order in walk.site.orders if isinstance(order, SetLimit)] == [10.0, 16.0]


@pytest.mark.parametrize("sample_every_s", [1.0, 10.0, 60.0])
def test_a_car_that_ramps_slowly_is_waited_for(sample_every_s: float):
    """8.2 A of a car that takes 23 A are no step."""
    site = Site(car=ONE_PHASE, gives_a=23.0, rises_a_s=0.2, sample_every_s=sample_every_s)
    walk = Walk(site).run()
    assert draws_a(walk) > 22.0
    assert walk.verdict("step") == "passed"
    assert "still rising" not in walk.values("charge")


def test_a_car_that_never_stops_rising_counts_in_the_end():
    site = Site(car=ONE_PHASE, gives_a=1000.0, takes_a=1000.0)
    walk = Walk(site, Plan("CP-7", max_a=1000.0, rises_s=120.0)).until("step")
    assert walk.verdict("charge") == "passed"
    assert 150.0 <= site.now <= 155.0
    assert "120 s" in walk.values("charge")["still rising"]


def test_the_cars_patience_bounds_it_too():
    site = Site(car=ONE_PHASE, gives_a=1000.0, takes_a=1000.0)
    Walk(site, Plan("CP-7", max_a=1000.0, car_s=60.0)).until("step")
    assert site.now <= 95.0


def test_a_car_that_wobbles_is_not_one_that_rises():
    site = Site(car=ONE_PHASE, wobbles_a=0.4)
    walk = Walk(site).until("step")
    assert walk.verdict("charge") == "passed"
    assert "still rising" not in walk.values("charge")


def test_a_pause_in_between_begins_the_wait_anew():
    site = Site(car=ONE_PHASE, takes_a=8.0)
    walk = Walk(site).until("charge")
    while site.now < 50.0:
        walk.once()
    site.takes_a = 0.0
    while site.now < 80.0:
        walk.once()
    assert walk.verdict("charge") == "running"
    site.takes_a = 8.0
    walk.until("step")
    assert site.now >= 80.0 + walk.walk.plan.charges_for_s


def test_a_car_that_takes_little_is_said_to_take_too_little():
    walk = Walk(Site(car=ONE_PHASE, gives_a=32.0, takes_a=8.2)).run()
    assert draws_a(walk) == 8.2
    assert walk.verdict("step") == "remark"
    assert "too little for a step" in walk.text("step")
    assert walk.verdict("phases") == "remark"
    assert walk.step.progress.result == "incomplete"
    assert "the limit is followed, the phases are right" in walk.step.progress.text


def test_a_site_that_has_no_more_to_give_is_a_remark_and_not_the_chargers_fault():
    """Somebody else begins to charge while the limit is down: it is never raised all the way again."""
    site = Site(car=ONE_PHASE, gives_a=20.0)
    walk = Walk(site).until("step")
    while not any(isinstance(order, SetLimit) for order in site.orders):
        walk.once()
    site.gives_a = 10.0
    walk.run()
    assert walk.verdict("step") == "remark"
    assert "the site gave it 10 A of 16 A only" in walk.text("step")
    assert walk.step.progress.result == "incomplete"


@pytest.mark.parametrize("gives_a", [16.0, 20.0])
def test_a_car_that_takes_less_than_it_may_is_not_said_to_disobey(gives_a: float):
    walk = Walk(Site(car=ONE_PHASE, gives_a=gives_a, takes_a=8.2)).run()
    assert "too little for a step" in walk.text("step")
    assert walk.step.progress.result == "incomplete"


@pytest.mark.parametrize("max_a", [None, 11.0, 10.0])
def test_a_site_that_gives_more_after_a_minute_only(max_a: float | None):
    """6 A for 60 s, then 16 A: until then nothing can be stepped, and that is not the car's fault."""
    site = Site(car=ONE_PHASE, gives_a=6.0)
    walk = Walk(site, Plan("CP-7", max_a=max_a))
    while not walk.step.progress.finished:
        walk.once()
        if site.now == site.plugs_in_at + 60.0:
            site.gives_a = 16.0
        assert site.now < 4000.0, walk.step.progress
    assert (walk.verdict("step"), walk.verdict("phases")) == ("passed", "remark"), walk.walk.records
    assert "L1 L2 L3 fits" in walk.text("phases")
    assert walk.step.progress.result == "passed with remarks"


def test_a_limit_that_may_still_rise_is_waited_for():
    """8 A of 10 A: the step of 3 A is possible once the site gives all."""
    site = Site(car=ONE_PHASE, gives_a=8.0, sample_every_s=1.0)
    walk = Walk(site, Plan("CP-7", max_a=10.0)).until("step")
    for _ in range(100):
        walk.once()
    assert walk.verdict("step") == "running"
    assert "waiting whether it becomes enough" in walk.step.progress.text
    site.gives_a = 10.0
    walk.run()
    assert walk.verdict("step") == "passed", walk.text("step")


def test_a_limit_that_never_rises_is_waited_for_as_long_as_a_raise_may_take():
    site = Site(car=ONE_PHASE, gives_a=8.0)
    walk = Walk(site, Plan("CP-7", max_a=10.0)).until("step")
    began = site.now
    while walk.verdict("step") == "running":
        walk.once()
    assert 240.0 <= site.now - began <= 250.0
    assert "too little for a step" in walk.text("step")


def test_nobody_plugs_in():
    walk = Walk(Site(plugs_in_at=1e9)).run()
    assert walk.verdict("charge") == "failed"
    assert "no car charged in time" in walk.text("charge")


def test_a_stranger_that_is_not_the_one_stays_outside():
    walk = Walk(Site(), answers={"accept": "no"}).run()
    assert walk.verdict("accept") == "failed"
    assert walk.site.orders == []


def test_wiring_that_is_refused_says_why():
    trouble = "circuit garage, L1: the safe values of 9 connectors are 54 A together"
    walk = Walk(Site(wiring_trouble=trouble)).run()
    assert walk.verdict("wire") == "failed"
    assert walk.text("wire") == trouble


def test_for_a_charger_that_is_not_there_nothing_is_kept_unless_a_person_wants_it():
    walk = Walk(Site(known=True, comes_at=1e9), answers={"wire": "no"}).run()
    assert "32 A per phase of garage are kept for it" in " ".join(walk.asked)
    assert walk.verdict("wire") == "failed"
    assert "it is not connected" in walk.text("wire")
    assert not [order for order in walk.site.orders if isinstance(order, Wire)]


def test_a_charger_that_is_not_there_is_wired_when_a_person_says_so():
    walk = Walk(Site(known=True, comes_at=60.0)).run()
    assert any("are kept for it" in text for text in walk.asked)
    assert walk.verdict("wire") == "passed"
    assert walk.verdict("connect") == "passed"


def test_a_charger_that_comes_in_a_moment_is_wired_without_a_word():
    walk = Walk(Site(known=True, comes_at=10.0)).until("charge")
    assert walk.asked == []
    assert walk.site.wired is not None


def test_with_yes_nobody_is_asked():
    walk = Walk(Site(truth=(1,), car=ONE_PHASE), Plan("CP-7", phases="L1", yes=True)).run()
    assert walk.asked == []
    assert walk.site.wired is not None
    assert walk.site.wired.phases == "L2"
