"""What the cache knows, on disk: the cache's half of fault 83, and damage."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from pathlib import Path

import pytest

from edgegw.files import manifest, shelves
from edgegw.files.cache import FirmwareCache, NotCached
from edgegw.files.disk import Disk
from edgegw.files.manifest import CachedFile, Contents, ManifestWriter, read_contents
from tests.files.rig import QUOTA_BYTES, Wall

FIRMWARE = b"firmware 1.2" * 1000
SHA256 = hashlib.sha256(FIRMWARE).hexdigest()


async def opened(directory: Path, wall: Wall | None = None) -> FirmwareCache:
    return await FirmwareCache.open(
        directory, quota_bytes=QUOTA_BYTES, wall=wall or Wall(), disk_reserve_bytes=0
    )


async def filled(directory: Path) -> None:
    """A cache with one local file and one grant, closed."""
    source = directory.with_name("source.bin")
    source.write_bytes(FIRMWARE)
    cache = await opened(directory)
    await cache.add_local(source, name="fw.bin", vendor="V", model="M", version="1.2")
    await cache.grant("charger-1", SHA256, order="o1", expires_at=Wall().now + 100)
    await cache.note("charger-1", SHA256, "offered")
    await cache.close()


async def test_everything_is_there_after_a_restart(tmp_path: Path):
    await filled(tmp_path / "cache")
    cache = await opened(tmp_path / "cache")
    try:
        file = cache.files[SHA256]
        assert (file.vendor, file.model, file.version, file.local) == ("V", "M", "1.2", True)
        assert [(h.charger, h.status) for h in file.holders] == [("charger-1", "offered")]
        assert [grant.order for grant in cache.grants.values()] == ["o1"]
        assert (await cache.open_verified(SHA256)).read_bytes() == FIRMWARE
    finally:
        await cache.close()


async def test_the_manifest_is_for_nobody_else(tmp_path: Path):
    await filled(tmp_path / "cache")
    assert (tmp_path / "cache" / "manifest.json").stat().st_mode & 0o777 == 0o600  # it holds tokens
    assert (tmp_path / "cache" / "files").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace('"format": 1', '"format": 99'),
        lambda text: text.replace(SHA256, "0" * 64, 1),
        lambda text: "\0" * len(text),
    ],
)
async def test_fault_83_a_damaged_manifest_is_put_aside_and_made_again(
    tmp_path: Path, damage, caplog: pytest.LogCaptureFixture
):
    await filled(tmp_path / "cache")
    manifest = tmp_path / "cache" / "manifest.json"
    manifest.write_text(damage(manifest.read_text()))
    cache = await opened(tmp_path / "cache")
    try:
        assert "damaged" in caplog.text
        assert len(list((tmp_path / "cache").glob("manifest.json.damaged-*"))) == 1
        file = cache.files[SHA256]
        assert (file.origin, file.local, cache.grants) == ("unknown", False, {})
        with pytest.raises(NotCached):
            await cache.open_verified(SHA256)
        with pytest.raises(NotCached):
            await cache.grant("charger-1", SHA256, order="o2", expires_at=Wall().now + 100)
        await cache.add_local(tmp_path / "source.bin", name="fw.bin")
        assert (await cache.open_verified(SHA256)).read_bytes() == FIRMWARE
    finally:
        await cache.close()


async def test_fault_83_a_file_that_lost_its_manifest_and_its_content_is_never_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It is not hashed at the start, which chargers wait for; it counts in the quota and may make room."""
    await filled(tmp_path / "cache")
    (tmp_path / "cache" / "manifest.json").unlink()
    (tmp_path / "cache" / "files" / SHA256).write_bytes(FIRMWARE + b"!")
    hashed: list[Path] = []
    monkeypatch.setattr(shelves, "hash_file", hashed.append)
    cache = await opened(tmp_path / "cache")
    try:
        assert hashed == []
        file = cache.files[SHA256]
        assert (file.origin, file.size_bytes) == ("unknown", len(FIRMWARE) + 1)
        with pytest.raises(NotCached):
            await cache.open_verified(SHA256)
        await cache.add_local(tmp_path / "source.bin", name="fw.bin")
        monkeypatch.undo()
        assert (await cache.open_verified(SHA256)).read_bytes() == FIRMWARE
    finally:
        await cache.close()


async def test_fault_83_a_power_cut_between_rename_and_manifest_serves_nothing_unknown(tmp_path: Path):
    """The file has its name already, the manifest does not know it yet."""
    await filled(tmp_path / "cache")
    newer = b"firmware 1.3"
    sha256 = hashlib.sha256(newer).hexdigest()
    (tmp_path / "cache" / "files" / sha256).write_bytes(newer)
    cache = await opened(tmp_path / "cache")
    try:
        assert set(cache.files) == {SHA256, sha256}
        with pytest.raises(NotCached):
            await cache.open_verified(sha256)
        assert (await cache.open_verified(SHA256)).exists()
    finally:
        await cache.close()


async def test_fault_83_a_file_that_is_gone_is_forgotten_with_its_links(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    await filled(tmp_path / "cache")
    (tmp_path / "cache" / "files" / SHA256).unlink()
    cache = await opened(tmp_path / "cache")
    try:
        assert (cache.files, cache.grants) == ({}, {})
        assert "fw.bin is gone" in caplog.text
    finally:
        await cache.close()


async def test_changes_that_come_together_share_a_write(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    written: list[int] = []
    contents = Contents()
    file = CachedFile(sha256=SHA256, md5="", size_bytes=1, name="fw.bin", origin="added here")

    def now() -> Contents:
        written.append(len(contents.files))
        return contents

    disk = Disk()
    writer = ManifestWriter(tmp_path / "manifest.json", now, disk)

    async def change(n: int) -> None:
        contents.files[SHA256[:-4] + f"{n:04}"] = file
        await writer.save()
        on_disk = json.loads((tmp_path / "manifest.json").read_text())["files"]
        assert SHA256[:-4] + f"{n:04}" in on_disk

    try:
        await asyncio.gather(*(change(n) for n in range(100)))
    finally:
        await writer.close()
        disk.close()
    assert len(written) <= 3
    assert caplog.records == []


async def test_what_a_power_cut_may_take_waits_for_company(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written, path, disk = asyncio.Event(), tmp_path / "manifest.json", Disk()
    looks: list[float] = []

    def now() -> Contents:
        looks.append(0.0)
        written.set()
        return Contents()

    writer = ManifestWriter(path, now, disk)
    try:
        for _ in range(500):
            writer.save_soon()
            await asyncio.sleep(0)
        assert looks == []
        await writer.save()  # takes along what waits
        assert len(looks) == 1
        monkeypatch.setattr(manifest, "SOON_S", 0.0)
        written.clear()
        writer.save_soon()
        await written.wait()
        monkeypatch.undo()
        writer.save_soon()
    finally:
        await writer.close()
        disk.close()
    assert len(looks) == 3
    assert read_contents(path) == Contents()


async def test_a_manifest_that_cannot_be_written_is_said_and_the_old_one_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.ERROR)
    await filled(tmp_path / "cache")
    before = read_contents(tmp_path / "cache" / "manifest.json")
    cache = await opened(tmp_path / "cache")
    (tmp_path / "cache" / "manifest.json.new").mkdir()  # in the way of the temporary file
    try:
        cache.update(SHA256, vendor="W")
    finally:
        await cache.close()
    assert "firmware manifest not written" in caplog.text
    after = read_contents(tmp_path / "cache" / "manifest.json")
    assert after is not None
    assert before is not None
    assert after.files == before.files
