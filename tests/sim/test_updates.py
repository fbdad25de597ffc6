"""Firmware on a simulated charger: really fetched, hashed, checked and booted into, every step told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from edgegw.sim.charger import SimCharger
from edgegw.sim.cloud import SimCloud
from edgegw.sim.desk import CallRefused
from edgegw.sim.habits import Habits
from edgegw.sim.ocpp_cloud import OcppCloud
from edgegw.sim.orders import FileStatus, heard_in, update_order
from tests.sim.file_servers import FtpServer, Origin

Quick = Callable[..., Habits]
IMAGE = b"firmware 2.5.1\n" + random.Random(4).randbytes(300_000)
SHA256 = hashlib.sha256(IMAGE).hexdigest()
WHOLE_16 = ["Downloading", "Downloaded", "Installing", "Installed"]
WHOLE_2X = ["Downloading", "Downloaded", "Installing", "InstallRebooting", "Installed"]
SIGNED = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "InstallRebooting", "Installed"]


class Events:
    """What the charger told on_event, by name."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, identity: str, event: str, facts: dict[str, Any]) -> None:
        self.all.append((event, facts))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [facts for name, facts in self.all if name == event]


@asynccontextmanager
async def online(
    cloud: SimCloud, version: str, habits: Habits, events: Events | None = None, **options: Any
) -> AsyncIterator[SimCharger]:
    async with SimCharger("CP1", version, cloud.url, habits=habits, on_event=events, **options) as charger:
        await charger.wait_online()
        yield charger


async def order(cloud: SimCloud, version: str, url: str, request_id: int = 7, **more: Any) -> dict[str, Any]:
    return await cloud.call("CP1", *update_order(version, url, request_id, **more))


async def heard(cloud: SimCloud, last: str, count: int = 1) -> list[str]:
    """The statuses up to the `count`th `last`."""
    await cloud.wait_for(lambda: cloud.heard.statuses("CP1").count(last) >= count)
    return cloud.heard.statuses("CP1")


def boot_versions(cloud: SimCloud) -> list[str]:
    boots = [r.payload for r in cloud.calls("BootNotification")]
    return [b.get("chargingStation", b)["firmwareVersion"] for b in boots]


@pytest.fixture
def image(shelf: Path) -> str:
    """Name of a firmware file on the servers."""
    (shelf / "box-2.5.1.bin").write_bytes(IMAGE)
    return "box-2.5.1.bin"


# --- whole sequences ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "engine", "whole"),
    [
        ("1.6", "own", WHOLE_16),
        ("1.6", "ocpp", WHOLE_16),
        ("2.0.1", "own", WHOLE_2X),
        ("2.0.1", "ocpp", WHOLE_2X),
        ("2.1", "own", WHOLE_2X),
    ],
)
async def test_an_update_is_fetched_installed_and_booted(
    cloud: SimCloud,
    origin: Origin,
    quick: Quick,
    tmp_path: Path,
    image: str,
    version: str,
    engine: str,
    whole: list[str],
):
    events, memory = Events(), tmp_path / "CP1.memory"
    habits = quick(engine=engine, file_protocols=("HTTP",), hash_log=str(tmp_path / "hashes"))
    async with online(cloud, version, habits, events, memory=memory) as charger:
        answer = await order(cloud, version, f"{origin.url}/{image}")
        assert answer == ({} if version == "1.6" else {"status": "Accepted"})
        assert await heard(cloud, "Installed") == whole
        await charger.wait_for(lambda: charger.memory.update is None and not charger.memory.notices)
    request_id = None if version == "1.6" else 7
    assert {s.request_id for s in cloud.heard.of("CP1")} == {request_id}
    assert boot_versions(cloud) == ["1.0", "2.5.1"]
    url = f"{origin.url}/{image}"
    moved = {"sha256": SHA256, "bytes": len(IMAGE), "url": url, "resumed": False}
    assert events.of("downloaded") == [moved]
    assert events.of("installed") == [{"version": "2.5.1", "sha256": SHA256}]
    lines = [msgspec.json.decode(line) for line in (tmp_path / "hashes").read_bytes().splitlines()]
    assert lines[0] == {"charger": "CP1", "event": "downloaded", **moved}
    async with online(cloud, version, habits, memory=memory):  # another process
        pass
    assert boot_versions(cloud)[-1] == "2.5.1"
    if version != "1.6":
        assert cloud.calls("BootNotification")[1].payload["reason"] == "FirmwareUpdate"
        assert cloud.calls("SecurityEventNotification")[0].payload["type"] == "FirmwareUpdated"


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_the_ocpp_package_on_both_sides_agrees(
    tmp_path: Path, origin: Origin, quick: Quick, image: str, version: str
):
    """It validates every status against the schema of its version."""
    async with (
        OcppCloud(ledger=tmp_path / "cloud.jsonl") as cloud,
        online(cloud, version, quick(file_protocols=("HTTP",), engine="ocpp")),
    ):
        await order(cloud, version, f"{origin.url}/{image}")
        assert await heard(cloud, "Installed") == (WHOLE_16 if version == "1.6" else WHOLE_2X)
    assert heard_in(tmp_path / "cloud.jsonl").of("CP1") == cloud.heard.of("CP1")


