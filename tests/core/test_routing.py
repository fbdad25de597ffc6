"""The routing table knows every message of every version, and every answer it gives is a valid one."""

from __future__ import annotations

import json

import pytest

from edgegw.core import routing
from edgegw.core.records import Lane
from edgegw.core.routing import Down, Up
from edgegw.wire.frames import Call, CallError, CallResult, parse
from edgegw.wire.schemas import Schemas, known_actions
from tests.core.story import BOOT, V16, V21, V201, Version, away, event, meter, start, status, stop, time_at

# Who may send what: OCPP 1.6 chapters 4 and 5 with the security whitepaper, 2.x Part 2 chapter 1.
CHARGER_16 = """
Authorize BootNotification DataTransfer DiagnosticsStatusNotification FirmwareStatusNotification Heartbeat
LogStatusNotification MeterValues SecurityEventNotification SignCertificate SignedFirmwareStatusNotification
StartTransaction StatusNotification StopTransaction
"""
CLOUD_16 = """
CancelReservation CertificateSigned ChangeAvailability ChangeConfiguration ClearCache ClearChargingProfile
DataTransfer DeleteCertificate ExtendedTriggerMessage GetCompositeSchedule GetConfiguration GetDiagnostics
GetInstalledCertificateIds GetLocalListVersion GetLog InstallCertificate RemoteStartTransaction
RemoteStopTransaction ReserveNow Reset SendLocalList SetChargingProfile SignedUpdateFirmware TriggerMessage
UnlockConnector UpdateFirmware
"""
CHARGER_201 = """
Authorize BootNotification ClearedChargingLimit DataTransfer FirmwareStatusNotification Get15118EVCertificate
GetCertificateStatus Heartbeat LogStatusNotification MeterValues NotifyChargingLimit
NotifyCustomerInformation NotifyDisplayMessages NotifyEVChargingNeeds NotifyEVChargingSchedule NotifyEvent
NotifyMonitoringReport NotifyReport PublishFirmwareStatusNotification ReportChargingProfiles
ReservationStatusUpdate SecurityEventNotification SignCertificate StatusNotification TransactionEvent
"""
CLOUD_201 = """
CancelReservation CertificateSigned ChangeAvailability ClearCache ClearChargingProfile ClearDisplayMessage
ClearVariableMonitoring CostUpdated CustomerInformation DataTransfer DeleteCertificate GetBaseReport
GetChargingProfiles GetCompositeSchedule GetDisplayMessages GetInstalledCertificateIds GetLocalListVersion
GetLog GetMonitoringReport GetReport GetTransactionStatus GetVariables InstallCertificate PublishFirmware
RequestStartTransaction RequestStopTransaction ReserveNow Reset SendLocalList SetChargingProfile
SetDisplayMessage SetMonitoringBase SetMonitoringLevel SetNetworkProfile SetVariableMonitoring SetVariables
TriggerMessage UnlockConnector UnpublishFirmware UpdateFirmware
"""
CHARGER_21_MORE = """
BatterySwap ClosePeriodicEventStream GetCertificateChainStatus NotifyDERAlarm NotifyDERStartStop
NotifyPeriodicEventStream NotifyPriorityCharging NotifySettlement NotifyWebPaymentStarted
OpenPeriodicEventStream PullDynamicScheduleUpdate ReportDERControl VatNumberValidation
"""
CLOUD_21_MORE = """
AFRRSignal AdjustPeriodicEventStream ChangeTransactionTariff ClearDERControl ClearTariffs GetDERControl
GetPeriodicEventStream GetTariffs NotifyAllowedEnergyTransfer RequestBatterySwap SetDERControl
SetDefaultTariff UpdateDynamicSchedule UsePriorityCharging
"""
FROM_CHARGER = {
    V16: set(CHARGER_16.split()),
    V201: set(CHARGER_201.split()),
    V21: set(CHARGER_201.split()) | set(CHARGER_21_MORE.split()),
}
FROM_CLOUD = {
    V16: set(CLOUD_16.split()),
    V201: set(CLOUD_201.split()),
    V21: set(CLOUD_201.split()) | set(CLOUD_21_MORE.split()),
}
SENDS = {"NotifyPeriodicEventStream"}
EVERY_VERSION = pytest.mark.parametrize("version", [V16, V201, V21])
CALLS = [(v, a) for v in (V16, V201, V21) for a in sorted(FROM_CHARGER[v] - SENDS)]
EVERY_CALL = pytest.mark.parametrize(("version", "action"), CALLS)

