"""`GET /metrics`: what is measured, in the words and units of Prometheus."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import edgegw
from edgegw.control import metrics_chargers
from edgegw.control.metrics_text import Seen, written
from edgegw.errors import StoreFault
from edgegw.store.journal import Journal
from tests.control.house import Api, House
from tests.control.watched import Measured, Watched, alarm
from tests.servers.promtool import promtool

LATE = ("box", "chargers", "export", "families", "power", "text")  # what only a scrape needs
OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
LABELS = {
    "charger", "circuit", "connector", "generation", "kind", "le", "meter", "mode", "outcome", "phase",
    "severity", "status", "version", "implementation", "major", "minor", "patchlevel",
}  # fmt: skip


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[Watched]:
    house = Watched(tmp_path)
    await house.start(tcp=True)
    yield house
    await house.stop()


# --- the text -------------------------------------------------------------------------------------


async def test_prometheus_own_tool_finds_nothing_to_say(house: Watched):
    await house.works()
    assert promtool("check", "metrics", text=await house.scrape()) == ""


async def test_who_asks_for_openmetrics_gets_it(house: Watched):
    await house.works()
    async with house.http() as http:
        plain = await http.get("/metrics")
        asked = await http.get("/metrics", headers={"accept": OPENMETRICS})
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert asked.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert asked.text.endswith("# EOF\n")
    names = {family.name for family in text_string_to_metric_families(asked.text)}
    assert {"edgegw_build", "edgegw_cloud_dials", "edgegw_store_commit_duration_seconds"} <= names


async def test_the_text_is_byte_for_byte_what_the_library_would_write(house: Watched):
    charger = await house.works()
    house.gateway.session('evil"\\\n{},=charger')
    await house.scrape()
    metrics = house.server.service.metrics
    looked_at = await metrics._exporter.look(metrics._exporter._gateway.scrape)
    body, _ = written(looked_at, "")
    assert body == generate_latest(Seen(looked_at))
    assert b'evil\\"\\\\\\n{},=charger' in body
    body, _ = written(looked_at, OPENMETRICS)
    assert body == generate_openmetrics(Seen(looked_at))
    charger.cut()


async def test_every_label_is_one_that_has_a_bound(house: Watched):
    await house.works()
    measured = await house.measured()
    found = {label for name in measured.samples for labels in measured.all_of(name) for label in labels}
    assert found <= LABELS


async def test_the_route_is_in_the_document_and_behind_the_token(house: Watched):
    async with house.http() as http:
        route = (await Api.of(http)).document["paths"]["/metrics"]["get"]
    assert set(route["responses"]["200"]["content"]) == {"text/plain", "application/openmetrics-text"}
    assert route["security"]
    async with house.tcp("a-wrong-token-of-the-tests") as stranger:
        assert (await stranger.get("/metrics")).status_code == 401


def test_nobody_loads_the_library_before_somebody_asks():
    """Only these files import it, and only each other import them: `metrics` names one of them as a text."""
    package = Path(edgegw.__file__).parent
    late = {package / "control" / f"metrics_{name}.py" for name in LATE}
    loads = re.compile(rf"^ *(?:from|import) .*\b(?:prometheus_client|metrics_(?:{'|'.join(LATE)}))\b", re.M)
    assert {path for path in package.rglob("*.py") if loads.search(path.read_text())} == late


async def test_two_scrapes_at_once_are_two_answers(house: Watched):
    first, second = await asyncio.gather(house.scrape(), house.scrape())
    assert Measured(first).samples.keys() == Measured(second).samples.keys()


# --- what is measured -----------------------------------------------------------------------------


async def test_a_site_that_works(house: Watched):
    await house.works()
    measured = await house.measured()
    assert measured("edgegw_chargers_known") == 2
    assert measured("edgegw_chargers_connected") == 1
    assert measured("edgegw_charger_connected", charger="CP-1") == 1
    assert measured("edgegw_charger_last_message_age_seconds", charger="CP-1") >= 0
    assert measured("edgegw_connector_status", charger="CP-1", connector="1", status="Charging") == 1
    assert measured("edgegw_circuit_fuse_amperes", circuit="main") == 63
    assert measured("edgegw_circuit_measured_amperes", circuit="main", phase="L3") == 22.5
    assert measured("edgegw_circuit_limits", circuit="garage") == 1
    assert measured("edgegw_meter_current_amperes", meter="grid", phase="L2") == 21
    assert measured("edgegw_connector_drawn_amperes", charger="CP-1", connector="1", phase="L1") == 10.5
    assert measured("edgegw_connector_limit_amperes", charger="CP-2", connector="1") == 6
    assert measured("edgegw_notices_total", kind="tested") == 1
    assert measured("edgegw_store_up") == 1
    assert measured("edgegw_store_database_bytes") > 4096
    assert measured("edgegw_store_commit_duration_seconds_count") == house.journal.commits > 0
    assert measured("process_resident_memory_bytes") > 10e6
    assert measured("process_open_fds") > 3


async def test_energy_is_joules_because_their_rate_is_watts(house: Watched):
    charger = await house.works()
    (running,) = house.gateway.sessions["CP-1"].charger.state.transactions.running
    await house.stops(charger, int(running))
    heard_wh = house.gateway.sessions["CP-1"].charger.state.energy.total_wh(1)
    measured = await house.measured()
    joules = measured("edgegw_connector_energy_joules_total", charger="CP-1", connector="1")
    assert joules == heard_wh * 3600 > 0


async def test_an_outage_is_seen_from_the_cloud_to_the_queue(house: Watched):
    charger = await house.boots("CP-1")
    serving = await house.measured()
    house.cloud.goes_down()
    transaction_id = await house.starts(charger)
    await house.stops(charger, transaction_id)
    away = await house.measured()
    assert [serving("edgegw_cloud_mode", mode=m) for m in ("standalone", "serving", "away")] == [0, 1, 0]
    assert [away("edgegw_cloud_mode", mode=m) for m in ("standalone", "serving", "away")] == [0, 0, 1]
    assert (serving("edgegw_cloud_connections"), away("edgegw_cloud_connections")) == (1, 0)
    assert serving("edgegw_cloud_dials_total", outcome="reached") == 1
    assert away("edgegw_charger_cloud_connected", charger="CP-1") == 0
    assert away("edgegw_queue_stored_messages") == 2
    assert away("edgegw_charger_queue_messages", charger="CP-1") == 2
    assert serving("edgegw_queue_oldest_age_seconds") == 0 < away("edgegw_queue_oldest_age_seconds")


async def test_dials_that_fail_are_counted(house: Watched):
    house.cloud.up = False
    await house.connects("CP-1")
    await house.connects("CP-2")  # not dialled for: the cloud has just been away
    measured = await house.measured()
    assert measured("edgegw_cloud_dials_total", outcome="failed") >= 1
    assert measured("edgegw_cloud_dials_total", outcome="reached") == 0


async def test_a_transaction_counts_once_however_often_it_is_saved(house: Watched):
    async def saved_again() -> None:
        """A reading, or the cloud has told its id, perhaps long after its end."""
        record = (await house.journal.transactions(charger="CP-1"))[0][1]
        for listener in house.gateway.transaction_listeners:
            listener(record)

    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    transaction_id = await house.starts(charger)
    await saved_again()
    running = await house.measured()
    await house.stops(charger, transaction_id)
    await saved_again()
    ended = await house.measured()
    started, finished = "edgegw_transactions_started_total", "edgegw_transactions_ended_total"
    assert (running("edgegw_transactions_running"), running(started), running(finished)) == (1, 1, 0)
    assert (ended("edgegw_transactions_running"), ended(started), ended(finished)) == (0, 1, 1)


async def test_a_call_of_a_person_is_timed_by_its_outcome(house: Watched):
    charger = await house.boots("CP-1")
    async with house.http() as http:
        asked = asyncio.create_task(http.post("/v1/chargers/CP-1/call", json={"action": "ClearCache"}))
        while (frame := await charger.hears())[2:3] != ["ClearCache"]:
            charger.says([3, frame[1], {"configurationKey": []}])
        charger.says([3, frame[1], {"status": "Accepted"}])
        assert (await asked).json()["outcome"] == "result"
    measured = await house.measured()
    assert measured("edgegw_call_duration_seconds_count", outcome="result") == 1
    assert measured("edgegw_call_duration_seconds_count", outcome="timeout") == 0


async def test_polls_of_a_meter(house: Watched):
    measured = await house.measured()
    assert measured("edgegw_meter_polls_total", meter="grid") == 10
    assert measured("edgegw_meter_readings_total", meter="grid") == 7
    assert measured("edgegw_meter_misses", meter="grid") == 2
    assert measured("edgegw_meter_errors_total", meter="grid", kind="no_answer") == 3
    assert measured("edgegw_meter_poll_duration_seconds_count", meter="grid") == 1
    assert measured("edgegw_meter_up", meter="grid") == 0  # nothing was ever read
    house.reads(1.0, 2.0, 3.0)
    assert (await house.measured())("edgegw_meter_up", meter="grid") == 1
    house.load.on_trouble("grid", "meter_no_answer", "no answer")
    assert (await house.measured())("edgegw_meter_up", meter="grid") == 0


async def test_alarms_are_counted_while_they_are_active(house: Watched):
    house.alarms.alarms = (
        alarm("over_limit", "critical"),
        alarm("charger_silent", "warning", acknowledged=True),
        alarm("over_limit", "critical", state="cleared"),
    )
    measured = await house.measured()
    severities = ("info", "warning", "error", "critical")
    assert [measured("edgegw_alarms", severity=one) for one in severities] == [0, 1, 0, 1]
    assert measured("edgegw_alarms_by_kind", kind="over_limit", severity="critical") == 1
    assert measured("edgegw_alarms_unacknowledged") == 2


async def test_bugs_of_the_watch_and_orders_that_are_in_no_book_are_counted(house: Watched):
    measured = await house.measured()
    assert measured("edgegw_alarms_bugs_total") == 0
    assert "edgegw_audit_dropped_entries_total" not in measured.samples
    house.alarms.bugs = 2
    house.server.service.metrics.sources.audit_dropped = lambda: 3
    measured = await house.measured()
    assert measured("edgegw_alarms_bugs_total") == 2
    assert measured("edgegw_audit_dropped_entries_total") == 3


async def test_the_broker_and_the_loop(house: Watched):
    house.broker.up = False
    house.lag.histogram.observe(0.3)
    measured = await house.measured()
    assert measured("edgegw_mqtt_connected") == 0
    assert measured("edgegw_mqtt_operations_total", kind="events_dropped") == 3
    late = [measured("edgegw_event_loop_lag_seconds_bucket", le=le) for le in ("0.25", "0.5")]
    assert late[1] - late[0] == 1
    assert measured("edgegw_event_loop_lag_worst_seconds") >= 0


async def test_what_is_not_there_is_not_measured_as_zero(tmp_path):
    house = House(tmp_path, standalone=True)
    await house.start()
    async with house.http() as http:
        names = Measured((await http.get("/metrics")).text).samples
    for absent in (
        "alarms",
        "mqtt_connected",
        "event_loop_lag_seconds_count",
        "circuit_fuse_amperes",
        "meter_up",
    ):
        assert f"edgegw_{absent}" not in names
    assert "edgegw_store_up" in names
    await house.stop()


# --- bad input, bad days --------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [StoreFault("gone"), OSError(5, "Input/output error")], ids=str)
async def test_a_store_that_fails_costs_its_numbers_and_not_the_scrape(
    house: Watched, monkeypatch, fault: Exception
):
    async def counts():
        raise fault

    monkeypatch.setattr(house.journal, "counts", counts)
    monkeypatch.setattr(Journal, "broken", property(lambda _: True))
    measured = await house.measured()
    assert measured("edgegw_store_up") == 0
    assert "edgegw_store_database_bytes" not in measured.samples
    assert measured("edgegw_queue_stored_messages") == 0


async def test_more_chargers_than_anybody_has_are_left_out_and_counted(house: Watched, monkeypatch):
    monkeypatch.setattr(metrics_chargers, "CHARGERS_MAX", 3)
    for number in range(10):
        house.gateway.session(f"X-{number}")
    measured = await house.measured()
    assert len(measured.all_of("edgegw_charger_connected")) == 3
    assert measured("edgegw_chargers_left_out") == 7


async def test_what_a_charger_writes_makes_no_series(house: Watched):
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    for number in range(3):
        status = {"connectorId": 1, "errorCode": "NoError", "status": f"Dancing{number}"}
        await house.told(charger, charger.calls("StatusNotification", status))
    shown = (await house.measured()).all_of("edgegw_connector_status")
    assert shown == [{"charger": "CP-1", "connector": "1", "status": "other"}]


async def test_a_big_site_is_looked_at_with_others_in_between(house: Watched):
    await house.scrape()
    for number in range(50):
        house.gateway.session(f"X-{number}")
    metrics, turns, done = house.server.service.metrics, 0, asyncio.Event()

    async def others() -> None:
        nonlocal turns
        while not done.is_set():
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    looked_at = await metrics._exporter.look(metrics._exporter._gateway.scrape)
    done.set()
    await beside
    assert turns >= len(looked_at)
