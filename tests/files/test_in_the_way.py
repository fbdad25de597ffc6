"""A pipe, a folder or a link in the place of a file of ours: nobody waits, and the path is named."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgegw import app_files
from edgegw.config_files import Files
from edgegw.core.files import FetchOutcome
from tests.files.origin import Origin
from tests.files.rig import box
from tests.files.test_house import DEADLINE_S, Heard, fetch, house, opened

HASH = "a" * 64


def put_in_the_way(path: Path, kind: str) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
        (path / "x").touch()
    else:
        path.symlink_to("/dev/zero")  # read to its end it would never end


async def filled(folder: Path) -> Path:
    """The folder of a site that was in use."""
    async with house(folder, Heard()):
        pass
    return folder / "firmware_cache"


IN_THE_WAY = [
    *(
        (name, kind)
        for name in ("manifest.json", "uploads/uploads.json")
        for kind in ("pipe", "folder", "link")
    ),
    *((name, kind) for name in ("files", "incoming", "uploads/files") for kind in ("pipe", "link")),
]


@pytest.mark.parametrize(("name", "kind"), IN_THE_WAY)
async def test_files_are_off_and_the_path_is_named(tmp_path: Path, name: str, kind: str):
    """`FilesUnusable` is what the start of the gateway catches; it goes on without [files]."""
    path = await filled(tmp_path) / name
    put_in_the_way(path, kind)
    settings = Files(listen="127.0.0.1:0", directory=str(tmp_path / "firmware_cache"))
    gateway = SimpleNamespace(tell=None, cloud=SimpleNamespace(exists=False))
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(app_files.FilesUnusable) as caught:
            await app_files.open_house(settings, gateway)
    assert f"{path}: " in str(caught.value)
    assert "in the place of a" in str(caught.value)
    assert path.is_symlink() or path.exists()


@pytest.mark.parametrize("kind", ["pipe", "link"])
async def test_what_a_crash_may_have_left_is_cleared_away(tmp_path: Path, kind: str):
    """None of these was ever told to anybody."""
    root = await filled(tmp_path)
    names = ["manifest.json.new", "uploads/uploads.json.new", "uploads/files/x.part", "uploads/files/x"]
    for name in [*names, "incoming/x"]:
        put_in_the_way(root / name, kind)
    heard = Heard()
    async with asyncio.timeout(DEADLINE_S), Origin() as origin, house(tmp_path, heard) as here:
        assert (await fetch(here, heard, "o", origin.url())).outcome is FetchOutcome.READY
        assert (await opened(here, heard, "u", origin.url("logs/"))).urls
    assert sorted(path.name for path in (root / "uploads").iterdir()) == ["files", "uploads.json"]
    assert list((root / "uploads" / "files").iterdir()) == list((root / "incoming").iterdir()) == []


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
async def test_in_the_place_of_a_cached_file_it_is_put_aside_and_fetched_again(tmp_path: Path, kind: str):
    heard = Heard()
    async with asyncio.timeout(DEADLINE_S), Origin() as origin, house(tmp_path, heard) as here:
        await fetch(here, heard, "o-1", origin.url())
        sha256 = next(iter(here.files))
        put_in_the_way(tmp_path / "firmware_cache" / "files" / sha256, kind)
        again = await fetch(here, heard, "o-2", origin.url())
        assert (again.outcome, len(origin.log)) == (FetchOutcome.READY, 2)


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
async def test_an_unknown_name_that_is_no_file_is_no_file_of_the_cache(tmp_path: Path, kind: str):
    path = await filled(tmp_path) / "files" / HASH
    put_in_the_way(path, kind)
    async with asyncio.timeout(DEADLINE_S), house(tmp_path, Heard()) as here:
        assert HASH not in here.files
    assert not path.exists()


@pytest.mark.parametrize("suffix", ["", ".json"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
async def test_in_the_place_of_a_part_it_is_named_or_replaced(tmp_path: Path, kind: str, suffix: str):
    """What describes a part is written anew; the part itself is not ours to remove when it is none."""
    async with asyncio.timeout(DEADLINE_S), Origin(plan=["status 404"]) as origin:
        heard = Heard()
        async with box(tmp_path / "look") as look, house(tmp_path, heard) as here:
            with pytest.raises(Exception, match="404"):
                await look.fetcher.fetch(origin.url())
            from edgegw.files.addresses import parse_location

            key = parse_location(origin.url()).key
            path = tmp_path / "firmware_cache" / "parts" / f"{key}.part{suffix}"
            put_in_the_way(path, kind)
            answer = await fetch(here, heard, "o", origin.url())
            if suffix and kind != "folder":
                assert answer.outcome is FetchOutcome.READY
            else:
                assert answer.outcome is FetchOutcome.UNREACHABLE
                assert str(path) in answer.why
