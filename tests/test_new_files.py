"""Files for people: new, whole or not at all, for their owner alone; also where a disk knows no links."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgegw.new_files import check_new, new_file


def write(target: Path, *, replace: bool = False, then: Callable[[], object] | None = None) -> None:
    with new_file(target, replace=replace) as file:
        file.write(b"new")
        if then is not None:
            then()


def no_links(*_: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.fixture(params=["links", "no links"])
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "no links":
        monkeypatch.setattr(os, "link", no_links)
    return tmp_path / "file"


def test_a_new_file_is_its_owners(target: Path):
    write(target)
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(target.parent.iterdir()) == [target]


def test_what_is_there_stays(target: Path):
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError, match="take another name, or --force"):
        write(target)
    assert target.read_bytes() == b"old"
    write(target, replace=True)
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600


def test_somebody_else_was_quicker(target: Path):
    with pytest.raises(FileExistsError, match="take another name"):
        write(target, then=lambda: target.write_bytes(b"quicker"))
    assert target.read_bytes() == b"quicker"
    assert list(target.parent.iterdir()) == [target]


def test_what_fails_leaves_nothing(target: Path):
    with pytest.raises(FileNotFoundError):
        write(target, then=lambda: target.with_name("none").read_bytes())
    assert list(target.parent.iterdir()) == []


@pytest.mark.parametrize("replace", [False, True])
def test_a_link_is_never_followed(target: Path, replace: bool):
    secret = target.with_name("secret")
    secret.write_bytes(b"old")
    target.symlink_to(secret)
    if replace:
        write(target, replace=True)
    else:
        with pytest.raises(FileExistsError):
            write(target)
    assert secret.read_bytes() == b"old"
    assert target.is_symlink() is not replace


def test_a_link_to_nowhere_is_there_too(target: Path):
    target.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        write(target)


def test_what_cannot_be_is_said_in_words(tmp_path: Path):
    with pytest.raises(OSError, match="there is no folder"):
        check_new(tmp_path / "none" / "file")
    with pytest.raises(IsADirectoryError, match="name a file"):
        check_new(tmp_path, replace=True)
