"""Keys and certificates made for one test run."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
END = datetime(2034, 1, 1, tzinfo=UTC)


def certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    begin: datetime = BEGIN,
    end: datetime = END,
) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "maker")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
    )
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def server_context(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """For a TLS server on 127.0.0.1, and the file of the certificate that a client must trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = certificate(key, end=datetime.now(UTC) + timedelta(days=1))
    both, ca = folder / "server.pem", folder / "ca.pem"
    ca.write_text(pem)
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    both.write_text(pem + key.private_bytes(serialization.Encoding.PEM, form, plain).decode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, ca
