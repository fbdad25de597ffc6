"""Files that people ask for: new, whole, for their owner alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegw.control.client import ControlFault, NotReachable
from edgegw.tui.saving import complaint_of, save_new


def test_a_file_is_for_its_owner_alone(tmp_path: Path):
    told = save_new(str(tmp_path / "a.txt"), lambda path: path.write_text("hello"))
    assert (tmp_path / "a.txt").read_text() == "hello"
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o600
    assert told == f"5 B in {tmp_path / 'a.txt'}"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"], "nothing is left beside it"


@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_nothing_is_overwritten(tmp_path: Path, kind: str):
    target = tmp_path / "a.txt"
    if kind == "file":
        target.write_text("old")
    else:
        target.symlink_to(tmp_path / "elsewhere")
    assert "overwritten" in complaint_of(str(target))
    with pytest.raises(ControlFault, match="overwritten"):
        save_new(str(target), lambda path: path.write_text("new"))
    assert not (tmp_path / "elsewhere").exists()
    assert kind != "file" or target.read_text() == "old"


def test_a_file_that_comes_meanwhile_is_not_overwritten_either(tmp_path: Path):
    target = tmp_path / "a.txt"

    def slowly(path: Path) -> None:
        path.write_text("new")
        target.write_text("old")

    with pytest.raises(ControlFault, match="overwritten"):
        save_new(str(target), slowly)
    assert target.read_text() == "old"


def test_what_cannot_be_got_leaves_nothing(tmp_path: Path):
    def fails(path: Path) -> None:
        path.write_text("half")
        raise NotReachable("gone")

    with pytest.raises(NotReachable):
        save_new(str(tmp_path / "a.txt"), fails)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "/nowhere/a", "a\0b", "~nobody-of-that-name/a", "x" * 300])
def test_names_that_cannot_be_are_refused_in_words(name: str, tmp_path: Path):
    text = name if name.startswith(("/", "~")) or not name else str(tmp_path / name)
    assert complaint_of(text)
    with pytest.raises(ControlFault):
        save_new(text, lambda path: path.write_text("x"))