async def test_a_version_without_a_name_is_the_files_hash(
    cloud: SimCloud, origin: Origin, quick: Quick, shelf: Path
):
    (shelf / "x.bin").write_bytes(b"\x00\xff\n\n")
    async with online(cloud, "1.6", quick(file_protocols=("HTTP",))):
        await order(cloud, "1.6", f"{origin.url}/x.bin")
        await heard(cloud, "Installed")
    assert boot_versions(cloud)[-1] == hashlib.sha256(b"\x00\xff\n\n").hexdigest()[:16]


# --- signed ---------------------------------------------------------------------------------------


def signer(key: Any = None, *, valid_days: int = 30, address: str = "127.0.0.9") -> tuple[str, Any]:
    """(certificate as PEM, key)"""
    key = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "maker")])
    end = datetime.now(UTC) + timedelta(days=valid_days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(end - timedelta(days=60))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), key


def signature_of(key: Any, content: bytes) -> str:
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    return base64.b64encode(key.sign(content, pss, hashes.SHA256())).decode()


@pytest.fixture(scope="module")
def maker() -> tuple[str, Any]:
    return signer()


@pytest.mark.parametrize(
    ("version", "engine"), [("1.6", "own"), ("1.6", "ocpp"), ("2.0.1", "ocpp"), ("2.1", "own")]
)
async def test_a_signed_update_is_verified(
    cloud: SimCloud, origin: Origin, quick: Quick, image: str, maker: Any, version: str, engine: str
):
    certificate, key = maker
    habits = quick(file_protocols=("HTTP",), security=True, engine=engine)
    async with online(cloud, version, habits):
        proof = {"certificate": certificate, "signature": signature_of(key, IMAGE)}
        assert await order(cloud, version, f"{origin.url}/{image}", **proof) == {"status": "Accepted"}
        assert await heard(cloud, "Installed") == SIGNED
    action = "SignedFirmwareStatusNotification" if version == "1.6" else "FirmwareStatusNotification"
    assert cloud.heard.of("CP1")[0] == FileStatus(action, "Downloading", 7)
    assert {s.action for s in cloud.heard.of("CP1")} == {action}
    assert boot_versions(cloud)[-1] == "2.5.1"


