"""What chargers report is kept: errors, events and security events; floods cost little, a restart nothing."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from edgegw.core import reports
from edgegw.core.effects import SendCharger, SendCloud
from edgegw.core.records import SaveDocument
from edgegw.core.report_book import REPORTS_MAX, WRITE_EVERY_S, WRITES_AT_ONCE, Report
from tests.core.story import IDENTITY, NOON, V16, V21, V201, Story, away, online, time_at
from tests.core.story import story as before_boot


def error(code: str = "GroundFailure", connector: int = 1, status: str = "Faulted", **more: Any) -> dict:
    return {"connectorId": connector, "errorCode": code, "status": status, "timestamp": time_at(), **more}


FINE = error("NoError", status="Available")


def notify(*events: dict[str, Any]) -> dict[str, Any]:
    return {"generatedAt": time_at(), "seqNo": 0, "eventData": list(events)}


def event(component: str = "RCD", variable: str = "Tripped", value: str = "true", **more: Any) -> dict:
    return {
        "eventId": 1,
        "timestamp": time_at(),
        "trigger": "Alerting",
        "actualValue": value,
        "eventNotificationType": "HardWiredNotification",
        "component": {"name": component, "evse": {"id": 1, "connectorId": 2}},
        "variable": {"name": variable},
        **more,
    }


def says(told: Story, action: str, payload: dict[str, Any]) -> list[Report]:
    """The charger sends it, the cloud takes it. Returns all lines of its book."""
    told.cloud.is_polite = True
    told.charger.sends(action, payload)
    return told.core.state.reports.lines


def saved(told: Story) -> list[Report]:
    document = told.store.documents.get((IDENTITY, "reports", ""))
    return [] if document is None else [Report(**line) for line in orjson.loads(document.value)]


def writes(told: Story) -> int:
    return sum(type(e) is SaveDocument and e.kind == "reports" for e in told.effects)


def codes(lines: list[Report]) -> list[str]:
    return [f"{'-' if line.cleared else ''}{line.code}" for line in lines]


# --- 1.6 --------------------------------------------------------------------------------------------


def test_an_error_is_kept_with_all_the_charger_says_of_it():
    told = online()
    more = {"vendorErrorCode": "E42", "vendorId": "com.acme", "info": "30 mA"}
    (line,) = says(told, "StatusNotification", error(**more))
    assert line == Report(
        at=NOON,
        first_at=NOON,
        said_at=time_at(),
        kind="status",
        code="GroundFailure",
        vendor_code="E42",
        vendor="com.acme",
        connector="1",
        info="30 mA",
        faulted=True,
    )
    assert saved(told) == [line]


def test_no_error_is_no_report():
    told = online()
    assert says(told, "StatusNotification", FINE) == []
    assert writes(told) == 0


def test_an_error_that_does_not_stop_the_connector_is_one_too():
    (line,) = says(online(), "StatusNotification", error("WeakSignal", status="Available"))
    assert (line.code, line.faulted) == ("WeakSignal", False)


@pytest.mark.parametrize("nothing", ["NoError", "", None, "noerror"])
def test_faulted_without_an_error_code(nothing: str | None):
    (line,) = says(online(), "StatusNotification", error(nothing))  # type: ignore[arg-type]
    assert (line.code, line.faulted) == ("Faulted", True)


def test_an_error_code_that_is_none_of_the_standard_is_kept_as_it_is():
    (line,) = says(online(), "StatusNotification", error("Error"))
    assert line.code == "Error"


def test_the_clearing_is_a_line_of_its_own_for_each_error_of_that_connector():
    told = online()
    says(told, "StatusNotification", error("GroundFailure"))
    says(told, "StatusNotification", error("HighTemperature"))
    says(told, "StatusNotification", error("HighTemperature", connector=2))
    lines = says(told, "StatusNotification", FINE)
    assert codes(lines[3:]) == ["-GroundFailure", "-HighTemperature"]
    assert [line.connector for line in lines[3:]] == ["1", "1"]
    assert len(says(told, "StatusNotification", FINE)) == 5  # cleared once


def test_an_error_from_before_a_restart_is_cleared_after_it():
    told = online()
    says(told, "StatusNotification", error())
    told.restart()
    told.charger.connects()
    told.cloud.comes_back()
    assert codes(says(told, "StatusNotification", FINE)) == ["GroundFailure", "-GroundFailure"]


def test_a_report_repeated_in_a_row_raises_the_count():
    told = online()
    says(told, "StatusNotification", error(info="31 C"))
    told.after(60)
    (line,) = says(told, "StatusNotification", error(info="32 C"))
    assert (line.count, line.first_at, line.at, line.info) == (2, NOON, NOON + 60, "32 C")


def test_the_other_connector_in_between_does_not_matter():
    told = online()
    for connector in (1, 2, 1, 2):
        says(told, "StatusNotification", error(connector=connector))
    lines = told.core.state.reports.lines
    assert [(line.connector, line.count) for line in lines] == [("1", 2), ("2", 2)]


def test_another_error_in_between_makes_a_new_line():
    told = online()
    for code in ("GroundFailure", "OverVoltage", "GroundFailure"):
        says(told, "StatusNotification", error(code))
    assert [line.count for line in told.core.state.reports.lines] == [1, 1, 1]


def test_a_fault_that_comes_and_goes_all_night_takes_two_lines():
    told = online()
    says(told, "StatusNotification", error("HighTemperature", connector=2))
    for _ in range(200):
        says(told, "StatusNotification", error())
        says(told, "StatusNotification", FINE)
    lines = told.core.state.reports.lines
    assert codes(lines) == ["HighTemperature", "GroundFailure", "-GroundFailure"]
    assert [line.count for line in lines] == [1, 200, 200]


def test_the_same_message_sent_again_counts_once():
    told = online()
    told.cloud.is_polite = True
    for _ in range(3):
        told.charger.sends("StatusNotification", error(), id="same")
    (line,) = told.core.state.reports.lines
    assert line.count == 1


def test_only_the_newest_are_kept():
    told = online()
    for number in range(REPORTS_MAX + 5):
        says(told, "StatusNotification", error("OtherError", vendorErrorCode=f"E{number}"))
    lines = told.core.state.reports.lines
    assert len(lines) == REPORTS_MAX
    assert (lines[0].vendor_code, lines[-1].vendor_code) == ("E5", f"E{REPORTS_MAX + 4}")


# --- 2.x --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V201, V21])
def test_a_2x_connector_that_is_faulted_and_well_again(version):
    told = online(version)
    payload = {"timestamp": time_at(), "evseId": 1, "connectorId": 2}
    says(told, "StatusNotification", {**payload, "connectorStatus": "Faulted"})
    lines = says(told, "StatusNotification", {**payload, "connectorStatus": "Available"})
    assert codes(lines) == ["Faulted", "-Faulted"]
    assert {line.connector for line in lines} == {"1.2"}


def test_the_events_of_notify_event():
    told = online(V21)
    first = event(techCode="E7", techInfo="leak at L2", severity=1)
    second = event("TemperatureSensor", "Temperature", "91.5")
    one, two = says(told, "NotifyEvent", notify(first, second))
    assert (one.kind, one.code, one.vendor_code, one.connector) == ("event", "RCD.Tripped", "E7", "1.2")
    assert (one.info, one.severity, one.cleared) == ("leak at L2", 1, False)
    assert (two.code, two.info, two.severity) == ("TemperatureSensor.Temperature", "91.5", None)


def test_no_secret_of_a_report_is_kept():
    told = online(V21)
    told_so = event(
        "SecurityCtrlr", "BasicAuthPassword", "hunter2hunter2", techInfo="pwd: hunter2hunter2, ok"
    )
    (line,) = says(told, "NotifyEvent", notify(told_so))
    assert line.info == "***, pwd: ***, ok"


@pytest.mark.parametrize(
    ("over", "is_over"),
    [
        ({"cleared": True}, True),
        ({"actualValue": "false"}, True),
        ({"actualValue": "False"}, True),
        ({"cleared": False}, False),
        ({}, False),
    ],
)
def test_an_event_that_is_over(over: dict[str, Any], is_over: bool):
    (line,) = says(online(V201), "NotifyEvent", notify({**event(), **over}))
    assert line.cleared is is_over


def test_samples_are_no_reports_unless_they_say_that_something_is_wrong():
    told = online(V21)
    sample = event("EVSE", "Power", "11000", trigger="Periodic")
    assert says(told, "NotifyEvent", notify(sample, {**sample, "severity": 8})) == []
    lines = says(told, "NotifyEvent", notify({**sample, "severity": 3}, {**sample, "techCode": "E1"}))
    assert len(lines) == 2


def test_availability_of_21_is_a_report_only_when_it_is_faulted():
    told = online(V21)
    for value in ("Occupied", "Faulted", "Available", "Occupied"):
        says(told, "NotifyEvent", notify(event("Connector", "AvailabilityState", value, trigger="Delta")))
    lines = told.core.state.reports.lines
    assert codes(lines) == ["Faulted", "-Faulted"]
    assert lines[0].faulted


@pytest.mark.parametrize("version", [V16, V201, V21])
def test_a_security_event(version):
    payload = {"type": "TamperDetectionActivated", "timestamp": time_at(), "techInfo": "door"}
    (line,) = says(online(version), "SecurityEventNotification", payload)
    assert (line.kind, line.code, line.info, line.said_at) == (
        "security", "TamperDetectionActivated", "door", time_at(),
    )  # fmt: skip


# --- what a charger must not be able to do ------------------------------------------------------------


@pytest.mark.parametrize("version", [V16, V21])
@pytest.mark.parametrize("action", sorted(reports.ACTIONS))
@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"errorCode": 7, "status": ["Faulted"], "connectorId": {"a": 1}, "info": None},
        {"errorCode": ["x"], "status": "Faulted", "connectorId": -1e300, "timestamp": 1e308},
        {"eventData": None},
        {"eventData": [1, None, {}, {"component": 3, "variable": []}]},
        {"eventData": [event(severity="x"), event(severity=True), event(severity=-1)]},
        {"eventData": [{"component": {"name": {}, "evse": 7}, "variable": {"name": "Problem"}}]},
        {"eventData": [event("Connector", "AvailabilityState", ["Faulted"])]},  # type: ignore[arg-type]
        {"type": None, "techInfo": {"deep": [1]}},
    ],
)  # fmt: skip
def test_nonsense_is_survived_and_relayed(version, action: str, payload: dict[str, Any]):
    told = online(version)
    told.charger.sends(action, payload)
    assert told.cloud.actions == [action]
    assert type(told.effects[0]) is SendCloud
    told.restart()  # what was kept of it can be read


def test_texts_are_short_and_printable():
    told = online()
    says(told, "StatusNotification", error("X" * 999, vendorErrorCode="\x1b[2J" * 99, info="\u202e\n" * 999))
    says(told, "SecurityEventNotification", {"type": "\x9b31m", "timestamp": "\r", "techInfo": "é" * 999})
    for line in told.core.state.reports.lines:
        texts = (line.code, line.vendor_code, line.info, line.connector, line.said_at, line.vendor)
        assert all(text.isprintable() and len(text) <= 255 for text in texts), line
    assert told.core.state.reports.lines[1].info == "é" * 255


def test_credentials_are_not_kept():
    told = online()
    says(told, "SecurityEventNotification", {"type": "X", "techInfo": "ftp://bob:secret@host/x"})
    assert b"secret" not in told.store.documents[IDENTITY, "reports", ""].value


def test_what_is_relayed_comes_first_and_byte_for_byte():
    told = online()
    told.charger.says(b'[2, "r-1","StatusNotification",' + orjson.dumps(error()) + b" ]")
    assert told.cloud.raw == [b'[2, "r-1","StatusNotification",' + orjson.dumps(error()) + b" ]"]
    assert [type(effect) for effect in told.effects] == [SendCloud, SaveDocument]


def test_away_from_the_cloud_the_answer_comes_first():
    told = away()
    told.charger.sends("StatusNotification", error())
    told.expect(SendCharger, SaveDocument)
    assert codes(saved(told)) == ["GroundFailure"]


def test_other_messages_cost_nothing():
    told = online()
    says(told, "StatusNotification", error())
    told.forget()
    for action in ("Heartbeat", "MeterValues", "DataTransfer"):
        says(told, action, {})
    assert writes(told) == 0


def test_a_charger_that_was_never_accepted_is_heard_too():
    told = before_boot()
    told.charger.connects()
    told.charger.sends("StatusNotification", error())
    assert codes(told.core.state.reports.lines) == ["GroundFailure"]


# --- the store ----------------------------------------------------------------------------------------


def test_reports_survive_a_restart():
    told = online()
    says(told, "StatusNotification", error())
    says(told, "SecurityEventNotification", {"type": "MemoryExhaustion", "timestamp": time_at()})
    before = told.core.state.reports.lines
    told.restart()
    assert told.core.state.reports.lines == before
    assert len(before) == 2


def test_a_document_that_cannot_be_read_costs_the_reports_only():
    told = online()
    says(told, "StatusNotification", error())
    key = (IDENTITY, "reports", "")
    for value in (b"{", b'[{"at": "yesterday"}]', b"[{}]"):
        told.store.write([SaveDocument(kind="reports", charger=IDENTITY, key="", value=value)])
        told.restart()
        assert told.core.state.reports.lines == []
    assert key in told.store.documents
    assert told.core.state.profile.vendor == "Ohm"


def test_a_flood_is_written_now_and_then():
    told = online()
    told.effects = []
    for number in range(600):  # ten a second for a minute
        says(told, "StatusNotification", error("OtherError", vendorErrorCode=f"E{number}"))
        told.after(0.1)
    assert WRITES_AT_ONCE <= writes(told) <= WRITES_AT_ONCE + 60 / WRITE_EVERY_S + 1


def test_the_end_of_a_flood_is_written_with_the_next_message():
    told = online()
    for number in range(50):
        says(told, "StatusNotification", error("OtherError", vendorErrorCode=f"E{number}"))
    assert len(saved(told)) == WRITES_AT_ONCE
    told.after(WRITE_EVERY_S)
    says(told, "Heartbeat", {})
    assert len(saved(told)) == 50


def test_the_end_of_a_flood_is_written_when_the_charger_leaves():
    told = online()
    for number in range(50):
        says(told, "StatusNotification", error("OtherError", vendorErrorCode=f"E{number}"))
    told.charger.leaves()
    assert len(saved(told)) == 50
    assert not any(
        effect.durable for effect in told.effects if type(effect) is SaveDocument and effect.kind == "reports"
    )


def test_a_long_notify_event_is_one_write():
    told = online(V21)
    told.effects = []
    lines = says(told, "NotifyEvent", notify(*(event("EVSE", f"V{n}") for n in range(5000))))
    assert (writes(told), len(lines)) == (1, reports.EVENTS_MAX)
    assert lines[-1].code == "EVSE.V4999"
