"""What a charger finds in a firmware file: its version, and whether its maker signed it.

The signature is over the whole file (2.x L01.FR.04, the same in 1.6 with security): RSA-PSS, as some makers
do also RSA PKCS#1 v1.5 or ECDSA, all with SHA-256. `cryptography` is imported when it is needed.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime

from edgegw.sim.transfers import Incoming

_VERSION_LENGTH_MAX = 50  # BootNotification.firmwareVersion


def version_of(image: Incoming) -> str:
    """From a first line "firmware <version>"; of other files the beginning of the hash."""
    word, _, version = image.first_line().partition(b" ")
    if word == b"firmware" and version.isascii() and version.decode("ascii").isprintable() and version:
        return version.decode("ascii")[:_VERSION_LENGTH_MAX]
    return image.sha256[:16]


def certificate_holds(pem: str) -> bool:
    """Readable and of today."""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return False
    now = datetime.now(UTC)
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def signature_holds(digest: bytes, pem: str, signature: str) -> bool:
    """digest: SHA-256 of the whole file; pem: the signing certificate; signature: base64."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    try:
        key = x509.load_pem_x509_certificate(pem.encode()).public_key()
        signed = base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error):
        return False
    if isinstance(key, rsa.RSAPublicKey):
        return _rsa_holds(key, signed, digest)
    return isinstance(key, ec.EllipticCurvePublicKey) and _ecdsa_holds(key, signed, digest)


def _rsa_holds(key: object, signed: bytes, digest: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    from cryptography.hazmat.primitives.hashes import SHA256

    assert isinstance(key, rsa.RSAPublicKey)
    pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.AUTO)
    for scheme in (pss, padding.PKCS1v15()):
        try:
            key.verify(signed, digest, scheme, Prehashed(SHA256()))
        except InvalidSignature:
            continue
        return True
    return False


def _ecdsa_holds(key: object, signed: bytes, digest: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
    from cryptography.hazmat.primitives.hashes import SHA256

    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        key.verify(signed, digest, ec.ECDSA(Prehashed(SHA256())))
    except InvalidSignature:
        return False
    return True
