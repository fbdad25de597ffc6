"""Catalogue files: the shipped ones are sound and whole, a wrong one says where; what reports come to."""

from __future__ import annotations

from pathlib import Path

import pytest
from ocpp.v16.enums import ChargePointErrorCode
from ocpp.v201 import enums as v201

from edgegw.catalogue.explain import explain
from edgegw.catalogue.load import load_catalogue, read_file, shipped_files
from edgegw.catalogue.model import SEVERITIES, Catalogue
from edgegw.config_text import SiteFileFault
from edgegw.core.report_book import Report
from edgegw.errors import ConfigFault


def _names(text: str) -> list[str]:
    return text.split()


SECURITY_16 = _names("""
    FirmwareUpdated FailedToAuthenticateAtCentralSystem CentralSystemFailedToAuthenticate SettingSystemTime
    StartupOfTheDevice ResetOrReboot SecurityLogWasCleared ReconfigurationOfSecurityParameters
    MemoryExhaustion InvalidMessages AttemptedReplayAttacks TamperDetectionActivated InvalidFirmwareSignature
    InvalidFirmwareSigningCertificate InvalidCentralSystemCertificate InvalidChargePointCertificate
    InvalidTLSVersion InvalidTLSCipherSuite
""")
SECURITY_2X_CRITICAL = _names("""
    FirmwareUpdated SettingSystemTime StartupOfTheDevice ResetOrReboot SecurityLogWasCleared MemoryExhaustion
    TamperDetectionActivated InvalidFirmwareSignature InvalidFirmwareSigningCertificate InvalidCsmsCertificate
    InvalidChargingStationCertificate DiscardedRenewedClientCertificate InvalidTLSVersion
    InvalidTLSCipherSuite MaintenanceLoginAccepted MaintenanceLoginFailed
""")
SECURITY_2X_OTHER = _names("""
    FailedToAuthenticateAtCsms CsmsFailedToAuthenticate ReconfigurationOfSecurityParameters InvalidMessages
    AttemptedReplayAttacks
""")
COMPONENTS = {str(name) for name in [*v201.PhysicalComponentName, *v201.ControllerComponentName]}
VARIABLES = {str(name) for name in v201.StandardizedVariableName} | {
    str(name) for name in v201.ConnectedEVVariableName
}
ONE = 'kind = "error"\n[[entry]]\ncode = "X"\ntext = "It is broken."\nseverity = "error"\ndo = "Mend it."\n'


@pytest.fixture(scope="module")
def shipped() -> Catalogue:
    return load_catalogue(None)


def write(folder: Path, text: str, name: str = "own.toml") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


def status(code: str, vendor_code: str = "", *, faulted: bool = True, **more: object) -> Report:
    return Report(at=1.0, kind="status", code=code, vendor_code=vendor_code, faulted=faulted, **more)  # type: ignore[arg-type]


def event(code: str, **more: object) -> Report:
    return Report(at=1.0, kind="event", code=code, **more)  # type: ignore[arg-type]


# --- the shipped files -----------------------------------------------------------------------------


@pytest.mark.parametrize("file", shipped_files(), ids=lambda file: file.stem)
def test_a_shipped_file_is_sound(file: Path) -> None:
    read = read_file(file)
    assert read.entries
    for entry in read.entries:
        assert entry.source, f"{entry.code} does not say where it is known from"
        assert entry.text[-1] in ".!)", entry.text
        assert entry.do[-1] == ".", entry.do
        assert entry.severity in SEVERITIES


def test_every_error_code_of_16_is_there(shipped: Catalogue) -> None:
    wanted = {str(code).casefold() for code in ChargePointErrorCode}
    assert len(wanted) == 16
    assert set(shipped.errors) == wanted | {"faulted"}


def test_every_security_event_is_there_by_the_names_of_both_versions(shipped: Catalogue) -> None:
    names = {*SECURITY_16, *SECURITY_2X_CRITICAL, *SECURITY_2X_OTHER}
    assert set(shipped.security) == {name.casefold() for name in names}
    assert all(shipped.security[name.casefold()].critical for name in SECURITY_2X_CRITICAL)
    assert not any(shipped.security[name.casefold()].critical for name in SECURITY_2X_OTHER)


