"""Firmware as a maker hands it out: a file with a version in it, a signing certificate, a signature."""

from __future__ import annotations

import base64
import datetime
import hashlib
import random
from functools import cache
from typing import Literal, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

Scheme = Literal["RSA-PSS", "PKCS1v15", "ECDSA"]
SCHEMES: tuple[Scheme, ...] = ("RSA-PSS", "PKCS1v15", "ECDSA")
CERTIFICATE_LENGTH_MAX, SIGNATURE_LENGTH_MAX = 5500, 800  # OCPP 2.0.1 FirmwareType


class Firmware(NamedTuple):
    """certificate (PEM) and signature (base64) are "" for a file that nobody signed."""

    content: bytes
    version: str
    certificate: str = ""
    signature: str = ""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def md5(self) -> str:
        return hashlib.md5(self.content).hexdigest()


def make_firmware(version: str = "2.7.1", size_bytes: int = 300_000) -> Firmware:
    """Always the same bytes for the same version and size; chargers find the version in the first line."""
    head = f"firmware {version}\n".encode()
    return Firmware(head + random.Random(version).randbytes(size_bytes - len(head)), version)


def sign(
    firmware: Firmware, scheme: Scheme = "RSA-PSS", *, valid_days: tuple[int, int] = (-1, 30)
) -> Firmware:
    """With a certificate that is valid from and to so many days from now."""
    certificate = _certificate(scheme, *valid_days)
    signature = base64.b64encode(_signature(firmware.content, scheme)).decode()
    assert len(certificate) <= CERTIFICATE_LENGTH_MAX
    assert len(signature) <= SIGNATURE_LENGTH_MAX
    return firmware._replace(certificate=certificate, signature=signature)


def tampered(firmware: Firmware) -> Firmware:
    """One bit of the last byte is another one; what signs it is not."""
    last = bytes([firmware.content[-1] ^ 1])
    return firmware._replace(content=firmware.content[:-1] + last)


@cache
def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def _ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _signature(content: bytes, scheme: Scheme) -> bytes:
    if scheme == "ECDSA":
        return _ec_key().sign(content, ec.ECDSA(SHA256()))
    pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)
    return _rsa_key().sign(content, pss if scheme == "RSA-PSS" else padding.PKCS1v15(), SHA256())


def _certificate(scheme: Scheme, first_day: int, last_day: int) -> str:
    key = _ec_key() if scheme == "ECDSA" else _rsa_key()
    maker = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Firmware signing")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    signed = (
        x509.CertificateBuilder()
        .subject_name(maker)
        .issuer_name(maker)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + first_day * day)
        .not_valid_after(now + last_day * day)
        .sign(key, SHA256())
    )
    return signed.public_bytes(Encoding.PEM).decode()
