"""The file service as the gateway meets it: effects in, events out, over a real cache and real doors."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from edgegw.core.events import Instant
from edgegw.core.files import (
    FetchFirmware,
    FetchOutcome,
    FirmwareFetched,
    FirmwareNews,
    OpenUpload,
    UploadForwarded,
    UploadNews,
    UploadOpened,
    UploadOutcome,
)
from edgegw.core.publishing import Stage
from edgegw.files.doors import DoorSettings, Transfer
from edgegw.files.forwarding import ForwardSettings
from edgegw.files.hosts import host_fits
from edgegw.files.house import DoorsShut, FileHouse, HouseSettings, NoLink
from edgegw.files.source import FetchSettings
from tests.e2e.signed_firmware import make_firmware, sign, tampered
from tests.files.origin import Origin
from tests.links.house import eventually

NOW = time.time()  # certificates are made to be valid now
DEADLINE_S = 30.0


class Heard:
    """What the sessions were told, by order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self._news = asyncio.Event()

    def tell(self, identity: str, event: Any) -> None:
        self.events.append((identity, event))
        self._news.set()

    async def of(self, order: str, kind: type) -> Any:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                for _, event in self.events:
                    if event.order == order and isinstance(event, kind):
                        self.events.remove(next(e for e in self.events if e[1] is event))
                        return event
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def house(
    folder: Path,
    heard: Heard,
    *,
    choose: Callable[..., str | None] | None = None,
    online: Callable[[], bool] = lambda: True,
    fetch_give_up_s: float = 0.0,
    **more: Any,
) -> AsyncIterator[FileHouse]:
    settings = HouseSettings(
        directory=folder / "firmware_cache",
        cache_bytes=100_000_000,
        fetch=FetchSettings(retry_wait_s=0.01, attempts=2),
        doors=DoorSettings(),
        forward=ForwardSettings(wait_s=0.01, wait_max_s=0.05, refusals_max=2),
        inward=("127.0.0.1",),
        fetch_again_s=0.01,
        largest_upload_bytes=1_000_000,
        uploads_per_charger_bytes=2_000_000,
        uploads_total_bytes=4_000_000,
        upload_keep_s=86_400.0,
        fetch_give_up_s=fetch_give_up_s,
        **{"web": ("127.0.0.1", 0), "ftp": ("127.0.0.1", 0), **more},
    )
    opened = await FileHouse.open(
        settings,
        heard.tell,
        choose or (lambda identity, links: links[0]),
        lambda: Instant(5.0, NOW),
        online,
    )
    try:
        await opened.start()
        yield opened
    finally:
        await opened.stop()


async def fetch(
    opened: FileHouse, heard: Heard, order: str, url: str, charger: str = "CP-1", **more: str
) -> Any:
    opened.perform(charger, FetchFirmware(order=order, url=url, needed_until=NOW + 3600, **more))
    return await heard.of(order, FirmwareFetched)


@contextmanager
def taken() -> Iterator[tuple[str, int]]:
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()


async def get(url: str) -> bytes:
    async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
        answer = await client.get(url)
        return answer.content if answer.status_code == 200 else b"%d" % answer.status_code


async def put(url: str, data: bytes) -> int:
    async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
        return (await client.put(url, content=data)).status_code


@contextmanager
def broken_disk(folder: Path) -> Iterator[None]:
    """Nothing can be written below `folder`, whoever runs the test."""
    index = folder / "uploads.json.new"
    index.mkdir()
    try:
        yield
    finally:
        index.rmdir()


@pytest.fixture
def heard() -> Heard:
    return Heard()


# --- firmware ---------------------------------------------------------------------------------------


async def test_a_hundred_orders_are_one_download_and_a_hundred_links(tmp_path: Path, heard: Heard):
    async with Origin() as origin, house(tmp_path, heard) as box:
        orders = [fetch(box, heard, f"o-{n}", origin.url(), charger=f"CP-{n}") for n in range(100)]
        answers = await asyncio.gather(*orders)
        links = {answer.urls[0] for answer in answers}
        assert len(links) == 100
        assert [asked.method for asked in origin.log] == ["GET"]
        assert {link.rpartition("/")[2] for link in links} == {"charger-1.2.bin"}
        assert await get(answers[0].urls[0]) == origin.data


