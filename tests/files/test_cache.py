"""The firmware cache on a real disk: faults 80 (its half) and 83, quota, grants."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from edgegw.files.cache import FirmwareCache, NotCached, Tampered
from edgegw.files.disk import CacheFault, NoRoom
from edgegw.files.fetch import FetchFailed
from edgegw.files.manifest import CachedFile, read_contents
from tests.files.origin import FIRMWARE, Origin
from tests.files.rig import BoardClock, Wall, box
from tests.small_disk import fill, small_disk

KB = 1000


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
async def cache(tmp_path: Path, wall: Wall) -> AsyncIterator[FirmwareCache]:
    opened = await FirmwareCache.open(
        tmp_path / "cache", quota_bytes=100 * KB, wall=wall, disk_reserve_bytes=0
    )
    yield opened
    await opened.close()


async def take(cache: FirmwareCache, wall: Wall, data: bytes, key: str = "k") -> CachedFile:
    """A downloaded file, as the fetcher hands it over."""
    part = cache.shelves.part(key)
    part.write_bytes(data)
    file = CachedFile(
        sha256=hashlib.sha256(data).hexdigest(),
        md5=hashlib.md5(data).hexdigest(),
        size_bytes=len(data),
        name=f"{key}.bin",
        origin=f"http://firm.example/{key}.bin",
        origin_key=key,
        used_at=wall.now,
    )
    return await cache.take(part, file)


@pytest.mark.parametrize("restart", [False, True])
async def test_setting_the_clock_costs_no_link_and_no_file(tmp_path: Path, restart: bool):
    clock = BoardClock()

    async def opened() -> FirmwareCache:
        return await FirmwareCache.open(
            tmp_path, quota_bytes=10 * KB, wall=clock, trusted=clock.trusted, disk_reserve_bytes=0
        )

    cache = await opened()
    file = await take(cache, Wall(clock.now), b"firmware")
    grant = await cache.grant("CP-1", file.sha256, order="o", expires_at=clock.now + 3600)
    clock.now += 7200  # nobody can say whether it was that long
    assert cache.grant_of(grant.token) is not None
    with pytest.raises(NoRoom):
        await cache.make_room(10 * KB)
    if restart:
        await cache.close()
        cache = await opened()
    clock.set(1_800_000_000.0)
    found = cache.grant_of(grant.token)
    assert found is not None
    assert (found.expires_at, found.undated_at) == (clock.now + 3600, None)
    assert (await cache.grant("CP-1", file.sha256, order="o", expires_at=0.0)).token == grant.token
    clock.now += 3601
    assert cache.grant_of(grant.token) is None, "from now on time counts"
    await cache.make_room(10 * KB)
    await cache.close()


# --- fault 83: the file on disk is not what was cached --------------------------------------------


async def test_fault_83_an_edited_file_is_put_aside_and_never_served(cache: FirmwareCache, wall: Wall):
    file = await take(cache, wall, b"firmware" * 100)
    await cache.grant("c1", file.sha256, order="o", expires_at=wall.now + 10)
    path = await cache.open_verified(file.sha256)
    path.write_bytes(b"FIRMWARE" * 100)
    with pytest.raises(Tampered, match="changed on disk"):
        await cache.open_verified(file.sha256)
    assert (cache.files, cache.grants) == ({}, {})
    assert path.with_name(f"{path.name}.tampered").exists()
    with pytest.raises(NotCached):
        await cache.open_verified(file.sha256)


async def test_fault_83_an_edit_that_sets_size_and_time_back_is_found(cache: FirmwareCache, wall: Wall):
    file = await take(cache, wall, b"firmware" * 100)
    path = await cache.open_verified(file.sha256)
    before = path.stat()
    with path.open("r+b") as handle:
        handle.write(b"F")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (before.st_mtime_ns, before.st_size)
    with pytest.raises(Tampered):
        await cache.open_verified(file.sha256)


async def test_fault_83_a_file_that_was_replaced_or_cut_is_found(cache: FirmwareCache, wall: Wall):
    file = await take(cache, wall, b"firmware" * 100)
    path = await cache.open_verified(file.sha256)
    os.truncate(path, 7)
    with pytest.raises(Tampered):
        await cache.open_verified(file.sha256)


async def test_fault_83_an_untouched_file_is_hashed_once(cache: FirmwareCache, wall: Wall):
    file = await take(cache, wall, bytes(90 * KB))
    path = await cache.open_verified(file.sha256)
    path.chmod(0o644)  # changes its ctime: who knows what else happened
    before = bytes_read()
    await asyncio.gather(*(cache.open_verified(file.sha256) for _ in range(50)))
    assert 90 * KB <= bytes_read() - before < 2 * 90 * KB


def bytes_read() -> int:
    """By this process, from anywhere, ever."""
    [line] = [text for text in Path("/proc/self/io").read_text().splitlines() if text.startswith("rchar")]
    return int(line.split()[1])


async def test_fault_83_a_tampered_file_is_fetched_again(tmp_path: Path):
    async with Origin() as origin, box(tmp_path, fresh_s=600.0) as here:
        file = await here.fetcher.fetch(origin.url())
        here.cache.shelves.file(file.sha256).write_bytes(b"evil")
        assert await here.fetcher.fetch(origin.url()) == file
        assert (await here.cache.open_verified(file.sha256)).read_bytes() == FIRMWARE
        assert len(origin.log) == 2


async def test_only_a_few_tampered_files_are_kept(cache: FirmwareCache, wall: Wall):
    for n in range(5):
        file = await take(cache, wall, b"firmware %d" % n)
        cache.shelves.file(file.sha256).write_bytes(b"evil")
        with pytest.raises(Tampered):
            await cache.open_verified(file.sha256)
    assert len(list(cache.shelves.files.glob("*.tampered"))) == 3


# --- fault 80: what is not a file of the cache ----------------------------------------------------


async def test_fault_80_a_symlink_in_the_cache_is_not_followed(
    cache: FirmwareCache, wall: Wall, tmp_path: Path
):
    file = await take(cache, wall, b"firmware" * 100)
    path = await cache.open_verified(file.sha256)
    outside = tmp_path / "outside"
    outside.write_bytes(b"firmware" * 100)  # even with the right bytes
    path.unlink()
    path.symlink_to(outside)
    with pytest.raises(Tampered, match="cannot be read"):
        await cache.open_verified(file.sha256)
    assert outside.exists()


@pytest.mark.parametrize("name", ["../../db", "manifest.json", "", "a/../b", "\0", "0" * 64, "x" * 64])
async def test_fault_80_no_name_from_outside_leads_to_a_file(cache: FirmwareCache, name: str):
    with pytest.raises(NotCached):
        await cache.open_verified(name)
    assert await cache.remove(name) is False


async def test_fault_80_unknown_and_expired_tokens_are_the_same_nothing(cache: FirmwareCache, wall: Wall):
    file = await take(cache, wall, b"firmware")
    grant = await cache.grant("c1", file.sha256, order="o1", expires_at=wall.now + 10, name="../x y.bin")
    assert cache.grant_of(grant.token) == grant
    assert grant.name == "x_y.bin"
    assert len(grant.token) >= 22  # 128 bits
    assert grant.token not in repr(grant)
    wall.now += 10
    assert cache.grant_of(grant.token) is None
    assert cache.grant_of("") is None
    assert cache.grant_of(grant.token[:-1]) is None


# --- grants ---------------------------------------------------------------------------------------


async def test_a_grant_is_on_disk_when_it_is_told(cache: FirmwareCache, wall: Wall):
    file = await take(cache, wall, b"firmware")
    grants = await asyncio.gather(
        *(cache.grant(f"c{n}", file.sha256, order=f"o{n}", expires_at=wall.now + 10) for n in range(50))
    )
    contents = read_contents(cache.shelves.manifest)
    assert contents is not None
    assert {grant.token for grant in grants} == set(contents.grants)
    assert len({grant.token for grant in grants}) == 50


async def test_the_same_order_gets_the_same_link_and_a_later_end(cache: FirmwareCache, wall: Wall):
    file = await take(cache, wall, b"firmware")
    first = await cache.grant("c1", file.sha256, order="o1", expires_at=wall.now + 10)
    again = await cache.grant("c1", file.sha256, order="o1", expires_at=wall.now + 20)
    other = await cache.grant("c1", file.sha256, order="o2", expires_at=wall.now + 10)
    assert (again.token, again.expires_at) == (first.token, wall.now + 20)
    assert other.token != first.token


async def test_a_revoked_order_has_no_link(cache: FirmwareCache, wall: Wall):
    file = await take(cache, wall, b"firmware")
    grant = await cache.grant("c1", file.sha256, order="o1", expires_at=wall.now + 10)
    kept = await cache.grant("c2", file.sha256, order="o2", expires_at=wall.now + 10)
    await cache.revoke("o1")
    assert cache.grant_of(grant.token) is None
    assert cache.grant_of(kept.token) == kept
    contents = read_contents(cache.shelves.manifest)
    assert contents is not None
    assert list(contents.grants) == [kept.token]


async def test_a_grant_for_a_file_that_is_not_there_is_refused(cache: FirmwareCache, wall: Wall):
    with pytest.raises(NotCached):
        await cache.grant("c1", "0" * 64, order="o1", expires_at=wall.now + 10)


async def test_which_charger_has_what_is_kept(cache: FirmwareCache, wall: Wall):
    old, new = await take(cache, wall, b"1.2", "old"), await take(cache, wall, b"1.3", "new")
    for charger in ("c1", "c2"):
        await cache.note(charger, old.sha256, "installed")
    await cache.note("c1", new.sha256, "downloading")
    assert {h.charger: h.status for h in cache.files[old.sha256].holders} == {
        "c1": "installed",
        "c2": "installed",
    }
    await cache.note("c1", new.sha256, "installed")
    assert [h.charger for h in cache.files[old.sha256].holders] == ["c2"]
    assert [(h.charger, h.status) for h in cache.files[new.sha256].holders] == [("c1", "installed")]


# --- room -----------------------------------------------------------------------------------------


async def test_the_oldest_file_that_nobody_needs_goes_first(cache: FirmwareCache, wall: Wall):
    kept: list[str] = []
    for n in range(4):
        wall.now += 1
        kept.append((await take(cache, wall, bytes([n]) * 25 * KB, f"k{n}")).sha256)
    wall.now += 1
    grant = await cache.grant("c1", kept[0], order="o", expires_at=wall.now + 100)
    cache.update(kept[1], published=True)
    await cache.make_room(20 * KB)
    assert list(cache.files) == [kept[0], kept[1], kept[3]]
    assert cache.of_origin("k2") is None
    assert not cache.shelves.file(kept[2]).exists()
    with pytest.raises(NoRoom, match="raise the quota"):
        await cache.make_room(60 * KB)
    assert list(cache.files) == [kept[0], kept[1], kept[3]]  # nothing went in vain
    wall.now += 1000
    assert cache.grant_of(grant.token) is None
    await cache.make_room(60 * KB)
    assert list(cache.files) == [kept[1]]


async def test_what_a_person_added_is_never_evicted(cache: FirmwareCache, tmp_path: Path):
    source = tmp_path / "mine.bin"
    source.write_bytes(bytes(60 * KB))
    mine = await cache.add_local(source, name="mine.bin")
    with pytest.raises(NoRoom):
        await cache.make_room(50 * KB)
    assert list(cache.files) == [mine.sha256]
    source.write_bytes(b"1" * 60 * KB)
    with pytest.raises(NoRoom):
        await cache.add_local(source, name="other.bin")
    assert list(cache.shelves.parts.iterdir()) == []


async def test_two_downloads_do_not_share_the_same_room(cache: FirmwareCache):
    await cache.room.make(60 * KB, key="a")
    with pytest.raises(NoRoom):
        await cache.room.make(60 * KB, key="b")
    await cache.room.make(70 * KB, key="a")  # asking again sets it anew
    cache.room.release("a")
    await cache.room.make(60 * KB, key="b")


async def test_what_nobody_continues_goes_before_whole_files(cache: FirmwareCache, wall: Wall):
    file = await take(cache, wall, bytes(40 * KB))
    for key in ("idle", "busy"):
        cache.shelves.part(key).write_bytes(bytes(10 * KB))
    await cache.room.make(10 * KB, key="busy")
    await cache.make_room(45 * KB)
    assert list(cache.files) == [file.sha256]
    assert [path.name for path in cache.shelves.parts.iterdir()] == ["busy.part"]


async def test_a_file_can_be_removed(cache: FirmwareCache, wall: Wall):
    file = await take(cache, wall, b"firmware")
    grant = await cache.grant("c1", file.sha256, order="o1", expires_at=wall.now + 10)
    assert await cache.remove(file.sha256) is True
    assert await cache.remove(file.sha256) is False
    assert cache.grant_of(grant.token) is None
    assert list(cache.shelves.files.iterdir()) == []


async def test_a_file_that_is_no_file_cannot_be_added(cache: FirmwareCache, tmp_path: Path):
    for source in (tmp_path / "missing.bin", tmp_path):
        with pytest.raises(CacheFault, match=source.name):
            await cache.add_local(source, name="x.bin")
    assert (cache.files, list(cache.shelves.parts.iterdir())) == ({}, [])


async def test_what_was_known_of_a_file_stays_known(cache: FirmwareCache, wall: Wall, tmp_path: Path):
    source = tmp_path / "fw.bin"
    source.write_bytes(b"firmware")
    mine = await cache.add_local(source, name="fw.bin", vendor="V")
    await cache.note("c1", mine.sha256, "installed")
    fetched = await take(cache, wall, b"firmware")
    assert fetched.sha256 == mine.sha256
    assert (fetched.local, fetched.vendor, len(fetched.holders)) == (True, "V", 1)
    assert cache.of_origin("k") is not None


# --- full disk (fault 83) -------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "small", 2) as at:
        yield at


@pytest.mark.needs_root
@pytest.mark.parametrize("way", ["serve", "chunked"])
async def test_fault_83_a_full_disk_leaves_nothing_half_written(small: Path, way: str):
    """3 MB do not fit 2 MB: noticed before the first byte when the length is known, else while writing."""
    async with Origin(always=way) as origin, box(small / "cache") as here:
        with pytest.raises(FetchFailed, match=r"free some|free disk space") as caught:
            await here.fetcher.fetch(origin.url())
        assert caught.value.kind == "no_room"
        assert (here.cache.files, here.parts()) == ({}, [])
        origin.data, origin.always = b"small enough", "serve"
        file = await here.fetcher.fetch(origin.url())
        assert (await here.cache.open_verified(file.sha256)).read_bytes() == b"small enough"


@pytest.mark.needs_root
async def test_fault_83_a_disk_that_fills_up_while_a_file_comes_leaves_nothing(small: Path):
    """Somebody else takes the space in the middle of a download: the write itself fails."""
    async with Origin(plan=["hold"], data=bytes(1_500_000)) as origin, box(small / "cache") as here:
        fetching = asyncio.ensure_future(here.fetcher.fetch(origin.url()))
        await here.has_received(700_000)
        fill(small / "junk")
        origin.release.set()
        with pytest.raises(FetchFailed, match="is full: free some space") as caught:
            await fetching
        assert caught.value.kind == "no_room"
        assert (here.cache.files, here.parts()) == ({}, [])
        (small / "junk").unlink()


@pytest.mark.needs_root
async def test_fault_83_a_grant_that_cannot_be_kept_is_not_given(small: Path, wall: Wall):
    async with box(small / "cache", wall=wall) as here:
        file = await take(here.cache, wall, b"firmware")
        fill(small / "junk")
        with pytest.raises(CacheFault, match="free some space"):
            await here.cache.grant("c1", file.sha256, order="o" * 4096, expires_at=wall.now + 10)
        assert here.cache.grants == {}
        (small / "junk").unlink()
        grant = await here.cache.grant("c1", file.sha256, order="o1", expires_at=wall.now + 10)
        assert here.cache.grant_of(grant.token) == grant
