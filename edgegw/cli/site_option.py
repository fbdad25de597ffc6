"""--config of the commands that cannot do without a site file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def site_option(parameter: str) -> Callable[[Command], Command]:
    """A decorator: the command gets the path as `parameter`."""
    return click.option(
        "--config",
        parameter,
        required=True,
        envvar="EDGEGW_CONFIG",
        type=click.Path(path_type=Path),
        help="The site file (TOML); default $EDGEGW_CONFIG.",
    )
