"""What the site's balancing is told of a connector: never less than it may draw."""

from __future__ import annotations

from datetime import UTC

import pytest

from edgegw.balance import model
from edgegw.balance.limits import LimitBook
from edgegw.balance.model import PlugState
from edgegw.balance.tree import Tree
from edgegw.core import late_refusal, plugs
from edgegw.core.load_control import LoadControl, PowerPlan
from edgegw.core.power import Control, Wiring
from tests.core.limit_story import LimitStory, charging, new_charger, steered
from tests.core.story import IDENTITY, V16, V21, V201, Version, event, status

EVERY = [V16, V201, V21]


def plug_of(told: LimitStory, connector: int = 1) -> model.Plug:
    wired = model.Connector(id=f"{IDENTITY}/{connector}", circuit="main")
    return plugs.plug(told.core.state, wired, connector, told.now)


def says(told: LimitStory, word: str, connector: int = 1, *, socket: int = 1) -> None:
    if told.version.is_2x:
        words = {"timestamp": "2026-01-01T00:00:00Z", "connectorStatus": word}
        told.charger.sends("StatusNotification", words | {"evseId": connector, "connectorId": socket})
    else:
        told.charger.sends("StatusNotification", status(connector, word))
    told.cloud.answers({})


def goes_on(told: LimitStory, **info: str) -> None:
    """A TransactionEvent of the running transaction."""
    payload = event("Updated", told.on_it[1], 3)
    payload["transactionInfo"] |= info
    told.charger.sends("TransactionEvent", payload)
    told.cloud.answers({})


# --- what is kept free until it is under control ----------------------------------------------------


@pytest.mark.parametrize("version", EVERY)
def test_a_charger_that_was_never_told_anything_counts_with_all_it_can_whatever_its_status(version: Version):
    told = new_charger(version)
    says(told, "Available")
    found = plug_of(told)
    assert (found.steered, found.reserved_a) == (False, 32.0)
    told.boots()
    told.seconds(6)
    found = plug_of(told)
    assert (found.steered, found.standing_a, found.state) == (True, 6.0, PlugState.FREE)


