"""The FTP door with Python's ftplib, with aioftp, and with commands as bad chargers send them."""

from __future__ import annotations

import asyncio
import contextlib
import ftplib
import io
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aioftp
import pytest

from edgegw.files.doors import DoorSettings
from edgegw.files.ftp_server import FtpServer
from edgegw.files.ftp_transfers import is_place, walked
from tests.files.doorstep import (
    DEADLINE_S,
    NAME,
    NOW,
    OTHER_TOKEN,
    TOKEN,
    Doorstep,
    Wire,
    doorstep,
)
from tests.links.house import eventually
from tests.servers.shared import claim_ports

DATA = random.Random(3).randbytes(300_001)
PATH = f"/fw/{TOKEN}/{NAME}"


class Talk:
    """A control connection, spoken by hand."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    async def read(self) -> str:
        """One answer; the last line of it when it has several."""
        while True:
            line = (await self.wire.until(b"\r\n")).decode().rstrip()
            if line[:3].isdigit() and line[3:4] == " ":
                return line

    async def say(self, command: str) -> str:
        await self.wire.send(command.encode() + b"\r\n")
        return await self.read()

    async def passive(self) -> int:
        answer = await self.say("EPSV")
        return int(answer.split("|||")[1].split("|")[0])


class FtpBox:
    def __init__(self, box: Doorstep, server: FtpServer, port: int) -> None:
        self.http = box
        self.shelf = box.shelf
        self.uploads = box.uploads
        self.keeper = box.server.keeper
        self.server = server
        self.port = port

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Talk]:
        async with Wire.to(self.port) as wire:
            talk = Talk(wire)
            assert (await talk.read()).startswith("220 ")
            assert (await talk.say("USER anonymous")).startswith("331 ")
            assert (await talk.say("PASS x@y")).startswith("230 ")
            yield talk

    async def with_ftplib(self, work: Callable[[ftplib.FTP], Any]) -> Any:
        """`work` in a thread with a session of Python's own client."""

        def run() -> Any:
            with ftplib.FTP(timeout=DEADLINE_S) as ftp:
                ftp.connect("127.0.0.1", self.port)
                ftp.login()
                return work(ftp)

        return await asyncio.to_thread(run)


@asynccontextmanager
async def ftp_box(
    tmp_path: Path,
    settings: DoorSettings | None = None,
    passive_ports: tuple[int, ...] = (),
    **limits: object,
) -> AsyncIterator[FtpBox]:
    async with doorstep(tmp_path, settings, **limits) as box:
        server = FtpServer(
            box.shelf, box.uploads, box.server.keeper, lambda: NOW, passive_ports=passive_ports
        )
        _, port = await server.start("127.0.0.1", 0)
        try:
            yield FtpBox(box, server, port)
        finally:
            await server.stop()


@pytest.fixture
def ports() -> Iterator[tuple[int, ...]]:
    """Two that nobody else gets meanwhile."""
    first, claim = claim_ports()
    with claim:
        yield (first, first + 1)


async def open_slot(box: FtpBox, order: str = "o1", charger: str = "CP-1") -> str:
    slot = await box.uploads.open_slot(order, charger, expires_at=NOW + 3600)
    return slot.token


def kept(box: FtpBox, order: str = "o1") -> bytes:
    path = box.uploads.path_of(order)
    assert path is not None
    return path.read_bytes()


def test_where_cwd_leads_nobody():
    assert all(is_place(path) for path in ((), ("fw",), ("fw", "a"), ("up", "a"), ("up", "a", "b")))
    assert not any(is_place(path) for path in (("etc",), ("fw", "a", "b"), ("up", "a", "b", "c")))


def test_a_path_is_words():
    assert walked((), "/fw/a/b") == ("fw", "a", "b")
    assert walked(("fw", "a"), "b") == ("fw", "a", "b")
    assert walked(("fw",), "../../../etc/./passwd//") == ("etc", "passwd")
    assert walked(("fw",), "/") == ()


