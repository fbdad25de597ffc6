"""Received files on their way to the cloud's address: real servers of every kind, and bad ones."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aioftp
import asyncssh
import pytest
from aiohttp import web

from edgegw.files.addresses import AddressGuard
from edgegw.files.forwarding import ATTEMPTS_MIN, Forwarder, ForwardSettings, backoff_s
from edgegw.files.links import upload_name
from edgegw.files.parcel import Parcel
from edgegw.files.throttle import Throttle, loop_time
from edgegw.files.upload_index import UploadSlot
from edgegw.files.uploads import UploadStore
from tests.files.doorstep import DEADLINE_S, NOW, open_uploads
from tests.files.keys import server_context
from tests.links.house import eventually

DATA = random.Random(4).randbytes(300_001)
LOOPBACK = ("127.0.0.0/8",)
Answer = Callable[[web.BaseRequest, bytes], Awaitable[web.StreamResponse] | web.StreamResponse]


@dataclass
class Office:
    """The box's side: a store with one received file, and a forwarder to be told of."""

    store: UploadStore
    settings: ForwardSettings = field(default_factory=ForwardSettings)
    inward: tuple[str, ...] = LOOPBACK
    now: float = NOW
    told: list[tuple[str, bool, str]] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)
    patient: bool = False  # waits for `wake` after a failure instead of trying again at once
    options: dict[str, object] = field(default_factory=dict)
    forwarder: Forwarder | None = None

    def begin(self) -> Forwarder:
        self.forwarder = Forwarder(
            self.store,
            AddressGuard(self.inward),
            self.settings,
            lambda slot, ok, why: self.told.append((slot.order, ok, why)),
            wait_s=self.wait_s,
            **self.options,
        )
        self.forwarder.start()
        return self.forwarder

    def wait_s(self, attempts: int) -> float:
        self.waits.append(attempts)
        return 3600.0 if self.patient else 0.0

    async def receive(self, url: str, order: str = "o1", data: bytes = DATA, **about: str) -> UploadSlot:
        slot = await self.store.open_slot(
            order, "CP-1", expires_at=NOW + 3600, remote_url=url, remote_shown="shown"
        )
        reception = await self.store.receive(slot.token)
        try:
            await reception.write(data)
            return await reception.finish(**{"method": "PUT", "sent_name": "diag 1.zip", **about})
        finally:
            await reception.abort()

    async def send(self, url: str, order: str = "o1", data: bytes = DATA, **about: str) -> tuple[bool, str]:
        """Receive, hand over, and wait until we are told."""
        await self.receive(url, order, data, **about)
        await self.store.hand_over(order)
        (self.forwarder or self.begin()).wake()
        await eventually(lambda: any(entry[0] == order for entry in self.told))
        return next(entry[1:] for entry in self.told if entry[0] == order)

    async def stop(self) -> None:
        if self.forwarder is not None:
            await self.forwarder.stop()
            self.forwarder = None


@asynccontextmanager
async def office(tmp_path: Path, **about: object) -> AsyncIterator[Office]:
    wall: list[Office] = []
    store = await open_uploads(tmp_path / "uploads", wall=lambda: wall[0].now if wall else NOW)
    box = Office(store, **about)
    wall.append(box)
    try:
        yield box
    finally:
        await box.stop()
        await box.store.close()