def test_while_its_boot_is_not_answered_it_counts_with_what_it_has():
    told = charging(grant_a=16.0)
    told.charger.sends("BootNotification", told.boot)
    told.grants(6.0)
    told.seconds(15)  # the cloud is slow, and nothing may be sent before it answers
    assert told.may_draw(1) == 16.0
    found = plug_of(told)
    assert (found.steered, found.reserved_a) == (False, 16.0)
    told.cloud.answers({"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 300})
    told.seconds(8)
    assert (plug_of(told).steered, told.may_draw(1)) == (True, 6.0)


def test_a_charger_that_takes_no_standing_limit_counts_with_all_it_can_between_two_cars():
    told = steered()
    told.power().safe_accepted_a = None  # its TxProfile works, nothing holds below it
    told.begins()
    told.grants(16.0)
    told.seconds(6)
    told.ends()
    told.seconds(2)
    assert told.power().control is Control.STEERED
    found = plug_of(told)
    assert (found.steered, found.reserved_a) == (False, 32.0)


# --- its state --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", EVERY)
def test_a_connector_that_never_said_a_word_may_have_a_car(version: Version):
    assert plug_of(steered(version)).state is PlugState.WAITING


@pytest.mark.parametrize("version", EVERY)
@pytest.mark.parametrize("word", ["Available", "Faulted", "Unavailable"])
def test_who_draws_by_its_own_meter_is_charging_whatever_its_status(version: Version, word: str):
    told = steered(version)
    says(told, word)
    told.seconds(1)
    told.draws(6.0, 6.0, 6.0)
    assert plug_of(told).state is PlugState.CHARGING
    told.seconds(1)
    says(told, word)  # a newer word than its sample
    assert plug_of(told).state is not PlugState.CHARGING


@pytest.mark.parametrize("version", [V201, V21])
def test_a_transaction_without_charging_state_is_known_by_its_current(version: Version):
    told = steered(version)
    says(told, "Occupied")
    told.begins()
    told.seconds(1)
    assert plug_of(told).state is PlugState.WAITING
    told.draws(6.0, 6.0, 6.0)
    assert plug_of(told).state is PlugState.CHARGING


def test_a_car_that_paused_is_believed_although_a_late_sample_says_otherwise():
    told = charging()
    says(told, "SuspendedEV")
    told.seconds(1)
    told.draws(16.0, 16.0, 16.0)
    assert plug_of(told).state is PlugState.SUSPENDED_EV


def test_what_was_drawn_in_a_transaction_says_nothing_of_the_time_after():
    told = charging()
    told.draws(16.0, 16.0, 16.0)
    told.seconds(1)
    told.ends()
    assert plug_of(told).state is not PlugState.CHARGING


@pytest.mark.parametrize("version", [V201, V21])
def test_after_a_restart_a_2x_car_still_charges(version: Version):
    told = charging(version)
    says(told, "Occupied")
    goes_on(told, chargingState="Charging")
    assert plug_of(told).state is PlugState.CHARGING
    told.restart()
    assert plug_of(told).state is PlugState.CHARGING


@pytest.mark.parametrize("out_of_order", ["Unavailable", "Faulted"])
def test_of_two_sockets_of_an_evse_the_one_in_use_counts_not_the_one_out_of_order(out_of_order: str):
    told = steered(V201)
    says(told, out_of_order, socket=1)
    says(told, "Occupied", socket=2)
    assert plug_of(told).state is PlugState.WAITING
    says(told, "Available", socket=2)
    assert plug_of(told).state is PlugState.FREE


def test_a_2x_transaction_that_names_no_evse_is_on_the_only_one():
    told = steered(V201)
    says(told, "Occupied")
    payload = event("Started", "tx-1", token="TAG")
    payload.pop("evse", None)
    payload["transactionInfo"]["chargingState"] = "Charging"
    told.charger.sends("TransactionEvent", payload)
    told.cloud.answers({"idTokenInfo": {"status": "Accepted"}})
    found = plug_of(told)
    assert (found.session, found.state) == ("tx-1", PlugState.CHARGING)


def test_a_transaction_that_must_get_no_energy_leaves_it_to_others_over_a_restart_too():
    told = charging()
    told._sequencer.push(late_refusal._forbid(told.core.state, told.on_it[1], told.now))
    assert plug_of(told).cap_a == 0.0
    told.restart()
    assert plug_of(told).cap_a == 0.0


# --- what people hear -------------------------------------------------------------------------------


@pytest.mark.parametrize("version", EVERY)
def test_a_connector_that_the_site_file_does_not_know_is_told_once(version: Version):
    told = steered(version, Wiring(connector=1))
    told.notices.clear()
    for connector in (1, 2, 2):
        says(told, "Available", connector)
    assert told.noticed.count("connector_not_in_site_file") == 1


def why(told: LimitStory, *, known: bool = True) -> str:
    """What the site's loop says of connector 1."""
    circuits = (model.Circuit(name="main", limit_a=63.0),)
    connectors = (model.Connector(id=f"{IDENTITY}/1", circuit="main"),)
    plan = PowerPlan(circuits=circuits, connectors=connectors)
    control = LoadControl(plan, LimitBook(Tree(circuits, connectors), UTC))
    control.decide({IDENTITY: told.core.state} if known else {}, told.now)
    assert control.allocation is not None
    return control.allocation.grants[f"{IDENTITY}/1"].reason.text


def test_why_so_much_is_kept_for_a_charger_that_is_not_steered():
    told = new_charger()
    assert why(told, known=False) == "has never connected: 32 A are kept for it"
    assert why(told) == "its cloud has not accepted it yet: 32 A are kept for it"
    told.boots()
    told.seconds(2)
    assert why(told) == "is brought under control: 32 A are kept for it"
    told.seconds(6)
    says(told, "Available")
    assert why(told).startswith("no car")
    told.goes()
    assert why(told) == "not connected: 6 A are kept for it"


def test_why_a_charger_that_refuses_has_its_maximum_kept_free():
    told = new_charger()
    told.refuses = lambda kept: "Rejected"
    told.boots()
    told.seconds(8)
    text = "cannot be steered (it takes no standing limit: it answers Rejected): 32 A are kept for it"
    assert why(told) == text
