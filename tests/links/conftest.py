"""Both event loops for whoever asks, and certificates made on the spot with the openssl command."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
import uvloop

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


def pytest_asyncio_loop_factories(config, item):
    return LOOPS


EC_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]


class Certificates:
    """`make(name, ...)` -> (certificate, key) paths. `authority` is the CA that signed them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = directory / "ca.pem"
        self._openssl(
            "req", "-x509", *EC_KEY, "-nodes", "-subj", "/CN=Test CA",
            "-days", "30", "-keyout", "ca.key", "-out", "ca.pem",
            "-addext", "basicConstraints=critical,CA:TRUE",
        )  # fmt: skip

    def make(self, label: str, name: str = "localhost", *, not_before="", not_after="", rsa=False):
        key_kind = (
            ["-newkey", "rsa:2048"] if rsa else ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        )
        self._openssl(
            "req", *key_kind, "-nodes", "-subj", f"/CN={name}", "-keyout", f"{label}.key", "-out", "csr"
        )
        kind = "IP" if name[0].isdigit() else "DNS"
        (self.directory / "ext").write_text(f"subjectAltName={kind}:{name}\n")
        if not_before or not_after:
            self._openssl_ca(label, not_before, not_after)
        else:
            self._openssl(
                "x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "30", "-extfile", "ext", "-out", f"{label}.pem",
            )  # fmt: skip
        return self.directory / f"{label}.pem", self.directory / f"{label}.key"

    def self_signed(self, label: str, name: str = "localhost"):
        self._openssl(
            "req", "-x509", *EC_KEY, "-nodes", "-subj", f"/CN={name}",
            "-addext", f"subjectAltName=DNS:{name}", "-days", "30",
            "-keyout", f"{label}.key", "-out", f"{label}.pem",
        )  # fmt: skip
        return self.directory / f"{label}.pem", self.directory / f"{label}.key"

    def _openssl_ca(self, label: str, not_before: str, not_after: str) -> None:
        (self.directory / "index.txt").write_text("")
        (self.directory / "serial").write_text("1000\n")
        (self.directory / "ca.cnf").write_text(
            "[ca]\ndefault_ca=a\n[a]\ndatabase=index.txt\nnew_certs_dir=.\nserial=serial\n"
            "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n"
        )
        self._openssl(
            "ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key",
            "-in", "csr", "-notext",
            "-startdate", not_before, "-enddate", not_after, "-extfile", "ext", "-out", f"{label}.pem",
        )  # fmt: skip

    def _openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], cwd=self.directory, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))