# --- downloads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["absolute", "cwd", "step by step", "relative"])
@pytest.mark.parametrize("kind", ["I", "A"])
async def test_ftplib_gets_the_file(tmp_path: Path, how: str, kind: str):
    def work(ftp: ftplib.FTP) -> tuple[bytes, int | None]:
        steps = {
            "absolute": ([], PATH),
            "cwd": ([f"/fw/{TOKEN}"], NAME),
            "step by step": (["fw", TOKEN], NAME),
            "relative": (["fw"], f"{TOKEN}/{NAME}"),
        }
        folders, name = steps[how]
        for folder in folders:
            ftp.cwd(folder)
        got = io.BytesIO()
        ftp.voidcmd(f"TYPE {kind}")
        with ftp.transfercmd(f"RETR {name}") as data:
            while block := data.recv(8192):
                got.write(block)
        ftp.voidresp()
        return got.getvalue(), ftp.size(name)

    async with ftp_box(tmp_path) as box:
        box.shelf.put(DATA)
        assert await box.with_ftplib(work) == (DATA, len(DATA))
        (transfer,) = box.keeper.transfers
        assert (transfer.protocol, transfer.state, transfer.bytes_moved) == ("ftp", "done", len(DATA))
        assert (transfer.peer_ip, transfer.charger) == ("127.0.0.1", "CP-1")


async def test_rest_size_and_mdtm_serve_a_resumed_download(tmp_path: Path):
    def work(ftp: ftplib.FTP) -> tuple[bytes, str, str]:
        got = io.BytesIO()
        ftp.retrbinary(f"RETR {PATH}", got.write, rest=100_000)
        ftp.retrbinary(f"RETR {PATH}", got.write, rest=len(DATA))
        return got.getvalue(), ftp.sendcmd(f"SIZE {PATH}"), ftp.sendcmd(f"MDTM {PATH}")

    async with ftp_box(tmp_path) as box:
        box.shelf.put(DATA)
        got, size, modified = await box.with_ftplib(work)
        assert got == DATA[100_000:]
        assert size == f"213 {len(DATA)}"
        assert len(modified) == len("213 20260101000000")


async def test_rest_behind_the_end_is_refused_and_is_forgotten_afterwards(tmp_path: Path):
    async with ftp_box(tmp_path) as box, box.session() as talk:
        box.shelf.put(b"short")
        port = await talk.passive()
        await talk.say("REST 6")
        assert (await talk.say(f"RETR {PATH}")).startswith("554 ")
        async with Wire.to(port) as data:
            assert (await talk.say(f"RETR {PATH}")).startswith("150 ")
            assert await data.rest() == b"short"
        assert (await talk.read()).startswith("226 ")
        assert (await talk.say("REST -1")).startswith("501 ")


@pytest.mark.parametrize("passive", ["epsv", "pasv"])
async def test_aioftp_gets_and_puts_a_file(tmp_path: Path, passive: str):
    async with ftp_box(tmp_path) as box:
        box.shelf.put(DATA)
        token = await open_slot(box)
        client = aioftp.Client(passive_commands=(passive,), socket_timeout=DEADLINE_S)
        await client.connect("127.0.0.1", box.port)
        await client.login("ops", "any")
        async with client.get_stream(f"RETR {PATH}", "1xx") as stream:
            assert await stream.read() == DATA
        async with client.get_stream(f"STOR /up/{token}/log.zip", "1xx") as stream:
            await stream.write(DATA)
        await client.quit()
        assert kept(box) == DATA


async def test_a_second_transfer_in_one_session_works(tmp_path: Path):
    def work(ftp: ftplib.FTP) -> list[int]:
        sizes = []
        for _ in range(3):
            got = io.BytesIO()
            ftp.retrbinary(f"RETR {PATH}", got.write)
            sizes.append(len(got.getvalue()))
        return sizes

    async with ftp_box(tmp_path) as box:
        box.shelf.put(DATA)
        assert await box.with_ftplib(work) == [len(DATA)] * 3


# --- uploads --------------------------------------------------------------------------------------


async def test_ftplib_stores_a_file(tmp_path: Path):
    async with ftp_box(tmp_path) as box:
        token = await open_slot(box)

        def work(ftp: ftplib.FTP) -> str:
            ftp.cwd("up")
            with pytest.raises(ftplib.error_perm, match="550"):
                ftp.mkd(token)  # some clients make the folder first
            ftp.cwd(token)
            return ftp.storbinary("STOR CP-1_diag.zip", io.BytesIO(DATA))

        assert (await box.with_ftplib(work)).startswith("226 ")
        slot = box.uploads.slots["o1"]
        assert kept(box) == DATA
        assert (slot.state, slot.method, slot.sent_name) == ("received", "FTP", "CP-1_diag.zip")
        (transfer,) = box.keeper.transfers
        assert (transfer.direction, transfer.state, transfer.bytes_moved) == ("up", "done", len(DATA))


