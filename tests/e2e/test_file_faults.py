"""What the file doors do not let through: faults 75, 78, 82, 84, with a real gateway."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable
from pathlib import Path

from edgegw.sim.desk import V16, V21, V201
from tests.e2e.faults import ask, until
from tests.e2e.file_doors import LOG_CALLS, UPDATE_CALLS, site, urls
from tests.e2e.file_site import order_logs, order_updates, put
from tests.e2e.gateway import Gateways
from tests.e2e.signed_firmware import make_firmware, sign, tampered
from tests.servers.openssh import OpenSsh
from tests.servers.vsftpd import Vsftpd

ALL = (V16, V201, V21)
CHECKED = ["Downloading", "Downloaded", "SignatureVerified"]


# --- what is not let through ----------------------------------------------------------------------


async def test_fault_78_what_is_not_as_signed(tmp_path: Path, gateways: Gateways):
    """The charger hears nothing of it, and nothing of the file can be had."""
    async with site(tmp_path, gateways) as here, here.fleet(count=3, versions=ALL, security=True) as fleet:
        signed = sign(make_firmware("6.5"), "PKCS1v15")
        for path, firmware in (("/good.bin", signed), ("/bad.bin", tampered(signed))):
            put(here.origin, path, firmware)
        other = signed._replace(signature=sign(make_firmware("6.6"), "PKCS1v15").signature)
        for times, (path, order) in enumerate((("/bad.bin", signed), ("/good.bin", other)), 1):
            answers = await order_updates(here.cloud, fleet, here.origin.url(path), signed=order)
            assert list(answers.values()) == [{"status": "Accepted"}] * 3
            await until(lambda times=times: here.heard(fleet) == [["InvalidSignature"] * times] * 3)
        for days in ((-9, -1), (1, 9)):
            early_or_late = sign(make_firmware("6.5"), "RSA-PSS", valid_days=days)
            answers = await order_updates(
                here.cloud, fleet, here.origin.url("/good.bin"), signed=early_or_late
            )
            assert list(answers.values()) == [{"status": "InvalidCertificate"}] * 3
        assert here.told(fleet, UPDATE_CALLS) == []
        assert all(one["holders"] == [] for one in (await ask(here.gateway, "/v1/firmware"))["files"])
        # and the same file, as it was signed, is welcome
        await order_updates(here.cloud, fleet, here.origin.url("/good.bin"), signed=signed)
        heard = await here.installed(fleet)
        assert all(statuses[2:5] == CHECKED for statuses in heard.values())


def inward_urls(port: int) -> list[str]:
    return [
        "file:///etc/passwd",
        "gopher://localhost/fw.bin",
        "http://169.254.169.254/latest/meta-data/fw.bin",
        f"http://127.0.0.1:{port}/fw.bin",
        f"http://[::1]:{port}/fw.bin",
        f"http://[::ffff:127.0.0.1]:{port}/fw.bin",
        f"http://2130706433:{port}/fw.bin",
        f"http://0x7f.1:{port}/fw.bin",
        f"http://127.1:{port}/fw.bin",
        f"http://localhost@127.0.0.1:{port}/fw.bin",
        f"http://localhost:{port}/%0d%0aX-Evil:%201",
        f"http://localhost:{port}/away",  # leads to 127.0.0.1, where only "localhost" may be
        "ftp://0.0.0.0/fw.bin",
    ]


async def test_fault_75_addresses_that_lead_inward(tmp_path: Path, gateways: Gateways):
    """Refused, and the charger is not sent there either."""
    settings = "location = /away { return 302 http://127.0.0.1:$server_port/fw.bin; }"
    patient = {"inward": ["localhost"], "patience": "20 s"}  # the refusal is the answer, also of a slow box
    async with site(tmp_path, gateways, settings=settings, **patient) as here:
        put(here.origin, "/fw.bin", make_firmware("6.7"))
        async with here.fleet() as fleet:
            bad = inward_urls(here.origin.port)
            for url in bad:
                answers = await order_updates(here.cloud, fleet, url)
                assert answers == {"CP001": {}, "CP002": {"status": "Rejected"}}, url
            await here.quiet(fleet)
            await until(lambda: here.heard(fleet) == [["DownloadFailed"] * len(bad), []])
            assert here.told(fleet, UPDATE_CALLS) == []
            await here.origin.settled()
            assert {one["path"] for one in here.origin.requests()} <= {"/away"}


async def test_an_inward_address_is_passed_on_where_the_site_says_so(tmp_path: Path, gateways: Gateways):
    async with site(tmp_path, gateways, inward=[], forbidden="relay") as here:
        firmware = put(here.origin, "/fw.bin", make_firmware("6.8"))
        async with here.fleet() as fleet:
            await order_updates(here.cloud, fleet, here.origin.url("/fw.bin"))
            await here.installed(fleet)
            assert {one["sha256"] for one in fleet.of("installed").values()} == {firmware.sha256}
            assert set(urls(fleet.of("downloaded"))) == {here.origin.url("/fw.bin")}
        assert (await ask(here.gateway, "/v1/firmware"))["files"] == []


async def test_fault_82_logs_go_to_no_other_host(tmp_path: Path, gateways: Gateways):
    async with site(tmp_path, gateways, upload_hosts=["logs.example"]) as here, here.fleet() as fleet:
        others = ("sftp://u:p@evil.example/", "file:///tmp/x", "ftp://logs.example@192.0.2.1/")
        for url in (here.origin.url("/logs/"), *others):
            answers = await order_logs(here.cloud, fleet, url)
            assert answers == {"CP001": {}, "CP002": {"status": "Rejected"}}, url
        await here.quiet(fleet)
        assert here.told(fleet, LOG_CALLS) == []
        assert (await ask(here.gateway, "/v1/diagnostics"))["uploads"] == []
        await here.origin.settled()
        assert here.origin.requests() == []


# --- secrets --------------------------------------------------------------------------------------

SECRETS = ("pa55", "t0psecret")
VIEWS = ("firmware", "firmware/rollouts", "diagnostics", "chargers", "site", "queue", "queue/rows", "health")


def holds_secret(text: str, tokens: Iterable[str] = ()) -> bool:
    return any(secret in text for secret in (*SECRETS, *tokens))


def text_of(path: Path) -> str:
    """Of a file that may be gone meanwhile, as one that was only being written."""
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""


def mode_of(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return 0


async def test_fault_84_passwords_of_addresses_are_nowhere(tmp_path: Path, gateways: Gateways):
    """Not in the log, the API or the files of the cache; where one must be, it is for us alone."""
    async with (
        Vsftpd(tmp_path / "ftp") as ftp,
        OpenSsh(tmp_path / "ssh") as ssh,
        site(tmp_path, gateways, log="debug", ftp=True, known_hosts=ssh.known_hosts) as here,
        here.fleet() as fleet,
    ):
        query, closed_port = "?X-Signature=t0psecret", here.origin.tls_port + 1
        for server in (here.origin, ftp, ssh):
            put(server, "/private/fw.bin", make_firmware("6.9"))
            (server.files / "private" / "logs").mkdir()
        web = here.origin.url("/private/", login=True)
        good = [f"{web}fw.bin{query}", ftp.url("/private/fw.bin"), ssh.url("/private/fw.bin")]
        for times, url in enumerate(good, 1):
            await order_updates(here.cloud, fleet, url)
            await here.installed(fleet, times)
        for url in (f"{web}logs/{query}", ftp.url("/private/logs/"), ssh.url("/private/logs/")):
            await here.sent(fleet, url)
        for url in (
            f"http://fleet:pa55wrong@127.0.0.1:{here.origin.port}/private/fw.bin{query}",
            f"ftp://fleet:pa55@127.0.0.1:{closed_port}/fw.bin",
            f"http://fleet:pa55@169.254.169.254/{query}",
            f"http://pa55:t0psecret@@localhost/{query}",
        ):
            await order_updates(here.cloud, fleet, url, retries=0)
        for url in (f"ftp://fleet:pa55@evil.example/{query}", f"http://pa55:t0psecret@@localhost/{query}"):
            await order_logs(here.cloud, fleet, url)
        await here.quiet(fleet)

        links = [facts["url"] for _, event, facts in fleet.events if event in ("downloaded", "uploaded")]
        tokens = [link.split("/")[4] for link in links]  # who has one has the file
        assert len(set(tokens)) == 6 * len(fleet.chargers)
        for view in VIEWS:
            assert not holds_secret(json.dumps(await ask(here.gateway, f"/v1/{view}")), tokens), view
        cache = [path for path in (here.gateway.folder / "firmware_cache").rglob("*") if path.is_file()]
        assert {path.name for path in cache} > {"manifest.json", "uploads.json"}
        holders = {path.name for path in cache if holds_secret(text_of(path))}
        assert holders <= {"uploads.json"}
        # the store keeps the cloud's CALLs, so it is as private as the list of uploads
        private = [*cache, *(path for path in here.gateway.store.iterdir() if path.is_file())]
        assert [path for path in private if mode_of(path) & 0o077] == []
        assert all(identity in here.gateway.log for identity in fleet.chargers)
    assert not holds_secret(here.gateway.log, tokens)