async def test_one_link_per_protocol(tmp_path: Path, heard: Heard):
    async with Origin() as origin, house(tmp_path, heard) as box:
        answer = await fetch(box, heard, "o", origin.url())
        assert [url.partition(":")[0] for url in answer.urls] == ["http", "ftp"]
        assert box.doors.protocols == ("HTTP", "FTP")


@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        ("file:///etc/passwd", FetchOutcome.FORBIDDEN),
        ("http://169.254.169.254/latest", FetchOutcome.FORBIDDEN),
        ("http://127.0.0.2:1/x", FetchOutcome.FORBIDDEN),
        ("http://127.0.0.1:1/x", FetchOutcome.UNREACHABLE),
        ("ftps://10.1.2.3/fw.bin", FetchOutcome.FORBIDDEN),
        ("ftps://vendor.example/fw.bin", FetchOutcome.UNREACHABLE),  # OCPP 2.x L01.FR.08: the charger's
        ("https://vendor.example/Säule 1.bin", FetchOutcome.UNREACHABLE),
    ],
)
async def test_fault_75_what_must_not_be_dialled(
    tmp_path: Path, heard: Heard, url: str, outcome: FetchOutcome
):
    async with house(tmp_path, heard) as box:
        answer = await fetch(box, heard, "o", url)
        assert (answer.outcome, answer.urls) == (outcome, ())
        assert answer.why


async def test_an_outage_is_no_reason_to_send_the_site_to_the_origin(tmp_path: Path, heard: Heard):
    async with (
        Origin(always="status 503 0") as origin,
        house(tmp_path, heard, online=lambda: False, fetch_give_up_s=0.001) as box,
    ):
        box.perform("CP-1", FetchFirmware(order="o", url=origin.url(), needed_until=NOW + 3600))
        async with asyncio.timeout(DEADLINE_S):
            while len(origin.log) < 8:  # noqa: ASYNC110 - asked over HTTP
                await asyncio.sleep(0.01)
        assert not heard.events
        origin.always = "serve"
        box.cloud_is_back()
        assert (await heard.of("o", FirmwareFetched)).outcome is FetchOutcome.READY


async def test_an_origin_that_is_dead_while_the_line_is_there_is_given_up(tmp_path: Path, heard: Heard):
    async with Origin(always="status 503 0") as origin, house(tmp_path, heard, fetch_give_up_s=0.02) as box:
        answer = await fetch(box, heard, "o", origin.url())
        assert answer.outcome is FetchOutcome.UNREACHABLE
        assert len(origin.log) > 2


async def test_a_charger_that_failed_gets_the_link_again_only_when_that_was_our_doing(
    tmp_path: Path, heard: Heard
):
    async with Origin() as origin, house(tmp_path, heard) as box:
        answer = await fetch(box, heard, "o", origin.url())
        again = FetchFirmware(order="o", url=origin.url(), needed_until=NOW + 3600, failures=1)
        box.perform("CP-1", again)
        assert (await heard.of("o", FirmwareFetched)).outcome is FetchOutcome.UNREACHABLE
        cut = Transfer(
            charger="CP-1",
            name="x",
            order="o",
            direction="down",
            protocol="http",
            peer_ip="127.0.0.1",
            started_at=NOW,
            state="refused",
        )
        box._keeper.transfers.append(cut)
        box.perform("CP-1", again)
        assert (await heard.of("o", FirmwareFetched)).urls == answer.urls


async def test_fault_78_what_was_signed_and_what_was_not(tmp_path: Path, heard: Heard):
    firmware = sign(make_firmware(size_bytes=20_000), "ECDSA")
    signed = {"certificate": firmware.certificate, "signature": firmware.signature}
    async with Origin(data=tampered(firmware).content) as origin, house(tmp_path, heard) as box:
        bad = await fetch(box, heard, "o-1", origin.url(), **signed)
        assert (bad.outcome, bad.urls) == (FetchOutcome.BAD_SIGNATURE, ())
        assert not box._cache.grants
        origin.change(firmware.content)
        good = await fetch(box, heard, "o-2", origin.url(), **signed)
        assert good.outcome is FetchOutcome.READY, "the origin is asked again after a bad file"
        assert {file.signature for file in box.files.values() if file.sha256 == firmware.sha256} == {
            "verified"
        }
        junk = await fetch(box, heard, "o-3", origin.url(), certificate="not PEM", signature="x")
        assert junk.outcome is FetchOutcome.BAD_CERTIFICATE


