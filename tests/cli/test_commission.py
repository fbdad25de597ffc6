"""`edgegw commission`: what a person is asked and what becomes of the answers, Ctrl-C included.

The driver is the real one, on a simulated site whose seconds pass at once; a gateway of its own
answers on the real terminal.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edgegw.cli import commission as command
from edgegw.cli import edgegw
from edgegw.cli.asking import Asking
from edgegw.commissioning.plan import Plan
from tests.commissioning.client import EARLIER, Client, SiteRun
from tests.commissioning.site import Site
from tests.control.house import DEADLINE_S
from tests.control.wired_house import WiredHouse

ONE_PHASE = (0,)

Runs = Callable[..., Result]


class Walked:
    """`edgegw commission CP-7` on a site."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.client = Client((EARLIER,), site=Site(car=ONE_PHASE, truth=(1, 2, 0)))
        self.presses_at = ""
        patch.setattr(command, "LOOK_S", 0.01)
        patch.setattr(command, "CommissioningRun", self._run)
        patch.setattr(Asking, "client", lambda _: self.client)

    def _run(self, connect: object, plan: Plan, *, by: str) -> SiteRun:
        run = SiteRun(self.client, plan, by=by, patch=self._patch)
        run.presses_at = self.presses_at
        return run

    def __call__(self, *arguments: str, said: str = "", code: int = 0) -> Result:
        result = CliRunner().invoke(edgegw, ["commission", "CP-7", *arguments], input=said)
        assert result.exit_code == code, (result.output, result.exception)
        return result


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> Walked:
    return Walked(monkeypatch)


# --- questions ----------------------------------------------------------------------------------------


def test_a_person_answers_and_reads_what_was_found(walked: Walked):
    told = walked(said="perhaps\nyes\nyes\n")
    assert "Let it in? (yes, no): " in told.stderr
    assert "is not one of 'yes', 'no'" in told.stderr
    assert "Wire it as L2 L3 L1 from now on? (yes, no): " in told.stderr
    assert "The charger is let in: ok it was accepted here" in told.stdout
    assert "     to 10 A: " in told.stdout
    assert told.stdout.endswith("result: passed with remarks\n")
    assert walked.client.limits == [10.0, 16.0, 11.0]  # the last is what somebody had ordered before


def test_who_says_no_ends_it(walked: Walked):
    told = walked(said="no\n", code=1)
    assert "The charger is let in: FAILED it was not let in" in told.stdout
    assert walked.client.limits == []


def test_with_yes_nobody_is_asked(walked: Walked):
    told = walked("--yes")
    assert "(yes, no)" not in told.output
    assert walked.client.on_site is not None
    assert walked.client.on_site.wired is not None
    assert walked.client.on_site.wired.phases == "L2 L3 L1"


def test_json_is_one_document(walked: Walked):
    told = walked("--json", "--by", "Ada", said="yes\nyes\n")
    found = json.loads(told.stdout)
    assert (found["result"], found["by"], len(found["steps"])) == ("passed with remarks", "Ada", 7)


# --- Ctrl-C -------------------------------------------------------------------------------------------


def test_giving_up_in_the_middle_puts_the_earlier_limit_back_and_reports(walked: Walked, tmp_path: Path):
    walked.presses_at = "step"
    told = walked("--yes", "--report", str(tmp_path / "CP-7"), said="x\n", code=130)
    assert "skip this step (s), give up (x), or go on (enter)?" in told.stderr
    assert walked.client.limits == [10.0, 11.0]
    assert "The limit is followed: skipped given up here" in told.stdout
    assert told.stdout.endswith("result: aborted\n")
    found = json.loads((tmp_path / "CP-7.json").read_text())
    verdicts = {step["key"]: step["verdict"] for step in found["steps"]}
    assert (found["result"], verdicts["charge"], verdicts["step"]) == ("aborted", "passed", "skipped")
    assert "GIVEN UP HERE" in (tmp_path / "CP-7.txt").read_text().upper()


def test_a_second_ctrl_c_gives_up(walked: Walked):
    walked.presses_at = "step"
    told = walked("--yes", said="", code=130)  # the end of input is to a prompt what Ctrl-C is
    assert told.stdout.endswith("result: aborted\n")
    assert walked.client.limits == [10.0, 11.0]


