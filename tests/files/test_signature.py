"""Signatures over files: fault 78."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from edgegw.files.signature import Verdict, check_certificate, check_signature
from tests.files.keys import BEGIN, END, certificate

FIRMWARE = bytes(range(256)) * 9_000  # more than one read
RSA_KEY = rsa.generate_private_key(65537, 2048)
RSA_PEM = certificate(RSA_KEY)
EC_KEYS = [ec.generate_private_key(curve()) for curve in (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fw.bin"
    path.write_bytes(FIRMWARE)
    return path


def pss(salt: int) -> padding.PSS:
    return padding.PSS(padding.MGF1(hashes.SHA256()), salt)


def b64(signature: bytes) -> str:
    return base64.b64encode(signature).decode()


SCHEMES = [pss(32), pss(0), pss(padding.PSS.MAX_LENGTH), padding.PKCS1v15()]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_file_signed_with_rsa_is_verified(file: Path, scheme: padding.AsymmetricPadding):
    signature = b64(RSA_KEY.sign(FIRMWARE, scheme, hashes.SHA256()))
    assert check_signature(file, RSA_PEM, signature) is Verdict.VERIFIED


@pytest.mark.parametrize("key", EC_KEYS)
def test_a_file_signed_with_ecdsa_is_verified_in_either_coding(file: Path, key: ec.EllipticCurvePrivateKey):
    signature = key.sign(FIRMWARE, ec.ECDSA(hashes.SHA256()))
    width = (key.curve.key_size + 7) // 8
    plain = b"".join(n.to_bytes(width, "big") for n in utils.decode_dss_signature(signature))
    for form in (signature, plain):
        assert check_signature(file, certificate(key), b64(form)) is Verdict.VERIFIED


def test_fault_78_one_changed_byte_is_bad(file: Path):
    pss_signature = b64(RSA_KEY.sign(FIRMWARE, pss(32), hashes.SHA256()))
    ec_signature = b64(EC_KEYS[0].sign(FIRMWARE, ec.ECDSA(hashes.SHA256())))
    file.write_bytes(FIRMWARE[:-1] + b"\x00")
    assert check_signature(file, RSA_PEM, pss_signature) is Verdict.BAD
    assert check_signature(file, certificate(EC_KEYS[0]), ec_signature) is Verdict.BAD


def test_fault_78_another_makers_signature_is_bad(file: Path):
    other = rsa.generate_private_key(65537, 2048)
    signature = b64(other.sign(FIRMWARE, pss(32), hashes.SHA256()))
    assert check_signature(file, RSA_PEM, signature) is Verdict.BAD


def test_fault_78_a_signature_of_the_wrong_length_is_bad(file: Path):
    assert check_signature(file, RSA_PEM, b64(b"x" * 12)) is Verdict.BAD
    for size in (3, 64, 72):
        assert check_signature(file, certificate(EC_KEYS[0]), b64(b"x" * size)) is Verdict.BAD


def test_an_update_without_signature_is_not_signed(file: Path):
    assert check_signature(file, "", "") is Verdict.NONE


@pytest.mark.parametrize(
    ("pem", "signature"),
    [
        ("", "YWJj"),
        (RSA_PEM, ""),
        (RSA_PEM, "not base64!"),
        ("garbage", "YWJj"),
        (RSA_PEM[:200], "YWJj"),
        ("A" * 30_000, "YWJj"),
        (certificate(ed25519.Ed25519PrivateKey.generate()), "YWJj"),
        (certificate(ec.generate_private_key(ec.BrainpoolP256R1())), "YWJj"),
    ],
)
def test_what_is_not_understood_is_not_bad(file: Path, pem: str, signature: str):
    assert check_signature(file, pem, signature) is Verdict.NOT_UNDERSTOOD


def test_certificates_are_read_in_the_forms_makers_send(file: Path):
    signature = b64(RSA_KEY.sign(FIRMWARE, pss(32), hashes.SHA256()))
    body = "".join(RSA_PEM.strip().splitlines()[1:-1])
    chain = RSA_PEM + certificate(EC_KEYS[0])
    folded = "\n".join(signature[n : n + 64] for n in range(0, len(signature), 64))
    for pem in (RSA_PEM.replace("\n", "\r\n"), RSA_PEM.replace("\n", "\\n"), body, f"  {RSA_PEM}", chain):
        assert check_signature(file, pem, signature) is Verdict.VERIFIED
    assert check_signature(file, RSA_PEM, folded) is Verdict.VERIFIED
    assert check_signature(file, RSA_PEM, signature.rstrip("=")) is Verdict.VERIFIED


def test_fault_78_a_certificate_out_of_its_time_is_named():
    good = datetime(2025, 6, 1, tzinfo=UTC).timestamp()
    assert check_certificate(RSA_PEM, good) == ""
    assert "expired on 2034-01-01" in check_certificate(RSA_PEM, END.timestamp() + 1)
    assert "not valid before 2024-01-01" in check_certificate(RSA_PEM, BEGIN.timestamp() - 1)
    assert check_certificate(RSA_PEM, None) == ""  # a box without a clock judges no dates


@pytest.mark.parametrize(
    "pem",
    ["", "garbage", RSA_PEM[:100], "-----BEGIN CERTIFICATE-----"],
    ids=["empty", "garbage", "cut", "head only"],
)
def test_fault_78_a_certificate_that_cannot_be_read_is_named(pem: str):
    assert check_certificate(pem, None) == "the signing certificate cannot be read"


def test_a_file_behind_a_symlink_is_not_read(tmp_path: Path, file: Path):
    link = tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(OSError, match="symbolic"):
        check_signature(link, RSA_PEM, "YWJj")
