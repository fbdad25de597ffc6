"""Home Assistant finds the site, its chargers and connectors; what it shows is sane, whatever is unknown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from edgegw.config_mqtt import VERBS
from edgegw.core.events import Instant
from edgegw.mqtt import freshness, homeassistant_devices, payloads, reading, requests, state
from edgegw.mqtt.events import KINDS, Happening
from edgegw.mqtt.homeassistant import (
    Discovery,
    birth_topic,
    discovery,
    discovery_filter,
    is_birth,
    is_ours,
)
from edgegw.mqtt.message import Incoming
from edgegw.mqtt.topics import Tree
from edgegw.mqtt.view import View
from tests.mqtt.homeassistant_schema import complaints
from tests.mqtt.homeassistant_site import AT, NOTHING, TREE, ordered, rendered, settings, shown, site

SITE = "homeassistant/device/edgegw-garage-nord/config"
READ_ONLY = settings()
ALL_VERBS = settings(commands=VERBS)
SEEDS = range(10)

Devices = dict[str, dict[str, Any]]


def devices(view: View, given: Any = READ_ONLY) -> Devices:
    found = discovery(view, TREE, given)
    return {topic: msgspec.json.decode(message.body) for topic, message in found.items()}


def components(view: View, given: Any = READ_ONLY) -> list[dict[str, Any]]:
    every = [one for device in devices(view, given).values() for one in device["components"].values()]
    return [component for component in every if len(component) > 1]


def charger_of(view: View, identity: str, given: Any = READ_ONLY) -> dict[str, Any]:
    return next(one for one in devices(view, given).values() if one["device"]["name"] == identity)


def one_charger(connectors: int, seed: int = 1) -> View:
    """ "CP-0" with so many connectors."""
    for tried in range(seed, 500):
        view = site(tried, 1)
        if len(view.chargers["CP-0"].connectors) == connectors:
            return view
    raise AssertionError("no such site")


# --- what is published ------------------------------------------------------------------------------


@pytest.mark.parametrize("chargers", [0, 1, 2, 5, 12, 30])
@pytest.mark.parametrize("given", [READ_ONLY, ALL_VERBS], ids=["read only", "all verbs"])
def test_every_message_is_what_home_assistant_documents(chargers, given):
    view = site(chargers, chargers, balanced=chargers != 5)
    for topic, device in devices(view, given).items():
        assert complaints(topic, device) == []


def test_there_is_a_device_for_the_site_and_for_each_charger_behind_it():
    view = site(3, 30)
    found = devices(view)
    assert len(found) == 31
    ids = [device["device"]["identifiers"] for device in found.values()]
    assert ids[0] == ["edgegw-garage-nord"]
    assert ["edgegw-garage-nord_cp-0"] in ids
    assert {device["device"].get("via_device") for device in found.values()} == {None, "edgegw-garage-nord"}


def test_messages_are_retained_and_carry_nothing_at_the_root_that_would_lose_the_device():
    message = discovery(site(1, 1), TREE, READ_ONLY)[SITE]
    assert (message.retain, message.qos, message.expiry_s) == (True, 1, None)
    assert message.payload("2026-11-20T23:40:01Z") == message.body


def test_no_two_entities_share_an_id():
    ids = [component["unique_id"] for component in components(site(5, 30), ALL_VERBS)]
    assert len(ids) == len(set(ids)) > 300


def test_a_charger_is_never_taken_for_a_gateway_with_a_longer_name():
    view = site(1, 1)
    one = discovery(view, Tree("edgegw", "garage"), READ_ONLY)
    other = discovery(view, Tree("edgegw", "garage-cp-0"), READ_ONLY)
    assert not one.keys() & other.keys()


def test_without_homeassistant_in_the_site_file_nothing_is_published():
    assert discovery(site(1, 3), TREE, settings(homeassistant=False)) == {}


def test_the_prefix_is_the_one_of_the_site_file():
    found = discovery(site(1, 1), TREE, settings(discovery_prefix="ha/home"))
    assert all(topic.startswith("ha/home/device/edgegw-") for topic in found)


def test_ids_do_not_follow_a_name_that_is_changed():
    view = site(2, 3)
    renamed = replace(view, info=replace(view.info, name="Tiefgarage"))
    ids = [[c["unique_id"] for c in components(one)] for one in (view, renamed)]
    assert ids[0] == ids[1]
    assert devices(renamed)[SITE]["device"]["name"] == "Tiefgarage"


def test_entities_of_one_connector_have_short_names_and_those_of_two_tell_it():
    single = charger_of(one_charger(1), "CP-0")["components"]
    double = charger_of(one_charger(2), "CP-0")["components"]
    assert single["c1_power"]["name"] == "Power"
    assert (double["c1_power"]["name"], double["c2_power"]["name"]) == (
        "Connector 1 power",
        "Connector 2 power",
    )
    assert single["c1_power"]["unique_id"] == double["c1_power"]["unique_id"]


# --- availability -----------------------------------------------------------------------------------


def test_a_charger_is_unavailable_while_it_or_the_gateway_is_away():
    device = charger_of(one_charger(1), "CP-0")
    topics = [one["topic"] for one in device["availability"]]
    assert topics == ["edgegw/1/garage-nord/status", "edgegw/1/garage-nord/charger/cp-0/availability"]
    assert device["availability_mode"] == "all"
    assert "availability" not in device["components"]["c1_power"]


def test_that_a_charger_is_away_is_still_shown_while_it_is_away():
    device = charger_of(one_charger(1), "CP-0")
    for key in ("online", "verdict", "cloud", "firmware", "c1_energy"):
        topics = [one["topic"] for one in device["components"][key]["availability"]]
        assert topics == ["edgegw/1/garage-nord/status"], key


# --- what entities show -----------------------------------------------------------------------------


def read_by(component: dict[str, Any], published: dict[str, bytes]) -> list[bytes]:
    """What comes on the topic of an entity. An event or an answer comes later than the state."""
    topic = component["state_topic"]
    if topic == TREE.topic("event"):
        return [event(kind) for kind in (*KINDS, "of_a_newer_version")]
    if topic == TREE.topic("response", verb="#"):
        return [answer(None), answer(payloads.ErrorText(code="stale", text="too old " * 60))]
    return [published[topic]] if topic in published else []


def event(kind: str) -> bytes:
    told = Happening(at=AT.timestamp(), kind="notice", text='a "quoted" word', data={"a": None})
    return msgspec.json.encode(replace(told.event("id", 7), kind=kind))


def answer(error: payloads.ErrorText | None) -> bytes:
    status = "ok" if error is None else "error"
    told = payloads.Response(transaction="t", status=status, data=None, error=error, took_ms=1.0)
    return msgspec.json.encode(told)


def nothing_known(body: bytes) -> bytes:
    """The payload with null in place of each number, and in each phase."""
    known = msgspec.json.decode(body)
    numbers = {key: None for key, value in known.items() if type(value) in (int, float)}
    phases = {key: NOTHING for key in known if key.endswith("_l_a")}
    return msgspec.json.encode({**known, **numbers, **phases})


@pytest.mark.parametrize("seed", SEEDS)
def test_every_entity_shows_something_sane_of_every_state(seed):
    view = site(seed, 6)
    published = {topic: message.body for topic, message in state.messages(view, TREE).items()}
    seen = 0
    for component in components(view, ALL_VERBS):
        if "state_topic" not in component:
            assert component["platform"] == "button"
            continue
        for payload in read_by(component, published):
            shown(component, payload)
            seen += 1
            if component["platform"] == "sensor" and "unit_of_measurement" in component:
                assert shown(component, nothing_known(payload)) is None
    assert seen > 50


def test_every_entity_reads_a_topic_that_is_published():
    view = site(8, 20)
    published = state.messages(view, TREE).keys()
    later = {TREE.topic("event"), TREE.topic("response", verb="#"), TREE.topic("limit", source="bms")}
    for component in components(view, ALL_VERBS):
        topic = component.get("state_topic")
        is_session = topic is not None and "/session/" in topic  # there is none before the first
        assert topic is None or is_session or topic in published or topic in later, component


def test_the_numbers_are_those_of_the_state():
    view = one_charger(2)
    plugged = replace(
        view.chargers["CP-0"].connectors[2],
        status="Charging", error_code="NoError", power_w=7350.0, current_l_a=(10.6, None, 0.0), limit_a=11.0,
    )  # fmt: skip
    device = charger_of(view, "CP-0")["components"]
    body = msgspec.json.encode(plugged)
    told = {key: shown(device[f"c2_{key}"], body) for key in ("status", "power", "limit", "problem", "error")}
    assert told == {"status": "Charging", "power": 7350.0, "limit": 11.0, "problem": False, "error": "none"}
    assert [shown(device[f"c2_current_l{n}"], body) for n in (1, 2, 3)] == [10.6, None, 0.0]


@pytest.mark.parametrize(
    ("status", "error_code", "problem", "error"),
    [
        ("Available", "NoError", False, "none"),
        ("Available", "", False, "none"),
        ("Available", "HighTemperature", True, "HighTemperature: fan blocked"),
        ("Faulted", "OtherError", True, "OtherError: fan blocked"),
        ("Faulted", "", True, "none"),
    ],
)
def test_a_connector_has_a_problem_when_it_is_faulted_or_names_an_error(status, error_code, problem, error):
    view = one_charger(1)
    seen = replace(
        view.chargers["CP-0"].connectors[1], status=status, error_code=error_code, info="fan blocked"
    )
    device, body = charger_of(view, "CP-0")["components"], msgspec.json.encode(seen)
    assert (shown(device["c1_problem"], body), shown(device["c1_error"], body)) == (problem, error)


def test_a_status_no_standard_knows_is_unknown_and_not_an_error_in_the_log():
    view = one_charger(1)
    seen = replace(view.chargers["CP-0"].connectors[1], status="OfVendorX")
    assert shown(charger_of(view, "CP-0")["components"]["c1_status"], msgspec.json.encode(seen)) is None


@pytest.mark.parametrize(("mode", "is_on"), [("serving", True), ("away", False), ("standalone", None)])
def test_the_cloud_of_a_site_without_one_is_neither_on_nor_off(mode, is_on):
    view = site(1, 1)
    body = msgspec.json.encode(replace(view.cloud, mode=mode))
    assert shown(devices(view)[SITE]["components"]["cloud"], body) is is_on


# --- orders -----------------------------------------------------------------------------------------

NOW = Instant(mono=1000.0, wall=AT.timestamp() + 1)
STARTED = Instant(mono=0.0, wall=AT.timestamp() - 999)


def controls(view: View, given: Any) -> list[tuple[str, dict[str, Any]]]:
    """(verb, component)"""
    prefix = f"{TREE.root}/request/"
    orders = [component for component in components(view, given) if "command_topic" in component]
    return [(one["command_topic"].removeprefix(prefix), one) for one in orders]


@pytest.mark.parametrize("verb", sorted({verb for verb, _ in controls(site(4, 8), ALL_VERBS)}))
def test_what_an_entity_sends_is_a_request_the_gateway_takes(verb):
    for of_verb, component in controls(site(4, 8), ALL_VERBS):
        if of_verb != verb:
            continue
        value = {"number": 63, "switch": "OFF", "button": "PRESS"}[component["platform"]]
        first, second = ordered(component, value), ordered(component, value)
        request = reading.read(verb, first)
        assert freshness.judge(request.ts, NOW, STARTED, required=True, fine_when_old=False) is None
        assert first["transaction"] != second["transaction"]
        assert len(first["transaction"]) <= requests.TRANSACTION_CHARACTERS_MAX
        assert component["qos"] == 1
        assert "retain" not in component


def test_the_orders_are_those_that_stand_on_the_entities():
    view = one_charger(2)
    entity = {one["unique_id"].rpartition("_c2_")[2]: one for _, one in controls(view, ALL_VERBS)}
    switched = ordered(entity["available"], "OFF")
    assert (switched["charger"], switched["connector"], switched["operative"]) == ("CP-0", 2, False)
    assert ordered(entity["available"], "ON")["operative"] is True
    unlocked = ordered(entity["unlock"])
    assert (unlocked["charger"], unlocked["connector"]) == ("CP-0", 2)


def test_an_identity_with_quotes_and_braces_arrives_as_it_is():
    view = one_charger(1)
    odd = """it's {{ 7 * 7 }} "\\" %} ü😀"""
    facts = view.chargers["CP-0"]
    odd_view = replace(view, chargers={odd: replace(facts, info=replace(facts.info, identity=odd))})
    orders = dict(controls(odd_view, settings(commands=["charger/reset"])))
    assert ordered(orders["charger/reset"])["charger"] == odd


