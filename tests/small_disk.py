"""A file system of a few megabytes that a test may fill."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(at: Path, megabytes: int, *, lazy: bool = False) -> Iterator[Path]:
    """A tmpfs of that size at `at`, which is made. Skips where mounting is not allowed.

    With `lazy` it may still be in use at the end; without, whoever left a file open is found out.
    """
    if os.geteuid() != 0:
        pytest.skip("no full disk here: mounting a tmpfs needs root")
    at.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(at)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no full disk here: {done.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", *(["--lazy"] if lazy else []), str(at)], check=True)


def fill(junk: Path) -> None:
    """Write `junk` until the disk has no byte left."""
    handle = os.open(junk, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(handle, bytes(4096)):
            pass
    except OSError as error:
        assert error.errno == errno.ENOSPC  # noqa: PT017
    finally:
        os.close(handle)
