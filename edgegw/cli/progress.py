"""How far something is, for who waits at a terminal; nothing at all in a pipe and with `--json`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from edgegw.redaction import plain

TELL_EVERY_S = 0.5


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


class Stages:
    """Work in several stages: a bar on a terminal, with `as_json` a line of JSON on stdout now and then.

    Use as a context manager; call it with (stage, done, of how many).
    """

    def __init__(self, *, as_json: bool, quiet: bool = False) -> None:
        self._as_json = as_json
        self._quiet = quiet or as_json
        self._bar: Progress | None = None
        self._stage = ""
        self._task = TaskID(0)
        self._told_at = 0.0

    def __enter__(self) -> Stages:
        console = _terminal(quiet=self._quiet)
        if console is not None:
            columns = (
                TextColumn("{task.description:<20}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
            )
            self._bar = Progress(*columns, console=console, transient=True)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pause()

    def pause(self) -> None:
        """Before a question: the bar would write over it."""
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        is_new, self._stage = stage != self._stage, stage
        if self._bar is not None:
            if is_new:
                self._task = self._bar.add_task(stage, total=total)
            self._bar.update(self._task, completed=done, total=total)
        elif self._as_json and (is_new or done == total or time.monotonic() - self._told_at >= TELL_EVERY_S):
            self._told_at = time.monotonic()
            click.echo(json.dumps({"progress": {"stage": stage, "done": done, "of": total}}))
