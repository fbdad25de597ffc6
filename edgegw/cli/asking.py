"""What the commands that ask a running gateway share: where it is, how to fail, what to print.

Rules of this file:
- Exit codes: 0 done, 1 refused (by the gateway, or by the charger with a CALLERROR), 2 wrong arguments or
  site file, 3 the gateway cannot be reached, 4 no answer in time.
- Where: --url, else --socket, else the socket of the site file: --config, $EDGEGW_CONFIG, config/edgegw.toml.
- With --json one JSON document goes to stdout in every case; a failure is {"error": {"code", "text"}}.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgegw.cli.tables import fit
from edgegw.config_text import SiteFileFault
from edgegw.control.client import (
    TIMEOUT_S,
    ControlClient,
    ControlFault,
    NotReachable,
    NotUnderstood,
    Refused,
    Silent,
)
from edgegw.redaction import plain

if TYPE_CHECKING:
    from edgegw.control.live_client import LiveClient
    from edgegw.tui.link import Where

DEFAULT_CONFIG = "config/edgegw.toml"
OK, REFUSED, USAGE, NOT_REACHABLE, NO_ANSWER = 0, 1, 2, 3, 4


@dataclass(frozen=True)
class Asking:
    """Where to ask and how to tell, as the arguments say."""

    socket: Path | None = None
    config: Path | None = None
    url: str | None = None
    token_file: Path | None = None
    as_json: bool = False

    def over(self, outer: Asking | None) -> Asking:
        """With what the outer command was told where this one was told nothing."""
        if outer is None:
            return self
        told = {name: value for name, value in vars(self).items() if value}
        return replace(outer, **told)

    def client(self, timeout_s: float = TIMEOUT_S) -> ControlClient:
        """Raises click.ClickException with exit code 2."""
        if self.url is not None:
            return ControlClient(base_url=self.url, token=self._token(), timeout_s=timeout_s)
        return ControlClient(self.socket or self._configured_socket(), timeout_s=timeout_s)

    def live(self) -> LiveClient:
        """For what goes on and on. Raises click.UsageError."""
        from edgegw.control.live_client import LiveClient

        if self.url is not None:
            return LiveClient(base_url=self.url, token=self._token())
        return LiveClient(self.socket or self._configured_socket())

    def where(self, *, operator: bool) -> Where:
        """The same for the console. Raises click.UsageError."""
        from edgegw.tui.link import Where

        if self.url is not None:
            return Where(base_url=self.url, token=self._token(), operator=operator)
        return Where(socket=self.socket or self._configured_socket(), operator=operator)

    def _token(self) -> str | None:
        if self.token_file is None:
            return None
        try:
            return self.token_file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"--token-file {self.token_file}: {error}") from error

    def _configured_socket(self) -> Path:
        from edgegw import config as site_file  # a tenth of a second that --socket does not need

        named = self.config or os.environ.get("EDGEGW_CONFIG")
        path = Path(named or DEFAULT_CONFIG)
        if not named and not path.exists():
            raise click.UsageError(f"no {DEFAULT_CONFIG} here: give --config FILE or --socket PATH")
        try:
            return site_file.load(path).control.socket
        except SiteFileFault as fault:
            raise click.UsageError(str(fault)) from fault

    def tell(self, client: ControlClient, *lines: str) -> None:
        """The last answer as JSON, or `lines` for people."""
        click.echo(json.dumps(client.last) if self.as_json else fit("\n".join(lines)))


def asks_gateway(command: Callable[..., int]) -> Callable[..., None]:
    """A command `(client, asking, ...) -> exit code`, with the options and failures all of them share."""

    @click.option("--socket", type=click.Path(path_type=Path), help="The control socket of the gateway.")
    @click.option("--config", type=click.Path(path_type=Path), help="The site file, which names the socket.")
    @click.option("--url", help="The loopback port instead, such as http://127.0.0.1:9001.")
    @click.option("--token-file", type=click.Path(path_type=Path), help="The token for --url.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
    @functools.wraps(command)
    def asking(**given: Any) -> None:
        own = Asking(**{name: given.pop(name) for name in Asking.__dataclass_fields__})
        context = click.get_current_context()
        merged = own.over(context.find_object(Asking))
        if isinstance(context.command, click.Group) and context.invoked_subcommand is not None:
            context.obj = merged
            return
        sys.exit(_carry_out(command, merged, given))

    return asking


def _carry_out(command: Callable[..., int], asking: Asking, given: dict[str, Any]) -> int:
    try:
        with asking.client() as client:
            return command(client, asking, **given)
    except Refused as fault:
        return _fail(asking, REFUSED, fault.code, fault)
    except NotReachable as fault:
        return _fail(asking, NOT_REACHABLE, "not_reachable", fault)
    except NotUnderstood as fault:
        return _fail(asking, REFUSED, "not_understood", fault)
    except Silent as fault:
        return _fail(asking, NO_ANSWER, "timeout", fault)


def _fail(asking: Asking, exit_code: int, code: str, fault: ControlFault) -> int:
    if asking.as_json:
        click.echo(json.dumps({"error": {"code": code, "text": str(fault)}}))
    else:
        click.echo(fit(f"edgegw: {plain(str(fault))}", err=True), err=True)
    return exit_code