class WebTarget:
    """A web server of the cloud: remembers what it was sent, answers as told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[int] = []  # status of the next answers; 200 afterwards
        self.onward: dict[str, str] = {}  # path -> where it redirects to
        self.port = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[WebTarget]:
        target = cls()
        runner = web.ServerRunner(web.Server(target._answer, auto_decompress=False), handle_signals=False)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        target.port = runner.addresses[0][1]
        try:
            yield target
        finally:
            await runner.cleanup()

    def url(self, path: str, scheme: str = "http", user: str = "") -> str:
        return f"{scheme}://{user}127.0.0.1:{self.port}{path}"

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        self.requests.append((request.method, request.raw_path, dict(request.headers), body))
        if request.raw_path in self.onward:
            return web.Response(status=307, headers={"Location": self.onward[request.raw_path]})
        return web.Response(status=self.answers.pop(0) if self.answers else 200)


# --- http -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "POST", "FTP"])
async def test_a_raw_body_goes_on_as_the_charger_sent_it(tmp_path: Path, method: str):
    async with office(tmp_path) as box, WebTarget.open() as target:
        url = target.url("/in/log.zip?sig=a%2Fb", user="ops:ge%40heim@")
        assert await box.send(url, method=method, content_type="application/zip") == (True, "")
        (request,) = target.requests
        sent_method, path, headers, body = request
        assert sent_method == ("POST" if method == "POST" else "PUT")
        assert path == "/in/log.zip?sig=a%2Fb"
        assert body == DATA
        assert headers["Content-Type"] == "application/zip"
        assert headers["Content-Length"] == str(len(DATA))
        assert headers["Authorization"] == "Basic b3BzOmdlQGhlaW0="
        assert "Transfer-Encoding" not in headers
        slot = box.store.slots["o1"]
        assert (slot.state, slot.told, slot.attempts) == ("forwarded", True, 1)
        assert box.store.path_of("o1") is not None  # for the technician


async def test_an_address_that_ends_with_a_slash_gets_the_chargers_own_name(tmp_path: Path):
    async with office(tmp_path) as box, WebTarget.open() as target:
        await box.send(target.url("/in/?x=1"), "o1")
        await box.send(target.url("/in/"), "o2", sent_name="")
        await box.receive(target.url("/in/"), "o3", sent_name="")
        await box.store.update("o3", asked_name="../named.log")
        await box.store.hand_over("o3")
        box.forwarder.wake()
        await eventually(lambda: len(box.told) == 3)
        paths = [path for _, path, _, _ in target.requests]
        assert paths == ["/in/diag%201.zip?x=1", "/in/diagnostics-CP-1.bin", "/in/named.log"]


async def test_a_name_of_our_link_is_no_name_of_the_chargers(tmp_path: Path):
    """OCPP 1.6 5.8: the location is a directory, also without a slash; the cloud was told another name."""
    async with office(tmp_path) as box, ftp_target(tmp_path / "ftp") as port:
        url = f"ftp://ops:geheim@127.0.0.1:{port}/in"
        link = upload_name(url)
        await box.receive(url, "o1", sent_name=link)
        await box.store.update("o1", asked_name="CP-1.zip")
        await box.store.hand_over("o1")
        await box.send(url, "o2", sent_name=link)
        await box.send(url, "o3", sent_name="own.zip")
        await eventually(lambda: len(box.told) == 3)
        assert all(ok for _, ok, _ in box.told)
        arrived = {path.name for path in (tmp_path / "ftp" / "in").iterdir()}
        assert arrived == {"CP-1.zip", "diagnostics-CP-1.bin", "own.zip"}


async def test_a_content_disposition_goes_on_as_it_was_sent(tmp_path: Path):
    """OCPP 2.0.1 N01.FR.19."""
    async with office(tmp_path) as box, WebTarget.open() as target:
        said = 'form-data; name="uploadfile"; filename="logfile_20210420.zip"'
        await box.send(target.url("/in/"), "o1", method="POST", disposition=said, sent_name="log.zip")
        await box.send(target.url("/in/"), "o2", method="POST", disposition="form-data\r\nX: y")
        (_, path, headers, body), (*_, odd, _) = target.requests
        assert (path, headers["Content-Disposition"], body) == ("/in/log.zip", said, DATA)
        assert "X" not in odd
        assert "Content-Disposition" not in odd


async def test_a_form_is_made_again_with_its_field_and_name(tmp_path: Path):
    async with office(tmp_path) as box, WebTarget.open() as target:
        about = {"method": "POST", "field": 'lo"g\r\nX: y', "content_type": "application/gzip"}
        assert await box.send(target.url("/form"), sent_name="CP-1.tgz", **about) == (True, "")
        ((method, path, headers, body),) = target.requests
        assert (method, path) == ("POST", "/form")
        boundary = headers["Content-Type"].removeprefix("multipart/form-data; boundary=").encode()
        head, _, rest = body.partition(b"\r\n\r\n")
        assert head == (
            b"--" + boundary + b'\r\nContent-Disposition: form-data; name="lo%22gX: y"; '
            b'filename="CP-1.tgz"\r\nContent-Type: application/gzip'
        )
        assert rest == DATA + b"\r\n--" + boundary + b"--\r\n"
        assert headers["Content-Length"] == str(len(body))


async def test_gzip_goes_on_as_gzip_and_odd_headers_do_not(tmp_path: Path):
    async with office(tmp_path) as box, WebTarget.open() as target:
        await box.send(target.url("/a"), content_encoding="gzip", content_type="text/\x07plain")
        ((_, _, headers, body),) = target.requests
        assert (headers["Content-Encoding"], body) == ("gzip", DATA)
        assert headers["Content-Type"] == "application/octet-stream"


async def test_https_is_checked_against_the_authorities_of_the_configuration(tmp_path: Path):
    context, ca = server_context(tmp_path)
    async with WebTarget.open(context) as target:
        async with office(tmp_path, settings=ForwardSettings(ca_file=ca)) as box:
            assert await box.send(target.url("/a", "https")) == (True, "")
        async with office(tmp_path) as box:
            ok, why = await box.send(target.url("/a", "https"), "o2")
            assert not ok
            assert "certificate" in why
        async with office(tmp_path, settings=ForwardSettings(ca_file=tmp_path / "none")) as box:
            ok, why = await box.send(target.url("/a", "https"), "o3")
            assert not ok
            assert "cannot be read" in why
        assert len(target.requests) == 1


async def test_an_empty_file_goes_on_too(tmp_path: Path):
    async with office(tmp_path) as box, WebTarget.open() as target:
        assert await box.send(target.url("/a"), data=b"") == (True, "")
        assert target.requests[0][3] == b""


# --- redirects and addresses (faults 75, 82) ------------------------------------------------------


async def test_a_redirect_on_the_same_server_is_followed(tmp_path: Path):
    async with office(tmp_path) as box, WebTarget.open() as target:
        target.onward = {"/a": "/b/", "/b/": target.url("/c")}
        assert await box.send(target.url("/a", user="u:p@")) == (True, "")
        assert [path for _, path, _, _ in target.requests] == ["/a", "/b/", "/c"]
        assert target.requests[-1][3] == DATA
        assert "Authorization" in target.requests[-1][2]


@pytest.mark.parametrize("where", ["other port", "http://169.254.169.254/", "file:///etc/passwd", "circle"])
async def test_a_redirect_to_anybody_else_is_not_followed(tmp_path: Path, where: str):
    """Fault 82: the charger's diagnostics go to nobody whom the cloud has not named."""
    async with office(tmp_path) as box, WebTarget.open() as target, WebTarget.open() as other:
        onward = {"other port": other.url("/x"), "circle": "/a"}.get(where, where)
        target.onward = {"/a": onward}
        ok, why = await box.send(target.url("/a"))
        assert not ok
        assert "redirects" in why
        assert other.requests == []
        assert box.store.slots["o1"].attempts == box.settings.refusals_max