BILLING = {
    (V16, "StartTransaction"),
    (V16, "StopTransaction"),
    (V16, "MeterValues"),
    (V201, "TransactionEvent"),
    (V21, "TransactionEvent"),
}
# OCPP has no "no" in these answers, or a "yes" would be a lie: only the cloud can answer.
ONLY_THE_CLOUD = {"GetCertificateChainStatus", "PullDynamicScheduleUpdate"}


def payload_for(version: Version, action: str) -> dict[str, object]:
    """Something the local answer depends on."""
    token = {"idToken": {"idToken": "TAG", "type": "ISO14443"}}
    known = {
        "BootNotification": BOOT[version],
        "Authorize": token if version.is_2x else {"idTag": "TAG"},
        "StartTransaction": start(),
        "StopTransaction": stop(7, idTag="TAG"),
        "MeterValues": meter(7),
        "TransactionEvent": event("Started", token="TAG"),
        "StatusNotification": status(),
        "VatNumberValidation": {"vatNumber": "NL123456789B01"},
        "SecurityEventNotification": {"type": "Tamper", "timestamp": time_at()},
    }
    return known.get(action, {})


@EVERY_VERSION
def test_the_lists_of_this_file_are_the_schema_files_of_the_version(version):
    assert FROM_CHARGER[version] | FROM_CLOUD[version] == known_actions(version)
    assert FROM_CHARGER[version] & FROM_CLOUD[version] == {"DataTransfer"}


@EVERY_VERSION
def test_every_message_a_charger_may_send_has_a_row(version):
    assert FROM_CHARGER[version] - routing.FROM_CHARGER.keys() == set()


def test_no_row_is_for_a_message_that_does_not_exist():
    assert routing.FROM_CHARGER.keys() <= FROM_CHARGER[V16] | FROM_CHARGER[V21]
    assert routing.FROM_CLOUD.keys() <= FROM_CLOUD[V16] | FROM_CLOUD[V21]


@EVERY_VERSION
def test_everything_of_the_cloud_is_relayed_unless_a_row_says_why_not(version):
    special = {action for action in FROM_CLOUD[version] if routing.from_cloud(action).up is not Up.RELAY}
    limits = {"SetChargingProfile", "ClearChargingProfile", "GetCompositeSchedule"}
    wanted_2x = {"GetTransactionStatus", "SetVariables", "SetNetworkProfile"}
    limits_2x = {"GetChargingProfiles", "RequestStartTransaction"}
    wanted = {
        V16: {"ChangeConfiguration", "RemoteStartTransaction", "RemoteStopTransaction"},
        V201: wanted_2x | limits_2x,
        V21: wanted_2x | limits_2x | {"UpdateDynamicSchedule", "UsePriorityCharging"},
    }[version]
    files_16 = {"UpdateFirmware", "SignedUpdateFirmware", "GetDiagnostics", "GetLog"}
    files = files_16 if version is V16 else {"UpdateFirmware", "GetLog"}
    assert special == wanted | limits | files | {"ClearCache", "DataTransfer", "SendLocalList"}


@EVERY_CALL
def test_billing_and_nothing_else_is_in_the_transaction_lane(version, action):
    assert (routing.from_charger(version, action).keep is Lane.TRANSACTION) == ((version, action) in BILLING)


@EVERY_CALL
def test_the_answer_away_from_the_cloud_fits_the_schema_of_the_action(version, action):
    told = away(version)
    told.charger.sends(action, payload_for(version, action), id="m")
    (raw,) = told.charger.take()
    answer = parse(raw, version)
    if action in ONLY_THE_CLOUD:
        assert isinstance(answer, CallError)
        return
    assert isinstance(answer, CallResult), answer
    assert Schemas().complaints(version, "response", action, answer.payload) == ()


