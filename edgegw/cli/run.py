"""`edgegw run`: the gateway itself."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from edgegw import config as site_file
from edgegw.cli.site_option import site_option
from edgegw.config_text import SiteFileFault
from edgegw.errors import EdgegwError


@click.command()
@site_option("path")
def run(path: Path) -> None:
    """Run the gateway until SIGTERM or Ctrl-C.

    One line on stdout says when it is ready and where it listens; the log goes to stderr.
    """
    try:
        config = site_file.load(path)
    except SiteFileFault as fault:
        click.echo(str(fault), err=True)
        sys.exit(2)
    for warning in site_file.warnings(config):
        click.echo(f"warning: {warning}", err=True)
    from edgegw.app_run import run as run_app  # uvloop and all rooms: only when it is really run

    try:
        sys.exit(run_app(config, click.echo, site_file=path.absolute()))
    except (EdgegwError, OSError) as fault:
        click.echo(f"edgegw: {fault}", err=True)
        sys.exit(1)