@pytest.mark.parametrize("steps", [["up", "{token}", "diagnostics"], ["/up/{token}/diagnostics"]])
async def test_the_last_name_of_a_link_may_be_taken_for_a_folder(tmp_path: Path, steps: list[str]):
    """As curl (one CWD per folder) and ftplib (one for all) do it. OCPP 1.6: "the location (directory)"."""
    async with ftp_box(tmp_path) as box:
        token = await open_slot(box)

        def work(ftp: ftplib.FTP) -> str:
            for step in steps:
                ftp.cwd(step.format(token=token))
            return ftp.storbinary("STOR CP-1_diag.zip", io.BytesIO(DATA))

        assert (await box.with_ftplib(work)).startswith("226 ")
        assert kept(box) == DATA
        assert box.uploads.slots["o1"].sent_name == "CP-1_diag.zip"


@pytest.mark.parametrize(
    ("name", "shown"), [("..", ""), ("CON", "_CON"), ("x" * 1500, "x" * 200), ("a\\b", "b"), ("", "")]
)
async def test_a_name_is_no_path(tmp_path: Path, name: str, shown: str):
    """Fault 81. `..` leads to /up, and what is stored there opens nothing."""
    async with ftp_box(tmp_path) as box, box.session() as talk:
        token = await open_slot(box)
        port = await talk.passive()
        if name == "..":
            assert await talk.say(f"STOR /up/{token}/{name}") == "550 not found"
            return
        async with Wire.to(port) as data:
            assert (await talk.say(f"STOR /up/{token}/{name}")).startswith("150 ")
            await data.send(b"data")
        assert (await talk.read()).startswith("226 ")
        slot = box.uploads.slots["o1"]
        assert slot.sent_name == shown
        assert [path.name for path in box.uploads.folder.iterdir()] == [slot.path_name]


@pytest.mark.parametrize(
    ("limits", "code"),
    [({"file_bytes_max": 100_000}, "552"), ({"charger_quota_bytes": 100_000}, "552")],
)
async def test_an_upload_without_end_is_stopped(tmp_path: Path, limits: dict[str, int], code: str):
    """Fault 81."""
    async with ftp_box(tmp_path, **limits) as box, box.session() as talk:
        token = await open_slot(box)
        port = await talk.passive()
        async with Wire.to(port) as data:
            assert (await talk.say(f"STOR /up/{token}/a")).startswith("150 ")
            answer = asyncio.create_task(talk.read())
            with contextlib.suppress(ConnectionError):
                while not answer.done():
                    await data.send(bytes(65_536))
        assert (await answer).startswith(code)
        await eventually(lambda: list(box.uploads.folder.iterdir()) == [])
        assert box.keeper.transfers[0].state in ("cut", "refused")


@pytest.mark.parametrize("how", ["control", "data", "both"])
async def test_a_cut_upload_leaves_nothing_and_is_repeated(tmp_path: Path, how: str):
    async with ftp_box(tmp_path) as box:
        token = await open_slot(box)
        async with box.session() as talk:
            port = await talk.passive()
            async with Wire.to(port) as data:
                assert (await talk.say(f"STOR /up/{token}/a")).startswith("150 ")
                await data.send(bytes(100_000))
                await eventually(lambda: box.keeper.transfers[0].bytes_moved > 0)
                if how == "control":
                    talk.wire.writer.transport.abort()
                elif how == "data":
                    reset(data)
                    assert (await talk.read()).startswith("426 ")
        await eventually(lambda: box.keeper.transfers[0].state == "cut")
        await eventually(lambda: not list(box.uploads.folder.iterdir()))
        await box.with_ftplib(lambda ftp: ftp.storbinary(f"STOR /up/{token}/a", io.BytesIO(DATA)))
        assert kept(box) == DATA


def reset(wire: Wire) -> None:
    """As a crash ends a connection: RST, no FIN."""
    sock = wire.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.writer.transport.abort()


