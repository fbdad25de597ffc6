"""What is measured, and with which instrument. Seconds and bytes throughout."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

FSYNC_BYTES = 4096


def cpu_s(pid: int) -> float:
    """User and system time of every thread that process has, or had, in nanosecond steps.

    Linux: the CPU clock of another process is clock number (~pid << 3) | 2 (CPUCLOCK_SCHED).
    """
    return time.clock_gettime((~pid << 3) | 2)


@dataclass(frozen=True, slots=True)
class Turns:
    """What the scheduler gave a process: seconds on a core, and seconds it wanted one and waited."""

    ran_s: float
    waited_s: float

    def since(self, earlier: Turns) -> Turns:
        return Turns(self.ran_s - earlier.ran_s, self.waited_s - earlier.waited_s)

    @property
    def text(self) -> str:
        """For the reader of a figure that a stopwatch gave."""
        wanted = self.ran_s + self.waited_s
        return f"waited for a core {self.waited_s / wanted if wanted else 0:.0%} of the time"


def turns(pid: int) -> Turns:
    """Over the threads it has now. All zero where the kernel does not count."""
    ran = waited = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it ended meanwhile
            on_core, in_queue, _ = (thread / "schedstat").read_text().split()
            ran, waited = ran + int(on_core), waited + int(in_queue)
    return Turns(ran / 1e9, waited / 1e9)


def rss_bytes(pid: int) -> int:
    """Resident memory now."""
    return _status_bytes(pid, "VmRSS:")


def rss_peak_bytes(pid: int) -> int:
    """The most resident memory it ever had."""
    return _status_bytes(pid, "VmHWM:")


def _status_bytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has ended")


def fsync_s(folder: Path, count: int) -> list[float]:
    """How long each of `count` appends of 4 KiB takes to be on disk (fdatasync) in `folder`."""
    path = folder / "fsync.probe"
    took = []
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        for _ in range(count):
            data = os.urandom(FSYNC_BYTES)
            began = time.perf_counter()
            os.write(handle, data)
            os.fdatasync(handle)
            took.append(time.perf_counter() - began)
    finally:
        os.close(handle)
        path.unlink()
    return took


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def middle(values: Sequence[float]) -> float:
    return median(values)
