"""What fetching and sending over SSH share: the way to a checked address, the log-in, and errors in words.

Rules of this file:
- The host key is looked up by the name in the URL, whatever address it led to.
- Passwords of the URL only: no keys, agents or settings of the user the gateway runs as.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from pathlib import Path

import asyncssh

from edgegw.files.addresses import Location
from edgegw.files.dead_peers import give_up_after
from edgegw.files.source import socket_words

STALL_S = 60.0

# It writes host, user and path of every connection at INFO.
logging.getLogger("asyncssh").setLevel(logging.WARNING)


async def dialled(
    location: Location, addresses: list[str], known_hosts: Path, timeout_s: float
) -> asyncssh.SSHClientConnection:
    """A connection to the first of the checked `addresses` that answers, logged in.

    Raises asyncssh.Error, OSError, ValueError.
    """
    connected = await _connected(addresses, location.port, timeout_s)
    try:
        return await asyncssh.connect(
            location.host,
            location.port,
            sock=connected,
            known_hosts=str(known_hosts),
            username=location.username or "anonymous",
            password=location.password,
            client_keys=None,
            agent_path=None,
            config=None,
            gss_host=None,
            preferred_auth=("password", "keyboard-interactive"),
            login_timeout=timeout_s,
            connect_timeout=timeout_s * 2,
        )
    except BaseException:
        connected.close()
        raise


async def hang_up(connection: asyncssh.SSHClientConnection, timeout_s: float) -> None:
    """Without good-byes: a server that fell silent would never answer them."""
    connection.abort()
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await connection.wait_closed()


async def _connected(addresses: list[str], port: int, timeout_s: float) -> socket.socket:
    for address in addresses[:-1]:
        try:
            return await _connected_to(address, port, timeout_s)
        except OSError:
            continue  # the last one's failure is the one that is told
    return await _connected_to(addresses[-1], port, timeout_s)


async def _connected_to(address: str, port: int, timeout_s: float) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connecting = socket.socket(family, socket.SOCK_STREAM)
    connecting.setblocking(False)
    give_up_after(connecting, STALL_S)
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(connecting, (address, port))
    except BaseException:
        connecting.close()
        raise
    return connecting


def words(error: Exception) -> str:
    if isinstance(error, OSError):
        return socket_words(error)
    return type(error).__name__ if isinstance(error, asyncssh.Error) else "settings that cannot be used"