async def test_an_upload_never_begins_in_the_middle(tmp_path: Path):
    async with ftp_box(tmp_path) as box, box.session() as talk:
        token = await open_slot(box)
        await talk.passive()
        await talk.say("REST 100")
        assert (await talk.say(f"STOR /up/{token}/a")).startswith("554 ")
        assert (await talk.say(f"APPE /up/{token}/a")).startswith("550 ")


async def test_what_is_on_its_way_is_not_replaced(tmp_path: Path):
    async with ftp_box(tmp_path) as box, box.session() as talk:
        token = await open_slot(box)
        await box.with_ftplib(lambda ftp: ftp.storbinary(f"STOR /up/{token}/a", io.BytesIO(b"first")))
        await box.uploads.hand_over("o1")
        await talk.passive()
        assert (await talk.say(f"STOR /up/{token}/a")).startswith("553 ")
        assert kept(box) == b"first"


# --- what opens nothing (fault 80) ----------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/fw/unknown/x",
        "/",
        "",
        "/fw",
        f"/fw/{TOKEN}",
        f"/fw/{TOKEN}/other.bin",
        f"/fw/{TOKEN}/{NAME}/x",
        "/fw/../../db",
        "/etc/passwd",
        "../../../etc/passwd",
        f"/fw/{TOKEN}/%2e%2e%2f{NAME}",
        f"/fw/{OTHER_TOKEN}/{NAME}",
        f"/fw/{TOKEN.lower()}/{NAME}",
        f"/up/{TOKEN}/{NAME}",
        f"//{TOKEN}//{NAME}",
    ],
)
async def test_what_opens_nothing_gets_the_same_answer_whatever_is_wrong(tmp_path: Path, path: str):
    """Fault 80."""
    async with ftp_box(tmp_path) as box, box.session() as talk:
        box.shelf.put(DATA)
        box.shelf.put(DATA[:10], token=OTHER_TOKEN, name="other.bin", charger="CP-2")
        await talk.passive()
        for command in ("RETR", "SIZE", "MDTM", "STOR"):
            assert await talk.say(f"{command} {path}") == "550 not found"
        assert box.shelf.opened == 0


async def test_expired_tokens_tampered_files_and_links_are_unknown_too(tmp_path: Path):
    """Faults 80 and 83."""
    async with ftp_box(tmp_path) as box, box.session() as talk:
        grant = box.shelf.put(DATA)
        await talk.passive()
        box.shelf.now = NOW + 3600
        assert await talk.say(f"RETR {PATH}") == "550 not found"
        box.shelf.now = NOW
        assert (await talk.say(f"SIZE {PATH}")).startswith("213 ")
        box.shelf.paths[grant.sha256].write_bytes(b"evil")
        assert await talk.say(f"RETR {PATH}") == "550 not found"
        box.shelf.paths[grant.sha256].unlink()
        (tmp_path / "copy").write_bytes(DATA)
        box.shelf.paths[grant.sha256].symlink_to(tmp_path / "copy")
        assert await talk.say(f"RETR {PATH}") == "550 not found"


async def test_a_folder_of_nobody_can_be_entered_like_any_other(tmp_path: Path):
    """Fault 80: CWD tells nothing about tokens."""
    async with ftp_box(tmp_path) as box, box.session() as talk:
        box.shelf.put(DATA)
        for folder in (f"/fw/{TOKEN}", "/fw/nobody", "/up/nobody", "/"):
            assert await talk.say(f"CWD {folder}") == "250 ok"
            assert await talk.say("PWD") == f'257 "{folder}"'
        for folder in ("/etc", PATH, "/fw/a/b/c", "x"):
            assert await talk.say(f"CWD {folder}") == "550 not found"
        assert await talk.say("CWD /fw/a") == "250 ok"
        assert await talk.say("CDUP") == "250 ok"
        assert await talk.say("PWD") == '257 "/fw"'


async def test_nothing_is_listed_deleted_renamed_or_made(tmp_path: Path):
    async with ftp_box(tmp_path) as box, box.session() as talk:
        box.shelf.put(DATA)
        token = await open_slot(box)
        await talk.passive()
        commands = ["LIST", "NLST", "MLSD", "MLST", "STAT", "DELE", "RNFR", "RNTO", "MKD", "RMD", "APPE"]
        for command in commands:
            answers = {await talk.say(f"{command} {path}") for path in (PATH, f"/up/{token}", "/", "/none")}
            assert answers == {"550 not done here"}
        assert (await talk.say("SITE CHMOD 777 /")).startswith("502 ")
        assert (await talk.say("PORT 127,0,0,1,0,80")).startswith("502 ")  # FTP bounce
        assert (await talk.say("EPRT |1|127.0.0.1|80|")).startswith("502 ")


