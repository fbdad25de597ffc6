"""A ledger survives its writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgegw.sim.ledger import Ledger, LedgerFault, read

WRITER = """
import sys
from edgegw.sim.ledger import Ledger
ledger = Ledger(sys.argv[1], "charger")
while True:
    entry = ledger.write("CP1", "sent_call", raw="[2]" * 100)
    sys.stdout.write(f"{entry.n}\\n")
    sys.stdout.flush()
"""


def test_entries_come_back_as_written(tmp_path: Path):
    with Ledger(tmp_path / "a.jsonl", "charger", clock=lambda: 12.5) as ledger:
        raw = '[2, "1", "X", {"a": "\\u00E4\\/", "b": 1.0}]'
        written = ledger.write("CP1", "sent_call", id="1", action="X", raw=raw, energy_wh=3.0, conn=2, boot=1)
    assert list(read(tmp_path / "a.jsonl")) == [written]
    assert (written.n, written.at, written.side, written.raw) == (1, 12.5, "charger", raw)


def test_numbering_goes_on_after_a_restart(tmp_path: Path):
    for boot in (1, 2):
        with Ledger(tmp_path / "a.jsonl", "charger") as ledger:
            ledger.write("CP1", "connected", conn=ledger.next_conn(), boot=boot)
    assert [(e.n, e.conn, e.boot) for e in read(tmp_path / "a.jsonl")] == [(1, 1, 1), (2, 2, 2)]


def test_a_torn_last_line_is_cut_off(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    with Ledger(path, "cloud") as ledger:
        ledger.write("CP1", "connected")
        ledger.write("CP1", "disconnected")
    os.truncate(path, path.stat().st_size - 5)
    assert [e.n for e in read(path)] == [1]
    with Ledger(path, "cloud") as ledger:
        ledger.write("CP1", "connected")
    assert [e.n for e in read(path)] == [1, 2]


def test_a_bad_line_in_the_middle_is_a_fault(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n":1}\n')
    with pytest.raises(LedgerFault, match="line 1"):
        list(read(path))


def test_what_no_encoder_takes_is_written_anyway(tmp_path: Path):
    with Ledger(tmp_path / "a.jsonl", "cloud") as ledger:
        ledger.write("CP1", "received_junk", id=5, action=["a"], tx="\ud800")
    entry = next(read(tmp_path / "a.jsonl"))
    assert (entry.id, entry.action, entry.tx) == ("5", "['a']", "\\ud800")


def test_every_line_said_is_there_after_kill_9(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(50):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        for line in writer.stdout:
            last = int(line) if line.endswith(b"\n") else last
    numbers = [e.n for e in read(path)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= last