async def test_other_signatures_of_makers_are_understood(
    cloud: SimCloud, origin: Origin, quick: Quick, image: str, maker: Any
):
    certificate, key = maker
    pkcs = base64.b64encode(key.sign(IMAGE, padding.PKCS1v15(), hashes.SHA256())).decode()
    curve_certificate, curve = signer(ec.generate_private_key(ec.SECP256R1()))
    ecdsa = base64.b64encode(curve.sign(IMAGE, ec.ECDSA(hashes.SHA256()))).decode()
    async with online(cloud, "2.1", quick(file_protocols=("HTTP",))) as charger:
        for count, proof in enumerate(((certificate, pkcs), (curve_certificate, ecdsa)), 1):
            await charger.wait_online()
            url = f"{origin.url}/{image}"
            await order(cloud, "2.1", url, count, certificate=proof[0], signature=proof[1])
            await heard(cloud, "Installed", count)
            assert cloud.heard.statuses("CP1", request_id=count) == SIGNED


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
@pytest.mark.parametrize("bad", ["other file", "no base64"])
async def test_a_bad_signature_ends_it(
    cloud: SimCloud, origin: Origin, quick: Quick, image: str, maker: Any, version: str, bad: str
):
    certificate, key = maker
    signature = "%%%" if bad == "no base64" else signature_of(key, b"another file")
    async with online(cloud, version, quick(file_protocols=("HTTP",), security=True)) as charger:
        await order(cloud, version, f"{origin.url}/{image}", certificate=certificate, signature=signature)
        await cloud.wait_calls("SecurityEventNotification")
        assert cloud.heard.statuses("CP1") == ["Downloading", "Downloaded", "InvalidSignature"]
        assert charger.memory.firmware_version == "1.0"
    assert cloud.calls("SecurityEventNotification")[0].payload["type"] == "InvalidFirmwareSignature"


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
async def test_a_bad_certificate_is_refused_at_once(
    cloud: SimCloud, origin: Origin, quick: Quick, image: str, maker: Any, version: str
):
    expired, _ = signer(maker[1], valid_days=-1)
    async with online(cloud, version, quick(file_protocols=("HTTP",), security=True)):
        for certificate in ("no certificate", expired):
            answer = await order(
                cloud, version, f"{origin.url}/{image}", certificate=certificate, signature="AA=="
            )
            assert answer == {"status": "InvalidCertificate"}
    assert origin.asked == []


async def test_16_with_security_takes_signed_updates_only(cloud: SimCloud, quick: Quick, maker: Any):
    async with online(cloud, "1.6", quick(file_protocols=("HTTP",), security=True)):
        with pytest.raises(CallRefused) as refused:
            await order(cloud, "1.6", "http://127.0.0.1/x")
    assert refused.value.code == "NotSupported"


async def test_16_without_security_takes_no_signed_update(cloud: SimCloud, quick: Quick, maker: Any):
    async with online(cloud, "1.6", quick(file_protocols=("HTTP",))):
        for action, payload in (
            update_order("1.6", "http://127.0.0.1/x", 1, certificate=maker[0], signature="AA=="),
            ("ExtendedTriggerMessage", {"requestedMessage": "FirmwareStatusNotification"}),
        ):
            with pytest.raises(CallRefused) as refused:
                await cloud.call("CP1", action, payload)
            assert refused.value.code == "NotImplemented"


async def test_https_is_trusted_by_the_file_of_its_ca_only(
    cloud: SimCloud, shelf: Path, quick: Quick, image: str, tmp_path: Path
):
    certificate, key = signer(address="127.0.0.1")
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "ca.pem").write_text(certificate)
    (tmp_path / "key.pem").write_bytes(pem)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    async with Origin(shelf, tls) as origin:
        for count, (ca, last) in enumerate((("", "DownloadFailed"), (str(tmp_path / "ca.pem"), "Installed"))):
            async with online(cloud, "1.6", quick(file_protocols=("HTTPS",), file_ca=ca)):
                await order(cloud, "1.6", f"{origin.url}/{image}", retries=0)
                await heard(cloud, last)
            assert len(origin.asked) == count


# --- breaks and failures --------------------------------------------------------------------------


@pytest.mark.parametrize("resumes", [True, False])
async def test_a_download_goes_on_where_the_charger_cut_it(
    cloud: SimCloud, origin: Origin, quick: Quick, image: str, resumes: bool
):
    events = Events()
    habits = quick(
        file_protocols=("HTTP",), download_cut_after_bytes=100_000, download_resumes=resumes, file_attempts=1
    )
    async with online(cloud, "1.6", habits, events):
        await order(cloud, "1.6", f"{origin.url}/{image}")
        assert await heard(cloud, "Installed") == WHOLE_16
    assert [a.range for a in origin.asked] == ["", "bytes=100000-" if resumes else ""]
    assert events.of("downloaded")[0]["sha256"] == SHA256
    assert events.of("downloaded")[0]["resumed"] is resumes


