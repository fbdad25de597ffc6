"""`edgegw doctor`: what it finds, with a gateway and without one, and that no secret is in what it packs."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import socket
import ssl
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner, Result

from edgegw.cli import doctor_findings, doctor_network, edgegw
from edgegw.cli.doctor_findings import Check, run_all, wrong
from edgegw.cli.scrub import Scrubber
from edgegw.config import Cloud
from edgegw.control.client import ControlClient
from edgegw.control.faults import Refused
from edgegw.core.records import Append
from tests.cli.test_backup import charges
from tests.control.house import DEADLINE_S, House
from tests.store.rig import opened, row

SITE = """\
[site]
id = "depot-1"
[chargers]
listen = "127.0.0.1:0"
[store]
directory = "store"
reserve = "1 MiB"
[control]
socket = "control.sock"
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    file = tmp_path / "site.toml"
    file.write_text(SITE)
    return file


def rewrite(file: Path, text: str) -> None:
    file.write_text(text)


async def run(*words: str | Path, code: int = 0) -> Result:
    told = ["doctor", *(str(word) for word in words)]
    result = await asyncio.to_thread(CliRunner().invoke, edgegw, told)
    assert result.exit_code == code, (result.output, result.exception)
    return result


async def findings(site: Path, code: int = 0) -> dict[str, list[tuple[str, str]]]:
    told = json.loads((await run("--config", site, "--json", code=code)).stdout)
    found: dict[str, list[tuple[str, str]]] = {}
    for one in told["findings"]:
        found.setdefault(one["about"], []).append((one["level"], one["text"]))
    return found


def said(found: dict[str, list[tuple[str, str]]], about: str, level: str) -> str:
    return "\n".join(text for is_level, text in found.get(about, []) if is_level == level)


# --- with a gateway -------------------------------------------------------------------------------


async def test_a_gateway_that_is_well(house: House, site: Path):
    await house.boots("CP-1")
    found = await findings(site)
    assert "runs since" in said(found, "gateway", "ok")
    assert "control.sock" in said(found, "control socket", "ok")
    assert "the running gateway watches over them" in said(found, "store", "left out")
    assert "free" in said(found, "disk", "ok")


async def test_what_the_gateway_says_is_wrong_comes_first(house: House, site: Path):
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    told = (await run("--config", site, code=1)).stdout
    assert told.startswith("1 thing wrong")
    assert told.splitlines()[2].startswith("WRONG     gateway: the cloud is not reached")
    charger.cut()


async def test_another_version_than_the_installed_one(house: House, site: Path, monkeypatch):
    monkeypatch.setattr("edgegw.cli.doctor_running.__version__", "9.9")
    assert "9.9 is installed" in said(await findings(site, code=1), "gateway", "wrong")


async def test_the_bundle_holds_what_helps(house: House, site: Path, tmp_path: Path):
    await charges(house, "CP-1")
    await run("--config", site, "--output", tmp_path / "o.tar.gz", code=1)
    members = unpacked(tmp_path / "o.tar.gz")
    for name in ("health", "site", "chargers", "power", "alarms", "queue"):
        assert json.loads(members[f"api/{name}.json"]), name
    assert "audit.json" in json.loads(members["missing.json"])  # of a gateway that keeps none
    assert b"edgegw_" in members["api/metrics.txt"]
    assert members["site.toml"].decode() == SITE
    assert members["findings.txt"].startswith(b"WRONG")
    assert (tmp_path / "o.tar.gz").stat().st_mode & 0o777 == 0o600
    again = await run("--config", site, "--output", tmp_path / "o.tar.gz", code=2)
    assert "--force" in again.stderr
    nowhere = await run("--config", site, "--output", tmp_path / "no" / "o.tar.gz", code=1)
    assert "nothing was written" in nowhere.stderr