async def test_nothing_goes_before_the_login(tmp_path: Path):
    async with ftp_box(tmp_path) as box, Wire.to(box.port) as wire:
        box.shelf.put(DATA)
        talk = Talk(wire)
        await talk.read()
        for command in ("EPSV", "PASV", f"RETR {PATH}", f"SIZE {PATH}", "CWD /fw", "LIST", "PWD"):
            assert (await talk.say(command)).startswith(("530 ", "503 "))


async def test_small_talk(tmp_path: Path):
    async with ftp_box(tmp_path) as box, box.session() as talk:
        for command, code in {
            "SYST": "215",
            "FEAT": "211",
            "NOOP": "200",
            "OPTS UTF8 ON": "200",
            "TYPE i": "200",
            "TYPE L 8": "200",
            "TYPE E": "504",
            "MODE S": "200",
            "MODE B": "504",
            "STRU F": "200",
            "ALLO 100": "200",
            "EPSV ALL": "200",
            "EPSV 1": "229",
            "PASV": "227",
            "ABOR": "226",
            "XPWD": "257",
            "": "502",
            "   ": "502",
            "RETR \x01": "502",
            "QUIT": "221",
        }.items():
            assert (await talk.say(command)).startswith(code), command
        assert await talk.wire.rest() == b""


@pytest.mark.parametrize("line", [b"RETR " + b"x" * 5000 + b"\r\n", b"x" * 200_000])
async def test_a_line_without_end_ends_the_session(tmp_path: Path, line: bytes):
    async with ftp_box(tmp_path) as box, box.session() as talk:
        with pytest.raises((ConnectionError, AssertionError)):  # noqa: PT012
            await talk.wire.send(line)
            assert await talk.wire.rest()


async def test_a_digit_that_is_no_number_is_an_error_in_the_command(tmp_path: Path):
    async with ftp_box(tmp_path) as box, box.session() as talk:
        assert (await talk.say("REST \u00b2")).startswith("501 ")
        assert (await talk.say("REST 2")).startswith("350 ")


async def test_a_storm_of_pasv_takes_one_port(tmp_path: Path, ports: tuple[int, ...]):
    """All at once, without waiting for an answer; whoever comes next still finds a port."""
    async with ftp_box(tmp_path, passive_ports=ports) as box, box.session() as talk:
        await talk.wire.send(b"PASV\r\n" * 30 + b"NOOP\r\n")
        answers = [await talk.read() for _ in range(31)]
        assert {answer[:3] for answer in answers[:-1]} == {"227"}
        async with box.session() as other:
            assert await other.passive() in ports


