"""`edgegw demo`: see the main job done in two minutes, on this machine alone."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import click
from rich.console import Console

from edgegw.cli.tables import fit
from edgegw.errors import EdgegwError


@click.command()
@click.option(
    "--config", "path", type=click.Path(path_type=Path), help="Site file; default config/demo.toml."
)
@click.option("--chargers", default=8, show_default=True, type=click.IntRange(1, 200), help="How many.")
@click.option(
    "--pace", default=1.0, show_default=True, type=click.FloatRange(0.05, 20), help="2: twice as slow."
)
@click.option("--plain", is_flag=True, help="Lines instead of a live table.")
def demo(path: Path | None, chargers: int, pace: float, plain: bool) -> None:
    """Run a parking site in a box: chargers, a building and its meter, the real gateway, a cloud that fails.

    The building's load rises and the cars give way; where mosquitto is installed everything is published, and
    the building limits the site over MQTT for a while. The cloud goes and comes back and nothing is lost.

    Ends with the verdict of a third program that compares the ledgers of chargers and cloud. Exit code 0
    when they agree. Ctrl-C stops everything and leaves nothing running.
    """
    from edgegw.sim import audit
    from edgegw.sim import demo as play
    from edgegw.sim.demo_screen import LiveScreen, PlainScreen
    from edgegw.sim.demo_site import default_site

    for number in (signal.SIGHUP, signal.SIGTERM):  # a closed terminal stops it as Ctrl-C does
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    console = Console()
    live = play.is_terminal() and not plain
    try:
        with (LiveScreen if live else PlainScreen)(console) as screen:
            story = play.Demo(play.Script(chargers=chargers, pace=pace), screen.tell, screen.show)
            verdict = asyncio.run(story.run(path or default_site()))
    except (EdgegwError, TimeoutError, OSError) as fault:
        click.echo(f"edgegw demo: {str(fault) or 'took too long'}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("stopped; nothing is left running", err=True)
        sys.exit(play.interrupted_exit_code())
    click.echo(fit(f"\nthe ledgers of chargers and cloud, compared:\n{audit.table(verdict)}"))
    sys.exit(0 if verdict.holds else 1)