def unpacked(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as tar:
        found = {one.name.removeprefix("edgegw-doctor/"): tar.extractfile(one).read() for one in tar}
    assert all(not name.startswith("/") and ".." not in name for name in found)
    return found


# --- without one ----------------------------------------------------------------------------------


async def test_a_box_that_never_ran(site: Path):
    found = await findings(site, code=1)
    assert "it does not run" in said(found, "gateway", "wrong")
    assert "is not there yet" in said(found, "store", "look")


async def test_a_store_at_rest_is_looked_at_and_not_touched(site: Path, tmp_path: Path):
    async with opened(tmp_path / "store") as it:
        await it.journal.commit([Append(row(seq=n, raw=b"x" * 300)) for n in range(1, 40)])
    before = {path.name: path.read_bytes() for path in (tmp_path / "store").iterdir()}
    assert "39 messages" in said(await findings(site, code=1), "store", "ok")
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "store").iterdir()}
    database = tmp_path / "store" / "edgegw.db"
    whole = database.read_bytes()
    at = whole.rindex(b"x" * 300)
    database.write_bytes(whole[:at] + b"y" + whole[at + 1 :])
    assert "of journal is damaged" in said(await findings(site, code=1), "store", "wrong")


async def test_a_gateway_that_hangs_is_not_called_stopped(site: Path, tmp_path: Path):
    async with opened(tmp_path / "store"):
        found = await findings(site, code=1)
    assert "it runs, and cannot be asked" in said(found, "gateway", "wrong")
    assert "is not there" in said(found, "control socket", "wrong")


async def test_a_site_file_that_is_wrong(site: Path, tmp_path: Path):
    rewrite(site, SITE.replace('id = "depot-1"', 'id = "d é p"'))
    assert "must be 1 to 48" in said(await findings(site, code=1), "site file", "wrong")
    found = await findings(tmp_path / "none.toml", code=1)
    assert "does not exist" in said(found, "site file", "wrong")


async def test_rights_ports_meter_and_broker(site: Path, tmp_path: Path):
    (tmp_path / "pw").write_text("hunter2hunter2")
    (tmp_path / "pw").chmod(0o644)
    with nobody_at() as deaf, socket.create_server(("127.0.0.1", 0)) as taken:
        closed = f"127.0.0.1:{deaf}"
        port = taken.getsockname()[1]
        rewrite(
            site,
            SITE.replace("127.0.0.1:0", f"127.0.0.1:{port}")
            + f'[mqtt]\nbroker = "mqtt://{closed}"\nusername = "u"\npassword_file = "pw"\n'
            + f'[[meter]]\nname = "main"\ntemplate = "eastron_sdm630"\naddress = "tcp://{closed}"\n',
        )
        os.chmod(site, 0o666)
        found = await findings(site, code=1)
    assert f"{tmp_path / 'pw'} can be read by others (mode 0644)" in said(found, "rights", "wrong")
    assert "can be written by others" in said(found, "rights", "wrong")
    assert "Address already in use" in said(found, "ports", "wrong")
    assert "Connection refused" in said(found, "meter main", "wrong")
    assert "cannot be reached" in said(found, "mqtt", "wrong")


async def test_the_ftp_door_is_a_port_too(site: Path):
    with nobody_at() as free, socket.create_server(("127.0.0.1", 0)) as taken:
        ftp = f"127.0.0.1:{taken.getsockname()[1]}"
        rewrite(site, SITE + f'[files]\nlisten = "127.0.0.1:{free}"\nftp_listen = "{ftp}"\n')
        found = await findings(site, code=1)
    assert f"[files] ftp_listen = {ftp} cannot be used" in said(found, "ports", "wrong")


# --- the cloud ------------------------------------------------------------------------------------