async def test_a_server_that_ignores_ranges_costs_a_new_start(
    cloud: SimCloud, origin: Origin, quick: Quick, image: str
):
    events, origin.ranges = Events(), False
    async with online(cloud, "2.1", quick(file_protocols=("HTTP",), download_cut_after_bytes=5_000), events):
        await order(cloud, "2.1", f"{origin.url}/{image}")
        await heard(cloud, "Installed")
    assert events.of("downloaded")[0] | {"url": ""} == {
        "sha256": SHA256,
        "bytes": len(IMAGE),
        "url": "",
        "resumed": False,
    }


@pytest.mark.parametrize("obeyed", [True, False])
async def test_a_file_that_changed_between_the_parts_is_begun_again(
    cloud: SimCloud, origin: Origin, quick: Quick, image: str, obeyed: bool
):
    """If-Range with the old ETag: the server sends the whole new file, or a part with a new ETag."""
    events, origin.cuts, origin.if_ranges = Events(), [50_000], obeyed
    async with online(cloud, "2.0.1", quick(file_protocols=("HTTP",)), events):
        await order(cloud, "2.0.1", f"{origin.url}/{image}", retries=2, retry_interval_s=0)
        await heard(cloud, "Installed")
    asked = [a.range for a in origin.asked]
    assert asked == (["", "bytes=50000-"] if obeyed else ["", "bytes=50000-", ""])
    assert events.of("downloaded")[0]["sha256"] == SHA256
    assert not events.of("downloaded")[0]["resumed"]


async def test_a_server_that_breaks_or_refuses_is_asked_again(
    cloud: SimCloud, origin: Origin, quick: Quick, image: str
):
    origin.cuts, origin.refusals = [1_000], [503]
    async with online(cloud, "1.6", quick(file_protocols=("HTTP",))):
        await order(cloud, "1.6", f"{origin.url}/{image}", retries=2, retry_interval_s=0)
        assert await heard(cloud, "Installed") == WHOLE_16
    assert len(origin.asked) == 3


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_the_last_attempt_is_the_last(
    cloud: SimCloud, origin: Origin, quick: Quick, image: str, version: str
):
    origin.refusals = [500, 404]
    async with online(cloud, version, quick(file_protocols=("HTTP",))) as charger:
        await order(cloud, version, f"{origin.url}/{image}", retries=1, retry_interval_s=0)
        assert await heard(cloud, "DownloadFailed") == ["Downloading", "DownloadFailed"]
        await charger.wait_for(lambda: charger.memory.update is None)
        assert charger.memory.firmware_version == "1.0"
        assert len(origin.asked) == 2
        await order(cloud, version, f"{origin.url}/{image}", 8)
        await heard(cloud, "Installed")


@pytest.mark.parametrize("after", [0, 20_000])
async def test_an_address_that_always_fails_fails_and_another_does_not(
    cloud: SimCloud, origin: Origin, quick: Quick, image: str, shelf: Path, after: int
):
    (shelf / "fw").mkdir()
    (shelf / "fw" / image).write_bytes(IMAGE)
    habits = quick(
        file_protocols=("HTTP",),
        download_fails_from=f"{origin.url}/fw/",
        download_fails_after_bytes=after,
    )
    async with online(cloud, "2.1", habits):
        await order(cloud, "2.1", f"{origin.url}/fw/{image}", 1, retries=1, retry_interval_s=0)
        await heard(cloud, "DownloadFailed")
        assert [a.range for a in origin.asked] == ([] if after == 0 else ["", ""])
        await order(cloud, "2.1", f"{origin.url}/{image}", 2)
        await heard(cloud, "Installed")
    assert cloud.heard.statuses("CP1", request_id=1) == ["Downloading", "DownloadFailed"]
    assert cloud.heard.statuses("CP1", request_id=2) == WHOLE_2X


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "sftp://127.0.0.1/x", "nonsense", "http://[::bad/x"])
async def test_an_address_it_cannot_use_fails_without_a_second_try(cloud: SimCloud, quick: Quick, url: str):
    async with online(cloud, "1.6", quick(file_protocols=("HTTP",), file_retry_interval_s=0.0)):
        await order(cloud, "1.6", url)
        assert await heard(cloud, "DownloadFailed") == ["Downloading", "DownloadFailed"]


