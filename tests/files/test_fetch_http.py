"""Fetching from web servers that do what servers do, and worse: faults 75 to 78 and 83."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from edgegw.files.fetch import FetchFailed
from edgegw.files.source import WINDOW_BYTES_MIN, FetchSettings
from edgegw.files.throttle import BURST_S, Throttle
from tests.files.keys import server_context
from tests.files.origin import FIRMWARE, OTHER_FIRMWARE, Origin
from tests.files.rig import Box, Clock, box
from tests.servers.nginx import Nginx

SHA256 = hashlib.sha256(FIRMWARE).hexdigest()
MD5 = hashlib.md5(FIRMWARE).hexdigest()


async def refusal(here: Box, url: str, **kwargs: object) -> FetchFailed:
    with pytest.raises(FetchFailed) as caught:
        await here.fetcher.fetch(url, **kwargs)
    assert here.cache.files == {}
    return caught.value


# --- as it should be ------------------------------------------------------------------------------


async def test_a_file_is_fetched_hashed_and_kept(tmp_path: Path):
    async with Origin() as origin, box(tmp_path) as here:
        file = await here.fetcher.fetch(origin.url())
        assert (file.sha256, file.md5, file.size_bytes) == (SHA256, MD5, len(FIRMWARE))
        assert (file.name, file.etag, file.origin_key != "") == ("charger-1.2.bin", '"v1"', True)
        assert (await here.cache.open_verified(file.sha256)).read_bytes() == FIRMWARE
        assert here.parts() == []
        assert here.fetcher.progress == []
        assert origin.log[0].headers["Accept-Encoding"] == "identity"


async def test_a_hundred_that_want_it_cost_one_download(tmp_path: Path):
    async with Origin(plan=["hold"]) as origin, box(tmp_path) as here:
        waiting = [asyncio.ensure_future(here.fetcher.fetch(origin.url())) for _ in range(100)]
        await here.has_received(len(FIRMWARE) // 2)
        [progress] = here.fetcher.progress
        assert (progress.waiting, progress.total_bytes, progress.shown) == (100, len(FIRMWARE), origin.url())
        for one in waiting[:50]:
            one.cancel()
        origin.release.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(r, asyncio.CancelledError) for r in results] == [True] * 50 + [False] * 50
        assert {r.sha256 for r in results[50:]} == {SHA256}
        assert len(origin.log) == 1


async def test_a_download_that_nobody_waits_for_any_more_is_finished_for_the_next(tmp_path: Path):
    async with Origin(plan=["hold"]) as origin, box(tmp_path, fresh_s=600.0) as here:
        first = asyncio.ensure_future(here.fetcher.fetch(origin.url()))
        await origin.arrived.wait()
        first.cancel()
        await asyncio.wait((first,))
        origin.release.set()
        assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256
        assert len(origin.log) == 1


async def test_all_downloads_together_keep_the_rate(tmp_path: Path):
    clock = Clock()
    throttle = Throttle(500_000, clock, clock.sleep)
    async with (
        Origin() as one,
        Origin(data=OTHER_FIRMWARE) as other,
        box(tmp_path, rate_bytes_per_s=500_000, throttle=throttle) as here,
    ):
        files = await asyncio.gather(*(here.fetcher.fetch(origin.url()) for origin in (one, other)))
        assert {file.sha256 for file in files} == {SHA256, hashlib.sha256(OTHER_FIRMWARE).hexdigest()}
        saved_up = 500_000 * BURST_S
        assert clock.now - clock.began == pytest.approx((2 * len(FIRMWARE) - saved_up) / 500_000)
        assert max(clock.slept) < 0.2  # in small steps, not in bursts


def test_with_a_rate_the_origin_may_not_send_far_ahead():
    assert FetchSettings().window_bytes == 0  # the system's own
    assert FetchSettings(rate_bytes_per_s=1_000_000).window_bytes == 125_000
    assert FetchSettings(rate_bytes_per_s=10_000).window_bytes == WINDOW_BYTES_MIN
    assert FetchSettings(rate_bytes_per_s=160_000).block_bytes == 10_000


async def test_query_and_credentials_reach_the_origin_and_nobody_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    async with Origin(plan=["cut"]) as origin, box(tmp_path) as here:
        file = await here.fetcher.fetch(origin.url("fw.bin?sig=s3cret", "user:pa%73s@"))
        assert origin.log[0].path == "/fw.bin?sig=s3cret"
        assert origin.log[0].headers["Authorization"] == "Basic dXNlcjpwYXNz"
        assert file.origin == origin.url("fw.bin")
    everything = caplog.text + (tmp_path / "manifest.json").read_text()
    for secret in ("s3cret", "pass", "pa%73s", "dXNlcjpwYXNz"):
        assert secret not in everything


# --- still current? -------------------------------------------------------------------------------


async def test_an_unchanged_file_is_not_fetched_again(tmp_path: Path):
    async with Origin() as origin, box(tmp_path) as here:
        await here.fetcher.fetch(origin.url())
        here.wall.now += 100
        file = await here.fetcher.fetch(origin.url())
        assert file.checked_at == here.wall.now
        assert origin.log[1].headers["If-None-Match"] == '"v1"'
        assert origin.sent_bytes == len(FIRMWARE)


async def test_a_fresh_file_costs_no_question(tmp_path: Path):
    async with Origin() as origin, box(tmp_path, fresh_s=600.0) as here:
        await here.fetcher.fetch(origin.url())
        here.wall.now += 599
        await here.fetcher.fetch(origin.url())
        assert len(origin.log) == 1
        here.wall.now -= 1000  # the clock was set: nobody knows how old the answer is
        await here.fetcher.fetch(origin.url())
        assert len(origin.log) == 2


async def test_a_changed_file_is_fetched_in_place_of_the_old(tmp_path: Path):
    async with Origin() as origin, box(tmp_path) as here:
        await here.fetcher.fetch(origin.url())
        origin.change(OTHER_FIRMWARE)
        file = await here.fetcher.fetch(origin.url())
        assert file.sha256 == hashlib.sha256(OTHER_FIRMWARE).hexdigest()


async def test_an_origin_without_conditions_is_believed_by_its_headers(tmp_path: Path):
    async with Origin(always="plain") as origin, box(tmp_path) as here:
        first = await here.fetcher.fetch(origin.url())
        here.wall.now += 100
        second = await here.fetcher.fetch(origin.url())
        assert (second.fetched_at, second.checked_at) == (first.fetched_at, here.wall.now)
        assert here.parts() == []
        assert len(origin.log) == 2


async def test_without_any_version_the_file_is_fetched_again(tmp_path: Path):
    async with Origin(etag="", modified="") as origin, box(tmp_path) as here:
        await here.fetcher.fetch(origin.url())
        origin.data = OTHER_FIRMWARE  # of the same length
        assert (await here.fetcher.fetch(origin.url())).sha256 != SHA256


@pytest.mark.parametrize("trouble", ["status 503", "no_answer"])
@pytest.mark.parametrize("etag", ['"v1"', ""])
async def test_the_cached_file_stands_when_the_origin_gives_no_answer(
    tmp_path: Path, trouble: str, etag: str
):
    async with Origin(etag=etag, modified="") as origin, box(tmp_path, attempts=2) as here:
        await here.fetcher.fetch(origin.url())
        origin.always = trouble
        assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256


async def test_the_cached_file_does_not_stand_when_the_origin_says_no(tmp_path: Path):
    async with Origin() as origin, box(tmp_path) as here:
        await here.fetcher.fetch(origin.url())
        origin.always = "status 410"
        with pytest.raises(FetchFailed, match="410"):
            await here.fetcher.fetch(origin.url())


async def test_two_addresses_of_one_file_stay_both_known(tmp_path: Path):
    async with Origin() as origin, box(tmp_path) as here:
        for name in ("a.bin", "b.bin", "a.bin", "b.bin"):
            assert (await here.fetcher.fetch(origin.url(name))).sha256 == SHA256
        assert origin.sent_bytes == 2 * len(FIRMWARE)
        assert len(here.cache.files) == 1


# --- fault 75: where an address leads -------------------------------------------------------------

INWARD = [
    "file:///etc/passwd",
    "gopher://127.0.0.1/1",
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]/fw.bin",
    "http://2130706433/fw.bin",
    "http://[::ffff:127.0.0.1]/fw.bin",
    "http://localhost/fw.bin",
    "http://firm.example/fw.bin\r\nX: y",
]


@pytest.mark.parametrize("url", INWARD)
async def test_fault_75_an_address_that_leads_inward_is_forbidden(tmp_path: Path, url: str):
    async with box(tmp_path, inward=()) as here:
        assert (await refusal(here, url)).kind == "forbidden"


async def test_fault_75_a_server_on_loopback_hears_nothing(tmp_path: Path):
    async with Origin() as origin, box(tmp_path, inward=()) as here:
        assert (await refusal(here, origin.url())).kind == "forbidden"
        assert origin.log == []


async def test_fault_75_dns_rebinding_the_checked_address_is_the_connected_one(tmp_path: Path):
    """The name is good at the first look-up and leads inward at every other."""
    asked: list[str] = []

    def rebinding(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    async with Origin() as good, box(tmp_path, lookup=rebinding) as here:
        url = f"http://rebind.example:{good.port}/fw.bin"
        assert (await here.fetcher.fetch(url)).sha256 == SHA256
        assert asked == ["rebind.example"]
        assert good.log[0].headers["Host"] == f"rebind.example:{good.port}"
        with pytest.raises(FetchFailed) as caught:  # the second time it leads to 127.0.0.2
            await here.fetcher.fetch(url)
        assert caught.value.kind == "forbidden"
        assert len(good.log) == 1


async def test_fault_75_of_several_addresses_only_the_good_ones_are_used(tmp_path: Path):
    async with (
        Origin(host="127.0.0.2") as bad,
        box(tmp_path, lookup=lambda host: ["127.0.0.2", "127.0.0.1"], attempts=1) as here,
    ):
        failed = await refusal(here, f"http://two.example:{bad.port}/fw.bin")
        assert failed.kind == "unreachable"  # nobody listens at 127.0.0.1
        assert bad.log == []


# --- fault 76: redirects, sizes, speed ------------------------------------------------------------


async def test_fault_76_redirect_to_an_inner_address_is_forbidden(tmp_path: Path):
    async with Origin(host="127.0.0.2") as inner, Origin() as outer, box(tmp_path) as here:
        outer.always = f"redirect {inner.url()}"
        assert (await refusal(here, outer.url())).kind == "forbidden"
        assert inner.log == []
        assert len(outer.log) == 1


@pytest.mark.parametrize(
    "target", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://127.1/x", "http://x\\@y/"]
)
async def test_fault_76_redirect_to_what_is_no_web_address_is_forbidden(tmp_path: Path, target: str):
    async with Origin(always=f"redirect {target}") as origin, box(tmp_path) as here:
        assert (await refusal(here, origin.url())).kind == "forbidden"


async def test_fault_76_a_redirect_loop_ends_after_the_hops_that_are_allowed(tmp_path: Path):
    async with Origin(always="redirect") as origin, box(tmp_path, hops_max=3) as here:
        failed = await refusal(here, origin.url())
        assert (failed.kind, failed.text) == ("refused", "the origin redirects more than 3 times")
        assert len(origin.log) == 4


async def test_redirects_are_followed_and_credentials_stay_at_their_server(tmp_path: Path):
    async with Origin() as second, Origin() as first, box(tmp_path) as here:
        first.plan = ["redirect /moved.bin", f"redirect {second.url('final.bin')}"]
        file = await here.fetcher.fetch(first.url("start.bin", "user:pass@"))
        assert (file.sha256, file.name) == (SHA256, "start.bin")
        assert ["Authorization" in asked.headers for asked in first.log] == [True, True]
        assert "Authorization" not in second.log[0].headers


@pytest.mark.parametrize("way", ["huge", "endless"])
async def test_fault_76_a_body_without_end_is_ended(tmp_path: Path, way: str):
    async with Origin(always=way) as origin, box(tmp_path, file_bytes_max=4_000_000) as here:
        failed = await refusal(here, origin.url())
        assert failed.kind == "too_large"
        assert origin.sent_bytes < 20_000_000
        assert len(origin.log) == 1
        assert here.parts() == []


async def test_fault_76_a_limit_of_one_fetch_is_kept(tmp_path: Path):
    async with Origin() as origin, box(tmp_path) as here:
        assert (await refusal(here, origin.url(), file_bytes_max=1000)).kind == "too_large"


async def test_fault_76_a_gzip_bomb_is_not_unpacked(tmp_path: Path):
    async with Origin(always="bomb") as origin, box(tmp_path) as here:
        failed = await refusal(here, origin.url())
        assert (failed.kind, "compresses" in failed.text) == ("refused", True)
        # A file that is named as compressed may be labelled so; its bytes are kept as they are.
        file = await here.fetcher.fetch(origin.url("fw.tar.gz"))
        assert file.size_bytes < 200_000


async def test_fault_76_a_body_of_unknown_end_is_refused(tmp_path: Path):
    """Half a file that looks whole: the connection is the only end it has."""
    async with Origin(always="no_length") as origin, box(tmp_path) as here:
        assert (await refusal(here, origin.url())).kind == "refused"


async def test_fault_83_a_body_that_outgrows_the_quota_leaves_nothing(tmp_path: Path):
    async with Origin(always="endless") as origin, box(tmp_path, quota_bytes=5_000_000) as here:
        assert (await refusal(here, origin.url())).kind == "no_room"
        assert origin.sent_bytes > 2_000_000
        assert here.parts() == []


async def test_chunks_say_where_a_file_ends(tmp_path: Path):
    async with Origin(always="chunked") as origin, box(tmp_path) as here:
        assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256


async def test_fault_76_one_byte_now_and_then_is_no_download(tmp_path: Path):
    async with Origin(always="drip") as origin, box(tmp_path, attempts=2, rate_window_s=0.1) as here:
        failed = await refusal(here, origin.url())
        assert (failed.kind, "too slow" in failed.text) == ("unreachable", True)
        assert len(origin.log) == 2


async def test_fault_76_an_origin_that_falls_silent_is_given_up(tmp_path: Path):
    async with Origin(always="hold") as origin, box(tmp_path, attempts=2, stall_timeout_s=0.2) as here:
        assert (await refusal(here, origin.url())).kind == "unreachable"


async def test_fault_76_all_attempts_together_have_an_end(tmp_path: Path):
    async with Origin(always="hold") as origin, box(tmp_path, time_max_s=0.2) as here:
        failed = await refusal(here, origin.url())
        assert (failed.kind, "did not come within" in failed.text) == ("unreachable", True)


@pytest.mark.parametrize("way", ["empty", "page"])
async def test_what_is_no_firmware_is_refused(tmp_path: Path, way: str):
    async with Origin(always=way) as origin, box(tmp_path) as here:
        assert (await refusal(here, origin.url())).kind == "refused"
        assert len(origin.log) == 1


# --- fault 77: cut, resumed, changed --------------------------------------------------------------


async def test_fault_77_a_cut_download_goes_on_where_it_was_cut(tmp_path: Path):
    async with Origin(plan=["cut", "cut"]) as origin, box(tmp_path) as here:
        assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256
        assert origin.log[1].range != ""
        assert origin.log[1].headers["If-Range"] == '"v1"'
        assert origin.sent_bytes < 1.4 * len(FIRMWARE)


async def test_fault_77_an_origin_that_ignores_range_is_read_from_the_start(tmp_path: Path):
    async with Origin(plan=["cut"], always="plain") as origin, box(tmp_path) as here:
        assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256
        assert origin.log[1].range != ""


async def test_fault_77_half_a_file_again_and_again_ends(tmp_path: Path):
    async with Origin(always="cut_plain") as origin, box(tmp_path, attempts=3) as here:
        assert (await refusal(here, origin.url())).kind == "unreachable"
        assert len(origin.log) == 3


async def test_a_link_that_breaks_often_brings_the_file_as_long_as_it_gets_further(tmp_path: Path):
    async with Origin(plan=["cut 800000"] * 3) as origin, box(tmp_path, attempts=2) as here:
        assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256
        assert len(origin.log) == 4


@pytest.mark.parametrize("way", ["serve", "careless_range", "plain"])
async def test_fault_77_content_that_changes_between_parts_is_read_anew(tmp_path: Path, way: str):
    async with Origin(plan=["hold_and_cut"]) as origin, box(tmp_path) as here:
        fetching = asyncio.ensure_future(here.fetcher.fetch(origin.url()))
        await here.has_received(len(FIRMWARE) // 2)
        origin.change(OTHER_FIRMWARE)
        origin.always = way
        origin.release.set()
        file = await fetching
        assert file.sha256 == hashlib.sha256(OTHER_FIRMWARE).hexdigest()
        assert file.etag == '"v2"'


async def test_fault_77_other_bytes_under_the_same_etag_are_noticed(tmp_path: Path):
    async with Origin(plan=["hold_and_cut"]) as origin, box(tmp_path) as here:
        fetching = asyncio.ensure_future(here.fetcher.fetch(origin.url()))
        await here.has_received(len(FIRMWARE) // 2)
        origin.data = OTHER_FIRMWARE
        origin.release.set()
        assert (await fetching).sha256 == hashlib.sha256(OTHER_FIRMWARE).hexdigest()


async def test_fault_77_another_etag_is_enough_to_read_anew(tmp_path: Path):
    """The bytes that are compared are the same in both versions, others are not."""
    newer = OTHER_FIRMWARE[:1000] + FIRMWARE[1000:]
    async with Origin(plan=["hold_and_cut"]) as origin, box(tmp_path) as here:
        fetching = asyncio.ensure_future(here.fetcher.fetch(origin.url()))
        await here.has_received(len(FIRMWARE) // 2)
        origin.change(newer)
        origin.always = "careless_range"
        origin.release.set()
        assert (await fetching).sha256 == hashlib.sha256(newer).hexdigest()


@pytest.mark.parametrize("way", ["wrong_range", "gone_range"])
async def test_fault_77_another_part_than_asked_for_is_not_taken(tmp_path: Path, way: str):
    async with Origin(plan=["cut", way]) as origin, box(tmp_path) as here:
        assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256
        assert origin.log[-1].range == ""


async def test_fault_77_without_a_version_nothing_is_resumed(tmp_path: Path):
    async with Origin(plan=["cut"], etag="", modified="") as origin, box(tmp_path) as here:
        assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256
        assert origin.log[1].range == ""


async def test_fault_77_a_weak_etag_is_no_proof_for_a_range(tmp_path: Path):
    async with Origin(plan=["cut"], etag='W/"v1"') as origin, box(tmp_path) as here:
        assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256
        assert origin.log[1].headers["If-Range"] == origin.modified


async def test_fault_83_a_download_goes_on_after_a_restart(tmp_path: Path):
    async with Origin(plan=["hold"]) as origin:
        async with box(tmp_path) as before:
            fetching = asyncio.ensure_future(before.fetcher.fetch(origin.url()))
            await origin.arrived.wait()
            await before.has_received(len(FIRMWARE) // 2)
            await before.fetcher.close()
            with pytest.raises(FetchFailed, match="stopping"):
                await fetching
            assert len(before.parts()) == 2
        async with box(tmp_path) as after:
            assert (await after.fetcher.fetch(origin.url())).sha256 == SHA256
            assert origin.log[1].range.startswith("bytes=14")
            assert after.parts() == []


async def test_fault_83_after_a_power_cut_only_what_was_synced_counts(tmp_path: Path):
    """The part is as long as it was, but what was not synced came back as zeros."""
    async with Origin(plan=["cut"]) as origin:
        async with box(tmp_path, attempts=1) as before:
            await refusal(before, origin.url())
            [part] = before.cache.shelves.parts.glob("*.part")
            about = part.with_name(f"{part.name}.json")
        about.write_text(about.read_text().replace('"boot":"', '"boot":"another '))
        synced = part.stat().st_size
        with part.open("ab") as file:
            file.write(bytes(20_000))
        async with box(tmp_path) as after:
            assert (await after.fetcher.fetch(origin.url())).sha256 == SHA256
            assert origin.log[1].range == f"bytes={synced - 4096}-"


# --- fault 78: the promised hash ------------------------------------------------------------------


async def test_fault_78_a_file_with_another_md5_never_enters_the_cache(tmp_path: Path):
    async with Origin() as origin, box(tmp_path) as here:
        assert (await refusal(here, origin.url(), md5="0" * 32)).kind == "checksum"
        assert here.parts() == []
        assert (await here.fetcher.fetch(origin.url(), md5=MD5.upper())).sha256 == SHA256


async def test_fault_78_a_cached_file_with_another_md5_is_fetched_anew(tmp_path: Path):
    async with Origin() as origin, box(tmp_path, fresh_s=600.0) as here:
        await here.fetcher.fetch(origin.url())
        origin.data = OTHER_FIRMWARE
        file = await here.fetcher.fetch(origin.url(), md5=hashlib.md5(OTHER_FIRMWARE).hexdigest())
        assert file.size_bytes == len(OTHER_FIRMWARE)


# --- answers that are no file ---------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418])
async def test_a_no_is_final_at_once(tmp_path: Path, status: int):
    async with Origin(always=f"status {status}") as origin, box(tmp_path) as here:
        failed = await refusal(here, origin.url())
        assert (failed.kind, len(origin.log)) == ("refused", 1)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_a_not_now_is_tried_again(tmp_path: Path, status: int):
    async with Origin(plan=[f"status {status}"] * 2) as origin, box(tmp_path) as here:
        assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256
        assert len(origin.log) == 3


async def test_what_the_origin_asks_to_wait_is_waited_within_bounds(tmp_path: Path):
    """An hour is asked for, in both forms, and cut to the bound; our own wait would be a minute."""
    async with box(tmp_path, retry_wait_s=60.0, retry_after_max_s=0.01) as here:
        later = format_datetime(datetime.fromtimestamp(here.wall.now + 3600, UTC), usegmt=True)
        async with Origin(plan=["status 503 3600", f"status 429 {later.replace(' ', '_')}"]) as origin:
            assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256
            assert len(origin.log) == 3


async def test_nobody_there_is_said(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        async with box(tmp_path, attempts=2) as here:
            failed = await refusal(here, f"http://127.0.0.1:{port}/fw.bin")
            assert (failed.kind, "Connection refused" in failed.text) == ("unreachable", True)


async def test_a_name_that_nobody_knows_is_said(tmp_path: Path):
    def unknown(host: str) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    async with box(tmp_path, attempts=2, lookup=unknown) as here:
        failed = await refusal(here, "http://gone.example/fw.bin")
        assert (failed.kind, "gone.example: Name or service not known" in failed.text) == (
            "unreachable",
            True,
        )


async def test_a_certificate_nobody_trusts_is_refused_and_one_of_the_ca_file_is_not(tmp_path: Path):
    tls, ca = server_context(tmp_path)
    async with Origin(tls=tls) as origin:
        async with box(tmp_path / "a") as here:
            failed = await refusal(here, origin.url())
            assert (failed.kind, "certificate" in failed.text) == ("refused", True)
        async with box(tmp_path / "b", ca_file=ca) as here:
            assert (await here.fetcher.fetch(origin.url())).sha256 == SHA256


async def test_what_is_lost_when_an_origin_ends_a_tls_connection_is_fetched_again(tmp_path: Path):
    """nginx that hangs up behind the last byte, faster than the box reads; see source_http."""
    async with Nginx(tmp_path / "origin", settings="keepalive_timeout 0;") as origin:
        (origin.files / "fw.bin").write_bytes(FIRMWARE[:300_000])
        async with box(tmp_path / "a", ca_file=origin.authority) as here:
            file = await here.fetcher.fetch(origin.tls_url("/fw.bin"))
        await origin.settled()
        assert file.sha256 == hashlib.sha256(FIRMWARE[:300_000]).hexdigest()
        assert len(origin.downloads("/fw.bin")) <= 2


async def test_fault_76_from_https_never_to_http(tmp_path: Path):
    tls, ca = server_context(tmp_path)
    async with AsyncExitStack() as both, Origin() as plain, Origin(tls=tls) as origin:
        origin.always = f"redirect {plain.url()}"
        here = await both.enter_async_context(box(tmp_path / "a", ca_file=ca))
        assert (await refusal(here, origin.url())).kind == "forbidden"
        assert plain.log == []
