"""Running the writer process, keeping the ledger of what it was told, and comparing it with a store."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from tests.store.rig import opened, row

ROOT = Path(__file__).resolve().parents[2]
WRITER = Path(__file__).with_name("store_writer.py")

Ledger = set[tuple[str, int]]


class Writer:
    """One run of store_writer.py. `acknowledged` is the ledger, kept outside of it."""

    def __init__(
        self, directory: Path, *, chargers: int = 4, rows: int = 100_000, unsafe: bool = False, under=()
    ):
        command = [*under, sys.executable, str(WRITER), str(directory), str(chargers), str(rows)]
        self._process = subprocess.Popen(
            [*command, "unsafe"] if unsafe else command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a tracer and what it traces end together
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        self.pid = self._process.pid
        self.acknowledged: Ledger = set()
        self._partial = b""

    def read(self, *, until: int, within_s: float = 30) -> None:
        """Read acknowledgements until there are `until` of them or the process has ended."""
        while len(self.acknowledged) < until:
            ready, _, _ = select.select([self._process.stdout], [], [], within_s)
            if not ready:
                self._end_all()
            assert ready, "the writer says nothing any more"
            if not self._read_some():
                return

    def read_what_is_there(self) -> None:
        while select.select([self._process.stdout], [], [], 0)[0] and self._read_some():
            pass

    def _read_some(self) -> bool:
        data = os.read(self._process.stdout.fileno(), 65536)
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            if line != b"ready":
                charger, seq = line.decode().split()
                self.acknowledged.add((charger, int(seq)))
        return bool(data)

    def stop(self) -> None:
        """SIGSTOP, and wait until it really stands still."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _end_all(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        self._end_all()
        self.end()

    def end(self) -> tuple[int, str]:
        """Wait for the end; all acknowledgements are read then. Returns (exit code, stderr)."""
        self.read(until=sys.maxsize)
        stderr = self._process.stderr.read().decode()
        self._process.stdout.close()
        self._process.stderr.close()
        return self._process.wait(30), stderr


async def lost(directory: Path, ledger: Ledger) -> tuple[Ledger, list[str]]:
    """Acknowledged rows that are not in the store as they were written, and the alarms it raised."""
    async with opened(directory) as it:
        rows = await it.all_rows()
        assert await it.journal.verify() or it.alarms
        return {key for key in ledger if rows.get(key) != row(*key)}, it.alarms.kinds