async def test_an_installation_that_fails(cloud: SimCloud, origin: Origin, quick: Quick, image: str):
    async with online(cloud, "2.0.1", quick(file_protocols=("HTTP",), install_fails=True)) as charger:
        await order(cloud, "2.0.1", f"{origin.url}/{image}")
        assert await heard(cloud, "InstallationFailed") == [*WHOLE_2X[:3], "InstallationFailed"]
        assert charger.memory.firmware_version == "1.0"
        await charger.wait_for(lambda: charger.free(1))
    assert boot_versions(cloud) == ["1.0"]


async def test_a_slow_charger_is_slow(cloud: SimCloud, origin: Origin, quick: Quick, shelf: Path):
    (shelf / "small").write_bytes(b"x" * 3000)
    begin = asyncio.get_running_loop().time()
    async with online(cloud, "1.6", quick(file_protocols=("HTTP",), speed_bytes_per_s=10_000)):
        await order(cloud, "1.6", f"{origin.url}/small")
        await heard(cloud, "Downloaded")
    assert asyncio.get_running_loop().time() - begin >= 0.3


# --- FTP ------------------------------------------------------------------------------------------


async def test_ftp_goes_on_by_rest(cloud: SimCloud, ftp: FtpServer, quick: Quick, image: str):
    events = Events()
    habits = quick(file_protocols=("HTTP", "FTP"), download_cut_after_bytes=100_000)
    async with online(cloud, "1.6", habits, events):
        await order(cloud, "1.6", f"{ftp.url}/{image}")
        assert await heard(cloud, "Installed") == WHOLE_16
    assert ftp.asked == [f"RETR {image}", "REST 100000", f"RETR {image}"]
    assert events.of("downloaded")[0]["sha256"] == SHA256
    assert events.of("downloaded")[0]["resumed"]


async def test_ftp_without_rest_begins_again(cloud: SimCloud, ftp: FtpServer, quick: Quick, image: str):
    events, ftp.knows_rest = Events(), False
    habits = quick(file_protocols=("FTP",), download_cut_after_bytes=100_000)
    async with online(cloud, "2.1", habits, events):
        await order(cloud, "2.1", f"{ftp.url}/{image}")
        await heard(cloud, "Installed")
    assert events.of("downloaded")[0] == {
        "sha256": SHA256,
        "bytes": len(IMAGE),
        "url": f"{ftp.url}/{image}",
        "resumed": False,
    }


async def test_ftp_that_has_no_such_file(cloud: SimCloud, ftp: FtpServer, quick: Quick):
    async with online(cloud, "1.6", quick(file_protocols=("FTP",))):
        await order(cloud, "1.6", f"{ftp.url}/nothing", retries=0)
        await heard(cloud, "DownloadFailed")


async def test_a_charger_that_is_switched_off_lets_go_of_ftp(
    cloud: SimCloud, ftp: FtpServer, quick: Quick, image: str
):
    habits = quick(file_protocols=("FTP",), speed_bytes_per_s=1_000)
    async with online(cloud, "1.6", habits) as charger:
        await order(cloud, "1.6", f"{ftp.url}/{image}")
        async with asyncio.timeout(30):
            while not ftp.asked:  # noqa: ASYNC110 - a server of somebody else tells no events
                await asyncio.sleep(0.01)
        async with asyncio.timeout(30):
            await charger.power_off()