async def test_the_manifest_knows_who_has_what_and_links_end_with_their_order(tmp_path: Path, heard: Heard):
    async with Origin() as origin:
        async with house(tmp_path, heard) as box:
            answer = await fetch(box, heard, "o", origin.url())
            box.perform("CP-1", FirmwareNews(order="o", status="Downloading"))
        async with house(tmp_path, heard) as box:  # a restart in between
            again = answer.urls[0].replace(answer.urls[0].split("/")[2], box.doors.web.split("/")[2])
            assert await get(again) == origin.data
            box.perform("CP-1", FirmwareNews(order="o", status="Installed", ended=True))
            async with asyncio.timeout(DEADLINE_S):
                while await get(again) != b"404":  # noqa: ASYNC110 - asked over HTTP
                    await asyncio.sleep(0.01)
            [file] = box.files.values()
            assert [(h.charger, h.status) for h in file.holders] == [("CP-1", "installed")]


async def test_an_order_that_ends_while_its_file_is_fetched_leaves_no_link(tmp_path: Path, heard: Heard):
    async with Origin(plan=["hold"]) as origin, house(tmp_path, heard) as box:
        box.perform("CP-1", FetchFirmware(order="o", url=origin.url(), needed_until=NOW + 3600))
        await origin.arrived.wait()
        box.perform("CP-1", FirmwareNews(order="o", status="Replaced", ended=True))
        await asyncio.sleep(0)
        origin.release.set()
        assert (await heard.of("o", FirmwareFetched)).outcome is FetchOutcome.READY
        assert not box._cache.grants


async def test_an_order_that_was_replaced_while_its_file_was_fetched_leaves_nothing(
    tmp_path: Path, heard: Heard
):
    async with Origin(plan=["hold"]) as origin, house(tmp_path, heard) as box:
        for n in range(5):
            box.perform("CP-1", FetchFirmware(order=f"o-{n}", url=origin.url(), needed_until=NOW + 3600))
            await asyncio.sleep(0)
            box.perform("CP-1", FirmwareNews(order=f"o-{n}", status="Replaced", ended=True))
        await origin.arrived.wait()
        origin.release.set()
        for n in range(5):
            await heard.of(f"o-{n}", FirmwareFetched)
        await eventually(lambda: not box._cache.grants and not box._firmware._orders)


async def test_a_file_that_is_taken_away_before_it_is_checked_is_answered(tmp_path: Path, heard: Heard):
    firmware = sign(make_firmware(size_bytes=20_000), "ECDSA")
    async with Origin(data=firmware.content) as origin, house(tmp_path, heard) as box:
        look = box._firmware.cache.open_verified

        async def look_and_lose(sha256: str) -> Path:
            path = await look(sha256)
            path.unlink()
            return path

        box._firmware.cache.open_verified = look_and_lose  # type: ignore[method-assign]
        signed = {"certificate": firmware.certificate, "signature": firmware.signature}
        answer = await fetch(box, heard, "o", origin.url(), **signed)
        assert answer.outcome is FetchOutcome.UNREACHABLE
        assert "No such file" in answer.why


async def test_a_link_of_our_own_is_not_fetched_from_ourselves(tmp_path: Path, heard: Heard):
    """OCPP 2.x L03: the cloud tells a charger the location that the box has published."""
    async with Origin() as origin, house(tmp_path, heard) as box:
        stages: list[Stage] = []
        md5 = "0" * 32
        with pytest.raises(Exception, match="MD5"):
            await box.publisher.publish(origin.url(), md5, stages.append)
        assert stages == [Stage.DOWNLOADING]
        file = (await fetch(box, heard, "o", origin.url())) and next(iter(box.files.values()))
        locations = await box.publisher.publish(origin.url(), file.md5, stages.append)
        assert [await get(locations[0])] == [origin.data]
        answer = await fetch(box, heard, "o-2", locations[0], charger="CP-2")
        assert answer.outcome is FetchOutcome.READY
        assert answer.urls[0] != locations[0]
        assert await box.publisher.unpublish(file.md5)
        assert not await box.publisher.unpublish(file.md5)
        assert await get(locations[0]) == b"404"
        gone = await fetch(box, heard, "o-3", locations[0], charger="CP-3")
        assert gone.outcome is FetchOutcome.UNREACHABLE


