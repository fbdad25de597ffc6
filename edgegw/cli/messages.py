"""`edgegw messages`: OCPP frames of the last hours, as they pass, and as a file for `edgegw replay`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from edgegw.cli.asking import OK, Asking, asks_gateway
from edgegw.cli.completing import charger_names
from edgegw.cli.frame_text import shown, terminal_width
from edgegw.cli.progress import moving
from edgegw.cli.tables import size
from edgegw.control.client import ControlClient, Refused
from edgegw.control.frame_models import FrameList, FrameView
from edgegw.redaction import plain
from edgegw.units import DURATION_ALLOWED, parse_duration

PAGE = 500


@click.command()
@click.argument("charger", required=False, shell_complete=charger_names)
@click.option("--follow", "-f", is_flag=True, help="Go on with what passes, until Ctrl-C.")
@click.option("--action", help="Only of this action, answers included.")
@click.option("--since", metavar="SPAN", help='Not older than that, such as "2 h".')
@click.option("--limit", type=click.IntRange(1, 100_000), help="At most so many, the newest.  [default: 20]")
@click.option("--lines", "as_lines", is_flag=True, help="One line each, as in a pipe.")
@click.option("--export", type=click.Path(dir_okay=False, path_type=Path), help="Write a file for replay.")
@click.option("--force", is_flag=True, help="Replace the file of --export when it is there.")
@asks_gateway
def messages(
    client: ControlClient,
    asking: Asking,
    charger: str | None,
    follow: bool,
    action: str | None,
    since: str | None,
    limit: int | None,
    as_lines: bool,
    export: Path | None,
    force: bool,
) -> int:
    """OCPP frames of CHARGER or of all, newest last. Passwords are left out, card ids masked.

    --export FILE writes what was decided on as well, for `edgegw replay FILE`. With --follow and --json there
    is one JSON document per frame.
    """
    since_s = _seconds(since)
    if force and export is None:
        raise click.UsageError("--force is about the file of --export")
    if export is not None:
        if follow or action:
            raise click.UsageError("--export writes all actions of the past: leave --follow and --action out")
        return _export(client, asking, export, charger, since_s, force=force)
    wanted = limit if limit is not None else 100_000 if since_s is not None else 20
    found = _newest(client, charger, action, since_s, wanted)
    width = None if as_lines else terminal_width()
    _tell(asking, found, width, follow=follow, nothing=_nothing(charger, action))
    if follow:
        _follow(asking, charger, action, found.frames[-1].n if found.frames else 0, width)
    return OK


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"--since {text}: must be {DURATION_ALLOWED}") from error


def _newest(
    client: ControlClient, charger: str | None, action: str | None, since_s: float | None, wanted: int
) -> FrameList:
    """Page by page, the newest first, until there are enough."""
    frames: tuple[FrameView, ...] = ()
    before: int | None = None
    while True:
        limit = min(PAGE, wanted - len(frames))
        page = client.frames(charger, action=action, since_s=since_s, before=before, limit=limit)
        frames = page.frames + frames
        before = page.next_before
        if before is None or len(frames) >= wanted:
            return FrameList(frames=frames, next_before=before)


def _tell(asking: Asking, found: FrameList, width: int | None, *, follow: bool, nothing: str) -> None:
    if asking.as_json and not follow:
        click.echo(json.dumps(found.model_dump()))  # in ASCII: control characters are in frames
    elif not found.frames and not asking.as_json:
        click.echo(nothing)
    for frame in found.frames if follow or not asking.as_json else ():
        _print(asking, frame, width)


def _nothing(charger: str | None, action: str | None) -> str:
    return f"no {action or 'frame'} of {plain(charger or 'any charger')} was recorded in that time"


def _print(asking: Asking, frame: FrameView, width: int | None) -> None:
    click.echo(json.dumps(frame.model_dump()) if asking.as_json else shown(frame, width))


def _follow(asking: Asking, charger: str | None, action: str | None, seen: int, width: int | None) -> None:
    """Raises what `LiveClient` raises when the gateway goes."""

    async def follow() -> None:
        async with asking.live() as live:
            async for frame in live.frames(charger):
                if frame.n > seen and action in (None, frame.action):
                    _print(asking, frame, width)

    try:
        asyncio.run(follow())
    except KeyboardInterrupt:
        return  # the usual end of it


def _export(
    client: ControlClient,
    asking: Asking,
    target: Path,
    charger: str | None,
    since_s: float | None,
    *,
    force: bool,
) -> int:
    try:
        with moving(f"exporting to {target}", None, quiet=asking.as_json) as moved:
            size_bytes = client.export_frames(
                target, charger=charger, since_s=since_s, replace=force, moved=moved
            )
    except FileExistsError as error:
        raise Refused(0, "exists", f"{target}: {error.strerror}") from error
    except OSError as error:
        raise Refused(0, "not_written", f"{target} cannot be written: {error.strerror or error}") from error
    if asking.as_json:
        click.echo(json.dumps({"file": str(target), "size_bytes": size_bytes}))
    else:
        click.echo(f"{target}: {size(size_bytes)}; see what was decided: edgegw replay {target}")
    return OK
