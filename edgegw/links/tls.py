"""TLS settings of both sides, and TLS failures in words.

Rules of this file:
- TLS 1.2 or newer, no TLS compression, the cipher suites listed here and no others
  (OCPP 2.x A00.FR.313, A00.FR.318, A00.FR.321).
- A wrong file is a ConfigFault that names the file and what is wrong with it.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgegw.errors import ConfigFault

# A00.FR.318 wants the four without ECDHE-RSA; those two give RSA certificates forward secrecy.
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
)


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """PEM files: the certificate with its chain, and its private key without a passphrase."""

    certificate: Path
    key: Path


def server_context(
    certificates: Sequence[CertificateFiles], *, ciphers: Sequence[str] = CIPHERS
) -> ssl.SSLContext:
    """TLS towards chargers; give an RSA and an ECDSA certificate to serve both kinds. Raises ConfigFault."""
    if not certificates:
        raise ConfigFault("TLS needs a certificate and its key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context, ciphers)
    for files in certificates:
        _load(context, files)
    return context


def client_context(
    ca_file: Path | None = None, certificate: CertificateFiles | None = None
) -> ssl.SSLContext:
    """TLS towards a server: its certificate and name are checked, against `ca_file` or the system's list.

    `certificate`: our own, for a server that asks who we are. Raises ConfigFault.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _readable(ca_file, "CA file")
        try:
            context.load_verify_locations(cafile=ca_file)
        except ssl.SSLError:
            raise ConfigFault(f"{ca_file}: no PEM certificate in it") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    if certificate is not None:
        _load(context, certificate)
    return context


def _harden(context: ssl.SSLContext, ciphers: Sequence[str]) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        context.set_ciphers(":".join(ciphers))
    except ssl.SSLError:
        raise ConfigFault(f"none of these TLS cipher suites is known: {', '.join(ciphers)}") from None


def _load(context: ssl.SSLContext, files: CertificateFiles) -> None:
    _readable(files.certificate, "certificate")
    _readable(files.key, "private key")
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_passphrase)
    except ssl.SSLError as exc:
        if "KEY_VALUES_MISMATCH" in str(exc):
            raise ConfigFault(f"{files.key}: not the private key of {files.certificate}") from None
        raise ConfigFault(
            f"{files.certificate}, {files.key}: no PEM certificate with its private key ({exc.reason})"
        ) from None
    except _PassphraseAsked:
        raise ConfigFault(f"{files.key}: has a passphrase; a gateway must start without a person") from None


class _PassphraseAsked(Exception):
    pass


def _no_passphrase() -> str:
    raise _PassphraseAsked


def _readable(path: Path, what: str) -> None:
    try:
        path.read_bytes()
    except OSError as exc:
        raise ConfigFault(f"{path}: cannot read the {what}: {exc.strerror}") from None


# OpenSSL's X509_V_ERR numbers.
_CERTIFICATE_WORDS = {
    18: "the certificate is self-signed and not in the list of trusted ones",
    19: "a self-signed certificate stands at the root of the chain and is not trusted",
    20: "the certificate was issued by an unknown authority",
    21: "the certificate was issued by an unknown authority",
}
_REASON_WORDS = {
    "WRONG_VERSION_NUMBER": "the other side does not speak TLS",
    "HTTP_REQUEST": "plain HTTP on the TLS port",
    "UNSUPPORTED_PROTOCOL": "the other side wants a TLS version older than 1.2",
    "VERSION_TOO_LOW": "the other side wants a TLS version older than 1.2",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the other side refuses our TLS versions (1.2 and 1.3)",
    "NO_SHARED_CIPHER": "no common cipher suite",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the other side found no common cipher suite or wants a certificate",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the other side wants a client certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "the other side does not trust the authority that issued our certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the other side refuses our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the other side finds our certificate expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the other side refuses our certificate",
}


def describe_failure(exc: BaseException, host: str = "") -> str:
    """A TLS failure in the words of a technician; never empty."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return _describe_certificate(exc, host)
    if isinstance(exc, ssl.SSLError):
        reason = exc.reason or ""
        return _REASON_WORDS.get(reason, reason.replace("_", " ").lower() or "TLS error")
    if isinstance(exc, TimeoutError) or "handshake" in str(exc):
        return "no TLS handshake in time"
    if isinstance(exc, ConnectionError):
        return "the other side closed in the middle of the TLS handshake"
    return str(exc) or type(exc).__name__


def _describe_certificate(exc: ssl.SSLCertVerificationError, host: str) -> str:
    today = time.strftime("%Y-%m-%d", time.gmtime())
    code = exc.verify_code
    if code == 9:
        return f"the certificate is not valid yet; this machine's clock says {today}, is it right?"
    if code == 10:
        return f"the certificate has expired (this machine's clock says {today})"
    if code in (62, 64):
        return f"the certificate is for another name than {host}"
    return _CERTIFICATE_WORDS.get(code, exc.verify_message or "the certificate is not accepted")
