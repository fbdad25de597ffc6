"""The table at the end: what, measured, bar, kept or missed."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

Sense = Literal["at most", "at least", ""]


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `bar` None: told, not judged. `detail`: the absolute numbers behind a ratio."""

    what: str
    measured: float
    unit: str
    sense: Sense = ""
    bar: float | None = None
    detail: str = ""

    @property
    def verdict(self) -> str:
        if self.bar is None:
            return ""
        kept = self.measured <= self.bar if self.sense == "at most" else self.measured >= self.bar
        return "ok" if kept else "missed"

    @property
    def bar_text(self) -> str:
        if self.bar is None:
            return ""
        return f"{'<=' if self.sense == 'at most' else '>='} {number(self.bar)} {self.unit}".rstrip()


def number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def table(rows: list[Row]) -> str:
    """Markdown, with columns that line up in a terminal too."""
    head = ("what", "measured", "bar", "", "behind it")
    lines = [
        (row.what, f"{number(row.measured)} {row.unit}".rstrip(), row.bar_text, row.verdict, row.detail)
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    rule = tuple("-" * max(3, width) for width in widths)
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in [head, rule, *lines]
    )


def as_json(rows: list[Row]) -> list[dict[str, object]]:
    return [{**asdict(row), "verdict": row.verdict} for row in rows]


def machine() -> str:
    """The one line that says where and with what this was measured."""
    packages = ("websockets", "uvloop", "orjson", "msgspec", "jsonschema-rs", "aiosqlite", "fastapi")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} x {_processor()}, Linux {platform.release()}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {versions}, {_haproxy()}; load average at the end {load}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _haproxy() -> str:
    try:
        said = subprocess.run(["haproxy", "-v"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "no haproxy"
    return "haproxy " + said.split()[2]
