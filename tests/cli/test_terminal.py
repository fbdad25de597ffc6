"""The tables of files and events on a real terminal of 80 columns: long names are folded."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import struct
import sys
import termios
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.cells import cell_len

from tests.cli.conftest import Shell
from tests.control.file_house import FilesHouse
from tests.control.house import BOOT, Wire
from tests.e2e.children import ending

COLUMNS, ROWS = 80, 24
IDENTITY = "DE*ABC*PARKHAUS-NORD-EBENE-2-LADEPUNKT-17"  # 41 characters
MODEL = "充電スタンド壁掛型" * 3  # two columns a character
FILE = "wallbox-firmware-2.0.1-release-signed.bin"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


async def on_terminal(house: FilesHouse, *words: str) -> list[str]:
    """The lines that `edgegw WORDS` writes to a terminal."""
    here, there = os.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    loop = asyncio.get_running_loop()
    written, over = bytearray(), asyncio.Event()

    def reads() -> None:
        try:
            block = os.read(here, 65_536)
        except OSError:  # the last one who had it open is gone
            block = b""
        written.extend(block)
        if not block:
            loop.remove_reader(here)
            over.set()

    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edgegw", *words, "--socket", str(house.socket)),
        stdin=there,
        stdout=there,
        stderr=there,
        env={**os.environ, "COLUMNS": "121", "LINES": "50"},  # of the terminal that this one runs in
    )
    os.close(there)
    loop.add_reader(here, reads)
    async with ending(process):
        assert await process.wait() == 0, written
    await over.wait()
    os.close(here)
    return _COLOURS.sub("", written.decode()).split("\r\n")


async def boots(house: FilesHouse, identity: str) -> Wire:
    charger, cloud = await house.connects(identity), house.cloud.wires[identity]
    asked = charger.calls("BootNotification", {**BOOT, "chargePointModel": MODEL})
    await cloud.hears()
    cloud.says([3, asked, {"status": "Accepted", "currentTime": "2026-11-20T10:00:00Z", "interval": 300}])
    await charger.hears()
    info = "residual current 30 mA 過電流 " * 2
    fault = {"connectorId": 1, "errorCode": "GroundFailure", "status": "Faulted", "info": info[:50]}
    asked = charger.calls("StatusNotification", fault)
    await cloud.hears()
    cloud.says([3, asked, {}])
    await charger.hears()
    return charger


def later() -> str:
    """A window of the night, wherever on the clock this runs: it begins in six hours."""
    begins = datetime.now(UTC) + timedelta(hours=6)
    return f"{begins:%H:%M}-{begins + timedelta(hours=7):%H:%M}"


async def test_every_table_fits_and_says_everything(tmp_path: Path):
    house = FilesHouse(tmp_path)
    await house.start()
    shell = Shell(house)
    charger = await boots(house, IDENTITY)
    source = tmp_path / FILE
    source.write_bytes(b"x" * 5000)
    await shell(
        "firmware", "add", str(source), "--vendor", "Acme", "--model", MODEL, "--version", "2.0.1-rc1"
    )
    await shell("firmware", "rollout", FILE, "--window", later())  # nothing goes out while we look
    asking = asyncio.create_task(shell("diagnostics", "get", IDENTITY, "--output", str(tmp_path / "log.zip")))
    order = await house.uploads_log(charger, b"what happened", f"log-{'x' * 60}.zip")
    await asking
    commands = (
        ("firmware",), ("firmware", "rollouts"), ("firmware", "rollouts", "1"), ("diagnostics",), ("events",),
        ("events", IDENTITY),
    )  # fmt: skip
    shown = await asyncio.gather(*(on_terminal(house, *words) for words in commands))
    await house.stop()
    for words, lines in zip(commands, shown, strict=True):
        assert max(map(cell_len, lines)) <= COLUMNS, (words, "\n".join(lines))
    squeezed = ["".join("".join(lines).split()) for lines in shown]
    for words, text in zip(commands, squeezed, strict=True):
        assert "…" not in text, words
    assert any(order in line for line in shown[3])  # in one piece: it is what "save" is given
    assert "GroundFailure" in squeezed[4]