async def test_answers_come_in_the_order_of_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever sends ahead would take the answer to another command for his port."""
    async with ftp_box(tmp_path) as box, box.session() as talk:
        opens = box.server._door._port

        async def opens_slowly(*arguments: Any) -> Any:
            await asyncio.sleep(0.05)
            return await opens(*arguments)

        monkeypatch.setattr(box.server._door, "_port", opens_slowly)
        await talk.wire.send(b"PASV\r\nNOOP\r\nPWD\r\nQUIT\r\n")
        assert [(await talk.read())[:3] for _ in range(4)] == ["227", "200", "257", "221"]


async def test_good_byes_that_are_sent_ahead_wait_as_one(tmp_path: Path):
    """Each would be a task for as long as the transfer takes, and every further command cost more."""
    async with ftp_box(tmp_path, DoorSettings(idle_timeout_s=600)) as box, box.session() as talk:
        box.shelf.put(DATA)
        await talk.passive()
        assert (await talk.say(f"RETR {PATH}")).startswith("150 ")  # and nobody comes for it
        before = len(asyncio.all_tasks())
        await talk.wire.send(b"QUIT\r\n" * 300 + b"NOOP\r\n")
        assert (await talk.read()).startswith("200 ")
        assert len(asyncio.all_tasks()) < before + 10
        await talk.wire.send(b"ABOR\r\n")
        assert [(await talk.read())[:3] for _ in range(3)] == ["426", "226", "221"]
        assert await talk.wire.rest() == b""


async def test_transfers_that_are_asked_for_ahead_are_few(tmp_path: Path):
    """While all seats are taken each would wait as a task, also without a token."""
    settings = DoorSettings(downloads_max=1, queue_s=600, idle_timeout_s=600)
    async with ftp_box(tmp_path, settings) as box, box.session() as sits, box.session() as talk:
        box.shelf.put(DATA)
        await sits.passive()
        assert (await sits.say(f"RETR {PATH}")).startswith("150 ")
        before = len(asyncio.all_tasks())
        for _ in range(20):  # and it reads what it is told
            await talk.wire.send(b"RETR /fw/x/y\r\n" * 10 + b"NOOP\r\n")
            while not (answer := await talk.read()).startswith("200 "):
                assert answer.startswith("450 ")
        assert len(asyncio.all_tasks()) < before + 20


async def test_rest_is_kept_while_the_transfer_waits_for_its_seat(tmp_path: Path):
    settings = DoorSettings(downloads_max=1, queue_s=600, idle_timeout_s=600)
    async with ftp_box(tmp_path, settings) as box, box.session() as sits, box.session() as talk:
        box.shelf.put(DATA)
        box.shelf.put(DATA, token=OTHER_TOKEN, charger="CP-2")
        await sits.passive()
        assert (await sits.say(f"RETR {PATH}")).startswith("150 ")
        async with Wire.to(await talk.passive()) as data:
            assert (await talk.say("REST 1000")).startswith("350 ")
            await talk.wire.send(f"RETR /fw/{OTHER_TOKEN}/{NAME}\r\nNOOP\r\n".encode())
            assert (await talk.read()).startswith("200 ")
            await sits.wire.send(b"ABOR\r\n")
            assert (await talk.read()).startswith("150 ")
            assert await data.rest() == DATA[1000:]
        assert (await talk.read()).startswith("226 ")


async def test_a_session_that_ends_while_its_port_opens_gives_it_back(tmp_path: Path, ports: tuple[int, ...]):
    async with ftp_box(tmp_path, passive_ports=ports) as box:
        for _ in range(10):
            async with box.session() as talk:
                await talk.wire.send(b"PASV\r\nQUIT\r\n")
            await eventually(lambda: not box.server._door.connections)
        async with box.session() as one, box.session() as two:
            assert {await one.passive(), await two.passive()} == set(ports)


async def test_who_asks_and_never_reads_is_sent_away(tmp_path: Path):
    """The answers kept for one session are bounded, whatever it sends ahead."""
    async with ftp_box(tmp_path) as box:
        with socket.socket() as narrow:  # a small window, or the kernel takes megabytes of answers first
            narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            narrow.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(narrow, ("127.0.0.1", box.port))
            with pytest.raises(ConnectionError):  # noqa: PT012
                async with asyncio.timeout(DEADLINE_S):
                    while True:
                        await loop.sock_sendall(
                            narrow, (b"X" * 2000 + b"\r\n") * 20
                        )  # the answer says it again
        await eventually(lambda: not box.server._door.connections)
        async with box.session() as other:
            assert await other.passive()


# --- connections ----------------------------------------------------------------------------------


async def test_a_data_connection_comes_from_the_peer_of_the_session(tmp_path: Path):
    """Somebody else on the site's network cannot take or feed a charger's transfer."""
    async with ftp_box(tmp_path) as box, box.session() as talk:
        box.shelf.put(DATA)
        port = await talk.passive()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
        with pytest.raises((ConnectionError, AssertionError)):
            assert await reader.read()
        writer.close()
        async with Wire.to(port) as data:
            assert (await talk.say(f"RETR {PATH}")).startswith("150 ")
            assert await data.rest() == DATA


async def test_passive_ports_are_those_of_the_range_and_sessions_no_more_than_ports(
    tmp_path: Path, ports: tuple[int, ...]
):
    async with ftp_box(tmp_path, passive_ports=ports) as box:
        async with box.session() as one, box.session() as two:
            assert {await one.passive(), await two.passive()} == set(ports)
            async with Wire.to(box.port) as third:
                assert (await third.rest()).startswith(b"421 ")
        await eventually(lambda: not box.server._door.connections)
        async with box.session() as again:
            assert await again.passive() in ports


async def test_sessions_are_counted_and_silent_ones_end(tmp_path: Path):
    async with ftp_box(tmp_path, DoorSettings(ftp_connections_max=1)) as box:
        async with box.session(), Wire.to(box.port) as second:
            assert (await second.rest()).startswith(b"421 ")
        await eventually(lambda: not box.server._door.connections)
        patient, box.server._door.idle_timeout = box.server._door.idle_timeout, 0.1
        async with Wire.to(box.port) as silent:
            assert (await silent.rest()).startswith(b"220 ")
        await eventually(lambda: not box.server._door.connections)
        box.server._door.idle_timeout = patient
        async with box.session() as talk:
            assert (await talk.say("NOOP")).startswith("200 ")


async def test_silence_on_the_control_connection_does_not_end_a_long_transfer(tmp_path: Path):
    async with ftp_box(tmp_path, DoorSettings(rate_bytes_per_s=600_000)) as box, box.session() as talk:
        box.shelf.put(DATA)
        port = await talk.passive()
        [session] = box.server._door.connections
        session.read_timeout = 0.1  # from the command after the next on
        async with Wire.to(port) as data:
            assert (await talk.say(f"RETR {PATH}")).startswith("150 ")
            assert await data.rest() == DATA
        assert (await talk.read()).startswith("226 ")


async def test_without_a_data_connection_there_is_no_transfer(tmp_path: Path):
    async with ftp_box(tmp_path, DoorSettings(idle_timeout_s=0.2)) as box, box.session() as talk:
        box.shelf.put(DATA)
        assert (await talk.say(f"RETR {PATH}")).startswith("426 ")
        await talk.passive()
        assert (await talk.say(f"RETR {PATH}")).startswith("150 ")
        assert (await talk.read()).startswith("426 ")
        await eventually(lambda: not box.keeper._seats["down"].locked())


async def test_abor_ends_a_transfer_and_not_the_session(tmp_path: Path):
    async with ftp_box(tmp_path) as box, box.session() as talk:
        box.shelf.put(bytes(20_000_000))
        port = await talk.passive()
        async with Wire.to(port) as data:
            assert (await talk.say(f"RETR {PATH}")).startswith("150 ")
            await eventually(lambda: box.keeper.transfers[0].bytes_moved > 0)
            data.writer.transport.pause_reading()
            assert (await talk.say("ABOR")).startswith("426 ")
            assert (await talk.read()).startswith("226 ")
        await eventually(lambda: box.keeper.transfers[0].state == "cut")
        assert (await talk.say("NOOP")).startswith("200 ")


async def test_quit_lets_a_transfer_finish(tmp_path: Path):
    """RFC 959; a charger that says QUIT right behind its file has not cut it."""
    async with ftp_box(tmp_path) as box, box.session() as talk:
        token = await open_slot(box)
        port = await talk.passive()
        async with Wire.to(port) as data:
            assert (await talk.say(f"STOR /up/{token}/a")).startswith("150 ")
            await data.send(DATA)
            await talk.wire.send(b"QUIT\r\n")
        assert (await talk.read()).startswith("226 ")
        assert (await talk.read()).startswith("221 ")
        assert kept(box) == DATA


async def test_the_seats_are_those_of_the_http_door_too(tmp_path: Path):
    """Fault 79: bounded over both doors together."""
    async with ftp_box(tmp_path, DoorSettings(downloads_max=1, queue_s=0.0)) as box, box.session() as talk:
        box.shelf.put(bytes(20_000_000))
        port = await talk.passive()
        async with Wire.to(port) as data:
            assert (await talk.say(f"RETR {PATH}")).startswith("150 ")
            data.writer.transport.pause_reading()
            assert (await box.http.get(PATH))[0].split()[1] == "503"
            async with box.session() as other:
                answers = {await other.say(f"RETR {path}") for path in (PATH, "/fw/x/y")}
                assert answers == {"450 busy, try again later"}
                assert box.keeper.troubled("o-CP-1")


async def test_stop_cuts_what_is_running(tmp_path: Path):
    async with ftp_box(tmp_path) as box, box.session() as talk:
        box.shelf.put(bytes(20_000_000))
        port = await talk.passive()
        async with Wire.to(port) as data:
            assert (await talk.say(f"RETR {PATH}")).startswith("150 ")
            data.writer.transport.pause_reading()
            await box.server.stop()
        assert box.keeper.transfers[0].state == "cut"
