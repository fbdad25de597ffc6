"""A gateway as a process: from its site file to its exit code. "Ready" is told when all doors are open."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable
from pathlib import Path

import uvloop

from edgegw import __version__, logs
from edgegw.app import App
from edgegw.config import SiteConfig
from edgegw.links.sockets import join_host_port

COLLECT_AFTER = (50_000, 20, 50)  # new objects; collections of the generation before
EXIT_STORE_BROKEN = 75  # EX_TEMPFAIL: the service manager should start us again


def ready_line(app: App) -> str:
    scheme = "wss" if app.config.chargers.tls_certificate else "ws"
    doors = " ".join(
        f"{scheme}://{join_host_port(host, port)}{app.config.chargers.path}" for host, port in app.addresses
    )
    cloud = app.config.cloud.url if app.config.cloud is not None else "none (standalone)"
    files = f" files {' '.join(app.file_doors)}" if app.file_doors else ""
    socket = app.config.control.socket
    return f"edgegw {__version__} ready: chargers {doors} cloud {cloud}{files} control {socket}"


async def _serve(config: SiteConfig, ready: Callable[[str], None], site_file: Path | None) -> int:
    app = App(config, site_file)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.stop_wanted.set)
    try:
        await app.start()
        await app.start_control()
        app.start_building()
        ready(ready_line(app))
        _collect_seldom()
        await app.stop_wanted.wait()
    finally:
        await app.stop()
    return EXIT_STORE_BROKEN if app.store_is_broken else 0


def _collect_seldom() -> None:
    """Messages are freed by counting references. What was imported and recovered stays for good: a
    collector that walks it every few hundred messages costs CPU and, with 1,000 chargers, milliseconds."""
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    gc.enable()


def run(config: SiteConfig, ready: Callable[[str], None], *, site_file: Path | None = None) -> int:
    """Run until SIGTERM or SIGINT; `ready` gets one line when the doors are open.

    Returns the exit code. Raises EdgegwError or OSError when it cannot start.
    """
    logs.set_up(config.log.level, config.log.format)
    gc.disable()  # until the doors are open: nothing that is made before is garbage
    return uvloop.run(_serve(config, ready, site_file))
