"""Prometheus' own tool, from Debian: does it take our metrics, our rules, our tests of rules?"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

DEADLINE_S = 30


def promtool(*arguments: str, text: str = "", folder: Path | None = None) -> str:
    """What it says, both streams. Fails the test when it is not there or does not agree."""
    program = shutil.which("promtool")
    if program is None:
        pytest.fail("promtool is missing: apt-get install prometheus")
    done = subprocess.run(
        [program, *arguments],
        input=text,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said