def test_every_component_and_variable_is_one_of_the_standard(shipped: Catalogue) -> None:
    for entry in shipped.components.values():
        component, _, variable = entry.code.partition(".")
        assert component == "*" or component in COMPONENTS, entry.code
        assert variable in VARIABLES, entry.code


@pytest.mark.parametrize(
    "code",
    [
        "ConnectorPlugRetentionLock.Problem", "CPPWMController.Problem", "RCD.Tripped",
        "GroundIsolationProtection.Problem", "TemperatureSensor.Problem", "Controller.Problem",
        "LocalAuthListCtrlr.Problem", "ChargingStation.Problem", "OverCurrentProtection.Tripped",
        "ElectricalFeed.Problem", "FiscalMetering.Problem", "ControlMetering.Problem",
        "PowerContactor.Problem", "TokenReader.Problem", "DataLink.SignalStrength",
    ],
)  # fmt: skip
def test_what_16_calls_an_error_has_its_place_in_2x(shipped: Catalogue, code: str) -> None:
    assert code.casefold() in shipped.components


def test_codes_that_any_device_could_use_name_their_vendor(shipped: Catalogue) -> None:
    for codes in shipped.vendors:
        if codes.vendor == ("*",):
            assert all(code.startswith(("cx0", "mrec")) for code in codes.entries)


# --- what a report comes to ------------------------------------------------------------------------


def test_a_16_error_in_words(shipped: Catalogue) -> None:
    told = explain(shipped, status("GroundFailure"), "Acme")
    assert (told.severity, told.known) == ("critical", True)
    assert "leaks to earth" in told.text
    assert "electrician" in told.todo


def test_codes_are_found_in_any_case(shipped: Catalogue) -> None:
    assert explain(shipped, status("groundFAILURE"), "").known
    assert explain(shipped, event("rcd.tripped"), "").severity == "critical"


@pytest.mark.parametrize(
    ("code", "severity"), [("GroundFailure", "error"), ("HighTemperature", "warning"), ("WeakSignal", "info")]
)
def test_an_error_that_does_not_stop_the_connector_counts_less(
    shipped: Catalogue, code: str, severity: str
) -> None:
    assert explain(shipped, status(code, faulted=False), "").severity == severity


def test_the_vendors_own_words_win(shipped: Catalogue) -> None:
    told = explain(shipped, status("OtherError", "210"), "Alfen BV")
    assert "Modbus" in told.text
    assert told.severity == "warning"
    assert "Modbus" not in explain(shipped, status("OtherError", "210"), "Acme").text


def test_the_worse_of_vendor_and_standard_counts(shipped: Catalogue) -> None:
    assert explain(shipped, status("GroundFailure", "CX007"), "").severity == "critical"
    assert explain(shipped, status("OtherError", "CX007"), "").severity == "info"


def test_vendor_id_finds_its_file_too_and_a_list_of_codes_is_read(shipped: Catalogue) -> None:
    told = explain(shipped, status("OtherError", "F001, F006,F999", vendor="com.evgo.mrec"), "Acme")
    assert "proximity" in told.text
    assert "insulation" in told.text
    assert told.severity == "critical"


def test_a_tech_code_of_2x_is_a_vendor_code(shipped: Catalogue) -> None:
    told = explain(shipped, event("Connector.Problem", vendor_code="CX011"), "")
    assert "test of cable and insulation" in told.text


def test_a_vendor_code_that_nobody_knows_is_shown(shipped: Catalogue) -> None:
    told = explain(shipped, status("OtherError", "E-77"), "Acme")
    assert "'E-77'" in told.text
    assert told.known


