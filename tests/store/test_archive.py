"""What a backup file may be before it is believed: cut, changed, somebody else's, or made to do harm."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

import msgspec
import pytest

from edgegw.store import archive
from edgegw.store.archive import ArchiveFault, ArchiveNewer, Manifest, Member
from edgegw.store.copying import Counts

DATA = {"edgegw.db": os.urandom(700_000), "site.toml": b'[site]\nid = "x"\n'}


def manifest(data: dict[str, bytes] = DATA, **changed) -> Manifest:
    members = tuple(
        Member(name=name, size_bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest())
        for name, raw in data.items()
    )
    facts = {"format": 1, "edgegw": "1", "schema": 1, "site": "x", "made_at": "2026-01-01T00:00:00Z"}
    return Manifest(**{**facts, "counts": Counts(tables={}), "members": members, **changed})


def packed(papers: bytes, data: dict[str, bytes] = DATA, heads: dict[str, bytes] | None = None) -> bytes:
    parts = [archive.head("manifest.json", len(papers), 0), papers, archive.padding(len(papers))]
    for name, raw in data.items():
        parts += [(heads or {}).get(name) or archive.head(name, len(raw), 0), raw, archive.padding(len(raw))]
    return b"".join([*parts, archive.END])


GOOD = packed(archive.manifest_bytes(manifest()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "into").mkdir()
    return tmp_path / "into"


def unpacks(tmp_path: Path, raw: bytes) -> Manifest:
    (tmp_path / "a.tar").write_bytes(raw)
    return archive.unpack(tmp_path / "a.tar", tmp_path / "into")


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_what_goes_in_comes_out(tmp_path, folder, compress):
    assert unpacks(tmp_path, compress(GOOD)) == manifest()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == DATA
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    assert len(GOOD) == archive.archive_bytes(manifest())


def test_others_can_read_it(tmp_path):
    with tarfile.open(fileobj=io.BytesIO(GOOD)) as tar:
        assert tar.getnames() == ["manifest.json", *DATA]
        assert tar.extractfile("edgegw.db").read() == DATA["edgegw.db"]
    huge = tarfile.TarInfo.frombuf(archive.head("edgegw.db", 2**40, 0), "utf-8", "strict")
    assert huge.size == 2**40


@pytest.mark.parametrize("cut", [0, 1, 600, 5000, 300_000, 700_000])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_one_that_was_cut_is_refused(tmp_path, folder, cut, compress):
    with pytest.raises(ArchiveFault):
        unpacks(tmp_path, compress(GOOD)[:cut])


def test_one_changed_byte_is_refused(tmp_path, folder):
    at = GOOD.index(DATA["edgegw.db"][:64]) + 1000
    with pytest.raises(ArchiveFault, match="SHA-256"):
        unpacks(tmp_path, GOOD[:at] + bytes([GOOD[at] ^ 1]) + GOOD[at + 1 :])


def with_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    head = info.tobuf(tarfile.GNU_FORMAT)
    papers = archive.manifest_bytes(manifest())
    return packed(papers, {**DATA, "extra": b""}, {"extra": head})


@pytest.mark.parametrize(
    "raw",
    [
        with_member("/etc/passwd"),
        with_member("../edgegw.db"),
        with_member("x/../../edgegw.db"),
        with_member("edgegw.db/"),
        with_member("telemetry.db", tarfile.SYMTYPE, "/etc/passwd"),
        with_member("telemetry.db", tarfile.LNKTYPE, "edgegw.db"),
        with_member("telemetry.db", tarfile.DIRTYPE),
        with_member("telemetry.db", tarfile.FIFOTYPE),
        with_member("telemetry.db", tarfile.CHRTYPE),
        with_member("edgegw.lock"),
        with_member("edgegw.db"),  # twice
        with_member("telemetry.db"),  # not named by the list
    ],
)
def test_path_tricks_links_and_strangers_are_refused(tmp_path, folder, raw):
    with pytest.raises(ArchiveFault):
        unpacks(tmp_path, raw)
    assert {path.name for path in folder.iterdir()} <= set(DATA)
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar", "into"}


@pytest.mark.parametrize(
    "papers",
    [
        b"",
        b"{}",
        b"[]",
        b'{"format": "x"}',
        archive.manifest_bytes(manifest(members=())),
        archive.manifest_bytes(manifest(members=(*manifest().members, manifest().members[0]))),
        archive.manifest_bytes(manifest({**DATA, "../x": b""})),
        archive.manifest_bytes(manifest(members=(Member(name="edgegw.db", size_bytes=-1, sha256=""),))),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, folder, papers):
    with pytest.raises(ArchiveFault):
        unpacks(tmp_path, packed(papers))
    assert not list(folder.iterdir())


def test_other_files_are_refused_in_words(tmp_path, folder):
    for raw in (b"", b"PK\x03\x04" + bytes(2000), os.urandom(4096), bytes(10_240), gzip.compress(b"hello")):
        with pytest.raises(ArchiveFault, match="backup of edgegw"):
            unpacks(tmp_path, raw)


def test_a_newer_format_is_refused_with_its_version(tmp_path, folder):
    for facts in ({"format": 2, "schema": 1}, {"format": 1, "schema": 99}):
        papers = msgspec.json.encode({"edgegw": "9.9", "else": 1, **facts})
        with pytest.raises(ArchiveNewer, match=r"made by a newer edgegw \(9\.9\)"):
            unpacks(tmp_path, packed(papers))


def test_a_bomb_is_not_unpacked(tmp_path, folder):
    """A list that promises more than the disk holds, and a member longer than the list says."""
    huge = (Member(name="edgegw.db", size_bytes=2**60, sha256=""),)
    with pytest.raises(ArchiveFault, match="free some space"):
        unpacks(tmp_path, packed(archive.manifest_bytes(manifest(members=huge)), {}))
    papers = archive.manifest_bytes(manifest({"edgegw.db": b"x"}))
    with pytest.raises(ArchiveFault, match="does not name"):
        unpacks(tmp_path, gzip.compress(packed(papers, {"edgegw.db": bytes(50_000_000)})))
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    "papers", [b'{"format":1,"schema":1,"a":' + b"[" * 300_000, b"[" * 300_000, b'\xff\xfe{"', b""]
)
def test_a_list_that_nobody_can_read_is_refused(tmp_path, folder, papers: bytes):
    with pytest.raises(ArchiveFault, match="cannot be read"):
        unpacks(tmp_path, packed(papers))
