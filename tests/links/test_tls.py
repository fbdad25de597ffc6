"""TLS settings, and certificate files that cannot be used (OCPP 2.x A00.FR.318)."""

from __future__ import annotations

import ssl
import subprocess

import pytest

from edgegw.errors import ConfigFault
from edgegw.links.tls import CIPHERS, CertificateFiles, server_context


@pytest.fixture(scope="session")
def ecdsa(certificates):
    return CertificateFiles(*certificates.make("tls-ecdsa"))


@pytest.fixture(scope="session")
def rsa(certificates):
    return CertificateFiles(*certificates.make("tls-rsa", rsa=True))


def shake(server: ssl.SSLContext, cipher: str, version=ssl.TLSVersion.TLSv1_2) -> str:
    """The cipher that both sides agree on, without a network."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.maximum_version = version
    client.set_ciphers(cipher)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True)]
    for _ in range(6):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[0].cipher()[0]


@pytest.mark.parametrize("cipher", CIPHERS)
def test_all_suites_of_the_specification_with_two_certificates(ecdsa, rsa, cipher):
    assert shake(server_context([ecdsa, rsa]), cipher) == cipher


@pytest.mark.parametrize("cipher", ["AES128-SHA", "ECDHE-RSA-AES128-SHA", "DHE-RSA-AES128-GCM-SHA256"])
def test_no_other_suite(ecdsa, rsa, cipher):
    with pytest.raises(ssl.SSLError):
        shake(server_context([ecdsa, rsa]), cipher)


def test_no_version_before_1_2(rsa):
    context = server_context([rsa])
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION


def test_files_that_cannot_be_used(ecdsa, rsa, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "pkey", "-in", ecdsa.key, "-aes128", "-passout", "pass:x", "-out", locked],
        check=True,
        capture_output=True,
    )
    cases = [
        (CertificateFiles(tmp_path / "no.pem", ecdsa.key), "cannot read the certificate: No such file"),
        (
            CertificateFiles(ecdsa.certificate, tmp_path / "no.key"),
            "cannot read the private key: No such file",
        ),
        (
            CertificateFiles(ecdsa.certificate, rsa.key),
            "not the private key of|no PEM certificate with its private key",
        ),
        (CertificateFiles(empty, ecdsa.key), "no PEM certificate"),
        (CertificateFiles(ecdsa.certificate, locked), "has a passphrase"),
    ]
    for files, words in cases:
        with pytest.raises(ConfigFault, match=words):
            server_context([files])
    with pytest.raises(ConfigFault, match="needs a certificate"):
        server_context([])
    with pytest.raises(ConfigFault, match="none of these TLS cipher suites"):
        server_context([ecdsa], ciphers=["ROT13"])