@contextmanager
def web_server(*, ahead_s: float = 0.0, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Answers every connection with the time it thinks it is."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            while True:
                try:
                    line, _ = door.accept()
                except OSError:
                    return
                with line:
                    try:
                        inner = tls.wrap_socket(line, server_side=True) if tls else line
                        inner.recv(4096)
                        date = formatdate(time.time() + ahead_s, usegmt=True)
                        inner.sendall(
                            f"HTTP/1.1 426 Upgrade\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode()
                        )
                        inner.close()
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield door.getsockname()[1]
        finally:
            door.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def nobody_at() -> Iterator[int]:
    """A port that refuses connections, and that nobody else is given meanwhile."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        yield deaf.getsockname()[1]


def about_cloud(url: str, **more: object) -> str:
    settings = Cloud.model_validate({"url": url, **more}, context={"folder": Path.cwd()})
    return "\n".join(f"{f.level} {f.about}: {f.text}" for f in doctor_network.cloud(settings))


@pytest.mark.parametrize(
    ("ahead_s", "words"),
    [
        (0, "ok clock: as at 127.0.0.1"),
        (-60, r"look clock: this box is (59|[6-9]\d) s ahead"),
        (7200, r"wrong clock: this box is (2 h|120 min) off: 7[12]\d\d s behind"),
    ],
)
def test_the_clock_of_the_cloud(ahead_s: float, words: str, monkeypatch):
    monkeypatch.setattr(doctor_network, "CONNECT_WITHIN_S", DEADLINE_S)
    with web_server(ahead_s=ahead_s) as port:
        told = about_cloud(f"ws://127.0.0.1:{port}/ocpp")
    assert "takes connections (not encrypted)" in told
    assert re.search(words, told), told


def test_a_cloud_that_is_not_there():
    assert "the name csms.invalid is not found" in about_cloud("wss://csms.invalid/ocpp")
    with nobody_at() as port:
        assert f"no connection to 127.0.0.1 port {port}" in about_cloud(f"wss://127.0.0.1:{port}/")


# --- checks that misbehave ------------------------------------------------------------------------


def test_a_check_that_hangs_and_one_with_a_bug_cost_the_others_nothing():
    never = threading.Event()

    def hangs() -> Iterator[doctor_findings.Finding]:
        never.wait()
        yield wrong("never", "never")

    def breaks() -> Iterator[doctor_findings.Finding]:
        raise RuntimeError("a bug")

    seen: list[int] = []
    found = run_all(
        [Check("slow", hangs, 0.3), Check("bug", breaks), Check("good", lambda: [wrong("good", "x")])],
        lambda done, _: seen.append(done),
    )
    never.set()
    assert [(f.level, f.about) for f in found] == [("wrong", "slow"), ("look", "bug"), ("wrong", "good")]
    assert seen[0] == 0
    assert seen[-1] == 3


# --- secrets --------------------------------------------------------------------------------------

SECRETS = {
    "token": "tok-9f8e7d6c5b4a-operator",
    "broker": 'br0ker "pass" wörd',
    "station": "st4tion+pass/word=",
    "key": "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
    "comment": "wifi-hunter2",
    "inline": "inline-s3cret",
    "card": "04A1B2C3D4E5F6",
    "login": "l0gin-pass",
}


def planted(folder: Path) -> Path:
    for name in ("token", "broker", "station"):
        (folder / f"{name}.secret").write_text(SECRETS[name] + "\n")
        (folder / f"{name}.secret").chmod(0o600)
    (folder / "x.key").write_text(
        f"-----BEGIN PRIVATE KEY-----\n{SECRETS['key']}\n-----END PRIVATE KEY-----\n"
    )
    (folder / "x.key").chmod(0o600)
    (folder / "x.crt").write_text("x")
    site = folder / "site.toml"
    site.write_text(
        SITE.replace('socket = "control.sock"', 'socket = "control.sock"\ntoken_file = "token.secret"')
        + f"# the wifi here: {SECRETS['comment']}\n"
        + f'[mqtt]  # {SECRETS["comment"]}\nbroker = "mqtt://127.0.0.1:1"\nusername = "u"\n'
        + f'password_file = "broker.secret"\n[authorization.tags]\n"{SECRETS["card"]}" = "Accepted"\n'
        + '[cloud]\nurl = "ws://127.0.0.1:1/ocpp"\n'
        + '[files]\nlisten = "127.0.0.1:0"\ntls_certificate = "x.crt"\ntls_key = "x.key"\n'
        + '[publishing]\nidentity = "gw"\npassword_file = "station.secret"\n'
    )
    return site


def spellings(secret: str) -> set[bytes]:
    raw = secret.encode()
    return {
        raw,
        quote(secret, safe="").encode(),
        base64.b64encode(raw),
        base64.b64encode(b"gw:" + raw)[6:-4],
        json.dumps(secret)[1:-1].encode(),
        raw.hex().encode(),
    }


async def test_no_planted_secret_is_in_the_bundle(house: House, tmp_path: Path, monkeypatch):
    site = planted(tmp_path)
    everything = [
        *SECRETS.values(),
        *(base64.b64encode(f"gw:{s}".encode()).decode() for s in SECRETS.values()),
    ]
    asked = ControlClient.raw

    def leaks(client: ControlClient, path: str) -> bytes:
        """Every document says every secret, as a value, as a key and in a line of text."""
        if path.startswith("/v1/firmware"):
            raise Refused(409, "no_files", f"no files: {' '.join(everything)}")
        if path.startswith(("/metrics", "/v1/frames", "/v1/log")):
            lines = (
                json.dumps({"text": s, "idTag": s}) + f"\nidTag={s} Authorization: Basic {s}"
                for s in everything
            )
            return "\n".join(lines).encode()
        document = json.loads(asked(client, path))
        return json.dumps({**document, **{s: [s, {"a": f"x {s} y"}] for s in everything}}).encode()

    monkeypatch.setattr(ControlClient, "raw", leaks)
    told = await run("--config", site, "--output", tmp_path / "o.tar.gz", code=1)
    members = unpacked(tmp_path / "o.tar.gz")
    assert "ws://127.0.0.1:1/ocpp" in members["site.toml"].decode()
    assert "password_file" in members["site.toml"].decode()
    members["what is printed"] = told.output.encode()
    for kind, secret in SECRETS.items():
        if kind in ("comment", "inline", "login"):
            assert secret.encode() not in members["site.toml"], kind
            continue
        for spelled in spellings(secret):
            for name, content in members.items():
                assert spelled not in content, (kind, spelled, name)


@pytest.mark.parametrize(
    "text",
    [
        '[cloud]\nurl = "wss://user:l0gin-pass@csms.example/ocpp"\n',
        '[mqtt]\npassword = "inline-s3cret" # inline-s3cret\n',
        "[mqtt]\npassword = '''\ninline-s3cret\n'''\n",
        '[x]\nmqtt.password = "inline-s3cret"\n',
        'api_key="inline-s3cret"\n',
        '[[list]]\n"auth token" = "inline-s3cret"\n',
        'authorization = {tags = {"inline-s3cret" = "Accepted"}}\n',
        '[authorization.tags]\n"inline-s3cret" = "Accepted"\n',
        '[authorization]\ntags."inline-s3cret" = "Accepted"\n',
        '[ authorization . "tags" ]\ninline-s3cret = "Accepted"\nbroken = \n',
        '# inline-s3cret\nbroken = "# no comment" # inline-s3cret\n]]\n',
    ],
)
def test_a_site_file_is_shown_without_what_sounds_secret(text: str):
    shown = Scrubber().site_file(text)
    assert "s3cret" not in shown
    assert "l0gin" not in shown
    assert shown.count("\n") == text.count("\n")


def test_what_is_no_secret_stays_as_it_is():
    text = 'id = "a#b"\ntoken_file = "control.token"\nunknown_tags = "refuse"\nlisten = "0.0.0.0:9000"\n'
    assert Scrubber(["abc"]).site_file(text + "# gone\n") == text + "\n"


async def test_it_needs_no_folder_of_its_own(site: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGEGW_CONFIG", str(site))
    before = sorted(os.listdir(tmp_path))
    await run(code=1)
    assert sorted(os.listdir(tmp_path)) == before
