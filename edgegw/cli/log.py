"""`edgegw log`: the newest lines of the running gateway's log, and those to come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import get_args

import click

from edgegw.cli.asking import OK, Asking, asks_gateway
from edgegw.control.client import ControlClient
from edgegw.control.live_models import LevelName, LogLine, LogLines

KEPT = 2_000  # by the gateway; a level is looked for in all of them
LEVELS: tuple[LevelName, ...] = get_args(LevelName)


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written, until Ctrl-C.")
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="Only lines this bad or worse.")
@click.option("--limit", type=click.IntRange(1, KEPT), default=50, show_default=True)
@asks_gateway
def log(client: ControlClient, asking: Asking, follow: bool, level: LevelName, limit: int) -> int:
    """The newest lines of the gateway's log, newest last, without passwords and card ids.

    With --follow and --json there is one JSON document per line.
    """
    kept = client.log(limit=limit if level == LEVELS[0] else KEPT).lines
    lines = tuple(line for line in kept if _is_bad_enough(line, level))[-limit:]
    if asking.as_json and not follow:
        click.echo(LogLines(lines=lines).model_dump_json())
        return OK
    _tell(asking, lines)
    if not lines and not follow:
        click.echo("nothing was logged since the gateway started" if level == "debug" else f"no {level} line")
    if follow:
        _follow(asking, level, kept[-1].n if kept else 0)
    return OK


def _is_bad_enough(line: LogLine, level: LevelName) -> bool:
    return LEVELS.index(line.level) >= LEVELS.index(level)


def _tell(asking: Asking, lines: Iterable[LogLine]) -> None:
    for line in lines:
        if asking.as_json:
            click.echo(json.dumps(line.model_dump()))
        else:
            click.echo(f"{line.at} {line.level:7} {line.logger}: {line.text}")


def _follow(asking: Asking, level: LevelName, seen: int) -> None:
    """Raises what `LiveClient` raises when the gateway goes."""

    async def follow() -> None:
        async with asking.live() as live:
            async for line in live.log():
                if line.n > seen and _is_bad_enough(line, level):
                    _tell(asking, [line])

    try:
        asyncio.run(follow())
    except KeyboardInterrupt:
        return  # the usual end of it