# --- time, replacement, reboots -------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.6", "2.0.1", "2.1"])
async def test_an_update_of_tomorrow_is_scheduled(
    cloud: SimCloud, origin: Origin, quick: Quick, image: str, version: str
):
    tomorrow, scheduled = time.time() + 86_400, "Idle" if version == "1.6" else "DownloadScheduled"
    async with online(cloud, version, quick(file_protocols=("HTTP",))):
        await order(cloud, version, f"{origin.url}/{image}", 1, retrieve_at=tomorrow)
        await cloud.call("CP1", "TriggerMessage", {"requestedMessage": "FirmwareStatusNotification"})
        before = await heard(cloud, scheduled, 1 if version == "1.6" else 2)
        assert set(before) == {scheduled}
        assert origin.asked == []
        answer = await order(cloud, version, f"{origin.url}/{image}", 2)
        assert answer == ({} if version == "1.6" else {"status": "AcceptedCanceled"})
        whole = WHOLE_16 if version == "1.6" else WHOLE_2X
        assert await heard(cloud, "Installed") == before + whole


@pytest.mark.parametrize("version", ["1.6", "2.1"])
async def test_it_begins_at_the_retrieve_date(
    cloud: SimCloud, origin: Origin, quick: Quick, image: str, version: str
):
    at = time.time() + 0.3
    async with online(cloud, version, quick(file_protocols=("HTTP",))):
        await order(cloud, version, f"{origin.url}/{image}", retrieve_at=at)
        await heard(cloud, "Downloading")
        assert time.time() >= at - 0.002  # the order says it in milliseconds


async def test_it_installs_at_the_install_date(cloud: SimCloud, origin: Origin, quick: Quick, image: str):
    tomorrow = time.time() + 86_400
    async with online(cloud, "2.1", quick(file_protocols=("HTTP",))) as charger:
        await order(cloud, "2.1", f"{origin.url}/{image}", install_at=tomorrow)
        assert await heard(cloud, "InstallScheduled") == [*WHOLE_2X[:2], "InstallScheduled"]
        assert charger.free(1)


@pytest.mark.parametrize("version", ["1.6", "1.6 signed", "2.0.1", "2.1"])
async def test_a_new_order_takes_the_place_of_an_unfinished_one(
    cloud: SimCloud, origin: Origin, quick: Quick, shelf: Path, image: str, maker: Any, version: str
):
    version, _, signed = version.partition(" ")
    (shelf / "old.bin").write_bytes(b"firmware old\n")
    certificate, key = maker
    proof = {"certificate": certificate, "signature": signature_of(key, IMAGE)} if signed else {}
    origin.gate.clear()
    async with online(cloud, version, quick(file_protocols=("HTTP",), security=bool(signed))):
        await order(cloud, version, f"{origin.url}/old.bin", 1, **proof)
        await heard(cloud, "Downloading")
        answer = await order(cloud, version, f"{origin.url}/{image}", 2, **proof)
        assert answer == ({} if version == "1.6" and not signed else {"status": "AcceptedCanceled"})
        origin.gate.set()
        whole = SIGNED if signed else WHOLE_16 if version == "1.6" else WHOLE_2X
        assert await heard(cloud, "Installed") == ["Downloading", *whole]
    assert boot_versions(cloud) == ["1.0", "2.5.1"]


async def test_it_installs_when_nobody_charges(cloud: SimCloud, origin: Origin, quick: Quick, image: str):
    async with online(cloud, "2.0.1", quick(file_protocols=("HTTP",), connectors=2)) as charger:
        await charger.begin(1, "TAG1")
        await order(cloud, "2.0.1", f"{origin.url}/{image}")
        scheduled = ["Downloading", "Downloaded", "InstallScheduled"]
        assert await heard(cloud, "InstallScheduled") == scheduled
        await cloud.wait_for(lambda: cloud.desk.statuses.get(("CP1", 2, 1)) == "Unavailable")
        assert await charger.begin(2, "TAG2") is None
        charger.finish(1)
        assert await heard(cloud, "Installed") == [*scheduled, "Installing", "InstallRebooting", "Installed"]
        await cloud.wait_for(lambda: cloud.desk.statuses.get(("CP1", 2, 1)) == "Available")
        await charger.drained()