# facts of the specification: what is worth delivering when the cloud is back
KEPT = BILLING | {
    *((v, "BootNotification") for v in Version),
    *((v, "StatusNotification") for v in Version),
    *((v, "SecurityEventNotification") for v in Version),
    *((v, "FirmwareStatusNotification") for v in Version),
    *((v, "LogStatusNotification") for v in Version),
    (V16, "DiagnosticsStatusNotification"),
    (V16, "SignedFirmwareStatusNotification"),
    *((v, "MeterValues") for v in (V201, V21)),
    *((v, "NotifyEvent") for v in (V201, V21)),
    *((v, "PublishFirmwareStatusNotification") for v in (V201, V21)),
    *((v, "ReservationStatusUpdate") for v in (V201, V21)),
    *((v, "NotifyChargingLimit") for v in (V201, V21)),
    *((v, "ClearedChargingLimit") for v in (V201, V21)),
    *((V21, a) for a in ("NotifySettlement", "BatterySwap", "NotifyDERAlarm", "NotifyDERStartStop")),
}


@EVERY_CALL
def test_what_is_worth_delivering_late_is_kept_and_nothing_else(version, action):
    told = away(version)
    payload = payload_for(version, action)
    if action == "NotifyEvent":
        payload = {"eventData": [{"trigger": "Alerting", "severity": 0}]}
    told.charger.sends(action, payload)
    kept = [row.action for row in told.stored]
    assert kept == ([action] if (version, action) in KEPT else [])
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert told.cloud.actions == kept


@EVERY_CALL
def test_while_the_cloud_is_up_every_message_is_the_cloud_s_to_answer(version, action):
    told = away(version)
    told.cloud.comes_back()
    told.charger.sends(action, payload_for(version, action), id="m")
    assert [parse(raw, version).id for raw in told.cloud.raw] == ["m"]
    assert told.charger.take() == []
    assert told.rows == []


@EVERY_VERSION
def test_an_action_nobody_knows_is_relayed_and_refused_when_the_cloud_is_away(version):
    told = away(version)
    assert told.charger.asks("MakeCoffee") == "NotImplemented"
    told.cloud.comes_back()
    told.charger.sends("MakeCoffee")
    assert told.cloud.actions == ["MakeCoffee"]


def test_a_send_that_comes_as_a_call_is_refused():
    assert away(V21).charger.asks("NotifyPeriodicEventStream") in ("GenericError", "NotImplemented")


ODD_NAMES = """
connectorId evseId idTag idToken transactionId meterStart meterStop timestamp meterValue status errorCode
transactionInfo eventType seqNo eventData chargingStation reason vendorId data vatNumber connectorStatus info
evse type
"""


@EVERY_CALL
def test_no_payload_however_odd_breaks_the_box(version, action):
    """Answered, or refused with an error code; never a crash (whatever types the members have)."""
    names = set(ODD_NAMES.split())
    odd_values = [
        None,
        True,
        -1,
        2**70,
        1.5,
        "",
        "x" * 3000,
        [],
        [None],
        [[]],
        {},
        {"a": None},
        [{}],
        "\u202e\x00",
    ]
    for value in odd_values:
        told = away(version)
        told.charger.says(json.dumps([2, "m", action, dict.fromkeys(names, value)]).encode())
        told.cloud.comes_back()
        assert len(told.charger.raw) == 1
        told.charger.says(json.dumps([2, "n", action, dict.fromkeys(names, value)]).encode())
        told.cloud.is_polite = True
        told.cloud.says(told.cloud.polite(told.cloud.last))


@pytest.mark.parametrize("severity", [None, "high", 5.5, [], {}, True])
def test_an_event_of_odd_severity_is_kept(severity):
    told = away(V21)
    told.charger.sends("NotifyEvent", {"eventData": [{"trigger": "Alerting", "severity": severity}, 5, None]})
    assert len(told.stored) == 1


@pytest.mark.parametrize("severity", [5, 9])
def test_an_event_that_is_no_error_is_answered_and_not_kept(severity):
    told = away(V21)
    told.charger.sends("NotifyEvent", {"eventData": [{"trigger": "Delta", "severity": severity}]})
    assert told.stored == []


@EVERY_VERSION
def test_a_row_of_the_table_can_be_read_by_an_engineer(version):
    for action in FROM_CHARGER[version]:
        row = routing.from_charger(version, action)
        assert isinstance(row.up, Up)
        assert isinstance(row.down, Down)
        assert Call("m", action, {}, b"").action == action
