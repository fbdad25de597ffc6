"""FTP as a charger speaks it: passive, binary, RETR with REST, STOR; one session per transfer.

Rules of this file:
- ftplib blocks, so each session has its own thread. When the charger is switched off its sockets are shut,
  which ends the thread at once; the loop waits for that.
- The thread is the only one that touches the file while it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import ftplib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote, urlsplit

from edgegw.sim.habits import Habits
from edgegw.sim.transfers import Incoming, Outgoing, TransferFailed, chunk_bytes, pause_s

_DENIED = ("530", "532", "550", "553")
_UNKNOWN_COMMAND = ("500", "501", "502", "504")


async def retrieve(url: str, incoming: Incoming, habits: Habits) -> None:
    """Raises TransferFailed."""
    line = FtpLine(url, habits)
    await _in_thread(line, lambda: line.retrieve(incoming))


async def store(url: str, outgoing: Outgoing, habits: Habits) -> None:
    """Raises TransferFailed."""
    line = FtpLine(url, habits)
    await _in_thread(line, lambda: line.store(outgoing))


async def _in_thread(line: FtpLine, work: Callable[[], None]) -> None:
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sim-ftp")
    future = asyncio.get_running_loop().run_in_executor(pool, work)
    try:
        await asyncio.shield(future)
    except asyncio.CancelledError:
        line.abort()
        await asyncio.wait({future})
        if not future.cancelled():
            future.exception()
        raise
    finally:
        pool.shutdown(wait=False)


class FtpLine:
    """One session. `retrieve` and `store` block; `abort` may come from another thread."""

    def __init__(self, url: str, habits: Habits) -> None:
        self._parts = urlsplit(url)
        self._habits = habits
        self._aborted = threading.Event()
        self._sockets: list[socket.socket] = []

    def abort(self) -> None:
        self._aborted.set()
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def retrieve(self, incoming: Incoming) -> None:
        with self._session() as (ftp, path):
            size = self._known_file(ftp, path, incoming)
            with self._data(self._open(ftp, path, incoming)) as data:
                while chunk := data.recv(chunk_bytes(self._habits)):
                    incoming.add(chunk)
                    self._aborted.wait(pause_s(len(chunk), self._habits))
            ftp.voidresp()
            if size is not None and incoming.size_bytes != size:
                raise TransferFailed(f"{incoming.size_bytes} of {size} bytes")

    def store(self, outgoing: Outgoing) -> None:
        with self._session() as (ftp, path):
            with self._data(ftp.transfercmd(f"STOR {path}")) as data:
                for chunk in outgoing.chunks(self._habits):
                    data.sendall(chunk)
                    self._aborted.wait(pause_s(len(chunk), self._habits))
            ftp.voidresp()

    @contextlib.contextmanager
    def _session(self) -> Iterator[tuple[ftplib.FTP, str]]:
        """Logged in, binary; closed at the end whatever happens."""
        ftp = ftplib.FTP(timeout=self._habits.file_timeout_s)  # noqa: S321 - chargers speak it
        try:
            ftp.connect(self._parts.hostname or "", self._parts.port or 21)
            self._watch(ftp.sock)
            user, password = unquote(self._parts.username or ""), unquote(self._parts.password or "")
            ftp.login(user, password)
            ftp.voidcmd("TYPE I")
            yield ftp, unquote(self._parts.path).lstrip("/")
            ftp.quit()
        except (ftplib.Error, OSError, EOFError, ValueError) as error:
            raise _failure(error) from error
        finally:
            ftp.close()

    @contextlib.contextmanager
    def _data(self, data: socket.socket) -> Iterator[socket.socket]:
        self._watch(data)
        with data:
            yield data

    def _watch(self, sock: socket.socket | None) -> None:
        if sock is not None:
            self._sockets.append(sock)
        if self._aborted.is_set():
            raise OSError("switched off")

    def _known_file(self, ftp: ftplib.FTP, path: str, incoming: Incoming) -> int | None:
        """Its size, if the server tells. A file that is another one now is begun again."""
        size, changed_at = None, ""
        with contextlib.suppress(ftplib.error_perm):
            size = ftp.size(path)
        with contextlib.suppress(ftplib.error_perm):
            changed_at = ftp.sendcmd(f"MDTM {path}")
        if changed_at != incoming.validator or (size is not None and size < incoming.size_bytes):
            incoming.restart()
        incoming.validator = changed_at
        return size

    def _open(self, ftp: ftplib.FTP, path: str, incoming: Incoming) -> socket.socket:
        if not incoming.size_bytes:
            return ftp.transfercmd(f"RETR {path}")
        try:
            data = ftp.transfercmd(f"RETR {path}", rest=incoming.size_bytes)
        except ftplib.error_perm as error:
            if not str(error).startswith(_UNKNOWN_COMMAND):
                raise
            incoming.restart()
            return ftp.transfercmd(f"RETR {path}")
        incoming.resumed = True
        return data


def _failure(error: Exception) -> TransferFailed:
    text = str(error)
    if isinstance(error, ftplib.error_perm):
        return TransferFailed(f"FTP {text}", "denied" if text.startswith(_DENIED) else "refused")
    return TransferFailed(f"{type(error).__name__}: {text}")
