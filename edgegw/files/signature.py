"""Is the file what its maker signed? Asked here before the charger asks the same itself.

Rules of this file:
- The signature is over the whole file, SHA-256 (OCPP 2.x L01.FR.04): RSA-PSS, RSA PKCS#1 v1.5 or ECDSA.
- What is not understood is not bad: the charger, which knows its maker's ways, decides. Bad is only a
  signature of a kind we know, made with a key we can read, that does not fit.
- No trust is decided here: the maker's root is in the charger, not in the box.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from edgegw.files.disk import READ_BYTES, open_plain

CERTIFICATE_CHARS_MAX: Final = 20_000  # OCPP allows 5,500; some makers send their chain
_SHA256 = utils.Prehashed(hashes.SHA256())
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_HEAD, _FOOT = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


class Verdict(StrEnum):
    VERIFIED = "verified"
    BAD = "bad"
    NOT_UNDERSTOOD = "not_understood"
    NONE = "none"  # nothing to check: the update is not signed


def check_certificate(pem: str, now: float | None) -> str:
    """Why this signing certificate cannot be used, "" when it can. `now` None: the clock is not trusted."""
    certificate = _read(pem)
    if certificate is None:
        return "the signing certificate cannot be read"
    if now is None:
        return ""
    moment = datetime.fromtimestamp(now, UTC)
    if moment > certificate.not_valid_after_utc:
        return f"the signing certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if moment < certificate.not_valid_before_utc:
        return f"the signing certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
    return ""


def check_signature(path: Path, certificate_pem: str, signature_b64: str) -> Verdict:
    """Blocks while the file is read. Raises OSError."""
    if not certificate_pem and not signature_b64:
        return Verdict.NONE
    certificate, signature = _read(certificate_pem), _bytes_of(signature_b64)
    if certificate is None or not signature:
        return Verdict.NOT_UNDERSTOOD
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return Verdict.NOT_UNDERSTOOD
    if isinstance(key, rsa.RSAPublicKey):
        return _verdict(_fits_rsa(key, signature, _digest(path)))
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return _verdict(_fits_ec(key, signature, _digest(path)))
    return Verdict.NOT_UNDERSTOOD


def _verdict(fits: bool) -> Verdict:
    return Verdict.VERIFIED if fits else Verdict.BAD


def _read(pem: str) -> x509.Certificate | None:
    """The first certificate in the text; makers send it with `\\n` as two characters, or as bare base64."""
    text = pem.replace("\\n", "\n").strip()
    if not text or len(text) > CERTIFICATE_CHARS_MAX:
        return None
    body = text.partition(_HEAD)[2].partition(_FOOT)[0] if _HEAD in text else text
    try:
        return x509.load_der_x509_certificate(_bytes_of(body))
    except (ValueError, UnsupportedAlgorithm):
        return None


def _bytes_of(text: str) -> bytes:
    packed = "".join(text.replace("\\n", "\n").split())
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _digest(path: Path) -> bytes:
    handle = open_plain(path)
    try:
        digest = hashlib.sha256()
        while block := os.read(handle, READ_BYTES):
            digest.update(block)
        return digest.digest()
    finally:
        os.close(handle)


def _fits_rsa(key: rsa.RSAPublicKey, signature: bytes, digest: bytes) -> bool:
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.AUTO)
    for scheme in (pss, padding.PKCS1v15()):
        try:
            key.verify(signature, digest, scheme, _SHA256)
            return True
        except InvalidSignature:
            continue
    return False


def _fits_ec(key: ec.EllipticCurvePublicKey, signature: bytes, digest: bytes) -> bool:
    """In either coding: DER, or the two numbers side by side (IEEE P1363)."""
    width = (key.key_size + 7) // 8
    forms = [signature]
    if len(signature) == 2 * width:
        r, s = (int.from_bytes(half, "big") for half in (signature[:width], signature[width:]))
        forms.append(utils.encode_dss_signature(r, s))
    for form in forms:
        try:
            key.verify(form, digest, ec.ECDSA(_SHA256))
            return True
        except InvalidSignature:
            continue
    return False
