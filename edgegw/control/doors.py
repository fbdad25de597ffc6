"""Where the local API can be reached, and by whom: the Unix socket, the loopback port, the token file.

Rules of this file:
- On the Unix socket the permissions of the file are the authentication: 0660, owner and group of edgegw.
- A socket file nobody listens on is left over from a process that died, and is replaced; one that somebody
  answers on is never taken away.
- A token that others can read is no token.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import os
import socket
import stat
from pathlib import Path
from typing import NamedTuple

from edgegw.config_values import Address
from edgegw.errors import ConfigFault

SOCKET_MODE = 0o660
TOKEN_CHARACTERS_MIN = 16
TOKEN_BYTES_MAX = 4096


def bind_unix(path: Path) -> socket.socket:
    """A bound socket, not listening yet. Raises ConfigFault."""
    _make_room(path)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux makes the file with the mode of the unbound socket: it is never wider, not even for a moment.
        os.fchmod(door.fileno(), SOCKET_MODE)
        door.bind(os.fspath(path))
        path.chmod(SOCKET_MODE)  # and no narrower: bind applied the umask
    except OSError as error:
        door.close()
        raise _socket_fault(path, error.strerror or str(error)) from error
    door.setblocking(False)
    return door


def _make_room(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _socket_fault(path, error.strerror or str(error)) from error
    if not stat.S_ISSOCK(mode):
        raise _socket_fault(path, "exists and is no socket; move it away or choose another path")
    if _is_answered(path):
        raise _socket_fault(path, "another process answers there; stop it or choose another path")
    path.unlink(missing_ok=True)


def _is_answered(path: Path) -> bool:
    """Connecting to a Unix socket is immediate, and EAGAIN means a listener with a full backlog."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(os.fspath(path)) not in (errno.ECONNREFUSED, errno.ENOENT)


def _socket_fault(path: Path, text: str) -> ConfigFault:
    return ConfigFault(f"[control] socket = {path}: {text}")


def remove_unix(path: Path, door_inode: int) -> None:
    """Remove the socket file, if it is still the one we made."""
    try:
        if path.lstat().st_ino == door_inode:
            path.unlink()
    except OSError:
        return  # gone already, or in a directory that is


async def bind_tcp(address: Address) -> socket.socket:
    """A bound loopback socket, not listening yet. Raises OSError, or ConfigFault for another address."""
    found = await asyncio.get_running_loop().getaddrinfo(*address, type=socket.SOCK_STREAM)
    family, _, _, _, where = found[0]
    door = socket.socket(family, socket.SOCK_STREAM)
    try:
        if not Address(str(where[0]), 0).is_loopback:
            raise ConfigFault(f"[control] listen = {address}: is not a loopback address")
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(where)
    except (OSError, ConfigFault):
        door.close()
        raise
    door.setblocking(False)
    return door


class Token:
    """The bearer token of the loopback door. Only compared, never shown."""

    def __init__(self, text: str) -> None:
        self._wanted = f"Bearer {text}".encode("latin-1")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and hmac.compare_digest(self._wanted, other._wanted)

    __hash__ = None  # type: ignore[assignment]

    def admits(self, header: bytes | None) -> bool:
        """`header` is the value of Authorization; the scheme may be written in any case (RFC 9110 11.1)."""
        scheme, _, credentials = (header or b"").partition(b" ")
        given = b"Bearer " + credentials.strip() if scheme.lower() == b"bearer" else b""
        return hmac.compare_digest(given, self._wanted)


class Tokens(NamedTuple):
    operator: Token
    reader: Token | None  # may ask and never order


def read_tokens(token_file: Path, read_token_file: Path | None) -> Tokens:
    """Those of [control]. Raises ConfigFault, also when both files hold the same token."""
    operator = read_token(token_file)
    if read_token_file is None:
        return Tokens(operator, None)
    reader = read_token(read_token_file, "read_token_file")
    if reader == operator:
        raise ConfigFault(
            f"[control] read_token_file = {read_token_file}: holds the same token as token_file;"
            " make another one, such as with: openssl rand -hex 32"
        )
    return Tokens(operator, reader)


def read_token(path: Path, key: str = "token_file") -> Token:
    """The token in a file that only its owner can read. Raises ConfigFault."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(TOKEN_BYTES_MAX).strip()
    except OSError as error:
        raise ConfigFault(f"[control] {key} = {path}: {error.strerror or error}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigFault(
            f"[control] {key} = {path}: other users can read it (mode {stat.S_IMODE(mode):04o});"
            f" run: chmod 600 {path}"
        )
    text = data.decode("ascii", "replace")
    if len(text) < TOKEN_CHARACTERS_MIN or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigFault(
            f"[control] {key} = {path}: must hold one word of at least {TOKEN_CHARACTERS_MIN} ASCII"
            " characters, such as the output of: openssl rand -hex 32"
        )
    return Token(text)
