"""Payloads against the schemas: what is complained about, and that the peer's names open no file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgegw.wire.error_codes import ErrorMeaning
from edgegw.wire.schemas import COMPLAINTS_MAX, Schemas, _schema_files, known_actions
from edgegw.wire.versions import Version

V16, V201, V21 = Version.V16, Version.V201, Version.V21
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    return Schemas()


def test_every_schema_compiles_and_judges(schemas):
    for version in Version:
        files = _schema_files(version)
        assert {kind for kind, _ in files} >= {"request", "response"}
        for kind, action in files:
            assert schemas.is_valid(version, kind, action, {"no such member": 1}) in (True, False)


def test_known_actions():
    assert len(known_actions(V16)) == 39
    assert len(known_actions(V201)) == 64
    assert len(known_actions(V21)) == 91
    assert {"StartTransaction", "SecurityEventNotification"} <= known_actions(V16)
    assert {"TransactionEvent", "NotifyPeriodicEventStream"} <= known_actions(V21)
    assert not [action for action in known_actions(V21) if action.endswith(("Request", "Response"))]


def test_kinds(schemas):
    assert schemas.is_valid(V16, "request", "Heartbeat", {}) is True
    assert schemas.is_valid(V16, "response", "Heartbeat", {}) is False
    assert schemas.is_valid(V16, "response", "Heartbeat", {"currentTime": "x"}) is True
    stream = {"id": 1, "pending": 0, "basetime": "2026-01-01T00:00:00Z", "data": [{"t": 0, "v": "1"}]}
    assert schemas.is_valid(V21, "send", "NotifyPeriodicEventStream", stream) is True
    assert schemas.is_valid(V21, "request", "NotifyPeriodicEventStream", stream) is None
    assert schemas.is_valid(V16, "request", "TransactionEvent", {}) is None


def test_times_are_not_judged_here(schemas):
    assert (
        schemas.is_valid(V16, "request", "StatusNotification", {**STATUS, "timestamp": "yesterday"}) is True
    )


def test_one_decimal_is_a_multiple_of_a_tenth(schemas):
    def profile(limit: float) -> dict[str, object]:
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
        return {
            "connectorId": 1,
            "csChargingProfiles": {
                "chargingProfileId": 1,
                "stackLevel": 0,
                "chargingProfilePurpose": "TxProfile",
                "chargingProfileKind": "Absolute",
                "chargingSchedule": schedule,
            },
        }

    for tenths in range(1000):
        assert schemas.is_valid(V16, "request", "SetChargingProfile", profile(tenths / 10)) is True
    assert schemas.is_valid(V16, "request", "SetChargingProfile", profile(4.11)) is False


@pytest.mark.parametrize(
    ("change", "path", "rule", "meaning", "text"),
    [
        ({"info": None}, "info", "type", ErrorMeaning.TYPE, "must be of type string"),
        ({"connectorId": "1"}, "connectorId", "type", ErrorMeaning.TYPE, "must be of type integer"),
        ({"connectorId": True}, "connectorId", "type", ErrorMeaning.TYPE, "must be of type integer"),
        ({"connectorId": 1.0}, "connectorId", "type", ErrorMeaning.TYPE, "must be of type integer"),
        ({"connectorId": 1.5}, "connectorId", "type", ErrorMeaning.TYPE, "must be of type integer"),
        ({"status": "SECRET"}, "status", "enum", ErrorMeaning.PROPERTY, "is not one of the allowed values"),
        ({"info": "SECRET" * 9}, "info", "max_length", ErrorMeaning.PROPERTY, "is longer than 50 characters"),
        (
            {"SECRET": 1},
            "",
            "additional_properties",
            ErrorMeaning.FORMATION,
            "has a member that is not in the schema",
        ),
    ],
)
def test_fault_20_a_complaint_says_where_and_which_rule(schemas, change, path, rule, meaning, text):
    (complaint,) = schemas.complaints(V16, "request", "StatusNotification", {**STATUS, **change})
    assert (complaint.path, complaint.rule, complaint.meaning, complaint.text) == (path, rule, meaning, text)
    assert "SECRET" not in str(complaint)


def test_what_is_missing_is_named(schemas):
    complaints = schemas.complaints(V16, "request", "StatusNotification", {"connectorId": 1})
    assert {c.text for c in complaints} == {"errorCode is missing", "status is missing"}
    assert {c.meaning for c in complaints} == {ErrorMeaning.OCCURRENCE}
    assert schemas.complaints(V16, "request", "StatusNotification", STATUS) == ()


def meter_values(sample: dict[str, object], count: int) -> dict[str, object]:
    return {"connectorId": 1, "meterValue": [{"timestamp": "t", "sampledValue": [sample] * count}]}


def test_complaints_are_few(schemas):
    bad = meter_values({"value": 1, "unit": "q"}, 20)
    complaints = schemas.complaints(V16, "request", "MeterValues", bad)
    assert len(complaints) == COMPLAINTS_MAX
    assert complaints[0].path == "meterValue/0/sampledValue/0/value"


def test_fault_30_a_large_payload_gets_one_complaint(schemas):
    assert len(schemas.complaints(V16, "request", "MeterValues", meter_values({"value": 1}, 20_000))) == 1
    assert schemas.complaints(V16, "request", "MeterValues", meter_values({"value": "1"}, 20_000)) == ()


@pytest.mark.parametrize("depth", [1, 6, 14])
def test_fault_28_no_file_is_opened_by_a_name_of_the_peer(schemas, tmp_path, depth):
    (tmp_path / "empty.json").write_text("{}")
    for action in (
        "../" * depth + str(tmp_path / "empty")[1:],
        str(tmp_path / "empty"),
        "../schemas/Reset",
        "a\0b",
    ):
        assert schemas.is_valid(V16, "request", action, {}) is None
        (complaint,) = schemas.complaints(V16, "request", action, {})
        assert (complaint.rule, complaint.meaning) == ("unknown_action", ErrorMeaning.NOT_IMPLEMENTED)


def test_unknown_actions_leave_nothing_behind():
    schemas = Schemas()
    for number in range(1000):
        schemas.is_valid(V16, "request", f"A{number}", {})
    assert not schemas._validators


def test_the_ocpp_package_is_not_imported():
    program = (
        "import sys; from edgegw.wire.schemas import Schemas; from edgegw.wire.versions import Version\n"
        "assert Schemas().is_valid(Version.V16, 'request', 'Heartbeat', {})\n"
        "sys.exit([name for name in sys.modules if name.startswith('ocpp')] != [])"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True, timeout=60)
