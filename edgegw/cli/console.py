"""`edgegw console`: the terminal console. Textual is imported when it starts, not before."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgegw.cli.asking import Asking

if TYPE_CHECKING:
    from edgegw.tui.link import Where

EXIT_BUG = 70  # EX_SOFTWARE
LISTEN = "127.0.0.1:9002"


@click.command()
@click.option("--socket", type=click.Path(path_type=Path), help="The control socket of the gateway.")
@click.option("--config", type=click.Path(path_type=Path), help="The site file, which names the socket.")
@click.option("--url", help="The loopback port instead, such as http://127.0.0.1:9001.")
@click.option("--token-file", type=click.Path(path_type=Path), help="The token for --url.")
@click.option("--operator", is_flag=True, help="Allow orders; without it the console only looks.")
@click.option("--web", is_flag=True, help="Serve it to browsers instead, until Ctrl-C.")
@click.option("--listen", default=LISTEN, show_default=True, help="With --web: where.")
@click.option("--web-token-file", type=click.Path(path_type=Path), help="With --web: the token of visitors.")
@click.option("--host-name", multiple=True, help="With --web: a name it is reached by, beside localhost.")
@click.option("--tls-certificate", type=click.Path(path_type=Path), help="With --web: PEM file; then https.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="With --web: PEM file.")
def console(
    socket: Path | None,
    config: Path | None,
    url: str | None,
    token_file: Path | None,
    operator: bool,
    web: bool,
    listen: str,
    web_token_file: Path | None,
    host_name: tuple[str, ...],
    tls_certificate: Path | None,
    tls_key: Path | None,
) -> None:
    """Look at a running gateway, in this terminal or, with --web, in a browser.

    Works over SSH, at 80x24, without a mouse. F1 helps, ? lists the keys, q leaves; the gateway runs on. When
    the gateway is not there, or restarts, the console waits for it.

    Exit code 0: left by the user. 2: wrong arguments or site file. 70: a bug; the last line names its log.
    """
    asking = Asking(socket=socket, config=config, url=url, token_file=token_file)
    if not web:
        sys.exit(_run(asking.where(operator=operator)))
    from edgegw.cli import console_web

    options = console_web.Web(
        listen, web_token_file, tuple(name.lower() for name in host_name), tls_certificate, tls_key
    )
    sys.exit(console_web.serve(options, asking, operator=operator))


def _run(where: Where) -> int:
    from edgegw.tui.app import Console
    from edgegw.tui.onlooker import parent_is_gone, terminal_is_gone

    in_browser = "TEXTUAL_DRIVER" in os.environ  # the web server has pipes for a terminal
    if not in_browser and not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise click.UsageError("the console needs a terminal; `edgegw status` and its like work without one")
    told = _log_to_file()
    app = Console(where, parent_is_gone() if in_browser else terminal_is_gone(sys.stdin.fileno()))
    signal.signal(signal.SIGTERM, lambda *_: app.exit())  # the terminal is given back as it was
    code = app.run()
    if app.bug:
        click.echo(f"edgegw: a bug ended the console ({app.bug}); {told}. The gateway runs on.", err=True)
        return EXIT_BUG
    return code or 0


def _log_to_file() -> str:
    """The terminal is taken. Returns where the log is, in words."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    path = Path(base) / "edgegw" / "console.log"
    root = logging.getLogger()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler: logging.Handler = logging.FileHandler(path, mode="w", delay=True)
    except OSError as error:
        root.addHandler(logging.NullHandler())
        return f"no log could be written to {path}: {error.strerror or error}"
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    return f"its log is {path}"