@pytest.mark.parametrize("url", ["gopher://127.0.0.1/x", "file:///etc/passwd", "http://127.0.0.1:0/x", ""])
async def test_an_address_that_is_none_is_not_tried_twice(tmp_path: Path, url: str):
    async with office(tmp_path) as box:
        if not url:
            return
        ok, why = await box.send(url)
        assert not ok
        assert why
        assert box.store.slots["o1"].attempts == 1


async def test_a_host_that_is_not_on_the_sites_list_gets_nothing(tmp_path: Path):
    """Fault 82: a compromised cloud names its own host."""
    options = {"allowed": lambda host: host == "logs.example.com"}
    async with office(tmp_path, options=options) as box, WebTarget.open() as target:
        ok, why = await box.send(target.url("/a"))
        assert not ok
        assert "127.0.0.1" in why
        assert target.requests == []
        assert box.store.slots["o1"].attempts == 1


@pytest.mark.parametrize("scheme", ["http", "ftp", "sftp"])
async def test_an_address_that_leads_inward_is_never_connected_to(tmp_path: Path, scheme: str):
    """Faults 75 and 82: what the name leads to is checked, not the name."""
    async with office(tmp_path, inward=()) as box, WebTarget.open() as target:
        box.options = {"lookup": lambda host: ["127.0.0.1"]}
        ok, why = await box.send(f"{scheme}://logs.example.com:{target.port}/a")
        assert not ok
        assert "not on the internet" in why
        assert target.requests == []