@pytest.mark.parametrize("kind", ["status", "event", "security"])
def test_an_unknown_code_is_said_to_be_unknown(shipped: Catalogue, kind: str) -> None:
    report = Report(at=1.0, kind=kind, code="Bogus\x1b[2J", vendor_code="")  # type: ignore[arg-type]
    told = explain(shipped, report, "Acme")
    assert not told.known
    assert "Bogus" in told.text
    assert told.text.isprintable()
    assert "does not know" in told.text
    assert told.todo


def test_any_component_with_a_problem_is_understood(shipped: Catalogue) -> None:
    told = explain(shipped, event("BeaconLighting.Problem"), "")
    assert told.text == "BeaconLighting: This part of the charger does not work."
    assert told.known


def test_the_chargers_own_severity_raises_but_never_lowers(shipped: Catalogue) -> None:
    assert explain(shipped, event("Display.Problem", severity=0), "").severity == "critical"
    assert explain(shipped, event("RCD.Tripped", severity=9), "").severity == "critical"
    assert explain(shipped, event("My.Own", severity=4), "").severity == "error"
    assert explain(shipped, event("My.Own", severity=99), "").severity == "info"


def test_what_is_over_is_told_as_such(shipped: Catalogue) -> None:
    told = explain(shipped, status("GroundFailure", cleared=True), "")
    assert told.severity == "info"
    assert told.text.startswith("Over: ")
    assert told.todo.startswith("Nothing now.")


# --- the operator's own folder ---------------------------------------------------------------------


def test_an_entry_of_the_operator_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    own = write(tmp_path / "own", ONE.replace('"X"', '"groundfailure"'))
    catalogue = load_catalogue(own)
    assert explain(catalogue, status("GroundFailure"), "").text == "It is broken."
    assert explain(catalogue, status("HighTemperature"), "").known


def test_vendor_codes_of_the_operator_are_asked_first(tmp_path: Path) -> None:
    text = ONE.replace('kind = "error"', 'kind = "vendor"\nvendor = ["Alf*"]').replace('"X"', '"210"')
    catalogue = load_catalogue(write(tmp_path / "own", text))
    assert explain(catalogue, status("OtherError", "210"), "Alfen BV").text == "It is broken."
    assert "relays" in explain(catalogue, status("OtherError", "102"), "Alfen BV").text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"error"\ndo', '"bad"\ndo', ["own.toml:5", "severity", '"bad"', '"critical"']),
        ('kind = "error"', 'kind = "eror"', ["own.toml:1", "kind", '"security"']),
        ('kind = "error"', "", ["kind", "is required"]),
        ('do = "Mend it."', "", ["do", "is required", "what a technician should do"]),
        ('do = "Mend it."', 'doo = "Mend it."', ["own.toml:6", 'did you mean "do"']),
        ('"It is broken."', '"a\\u001b[2Jb"', ["own.toml:4", "text", "printable"]),
        ('"It is broken."', '""', ["own.toml:4", "text", "one line"]),
        ('"X"', '"A,B"', ["own.toml:3", "code", "commas"]),
        ('kind = "error"', 'kind = "vendor"', ["own.toml", "vendor", "patterns"]),
        ('kind = "error"', 'kind = "error"\nvendor = ["A"]', ["own.toml", "only there"]),
        ('"X"\n', '"X"\nalso = ["x"]\n', ["more than once"]),
        ('"X"', "X", ["own.toml:3", "not TOML"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    assert ONE.count(old) == 1
    with pytest.raises(SiteFileFault) as fault:
        load_catalogue(write(tmp_path / "own", ONE.replace(old, new)))
    assert isinstance(fault.value, ConfigFault)
    for word in words:
        assert word in str(fault.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SiteFileFault, match="is not a folder"):
        load_catalogue(tmp_path / "nowhere")


def test_an_empty_folder_changes_nothing(tmp_path: Path, shipped: Catalogue) -> None:
    assert load_catalogue(write(tmp_path / "own", "", "notes.txt")) == shipped


def test_a_shipped_file_can_be_copied_as_a_start(tmp_path: Path) -> None:
    for file in shipped_files():
        write(tmp_path / "own", file.read_text(), file.name)
    assert load_catalogue(tmp_path / "own").errors == load_catalogue(None).errors