def test_a_limit_is_set_in_the_name_of_the_first_source_and_with_the_expiry_of_the_site_file():
    given = settings(commands=["limit/set", "limit/release"], limit_sources=["house", "bms"])
    orders = dict(controls(site(1, 1), given))
    asked = ordered(orders["limit/set"], 40.5)
    assert (asked["source"], asked["limit_a"]) == ("house", 40.5)
    assert not asked.keys() & {"expires_s", "fallback_a", "circuit"}
    assert ordered(orders["limit/release"])["source"] == "house"
    assert orders["limit/set"]["state_topic"] == "edgegw/1/garage-nord/limit/house/state"


def test_the_number_shows_the_own_limit_of_the_site_and_until_when_it_holds():
    number = dict(controls(site(1, 1), settings(commands=["limit/set"])))["limit/set"]
    main = payloads.LimitOnCircuit(
        circuit="main", limit_a=63.0, limit_l_a=(63.0, 63.0, 63.0), asked_w=None, chargers_only=False,
        priority=0, until="2026-11-20T23:45:01Z", fallback_a=32.0, state="holds",
    )  # fmt: skip
    other = replace(main, circuit="garage", limit_a=16.0)
    body = msgspec.json.encode(payloads.LimitState(source="bms", limits=(other, main)))
    assert shown(number, body) == 63.0
    assert (number["min"], number["max"]) == (0, 100.0)
    above = msgspec.json.encode(payloads.LimitState(source="bms", limits=(replace(main, limit_a=150.0),)))
    assert shown(number, above) == 100.0
    told = rendered(number["json_attributes_template"], body)
    assert msgspec.json.decode(told) == {"until": main.until, "state": "holds", "fallback_a": 32.0}