async def test_the_address_that_was_checked_is_the_one_connected_to(tmp_path: Path):
    """Fault 75: a name that answers differently the second time is not asked a second time."""
    answers = [["127.0.0.1"], ["10.0.0.1"]]
    asked = []

    def lookup(host: str) -> list[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    async with office(tmp_path, options={"lookup": lookup}) as box, WebTarget.open() as target:
        assert await box.send(f"http://logs.example.com:{target.port}/a") == (True, "")
        assert asked == ["logs.example.com"]
        assert target.requests[0][2]["Host"] == f"logs.example.com:{target.port}"


# --- failures, restarts ---------------------------------------------------------------------------


def test_waits_double_up_to_ten_minutes():
    settings = ForwardSettings()
    waits = [backoff_s(settings, attempts) for attempts in range(1, 10)]
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert backoff_s(settings, 10_000) == 600


async def test_what_may_pass_is_tried_again_and_what_is_a_clear_no_a_few_times(tmp_path: Path):
    async with office(tmp_path) as box, WebTarget.open() as target:
        target.answers = [503, 500, 429, 408, 403]
        assert await box.send(target.url("/a")) == (True, "")
        assert box.waits == [1, 2, 3, 4, 5]
        assert all(body == DATA for *_, body in target.requests)
        target.answers = [403] * 10
        assert await box.send(target.url("/b"), "o2") == (False, "the other side answers 403")
        assert box.store.slots["o2"].attempts == 5
        assert box.store.slots["o2"].state == "failed"


async def test_a_target_that_is_away_gets_it_when_the_link_is_back(tmp_path: Path):
    async with office(tmp_path, patient=True) as box:
        async with WebTarget.open() as target:
            url, port = target.url("/a"), target.port
        await box.receive(url)
        await box.store.hand_over("o1")
        box.begin()
        await eventually(lambda: box.waits == [1])
        assert box.told == []
        assert box.store.slots["o1"].error == "127.0.0.1: Connection refused"
        async with WebTarget.open(port=port) as target:
            box.forwarder.wake()
            await eventually(lambda: box.told == [("o1", True, "")])
            assert target.requests[0][3] == DATA


async def test_the_time_is_up_after_days_and_many_attempts(tmp_path: Path):
    async with office(tmp_path, patient=True) as box, WebTarget.open() as target:
        target.answers = [500] * 100
        await box.receive(target.url("/a"))
        await box.store.hand_over("o1")
        await box.store.update("o1", attempts=ATTEMPTS_MIN - 3)
        box.now += 3 * 86_400.0 + 1
        box.begin()
        await eventually(lambda: len(box.waits) == 1)
        assert box.told == []  # a clock that jumped ends nothing
        box.forwarder.wake()
        await eventually(lambda: len(box.waits) == 2)
        box.forwarder.wake()
        await eventually(lambda: box.told == [("o1", False, "the other side answers 500")])


async def test_a_restart_goes_on_and_tells_who_was_not_told(tmp_path: Path):
    async with office(tmp_path, patient=True) as box, WebTarget.open() as target:
        target.answers = [500]
        await box.receive(target.url("/a"))
        await box.store.hand_over("o1")
        await box.receive(target.url("/b"), "o2")
        await box.store.hand_over("o2")
        await box.store.update("o2", state="forwarded")  # a crash before anybody was told
        await box.receive(target.url("/c"), "o3")
        await box.store.hand_over("o3")
        await box.store.update("o3", state="forwarded", told=True)
        box.begin()
        await eventually(lambda: box.waits == [1])
    async with office(tmp_path) as box, WebTarget.open(port=target.port) as target:
        box.begin()
        await eventually(lambda: box.told == [("o1", True, "")])
        assert box.store.slots["o1"].attempts == 2
        assert [path for _, path, _, _ in target.requests] == ["/a"]


async def test_who_waits_is_told_once(tmp_path: Path):
    async with office(tmp_path) as box, WebTarget.open() as target:
        await box.send(target.url("/a"))
        for _ in range(3):
            box.forwarder.wake()
        await box.stop()
        await box.store.close()
        box.store = await open_uploads(tmp_path / "uploads")
        box.begin().wake()
        await box.send(target.url("/b"), "o2")  # by then the first would have been told again
        assert box.told == [("o1", True, ""), ("o2", True, "")]


async def test_nothing_arrived_is_told_and_a_file_that_is_gone_too(tmp_path: Path):
    async with office(tmp_path) as box:
        await box.store.open_slot("o1", "CP-1", expires_at=NOW + 60, remote_url="http://127.0.0.1:9/a")
        await box.store.hand_over("o1")
        await box.receive("http://127.0.0.1:9/b", "o2")
        await box.store.hand_over("o2")
        await box.store.disk.run(box.store.path_of("o2").unlink)
        box.begin()
        await eventually(lambda: len(box.told) == 2)
        assert sorted(box.told) == [
            ("o1", False, "nothing arrived at the box"),
            ("o2", False, "the file is gone from the disk of the box"),
        ]


async def test_an_upload_that_stays_on_site_is_nobodys_business(tmp_path: Path):
    async with office(tmp_path) as box:
        await box.receive("")
        handed = await box.store.hand_over("o1")
        assert handed is not None
        assert (handed.state, handed.told) == ("kept", True)
        box.begin().wake()
        assert box.forwarder._under_way == set()


async def test_a_discarded_order_is_not_sent(tmp_path: Path):
    async with office(tmp_path, patient=True) as box:
        await box.receive("http://127.0.0.1:9/a")
        await box.store.hand_over("o1")
        box.begin()
        await eventually(lambda: box.waits == [1])
        await box.store.discard("o1")
        box.forwarder.wake()
        await eventually(lambda: not box.forwarder._under_way)
        assert box.told == []


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def test_a_target_that_stands_still_is_given_up_and_holds_up_no_other(
    tmp_path: Path, stack: AsyncExitStack
):
    held: list[asyncio.StreamWriter] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    hole = await asyncio.start_server(silent, "127.0.0.1", 0)
    stack.push_async_callback(hole.wait_closed)
    stack.callback(hole.close)
    stack.callback(lambda: [writer.transport.abort() for writer in held])
    port = hole.sockets[0].getsockname()[1]
    known = tmp_path / "known_hosts"
    known.write_text("")
    settings = ForwardSettings(stall_timeout_s=1.5, connect_timeout_s=1.5, known_hosts=known)
    async with office(tmp_path, settings=settings, patient=True) as box, WebTarget.open() as target:
        for scheme in ("http", "ftp", "sftp"):
            await box.receive(f"{scheme}://u:p@127.0.0.1:{port}/a", scheme, bytes(2_000_000))
            await box.store.hand_over(scheme)
        box.begin()
        assert await box.send(target.url("/a")) == (True, "")
        await eventually(lambda: len(box.waits) == 3)
        for scheme in ("http", "ftp", "sftp"):
            assert box.store.slots[scheme].error.startswith("127.0.0.1: ")
        # Whichever tells first, our clock or the kernel's.
        told = ("127.0.0.1: no answer in time", "127.0.0.1: Connection timed out")
        assert box.store.slots["http"].error in told


async def test_what_is_in_buffers_at_the_end_has_time_to_get_through(tmp_path: Path):
    """Cut then, all of it would go over the slow line again, for days."""
    stall_s = ForwardSettings().stall_timeout_s
    buffers_bytes, slow_bytes_per_s = 250_000, 1000  # the kernel's and ours, a bad mobile line
    async with office(tmp_path) as box:
        slot = await box.receive("http://127.0.0.1/a")
        path = box.store.path_of(slot.order)
        assert path is not None
        with path.open("rb") as file:
            parcel = Parcel(slot, file.fileno(), box.store.disk, Throttle(0))
            async with asyncio.timeout(stall_s) as patience:
                assert b"".join([block async for block in parcel.blocks(patience, stall_s)]) == DATA
                ended = loop_time()
            assert (patience.when() or 0.0) - ended > buffers_bytes / slow_bytes_per_s


async def test_no_secret_of_the_address_is_logged_or_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Fault 84."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)  # the target's own log
    settings = ForwardSettings(known_hosts=tmp_path / "none", stall_timeout_s=0.2)
    async with office(tmp_path, settings=settings, patient=True) as box, WebTarget.open() as target:
        target.answers = [403]
        for scheme in ("http", "https", "ftp", "sftp"):
            await box.receive(target.url("/in/a?sig=geheimnis", scheme, "ops:geheimnis@"), scheme)
            await box.store.hand_over(scheme)
        box.begin()
        await eventually(lambda: len(box.waits) == 4)
        errors = [slot.error for slot in box.store.slots.values()]
        assert all(errors)
        assert "geheimnis" not in caplog.text + str(errors)


# --- ftp ------------------------------------------------------------------------------------------


@asynccontextmanager
async def ftp_target(folder: Path) -> AsyncIterator[int]:
    (folder / "in").mkdir(parents=True)
    user = aioftp.User("ops", "geheim", base_path=folder, home_path="/")
    server = aioftp.Server([user], wait_future_timeout=DEADLINE_S)
    await server.start("127.0.0.1", 0)
    try:
        yield server.address[1]
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("path", "arrives"),
    [
        ("/in/log.zip", "in/log.zip"),
        ("/in/", "in/diag 1.zip"),
        ("/in", "in/diag 1.zip"),  # OCPP 1.6: "the location (directory)"
        ("/", "diag 1.zip"),
        ("", "diag 1.zip"),
        ("/n%C3%A4me.zip", "näme.zip"),
    ],
)
async def test_ftp_stores_into_a_folder_or_under_a_name(tmp_path: Path, path: str, arrives: str):
    async with office(tmp_path) as box, ftp_target(tmp_path / "ftp") as port:
        assert await box.send(f"ftp://ops:geheim@127.0.0.1:{port}{path}", method="FTP") == (True, "")
        assert (tmp_path / "ftp" / arrives).read_bytes() == DATA


