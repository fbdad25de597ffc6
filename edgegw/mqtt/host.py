"""What the operating system says of this box: temperature, load, memory, the clock's error.

Rules of this file:
- Best effort: what a system does not tell is None. Nothing here raises.
- Files of the kernel only, which answer from memory; looked at no more than every `FRESH_S`.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import msgspec

FRESH_S = 10.0
THERMAL = Path("/sys/class/thermal")
STATM = Path("/proc/self/statm")
_CPU_WORDS = ("cpu", "pkg", "soc", "core")
_TEMPERATURES_C = (-60.0, 200.0)  # what lies outside is a sensor that is not there

# Linux <sys/timex.h>
_STA_PLL, _STA_UNSYNC, _STA_NANO = 0x0001, 0x0040, 0x2000
_TIMEX_BYTES = 512  # more than any system's struct timex


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    cpu_temp_c: float | None = None
    load_1m: float | None = None
    memory_rss_bytes: int | None = None
    clock_offset_ms: float | None = None


class Host:
    def __init__(self, thermal: Path = THERMAL, statm: Path = STATM) -> None:
        self._thermal, self._statm = thermal, statm
        self._facts = HostFacts()
        self._read_at = float("-inf")

    def facts(self, mono: float) -> HostFacts:
        if mono - self._read_at >= FRESH_S:
            self._read_at = mono
            self._facts = HostFacts(
                cpu_temp_c=cpu_temp_c(self._thermal),
                load_1m=_load_1m(),
                memory_rss_bytes=_rss_bytes(self._statm),
                clock_offset_ms=_clock_offset_ms(),
            )
        return self._facts


def cpu_temp_c(thermal: Path) -> float | None:
    """Of the processor; of the first zone when none says that it is the processor's."""
    found: list[tuple[bool, float]] = []
    try:
        zones = sorted(thermal.glob("thermal_zone*"), key=lambda zone: (len(zone.name), zone.name))
    except OSError:
        return None
    for zone in zones:
        try:
            kind = (zone / "type").read_text().strip().lower()
            celsius = int((zone / "temp").read_text()) / 1000.0
        except (OSError, ValueError):
            continue
        if _TEMPERATURES_C[0] < celsius < _TEMPERATURES_C[1]:
            found.append((any(word in kind for word in _CPU_WORDS), celsius))
    best = next((celsius for is_cpu, celsius in found if is_cpu), found[0][1] if found else None)
    return None if best is None else round(best, 1)


def _load_1m() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _rss_bytes(statm: Path) -> int | None:
    try:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


class _Timex(ctypes.Structure):
    """The head of Linux' struct timex, the same on all machines."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
    )


def _clock_offset_ms() -> float | None:
    """What is left of the offset that the time service told the kernel to correct.

    None unless the kernel's own loop is steered (systemd-timesyncd, ntpd): chrony keeps the offset to itself,
    and the kernel's zero would be no measurement.
    """
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    memory = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes 0: only reads
    if adjtimex(memory) < 0:
        return None
    timex = _Timex.from_buffer(memory)
    if not timex.status & _STA_PLL or timex.status & _STA_UNSYNC:
        return None
    offset: int = timex.offset
    return round(offset / (1e6 if timex.status & _STA_NANO else 1e3), 3)