@pytest.mark.parametrize("payload", [b"", b'{"ts":"2026-11-20T23:40:01Z","source":"bms","limits":[]}'])
def test_a_limit_that_is_over_leaves_the_number_unknown(payload):
    number = dict(controls(site(1, 1), settings(commands=["limit/set"])))["limit/set"]
    assert shown(number, payload) is None
    assert rendered(number["json_attributes_template"], payload) == "{}"


def test_where_nothing_is_balanced_no_limit_can_be_set():
    orders = dict(controls(site(1, 3, balanced=False), ALL_VERBS))
    assert not orders.keys() & {"limit/set", "limit/release"}


def test_no_entity_starts_or_stops_a_transaction_though_the_verbs_are_on():
    orders = {verb for verb, _ in controls(site(4, 30), ALL_VERBS)}
    assert orders == {
        "limit/set", "limit/release", "charger/availability", "charger/reset", "charger/unlock"
    }  # fmt: skip


def test_a_verb_that_is_off_has_no_entity_and_takes_away_the_one_it_had():
    view = one_charger(1)
    device = charger_of(view, "CP-0", settings(commands=["charger/unlock"]))["components"]
    assert device["reset"] == {"platform": "button"}
    assert device["c1_available"] == {"platform": "switch"}
    assert "command_topic" in device["c1_unlock"]
    assert [verb for verb, _ in controls(view, READ_ONLY)] == []


