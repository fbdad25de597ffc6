"""Error codes by version, and which refusals are worth a second try."""

from __future__ import annotations

import pytest

from edgegw.wire.error_codes import ErrorMeaning, error_code, is_transient
from edgegw.wire.versions import Version


def test_1_6_spells_two_of_them_its_own_way():
    assert error_code(Version.V16, ErrorMeaning.FORMATION) == "FormationViolation"
    assert error_code(Version.V16, ErrorMeaning.OCCURRENCE) == "OccurenceConstraintViolation"
    for version in (Version.V201, Version.V21):
        assert error_code(version, ErrorMeaning.FORMATION) == "FormatViolation"
        assert error_code(version, ErrorMeaning.OCCURRENCE) == "OccurrenceConstraintViolation"


CODES_16 = {
    "NotImplemented",
    "NotSupported",
    "InternalError",
    "ProtocolError",
    "SecurityError",
    "GenericError",
} | {
    "FormationViolation",
    "PropertyConstraintViolation",
    "OccurenceConstraintViolation",
    "TypeConstraintViolation",
}
CODES_2X = CODES_16 - {"FormationViolation", "OccurenceConstraintViolation"} | {
    "FormatViolation",
    "OccurrenceConstraintViolation",
    "MessageTypeNotSupported",
    "RpcFrameworkError",
}


@pytest.mark.parametrize(
    ("version", "codes"), [(Version.V16, CODES_16), (Version.V201, CODES_2X), (Version.V21, CODES_2X)]
)
def test_every_meaning_has_a_code_the_version_defines(version, codes):
    assert {error_code(version, meaning) for meaning in ErrorMeaning} == codes


def test_which_codes_may_pass_later():
    passing = {"InternalError", "GenericError", "SecurityError"}
    for code in CODES_16 | CODES_2X:
        assert is_transient(code) is (code in passing), code
    assert is_transient("SomeVendorsOwn")
    assert is_transient("")