async def test_ftp_refusals_are_told(tmp_path: Path):
    async with office(tmp_path) as box, ftp_target(tmp_path / "ftp") as port:
        assert await box.send(f"ftp://ops:wrong@127.0.0.1:{port}/a") == (False, "the other side answers 530")
        ok, why = await box.send(f"ftp://ops:geheim@127.0.0.1:{port}/none/a", "o2")
        assert (ok, why) == (False, "the other side answers 550")
        assert box.store.slots["o2"].attempts == 5


async def test_ftp_data_goes_to_the_checked_address_whatever_pasv_says(tmp_path: Path):
    """Fault 82: a server that sends the data connection elsewhere."""
    said: list[str] = []
    received = bytearray()
    done = asyncio.Event()

    async def data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.read())
        done.set()
        writer.close()

    data_server = await asyncio.start_server(data, "127.0.0.1", 0)
    high, low = divmod(data_server.sockets[0].getsockname()[1], 256)

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        while line := (await reader.readline()).decode().strip():
            said.append(line)
            word = line.split()[0]
            if word == "STOR":
                writer.write(b"150 go\r\n")
                await done.wait()
            answers = {"USER": "331 x", "PASS": "230 x", "EPSV": "502 x", "CWD": "550 x", "STOR": "226 x"}
            answers["PASV"] = f"227 x (127,0,0,9,{high},{low})"
            writer.write(f"{answers.get(word, '200 x')}\r\n".encode())
        writer.close()

    control_server = await asyncio.start_server(control, "127.0.0.1", 0)
    port = control_server.sockets[0].getsockname()[1]
    async with office(tmp_path) as box:
        assert await box.send(f"ftp://u:p@127.0.0.1:{port}/a.zip") == (True, "")
        assert bytes(received) == DATA
        assert "STOR a.zip" in said
    for server in (data_server, control_server):
        server.close()
        await server.wait_closed()


