"""What the real file servers of the tests share: ports, start, stop, and what their logs tell.

Rules of this file:
- A server is Debian's own program with its own settings in its own folder; the system's settings and
  services are never read, started or changed.
- It is there when it says the token that only this one was given, so that no stranger is taken for it.
- A stop ends the whole family, also those that made themselves a session of their own, and leaves no process.
- Ports lie below those that the system gives away. A block of them belongs to one server at a time, in
  whichever test process that runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import shutil
import signal
import socket
from abc import abstractmethod
from pathlib import Path
from typing import Literal, NamedTuple, Self
from urllib.parse import quote

import pytest

from tests.e2e.children import DEADLINE_S, Child, Children

USER, PASSWORD = "fleet", "pa55@fleet"
LOGIN = f"{USER}:{quote(PASSWORD)}"  # as in a URL
PORTS = range(20_000, 32_000)  # Linux gives away 32768 and up (ip_local_port_range)
BLOCK_PORTS = 40  # the server's own, and as many passive ones as vsftpd may need at once
_PROGRAM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


class Entry(NamedTuple):
    """One transfer in a server's log. `path`: as a URL of this server has it, from the root."""

    direction: Literal["down", "up"]
    path: str
    moved_bytes: int
    complete: bool  # the server moved all that was asked of it


class Server:
    """One server. `files`: the folder that it serves and that uploads come to."""

    program: str

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.files = folder / "files"
        self.files.mkdir(exist_ok=True)
        self.token = secrets.token_hex(8)
        self.port, self._claim = claim_ports()
        self._children = Children(folder)
        self._child: Child | None = None

    # --- its life ----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            self._prepare(program_path(self.program))
            await self.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.stop()
            await self._children.close()
        finally:
            self._claim.close()

    async def start(self) -> None:
        """Start it, again at the same port after a `stop`, and come back when it accepts connections."""
        assert self._child is None
        self._child = await self._children.start(self.program, *self._command(), env=self._environment())
        async with asyncio.timeout(DEADLINE_S):
            while self.token not in await self._heard():
                assert self._child.running, f"{self.program} ended:\n{self.said}"
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """kill -9 of it and all it started; the port is closed and all transfers are cut on return."""
        if self._child is None:
            return
        child, self._child = self._child, None
        pids = self._kill(child.pid) if child.running else set()
        await child.ended()
        async with asyncio.timeout(DEADLINE_S):
            while any(map(is_running, pids)):  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    def freeze(self) -> None:
        """Everything stands still, connections stay open."""
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self.pids():
            os.kill(pid, signal.SIGCONT)

    def _kill(self, pid: int) -> set[int]:
        stopped: set[int] = set()
        # Who stands still starts nobody: the family is complete when nobody new turns up.
        while fresh := family(pid) - stopped:
            for one in fresh:
                _signal(one, signal.SIGSTOP)
            stopped |= fresh
        for one in stopped:
            _signal(one, signal.SIGKILL)
        return stopped

    # --- what it is --------------------------------------------------------------------------------

    def pids(self) -> set[int]:
        """The program and everybody it started."""
        assert self._child is not None, "it does not run"
        return family(self._child.pid)

    @property
    def said(self) -> str:
        """What the program wrote to stderr, of all its lives."""
        log = self.folder / f"{self.program}.log"
        return log.read_text("utf-8", "replace") if log.exists() else ""

    @abstractmethod
    def entries(self) -> list[Entry]:
        """All transfers that have ended, in the order of their end."""

    def downloads(self, path: str) -> list[Entry]:
        """Transfers of this file out of the server, whole or in part."""
        return [one for one in self.entries() if one.direction == "down" and one.path == path]

    def uploads(self, path: str) -> list[Entry]:
        return [one for one in self.entries() if one.direction == "up" and one.path == path]

    # --- what each program does its own way --------------------------------------------------------

    @abstractmethod
    def _prepare(self, program: str) -> None:
        """Write the settings for the program at this path. Skips the test where it cannot run."""

    @abstractmethod
    def _command(self) -> list[str]: ...

    def _environment(self) -> dict[str, str]:
        return {}

    async def _heard(self) -> str:
        """What somebody who connects hears; "" while nobody listens."""
        return await ask(self.port)


async def ask(port: int, question: bytes = b"") -> str:
    """The first that comes after connecting (and asking); "" when nothing does."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return ""
    try:
        writer.write(question)
        return (await reader.read(4096)).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def program_path(name: str) -> str:
    """Skips the test where the program is not installed."""
    found = shutil.which(name, path=_PROGRAM_PATH)
    if found is None:
        pytest.skip(f"needs {name}: make test installs it")
    return found


# --- users that only one server knows -------------------------------------------------------------


def own_user(folder: Path, home: Path) -> dict[str, str]:
    """The environment of a server that knows USER with PASSWORD beside those it cannot do without.

    It reads `passwd` and `group` of this folder in place of the system's. USER is whoever runs the test.
    Skips the test where the wrapper library is not installed.
    """
    wrapper = next(Path("/usr/lib").glob("*/libnss_wrapper.so"), None)
    if wrapper is None:
        pytest.skip("needs libnss-wrapper: make test installs it")
    uid, gid = os.getuid(), os.getgid()
    (folder / "passwd").write_text(
        f"{USER}:{_hashed(PASSWORD)}:{uid}:{gid}::{home}:/bin/sh\n"
        f"sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
        f"nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"
        f"ftp:x:{uid}:{gid}::{home}:/bin/sh\n"
    )
    (folder / "group").write_text(f"{USER}:x:{gid}:\nnogroup:x:65534:\n")
    return {
        "LD_PRELOAD": str(wrapper),
        "NSS_WRAPPER_PASSWD": str(folder / "passwd"),
        "NSS_WRAPPER_GROUP": str(folder / "group"),
    }


def _hashed(password: str) -> str:
    from ctypes import CDLL, c_char_p

    library = CDLL("libcrypt.so.1")  # what both servers check with; Python has no crypt module any more
    library.crypt.restype = c_char_p
    salt = f"$6${secrets.token_hex(8)}$"
    hashed: bytes = library.crypt(password.encode(), salt.encode())
    return hashed.decode()


# --- processes and ports --------------------------------------------------------------------------


def family(pid: int) -> set[int]:
    """This process and all who descend from it."""
    parents = {int(one.name): _stat(int(one.name))[1] for one in Path("/proc").glob("[0-9]*")}
    found = {pid} if is_running(pid) else set()
    while fresh := {one for one, parent in parents.items() if parent in found} - found:
        found |= fresh
    return found


def is_running(pid: int) -> bool:
    return state_of(pid) not in ("", "Z", "X")


def state_of(pid: int) -> str:
    """The letter that /proc has for it, such as "S" asleep, "T" stopped, "Z" dead; "" when it is gone."""
    return _stat(pid)[0]


def _stat(pid: int) -> tuple[str, int]:
    """State and parent; ("", 0) when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    return fields[0], int(fields[1])


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def claim_ports() -> tuple[int, socket.socket]:
    """The first port of a block that nobody else has as long as the socket is open."""
    for port in random.sample(PORTS[::BLOCK_PORTS], len(PORTS[::BLOCK_PORTS])):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0edgegw-tests-{port}")  # a name that ends with the process, however that ends
        except OSError:
            claim.close()
            continue
        if all(map(_is_free, range(port, port + BLOCK_PORTS))):
            return port, claim
        claim.close()
    raise AssertionError("every block of ports is taken")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