async def test_a_charger_without_a_protocol_gets_no_link(tmp_path: Path, heard: Heard):
    async with Origin() as origin, house(tmp_path, heard, choose=lambda identity, links: None) as box:
        await fetch(box, heard, "o", origin.url())
        with pytest.raises(NoLink, match="HTTP, FTP"):
            await box.link("CP-1", next(iter(box.files)), "r-1")


# --- uploads ----------------------------------------------------------------------------------------


async def opened(box: FileHouse, heard: Heard, order: str, url: str) -> Any:
    box.perform("CP-1", OpenUpload(order=order, url=url))
    return await heard.of(order, UploadOpened)


async def test_an_upload_goes_on_and_its_session_hears_of_it(tmp_path: Path, heard: Heard):
    async with Origin(always="status 201") as target, house(tmp_path, heard) as box:
        answer = await opened(box, heard, "u", target.url("in/"))
        assert await put(answer.urls[0] + "log.zip", b"what went wrong") == 201
        box.perform("CP-1", UploadNews(order="u", status="Uploaded", ended=True))
        done = await heard.of("u", UploadForwarded)
        assert done.ok
        assert [(a.method, a.path) for a in target.log] == [("PUT", "/in/log.zip")]
        box.perform("CP-1", UploadNews(order="u", status="Uploaded", ended=True))
        assert (await heard.of("u", UploadForwarded)).ok, "told again to a session that forgot"
        assert len(target.log) == 1


async def test_an_upload_that_is_removed_while_the_cloud_waits_is_told(tmp_path: Path, heard: Heard):
    async with Origin(always="status 503") as target, house(tmp_path, heard) as box:
        answer = await opened(box, heard, "u", target.url("in/"))
        assert await put(answer.urls[0] + "log.zip", b"x") == 201
        box.perform("CP-1", UploadNews(order="u", status="Uploaded", ended=True))
        await eventually(lambda: bool(target.log))
        await box.discard("u")
        done = await heard.of("u", UploadForwarded)
        assert (done.ok, done.why) == (False, "it was removed from the box")
        assert not box.slots
        await opened(box, heard, "u-2", target.url("in/"))
        await box.discard("u-2")
        await box.discard("unknown")
        assert not heard.events, "its charger has not said yet that it is complete"


async def test_a_full_disk_for_a_moment_holds_no_file_back(tmp_path: Path, heard: Heard):
    async with Origin(always="status 201") as target, house(tmp_path, heard) as box:
        answer = await opened(box, heard, "u", target.url("in/"))
        assert await put(answer.urls[0] + "log.zip", b"what went wrong") == 201
        with broken_disk(box._store.folder.parent):
            full = await opened(box, heard, "u-2", target.url("in/"))
            assert full.outcome is UploadOutcome.UNABLE
            assert "u-2" not in box.slots
            box.perform("CP-1", UploadNews(order="u", status="Uploaded", ended=True))
            assert (await heard.of("u", UploadForwarded)).ok
        assert len(target.log) == 1
        await opened(box, heard, "u-3", target.url("in/"))
    async with house(tmp_path, heard) as box:
        assert box.slots["u"].state == "forwarded", "the next write has it too"


async def test_a_bug_is_answered_too(tmp_path: Path, heard: Heard, caplog: pytest.LogCaptureFixture):
    """A command of the cloud waits for the answer."""
    async with house(tmp_path, heard) as box:
        box._store.open_slot = None  # type: ignore[assignment,method-assign]
        box._fetcher.fetch = None  # type: ignore[assignment,method-assign]
        answer = await opened(box, heard, "u", "http://127.0.0.1:1/in/")
        assert (answer.outcome, answer.why) == (
            UploadOutcome.UNABLE,
            "an error in the box, which is in its log",
        )
        fetched = await fetch(box, heard, "o", "http://127.0.0.1:1/x")
        assert fetched.outcome is FetchOutcome.UNREACHABLE
    assert caplog.text.count("TypeError") == 2


