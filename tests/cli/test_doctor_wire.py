"""`edgegw doctor` in front of real TLS servers, a Modbus meter, and what timedatectl says."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgegw.cli import doctor_local, doctor_network
from edgegw.cli.doctor_findings import Finding
from edgegw.config import loads
from edgegw.sim.meter import SimMeter
from tests.cli.test_doctor import SITE, about_cloud, web_server
from tests.control.house import DEADLINE_S
from tests.links.conftest import Certificates

YESTERDAY, DAY_S = time.time() - 86_400.0, 86_400.0


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other side is a thread of this busy machine."""
    monkeypatch.setattr(doctor_network, "CONNECT_WITHIN_S", DEADLINE_S)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def stamp(at: float) -> str:
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(at))


@contextmanager
def tls_server(certificate: Path, key: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with web_server(tls=context) as port:
        yield f"wss://localhost:{port}/ocpp"


# --- TLS with the cloud ---------------------------------------------------------------------------


def test_a_cloud_with_a_good_certificate(certificates: Certificates):
    with tls_server(*certificates.make("good")) as url:
        told = about_cloud(url, ca_file=str(certificates.authority))
    assert "ok cloud: localhost: TLSv1.3, its certificate is good for 30 days" in told
    assert "ok clock: as at localhost" in told


def test_a_certificate_that_ends_soon(certificates: Certificates):
    pair = certificates.make(
        "soon", not_before=stamp(YESTERDAY), not_after=stamp(YESTERDAY + 9.5 * DAY_S)
    )  # 8.5 days from now
    with tls_server(*pair) as url:
        told = about_cloud(url, ca_file=str(certificates.authority))
    assert "look cloud: the certificate of localhost ends in 8 days" in told
    assert "ok clock" in told


def test_an_expired_certificate_may_be_a_wrong_clock(certificates: Certificates):
    pair = certificates.make("old", not_before=stamp(YESTERDAY - DAY_S), not_after=stamp(YESTERDAY))
    with tls_server(*pair) as url:
        told = about_cloud(url, ca_file=str(certificates.authority))
    assert "wrong cloud: TLS with localhost fails: the certificate has expired" in told
    assert "clock says" in told


def test_a_certificate_that_is_not_valid_yet(certificates: Certificates):
    to_come = time.time() + DAY_S
    pair = certificates.make("early", not_before=stamp(to_come), not_after=stamp(to_come + DAY_S))
    with tls_server(*pair) as url:
        assert "the certificate is not valid yet" in about_cloud(url, ca_file=str(certificates.authority))


def test_a_certificate_for_another_name(certificates: Certificates):
    with tls_server(*certificates.make("other", "csms.example")) as url:
        told = about_cloud(url, ca_file=str(certificates.authority))
    assert "wrong cloud: TLS with localhost fails: the certificate is for another name than localhost" in told


def test_a_certificate_of_nobody_we_know(certificates: Certificates):
    with tls_server(*certificates.make("strange")) as url:
        assert "issued by an unknown authority" in about_cloud(url)
    with tls_server(*certificates.self_signed("own")) as url:
        assert "self-signed" in about_cloud(url)


def test_a_cloud_that_speaks_no_tls():
    with web_server() as port:
        told = about_cloud(f"wss://127.0.0.1:{port}/ocpp")
    assert "wrong cloud: TLS with 127.0.0.1 fails: the other side does not speak TLS" in told


def test_a_cloud_that_says_nothing(monkeypatch):
    monkeypatch.setattr(doctor_network, "CONNECT_WITHIN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        assert "no TLS handshake in time" in about_cloud(f"wss://127.0.0.1:{port}/ocpp")
        told = about_cloud(f"ws://127.0.0.1:{port}/ocpp")
    assert "ok cloud" in told
    assert "127.0.0.1 does not say what time it is" in told


def test_an_authority_that_cannot_be_read(certificates: Certificates, tmp_path: Path):
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")
    with tls_server(*certificates.make("good")) as url:
        told = about_cloud(url, ca_file=str(broken))
    assert told.startswith("wrong cloud: ")
    assert str(broken) in told


# --- who keeps the clock --------------------------------------------------------------------------


def timedatectl(folder: Path, does: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only program on the way."""
    command = folder / "timedatectl"
    command.write_text(f"#!/bin/sh\n{does}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def clock() -> str:
    return "\n".join(f"{one.level}: {one.text}" for one in doctor_local.clock())


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ('[ "$*" = "show -p NTPSynchronized --value" ] && echo yes', "ok: it is kept right by NTP"),
        ("echo no", "look: it is not kept right by NTP"),
        ("echo; exit 0", "the kernel is asked"),
        ("echo 'System has not been booted with systemd' >&2; exit 1", "the kernel is asked"),
        ("exec /bin/sleep 60", "the kernel is asked"),
    ],
)
def test_what_timedatectl_says(tmp_path: Path, monkeypatch, does: str, told: str):
    timedatectl(tmp_path, does, monkeypatch)
    monkeypatch.setattr(doctor_local, "CLOCK_WITHIN_S", 1.0 if "sleep" in does else 30.0)
    asked: list[None] = []
    monkeypatch.setattr(doctor_local, "_kept_by_kernel", lambda: asked.append(None))
    shown = clock()
    if told == "the kernel is asked":
        assert (asked, shown) == ([None], "left out: nobody here says whether it is kept right")
    else:
        assert (asked, shown) == ([], told)


def test_a_machine_without_timedatectl_asks_its_kernel(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for kept, told in ((True, "ok: "), (False, "look: ")):
        monkeypatch.setattr(doctor_local, "_kept_by_kernel", lambda kept=kept: kept)
        assert clock().startswith(told)


def test_the_kernel_says_something():
    assert doctor_local._kept_by_kernel() in (True, False, None)


def test_a_clock_that_was_never_set(monkeypatch):
    long_ago = SimpleNamespace(time=lambda: 1_000.0, strftime=time.strftime, gmtime=time.gmtime)
    monkeypatch.setattr(doctor_local, "time", long_ago)
    assert clock() == "wrong: it says 1970-01-01"


# --- a meter --------------------------------------------------------------------------------------

METER = '[[meter]]\nname = "main"\ntemplate = "eastron_sdm630"\naddress = "{}"\n'
PATIENT = 'poll_interval = "1 min"\ntimeout = "29 s"\n'
HURRIED = 'timeout = "100 ms"\n'


async def meter(sim: SimMeter, more: str = PATIENT, *, running: bool = False) -> list[Finding]:
    config = loads(SITE + METER.format(sim.address) + more, Path("site.toml"))
    return await asyncio.to_thread(
        lambda: list(doctor_network.meter(config, config.meter[0], running=running))
    )


@pytest.fixture
async def sim():
    async with SimMeter(lambda: (10.0, 11.0, 12.5)) as running:
        yield running


async def test_a_meter_that_reads(sim: SimMeter):
    (found,) = await meter(sim)
    assert (found.level, found.about, found.text) == ("ok", "meter main", "reads 10.0 A, 11.0 A, 12.5 A")
    assert sim.requests > 0


async def test_a_meter_of_a_running_gateway_is_left_to_it(sim: SimMeter):
    assert await meter(sim, running=True) == []
    assert sim.requests == 0


async def test_a_meter_that_takes_requests_and_is_silent(sim: SimMeter):
    sim.faults.silent = True
    (found,) = await meter(sim, HURRIED)
    assert (found.level, found.todo) == ("wrong", f"edgegw meter probe {sim.address}")
    assert "no answer within 0.1 s" in found.text


async def test_a_meter_whose_numbers_are_none(sim: SimMeter):
    sim.faults.nan = True
    (found,) = await meter(sim)
    assert (found.level, found.text) == ("wrong", "no current on L1")


async def test_a_meter_that_is_not_there(sim: SimMeter):
    await sim.cut()
    (found,) = await meter(sim)
    assert found.level == "wrong"
    assert "Connection refused" in found.text
    assert "power, cable and address" in found.todo
