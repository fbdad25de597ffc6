"""`edgegw restore` asks on a terminal, and finds its site file in $EDGEGW_CONFIG as every command does."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from edgegw.cli import edgegw
from tests.cli.conftest import Shell
from tests.cli.test_backup import SITE, charges, store_files
from tests.control.house import DEADLINE_S, House
from tests.e2e.children import ending

SLEEPS_LOOKS = 5  # after each other


class Terminal:
    """`edgegw WORDS` with a terminal of its own."""

    def __init__(self) -> None:
        self.here, self._there = os.openpty()
        self.shown = bytearray()
        self._over = False
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.here, self._reads)

    async def start(self, *words: str | Path, **environment: str) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edgegw", *map(str, words)),
            stdin=self._there,
            stdout=self._there,
            stderr=self._there,
            start_new_session=True,
            preexec_fn=self._takes_terminal,
            env={**os.environ, **environment},
        )
        os.close(self._there)
        return self._process

    @staticmethod
    def _takes_terminal() -> None:
        """So that Ctrl-C is one."""
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def _reads(self) -> None:
        try:
            block = os.read(self.here, 65_536)
        except OSError:  # the last one who had it open is gone
            block = b""
        self.shown += block
        if not block:
            self._over = True
            asyncio.get_running_loop().remove_reader(self.here)
        self._more.set()

    async def asks(self, words: str) -> None:
        async with asyncio.timeout(2 * DEADLINE_S):
            while words.encode() not in self.shown:
                self._more.clear()
                await self._more.wait()

    def types(self, keys: str) -> None:
        os.write(self.here, keys.encode())

    async def reads(self) -> None:
        """Until it sleeps: a Ctrl-C that comes between the question and the reading may be lost."""
        looks = 0
        while looks < SLEEPS_LOOKS:
            await asyncio.sleep(0.02)
            state = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0]  # noqa: ASYNC240
            looks = looks + 1 if state == "S" else 0

    async def ends(self) -> tuple[int, str]:
        async with asyncio.timeout(2 * DEADLINE_S):
            code = await self._process.wait()
            while not self._over:  # what it wrote last
                self._more.clear()
                await self._more.wait()
        return code, self.shown.decode()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.here)
        os.close(self.here)


@pytest.fixture
async def backup(house: House, shell: Shell, tmp_path: Path) -> AsyncIterator[Path]:
    """Of a store that has moved on since, and a gateway that is stopped."""
    (tmp_path / "site.toml").write_text(SITE.format(site="depot-1"))
    charger = await charges(house, "CP-1")
    await shell("backup", str(tmp_path / "b.tar"))
    await house.stops(charger, await house.starts(charger))
    await house.all_is_stored()
    await house.stop()
    yield tmp_path / "b.tar"
    await house.start()


def database(tmp_path: Path) -> bytes:
    return (tmp_path / "store" / "edgegw.db").read_bytes()


async def answered(keys: str, *words: str | Path, **environment: str) -> tuple[int, str]:
    """Exit code, and what the terminal showed."""
    terminal = Terminal()
    try:
        async with ending(await terminal.start("restore", *words, **environment)):
            await terminal.asks("restore it? [y/N]")
            await terminal.reads()
            terminal.types(keys)
            return await terminal.ends()
    finally:
        terminal.close()


async def test_only_who_says_yes_changes_anything(backup: Path, tmp_path: Path):
    before, files = database(tmp_path), store_files(tmp_path)
    for keys, code in (("what?\nn\n", 1), ("\x04", 130), ("\x03", 130)):  # no, end of file, Ctrl-C
        ended, shown = await answered(keys, backup, "--config", tmp_path / "site.toml")
        assert (ended, "nothing was changed" in shown) == (code, True), shown
        assert "What happened after" in shown
        assert "Traceback" not in shown
        assert (database(tmp_path), store_files(tmp_path)) == (before, files)
    ended, shown = await answered("y\n", backup, EDGEGW_CONFIG=str(tmp_path / "site.toml"))
    assert (ended, "the old store is kept: " in shown) == (0, True), shown
    aside = next((tmp_path / "store").glob("edgegw.db.before-restore-*"))
    assert aside.read_bytes() == before
    assert database(tmp_path) != before


@pytest.mark.parametrize("words", [["run"], ["restore", __file__], ["check"]], ids=lambda words: words[0])
def test_the_site_file_may_be_named_by_the_environment(words: list[str], tmp_path: Path):
    wrong = tmp_path / "site.toml"
    wrong.write_text("[sight]\n")
    told = CliRunner().invoke(edgegw, words, env={"EDGEGW_CONFIG": str(wrong)})
    assert (told.exit_code, str(wrong) in told.stderr) == (2, True), told.output
    other = tmp_path / "other.toml"
    told = CliRunner().invoke(edgegw, [*words, "--config", str(other)], env={"EDGEGW_CONFIG": str(wrong)})
    assert str(other) in told.stderr
    told = CliRunner().invoke(edgegw, words, env={"EDGEGW_CONFIG": None})
    assert (told.exit_code, "--config" in told.stderr) == (2, True)
    assert "$EDGEGW_CONFIG" in CliRunner().invoke(edgegw, [words[0], "--help"]).stdout