# --- sftp -----------------------------------------------------------------------------------------

HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")


class Doorman(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("ops", "geheim")


@asynccontextmanager
async def sftp_target(folder: Path) -> AsyncIterator[tuple[int, Path]]:
    """A port, and a known_hosts file that knows it."""
    (folder / "in").mkdir(parents=True)
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=Doorman,
        server_host_keys=[HOST_KEY],
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(folder)),
        allow_scp=False,
    )
    port = server.get_port()
    known = folder.parent / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {HOST_KEY.export_public_key().decode()}")
    try:
        yield port, known
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("path", "arrives"),
    [("/in/log.zip", "in/log.zip"), ("/in/", "in/diag 1.zip"), ("/in", "in/diag 1.zip"), ("/~/x", "x")],
)
async def test_sftp_stores_into_a_folder_or_under_a_name(tmp_path: Path, path: str, arrives: str):
    async with (
        sftp_target(tmp_path / "ssh") as (port, known),
        office(tmp_path, settings=ForwardSettings(known_hosts=known)) as box,
    ):
        assert await box.send(f"sftp://ops:geheim@127.0.0.1:{port}{path}") == (True, "")
        assert (tmp_path / "ssh" / arrives).read_bytes() == DATA


async def test_sftp_needs_a_host_that_is_known(tmp_path: Path):
    async with sftp_target(tmp_path / "ssh") as (port, known):
        url = f"sftp://ops:geheim@127.0.0.1:{port}/a"
        async with office(tmp_path) as box:
            ok, why = await box.send(url)
            assert (ok, "known_hosts" in why) == (False, True)
        known.write_text("")
        async with office(tmp_path, settings=ForwardSettings(known_hosts=known)) as box:
            ok, why = await box.send(url, "o2")
            assert (ok, "is not in known_hosts" in why) == (False, True)
        assert list((tmp_path / "ssh").iterdir()) == [tmp_path / "ssh" / "in"]


async def test_sftp_refusals_are_told(tmp_path: Path):
    async with (
        sftp_target(tmp_path / "ssh") as (port, known),
        office(tmp_path, settings=ForwardSettings(known_hosts=known)) as box,
    ):
        ok, why = await box.send(f"sftp://ops:wrong@127.0.0.1:{port}/a")
        assert (ok, why) == (False, "the other side refuses the log-in")
        ok, why = await box.send(f"sftp://ops:geheim@127.0.0.1:{port}/none/a", "o2")
        assert (ok, why) == (False, "the other side does not let this user write there")