async def test_an_order_outlives_a_power_cut_and_statuses_an_outage(
    cloud: SimCloud, origin: Origin, quick: Quick, image: str, tmp_path: Path
):
    memory, habits = tmp_path / "CP1.memory", quick(file_protocols=("HTTP",))
    origin.gate.clear()
    async with online(cloud, "2.1", habits, memory=memory) as charger:
        await order(cloud, "2.1", f"{origin.url}/{image}")
        await heard(cloud, "Downloading")
        await charger.wait_for(lambda: not charger.memory.notices)
    await cloud.cut()
    origin.gate.set()
    charger = SimCharger("CP1", "2.1", cloud.url, habits=habits, memory=memory)
    async with charger:
        await charger.wait_for(lambda: charger.memory.firmware_version == "2.5.1")
        await charger.wait_for(lambda: charger.memory.update is None)
        await cloud.restore()
        assert await heard(cloud, "Installed") == ["Downloading", *WHOLE_2X]
        await charger.wait_for(lambda: not charger.memory.notices)
    assert boot_versions(cloud) == ["1.0", "2.5.1"]


# --- triggers and settings ------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.6", "1.6 signed", "2.0.1", "2.1"])
async def test_a_trigger_tells_the_last_status(
    cloud: SimCloud, origin: Origin, quick: Quick, image: str, maker: Any, version: str
):
    version, _, signed = version.partition(" ")
    certificate, key = maker
    proof = {"certificate": certificate, "signature": signature_of(key, IMAGE)} if signed else {}
    trigger = (
        ("ExtendedTriggerMessage" if signed else "TriggerMessage"),
        {"requestedMessage": "FirmwareStatusNotification"},
    )
    origin.gate.clear()
    async with online(cloud, version, quick(file_protocols=("HTTP",), security=bool(signed))) as charger:
        assert await cloud.call("CP1", *trigger) == {"status": "Accepted"}
        await heard(cloud, "Idle")
        assert cloud.heard.of("CP1")[0].request_id is None
        await order(cloud, version, f"{origin.url}/{image}", **proof)
        await heard(cloud, "Downloading")
        await cloud.call("CP1", *trigger)
        await heard(cloud, "Downloading", 2)
        assert cloud.heard.of("CP1")[-1] == cloud.heard.of("CP1")[-2]
        origin.gate.set()
        await heard(cloud, "Installed")
        await charger.wait_online()
        await cloud.call("CP1", *trigger)
        await heard(cloud, "Idle", 2)
        if signed:
            plain = await cloud.call("CP1", "TriggerMessage", trigger[1])
            assert plain == {"status": "NotImplemented"}


@pytest.mark.parametrize("tells", [True, False])
async def test_the_protocols_are_among_the_settings(cloud: SimCloud, quick: Quick, tells: bool):
    habits = quick(file_protocols=("HTTP", "FTP"), tells_file_protocols=tells)
    asked = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "FileTransferProtocols"}}
    async with online(cloud, "1.6", habits):
        old = await cloud.call("CP1", "GetConfiguration", {"key": ["SupportedFileTransferProtocols"]})
        features = await cloud.call("CP1", "GetConfiguration", {"key": ["SupportedFeatureProfiles"]})
    async with online(cloud, "2.0.1", habits):
        new = await cloud.call("CP1", "GetVariables", {"getVariableData": [asked]})
    found = new["getVariableResult"][0]
    assert "FirmwareManagement" in features["configurationKey"][0]["value"]
    if tells:
        key = {"key": "SupportedFileTransferProtocols", "readonly": True, "value": "HTTP,FTP"}
        assert old == {"configurationKey": [key]}
        assert (found["attributeStatus"], found["attributeValue"]) == ("Accepted", "HTTP,FTP")
    else:
        assert old == {"unknownKey": ["SupportedFileTransferProtocols"]}
        assert found["attributeStatus"] == "UnknownVariable"