# --- coming and going -------------------------------------------------------------------------------


def test_a_charger_that_was_removed_has_no_message_any_more():
    view = site(6, 4)
    fewer = replace(view, chargers={k: v for k, v in view.chargers.items() if k != "CP-0"})
    gone = discovery(view, TREE, READ_ONLY).keys() - discovery(fewer, TREE, READ_ONLY).keys()
    assert gone == {"homeassistant/device/edgegw-garage-nord_cp-0/config"}


def test_a_connector_that_was_removed_is_named_with_its_platform_alone_until_it_is_back():
    both = one_charger(2)
    facts = both.chargers["CP-0"]
    one_left = replace(facts, connectors={1: facts.connectors[1]})
    left = replace(both, chargers={"CP-0": one_left})
    updated = replace(both, chargers={"CP-0": replace(one_left, info=replace(facts.info, firmware="9.9"))})
    known = Discovery(TREE, ALL_VERBS)
    topic = "homeassistant/device/edgegw-garage-nord_cp-0/config"
    first = known.messages(both)[topic]
    for view in (left, left, updated):
        device = msgspec.json.decode(known.messages(view)[topic].body)
        assert complaints(topic, device) == []
        assert device["components"]["c2_power"] == {"platform": "sensor"}
        assert device["components"]["c2_unlock"] == {"platform": "button"}
        assert device["components"]["c1_power"]["name"] == "Power"
    assert known.messages(both)[topic].body == first.body


