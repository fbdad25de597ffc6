"""`edgegw console --web`: the console in a browser, for those who have no terminal at hand.

Rules of this file:
- On loopback a token is made for every start and printed; elsewhere it must come from a file, so that nobody
  opens a site to its network by mistake.
- Every visitor is a console process of its own, with the rights that this command was started with.
"""

from __future__ import annotations

import asyncio
import importlib.util
import shlex
import signal
import socket
import ssl
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgegw.cli.asking import Asking
from edgegw.config_values import Address, listen_address

if TYPE_CHECKING:
    from edgegw.tui.web.server import WebConsole

TOKEN_CHARACTERS_MIN = 16
MISSING = "the web console needs an optional package: pip install 'edgegw[web]'"


@dataclass(frozen=True)
class Web:
    """The options of `--web`, as given."""

    listen: str
    token_file: Path | None
    host_names: tuple[str, ...]
    tls_certificate: Path | None
    tls_key: Path | None


def serve(web: Web, asking: Asking, *, operator: bool) -> int:
    """Until SIGINT or SIGTERM. Raises click.ClickException."""
    if importlib.util.find_spec("textual_serve") is None:
        raise click.ClickException(MISSING)
    from edgegw.tui.web.server import WebConsole, new_token, quiet_library

    address = _address(web)
    asking.where(operator=operator)  # wrong arguments are told here, not to every visitor
    token = _token(web.token_file) if web.token_file is not None else new_token()
    tls = _tls(web)
    quiet_library()
    console = WebConsole(command(asking, operator=operator), token, frozenset(web.host_names))
    door = _door(address)
    with door:
        bound = Address(*door.getsockname()[:2])
        scheme = "https" if tls is not None else "http"
        shown = f"?token={token}" if web.token_file is None else f"?token=... (of {web.token_file})"
        rights = "orders are allowed" if operator else "read-only"
        click.echo(f"edgegw console ({rights}): {scheme}://{bound}/{shown}")
        asyncio.run(_serve(console, door, tls))
    return 0


def command(asking: Asking, *, operator: bool) -> str:
    """The console of one visitor, for a shell."""
    words = [sys.executable, "-m", "edgegw", "console"]
    options = {
        "--socket": asking.socket,
        "--config": asking.config,
        "--url": asking.url,
        "--token-file": asking.token_file,
    }
    words += [part for name, value in options.items() if value is not None for part in (name, str(value))]
    return "exec " + shlex.join([*words, "--operator"] if operator else words)


async def _serve(console: WebConsole, door: socket.socket, tls: ssl.SSLContext | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await console.serve_on(door, stop, tls)


def _address(web: Web) -> Address:
    try:
        address = listen_address(web.listen)
    except ValueError as error:
        raise click.UsageError(f"--listen {web.listen}: {error}") from error
    if not address.is_loopback and web.token_file is None:
        raise click.UsageError(
            f"--listen {web.listen} is open to the network: say --web-token-file FILE, with one word of at"
            f" least {TOKEN_CHARACTERS_MIN} characters in it, or listen on 127.0.0.1 and come through ssh -L"
        )
    return address


def _token(path: Path) -> str:
    """As for the control API: a file of its owner alone."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"--web-token-file {path}: {error}") from error
    if mode & 0o077:
        raise click.UsageError(f"--web-token-file {path}: other users can read it; run: chmod 600 {path}")
    is_word = text.isalnum() or all(c.isalnum() or c in "-._~" for c in text)
    if len(text) < TOKEN_CHARACTERS_MIN or not is_word:
        raise click.UsageError(
            f"--web-token-file {path}: must hold one word of at least {TOKEN_CHARACTERS_MIN} letters, digits"
            " and -._~, such as the output of: openssl rand -hex 32"
        )
    return text


def _tls(web: Web) -> ssl.SSLContext | None:
    if web.tls_certificate is None and web.tls_key is None:
        return None
    if web.tls_certificate is None or web.tls_key is None:
        raise click.UsageError("--tls-certificate and --tls-key belong together")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(web.tls_certificate, web.tls_key)
    except OSError as error:  # ssl.SSLError is one
        raise click.UsageError(f"--tls-certificate {web.tls_certificate}: {error}") from error
    return context


def _door(address: Address) -> socket.socket:
    try:
        return socket.create_server(
            (address.host, address.port), family=socket.AF_INET6 if ":" in address.host else socket.AF_INET
        )
    except OSError as error:
        raise click.ClickException(f"cannot listen on {address}: {error.strerror or error}") from error
