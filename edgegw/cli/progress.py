"""How far something is, for who waits at a terminal; nothing at all in a pipe and with `--json`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from edgegw.redaction import plain


def _terminal(*, quiet: bool) -> Console | None:
    """Stderr, so that what is printed stays apart."""
    console = Console(stderr=True)
    return console if console.is_terminal and not quiet else None


@contextmanager
def moving(title: str, total_bytes: int | None, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar for bytes; call what it gives with how many have moved."""
    console = _terminal(quiet=quiet)
    if console is None:
        yield lambda moved_bytes: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(plain(title).replace("[", r"\["), total=total_bytes)
        yield lambda moved_bytes: bar.update(task, completed=moved_bytes)


@contextmanager
def waiting(title: str, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A line that moves; call what it gives with what is going on."""
    console = _terminal(quiet=quiet)
    if console is None:
        yield lambda text: None
        return
    with console.status(plain(title).replace("[", r"\[")) as status:
        yield lambda text: status.update(plain(text).replace("[", r"\["))