def test_a_device_is_made_again_only_when_something_of_it_is_new():
    view = site(9, 3)
    known = Discovery(TREE, ALL_VERBS)
    first = known.messages(view)
    facts = view.chargers["CP-0"]
    talked = replace(facts, info=replace(facts.info, verdict="charging"))
    second = known.messages(replace(view, chargers={**view.chargers, "CP-0": talked}))
    assert all(first[topic] is second[topic] for topic in first)
    updated = replace(facts, info=replace(facts.info, firmware="9.9"))
    third = known.messages(replace(view, chargers={**view.chargers, "CP-0": updated}))
    (changed,) = [topic for topic in first if third[topic] is not first[topic]]
    assert msgspec.json.decode(third[changed].body)["device"]["sw_version"] == "9.9"


def test_what_an_earlier_run_left_is_known_from_what_others_left():
    filter_ = discovery_filter(READ_ONLY)
    assert filter_ == "homeassistant/device/+/config"
    for topic in discovery(site(6, 4), TREE, READ_ONLY):
        assert is_ours(topic, TREE, READ_ONLY)
    for other in ("edgegw-garage-nord-2", "edgegw-garage-nord-2_cp-0", "zigbee_x", "edgegw-garage"):
        assert not is_ours(f"homeassistant/device/{other}/config", TREE, READ_ONLY)
    assert not is_ours("homeassistant/sensor/edgegw-garage-nord/config", TREE, READ_ONLY)


def test_home_assistant_is_heard_when_it_starts():
    assert birth_topic(READ_ONLY) == "homeassistant/status"
    assert birth_topic(settings(discovery_prefix="ha")) == "ha/status"
    said = Incoming(topic="homeassistant/status", payload=b"online", retain=False)
    assert is_birth(said, READ_ONLY)
    for other in (
        replace(said, payload=b"offline"),
        replace(said, topic="ha/status"),
        replace(said, retain=True),
        replace(said, payload=b"\xff"),
    ):
        assert not is_birth(other, READ_ONLY)


# --- the schema itself ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "breaks",
    [
        {"ts": "2026-11-20T23:40:01Z"},
        {"origin": {}},
        {"device": {"name": "x"}},
        {"components": {"a": {"platform": "sensor"}, "b": {"platform": "light"}}},
        {"components": {"a": {"platform": "sensor", "unique_id": "a"}}},
        {"components": {"a": {"platform": "sensor", "unique_id": "a", "state_topic": "a", "colour": 1}}},
        {"components": {"a": {"platform": "button", "unique_id": "a", "command_topic": "a/+"}}},
    ],
)
def test_the_schema_refuses_what_home_assistant_would(breaks):
    topic, device = next(iter(devices(site(1, 1)).items()))
    assert complaints(topic, device) == []
    assert complaints(topic, {**device, **breaks}) != []


@pytest.mark.parametrize(
    "breaks",
    [
        {"unit_of_measurement": "kg"},
        {"state_class": "total_increasing"},
        {"device_class": "enum"},
        {"options": ["a"]},
        {"entity_category": "config"},
        {"state_topic": "a/#/b"},
        {"availability": []},
    ],
)
def test_the_schema_refuses_a_sensor_that_does_not_go_together(breaks):
    topic, device = next(iter(devices(site(1, 1)).items()))
    power = device["components"]["grid_power"]
    assert complaints(topic, {**device, "components": {"grid_power": {**power, **breaks}}}) != []


def test_the_main_circuit_is_the_one_without_a_parent():
    assert homeassistant_devices.main_circuit(site(1, 1)) == "main"