async def test_nothing_arrived_is_a_failure(tmp_path: Path, heard: Heard):
    async with house(tmp_path, heard) as box:
        await opened(box, heard, "u", "http://127.0.0.1:1/in/")
        box.perform("CP-1", UploadNews(order="u", status="Uploaded", ended=True))
        done = await heard.of("u", UploadForwarded)
        assert (done.ok, done.why) == (False, "nothing arrived at the box")
        box.perform("CP-1", UploadNews(order="unknown", status="Uploaded", ended=True))
        assert not (await heard.of("unknown", UploadForwarded)).ok


async def test_fault_82_only_to_hosts_that_the_site_allows(tmp_path: Path, heard: Heard):
    async with house(tmp_path, heard, upload_hosts=("*.csms.example", "10.0.0.0/8")) as box:
        for url in (
            "https://csms.example/x",
            "https://evil.example/x",
            "ftp://11.0.0.1/",
            "gopher://x",
            "junk",
        ):
            answer = await opened(box, heard, url, url)
            assert (answer.outcome, answer.urls) == (UploadOutcome.FORBIDDEN, ()), url
        assert (await opened(box, heard, "u", "https://in.csms.example/x")).outcome is UploadOutcome.READY


async def test_an_address_that_only_a_charger_can_use_is_the_chargers(tmp_path: Path, heard: Heard):
    """Security whitepaper N01 recommends ftps; the site's list of hosts counts for it too."""
    async with house(tmp_path, heard, upload_hosts=("*.csms.example", "10.0.0.0/8")) as box:
        for url, outcome in (
            ("ftps://user:pw@files.csms.example/in/", UploadOutcome.UNABLE),
            ("https://files.csms.example/logs/Säule 1/", UploadOutcome.UNABLE),
            ("ftps://evil.example/in/", UploadOutcome.FORBIDDEN),
            ("ftps://10.0.0.1/in/", UploadOutcome.FORBIDDEN),  # on the list, but inward
        ):
            answer = await opened(box, heard, url, url)
            assert (answer.outcome, answer.urls) == (outcome, ()), url
            assert answer.why


@pytest.mark.parametrize(
    ("host", "pattern", "fits"),
    [
        ("A.example.", "a.EXAMPLE", True),
        ("x.a.example", "*.a.example", True),
        ("a.example", "*.a.example", False),
        ("xa.example", "*.a.example", False),
        ("10.2.3.4", "10.0.0.0/8", True),
        ("10.2.3.4", "10.2.3.4", True),
        ("11.2.3.4", "10.0.0.0/8", False),
    ],
)
def test_which_hosts_fit(host: str, pattern: str, fits: bool):
    assert host_fits(host, pattern) is fits


async def test_what_a_person_was_adding_when_the_box_stopped_is_swept_away(tmp_path: Path, heard: Heard):
    async with house(tmp_path, heard) as box:
        (box.receiving / "half").write_bytes(b"x")
    async with house(tmp_path, heard) as box:
        assert not list(box.receiving.iterdir())


# --- doors that are taken -----------------------------------------------------------------------------


async def test_without_a_door_orders_are_answered_at_once(tmp_path: Path, heard: Heard):
    """The charger is then sent where the cloud wants it: nothing is fetched in vain."""
    with taken() as web:
        async with Origin() as origin, house(tmp_path, heard, web=web, ftp=None) as box:
            assert list(box.shut) == ["[files] listen"]
            assert "Address already in use; another program has this port" in box.shut["[files] listen"]
            answer = await fetch(box, heard, "o", origin.url())
            assert (answer.outcome, "no door" in answer.why) == (FetchOutcome.UNREACHABLE, True)
            assert (await opened(box, heard, "u", origin.url("logs/"))).outcome is UploadOutcome.UNABLE
            assert origin.log == []


async def test_the_other_door_is_open_meanwhile(tmp_path: Path, heard: Heard):
    with taken() as web:
        async with Origin() as origin, house(tmp_path, heard, web=web) as box:
            answer = await fetch(box, heard, "o", origin.url())
            assert [url.partition(":")[0] for url in answer.urls] == ["ftp"]


async def test_a_rollout_hears_of_the_shut_door_and_skips_nobody(tmp_path: Path, heard: Heard):
    with taken() as web:
        async with (
            Origin() as origin,
            house(tmp_path, heard, choose=lambda identity, links: None, web=web) as box,
        ):
            await fetch(box, heard, "o", origin.url())
            with pytest.raises(DoorsShut, match="another program has this port"):
                await box.link("CP-1", next(iter(box.files)), "r-1")