def test_ctrl_c_at_a_question_gives_up(walked: Walked):
    told = walked(said="", code=130)
    assert told.stdout.endswith("result: aborted\n")


def test_a_step_is_skipped_with_a_reason(walked: Walked):
    walked.presses_at = "charge"
    told = walked("--yes", said="s\nno car here today\n", code=1)
    assert "A car charges: skipped no car here today" in told.stdout
    assert "result: incomplete: not everything could be tested: a car charges" in told.stdout


def test_it_may_go_on_as_if_nothing_was(walked: Walked):
    walked.presses_at = "step"
    walked("--yes", said="\n")
    assert walked.client.limits == [10.0, 16.0, 11.0]


# --- the report ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CP-7.json", "CP-7.txt"])
def test_a_report_that_is_there_is_seen_before_anybody_is_asked(walked: Walked, tmp_path: Path, name: str):
    (tmp_path / name).write_text("of last year")
    target = str(tmp_path / "CP-7")
    told = walked("--yes", "--report", target, code=1)
    assert "take another name, or --force" in " ".join(told.stderr.split())
    assert walked.client.asked == 0
    assert (tmp_path / name).read_text() == "of last year"
    error = json.loads(walked("--json", "--report", target, code=1).stdout)["error"]
    assert error["code"] == "exists"
    walked("--yes", "--report", target, "--force")
    assert (tmp_path / name).read_text() != "of last year"
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_not_there_is_seen_before_too(walked: Walked, tmp_path: Path):
    told = walked("--yes", "--report", str(tmp_path / "none" / "CP-7"), code=1)
    assert "there is no folder" in " ".join(told.stderr.split())
    assert walked.client.asked == 0


# --- on a real terminal ---------------------------------------------------------------------------------


class Terminal:
    """A process whose controlling terminal this is; what is typed here is typed there, ^C too."""

    def __init__(self) -> None:
        self._here, self._there = os.openpty()
        self.shown = bytearray()
        self._news = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "edgegw", *words),
            stdin=self._there,
            stdout=self._there,
            stderr=self._there,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(self._there)
        asyncio.get_running_loop().add_reader(self._here, self._read)
        self._process = process
        return process

    def _read(self) -> None:
        try:
            block = os.read(self._here, 65_536)
        except OSError:  # the last one who had it open is gone
            block = b""
        if not block:
            asyncio.get_running_loop().remove_reader(self._here)
        self.shown += block
        self._news.set()

    async def shows(self, words: str) -> None:
        """From where it was read last on."""
        while words.encode() not in self.shown:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), DEADLINE_S)
            except TimeoutError:
                raise AssertionError(f"{words!r} is not in {self.shown.decode()!r}") from None
        del self.shown[: self.shown.index(words.encode()) + len(words)]

    def types(self, words: str) -> None:
        os.write(self._here, words.encode())

    async def close(self) -> None:
        """Nothing of it outlives the test, also when that failed."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        asyncio.get_running_loop().remove_reader(self._here)
        os.close(self._here)


async def test_ctrl_c_on_a_real_terminal_with_a_real_gateway(tmp_path: Path):
    house = WiredHouse(tmp_path)
    await house.start()
    terminal = Terminal()
    try:
        await house.knocks("CP-7")
        socket, report = str(tmp_path / "store" / "edgegw.sock"), str(tmp_path / "report")
        process = await terminal.start("commission", "CP-7", "--socket", socket, "--report", report)
        await terminal.shows("Let it in? (yes, no): ")
        terminal.types("yes\n")
        await terminal.shows("Which circuit does this connector hang on?")
        await terminal.shows("(main, garage): ")
        terminal.types("garage\n")
        await terminal.shows("waiting for it to connect")
        terminal.types("\x03")
        await terminal.shows("or go on (enter)?")
        terminal.types("x\n")
        await terminal.shows("result: aborted")
        assert await process.wait() == 130
        assert set(await house.wiring()) == {"CP-1/1"}  # it never came: nothing is kept free for it
        assert json.loads((tmp_path / "report.json").read_text())["result"] == "aborted"
    finally:
        await terminal.close()
        await house.stop()
