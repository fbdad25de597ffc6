"""The FTP door on the site's network: firmware out, uploads in, for chargers that know nothing else.

    RETR  /fw/<token>/<name>      the file of a grant, from REST on
    STOR  /up/<token>[/<name>]    into the slot of an upload

Why aioftp and not pyftpdlib: aioftp lives in our loop, so seats, throttle and stores are the HTTP door's own
objects. pyftpdlib has a loop of its own: it needs a thread, locks around everything that is shared, and on
Python >= 3.12 shims for asyncore and asynchat. What aioftp lacks (SIZE, MDTM, peers checked on the data
connection, patience during a long transfer) is less than that, and is below.

Rules of this file:
- The token is the secret, so any user and password are welcome; FTP would send them in clear text anyway.
- Only the commands in the table exist. Nothing is listed, deleted, renamed or made.
- CWD goes where its words lead and asks nobody whether that exists (fault 80).
- No PORT and no EPRT: the box opens no connection to an address that a peer names (FTP bounce). A data
  connection must come from the address of its control connection.
- aioftp logs paths, and ours contain tokens: its line logging is replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

import aioftp
from aioftp import AbstractUserManager, Connection, StreamIO

from edgegw.files.dead_peers import give_up_after, socket_of
from edgegw.files.doors import Direction, Doorkeeper, DoorSettings, Shelf
from edgegw.files.ftp_transfers import BUSY, REFUSED, FtpTransfers, Place, Talk, is_place, walked
from edgegw.files.uploads import UploadStore
from edgegw.runtime.tasks import Tasks

log = logging.getLogger(__name__)

_Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

LINE_BYTES_MAX: Final = 2048
ANSWERS_MAX: Final = 100  # that one session has not read yet
WORKS_MAX: Final = 4  # of one session at once: SIZE, MDTM and RETR may be sent ahead
STREAM_LIMIT_BYTES: Final = 64 * 1024
FEATURES: Final = ("EPSV", "MDTM", "PASV", "REST STREAM", "SIZE", "TVFS", "UTF8")

Command = Callable[[Connection, str], Awaitable[bool]]


class AnyUser(AbstractUserManager):
    """Lets everybody in: there is nothing to be had without a token."""

    def __init__(self) -> None:
        super().__init__()
        self._user = aioftp.User()

    async def get_user(self, login: str) -> tuple[AbstractUserManager.GetUserResponse, aioftp.User, str]:
        # Always ask for a password: clients that send one unasked are told "bad sequence" otherwise.
        return AbstractUserManager.GetUserResponse.PASSWORD_REQUIRED, self._user, "any password"

    async def authenticate(self, user: aioftp.User, password: str) -> bool:
        return True


class FtpServer:
    """The FTP door. It shares the keeper of the HTTP door: seats, throttle, transfers."""

    def __init__(
        self,
        shelf: Shelf,
        uploads: UploadStore,
        keeper: Doorkeeper,
        wall: Callable[[], float],
        *,
        passive_ports: Sequence[int] = (),
        public_ipv4: str = "",
    ) -> None:
        """No `passive_ports`: any. `public_ipv4`: what PASV names, where the box is behind a port mapping."""
        self._tasks = Tasks()
        self._is_open = False
        ports = tuple(port for port in passive_ports if port)
        transfers = FtpTransfers(keeper, shelf, uploads, wall)
        self._door = _Door(transfers, keeper.settings, self._tasks, ports, public_ipv4)

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Open the door; returns where it is. Raises OSError when the address cannot be had."""
        await self._door.start(host, port, limit=STREAM_LIMIT_BYTES)
        self._is_open = True
        found = self._door.address
        return found[0] or host, found[1]

    async def stop(self) -> None:
        """Cut what is running and close the door."""
        if self._is_open:
            await self._door.close()
        await self._tasks.cancel()


class _Door(aioftp.Server):
    """aioftp's sessions, logins and passive ports, with our commands."""

    def __init__(
        self,
        transfers: FtpTransfers,
        settings: DoorSettings,
        tasks: Tasks,
        passive_ports: tuple[int, ...],
        public_ipv4: str,
    ) -> None:
        most = settings.ftp_connections_max
        super().__init__(
            AnyUser(),
            idle_timeout=settings.ftp_idle_timeout_s,
            socket_timeout=settings.stall_timeout_s,
            # A session keeps its passive port, so there are never more sessions than ports.
            maximum_connections=min(most, len(passive_ports)) if passive_ports else most,
            data_ports=passive_ports or None,
            ipv4_pasv_forced_response_address=public_ipv4 or None,
            welcome_message="ready",
        )
        self._stall_s = settings.stall_timeout_s
        self._transfers = transfers
        self._tasks = tasks
        self._turns: WeakKeyDictionary[StreamIO, asyncio.Lock] = WeakKeyDictionary()
        self._answers: dict[StreamIO, asyncio.Queue[Any]] = {}
        commands = {
            **{"user": self.user, "pass": self.pass_, "quit": self.quit, "syst": self.syst},
            **{"pasv": self._in(self.pasv), "epsv": self._in(self.epsv), "rest": self._in(self.rest)},
            **{"pwd": self._in(self.pwd), "xpwd": self._in(self.pwd), "type": self._in(self.type)},
            **{"cwd": self._in(self.cwd), "xcwd": self._in(self.cwd), "cdup": self._in(self.cdup)},
            **{"abor": self._in(self.abor), "feat": self._feat, "noop": self._ok, "opts": self._ok},
            **{"mode": self._mode, "stru": self._mode, "allo": self._ok},
            **{name: self._in(self._no) for name in ("list", "nlst", "mlsd", "mlst", "stat")},
            **{name: self._in(self._no) for name in ("mkd", "xmkd", "rmd", "dele", "rnfr", "rnto", "appe")},
            "retr": self._in(self._works("down", transfers.send)),
            "stor": self._in(self._works("up", transfers.store)),
            "size": self._in(self._works("down", transfers.tell_size)),
            "mdtm": self._in(self._works("down", transfers.tell_time)),
        }
        self.commands_mapping = {name: self._in_turn(command) for name, command in commands.items()}

    # --- commands ---------------------------------------------------------------------------------

    def _in_turn(self, command: Command) -> Command:
        """Commands are tasks: answers would overtake each other, and several PASV would each take a port."""

        async def in_turn(connection: Connection, rest: str) -> bool:
            async with self._turns.setdefault(connection.command_connection, asyncio.Lock()):
                if command != self.quit:
                    return await command(connection, rest)
            return await self.quit(connection, rest)  # it waits for a transfer, which ABOR may end

        return in_turn

    def _in(self, command: Command) -> Command:
        """`command`, for those who have logged in."""

        async def checked(connection: Connection, rest: str) -> bool:
            if connection.future.logged.done():
                return await command(connection, rest)
            connection.response("530", "log in first")
            return True

        return checked

    def _works(self, direction: Direction, work: Callable[[Talk], Awaitable[None]]) -> Command:
        """A command that takes a while: it runs beside the session, which goes on listening for ABOR."""

        async def begin(connection: Connection, rest: str) -> bool:
            # Taken now: what is said while it waits for its seat resets it.
            start, connection.restart_offset = connection.restart_offset, 0
            if len(connection.extra_workers) >= WORKS_MAX:
                connection.response(*BUSY)
                return True
            talk = Talk(connection, walked(_place(connection), rest), start)
            job = self._transfers.guarded(talk, direction, work)
            connection.extra_workers.add(self._tasks.spawn(job, f"ftp {direction}"))
            return True

        return begin

    async def quit(self, connection: Connection, rest: Any) -> bool:
        """RFC 959: a transfer under way is finished first. One good-bye does: each would wait as a task."""
        if connection.future.leaving.done():
            return True
        connection.leaving = True
        if connection.extra_workers:
            await asyncio.wait(connection.extra_workers)
        connection.response("221", "bye")
        return False

    async def pwd(self, connection: Connection, rest: Any) -> bool:
        connection.response("257", f'"/{"/".join(_place(connection))}"')
        return True

    async def cwd(self, connection: Connection, rest: Any) -> bool:
        place = walked(_place(connection), str(rest))
        if not is_place(place):
            connection.response(*REFUSED)
            return True
        connection.place = place
        connection.response("250", "ok")
        return True

    async def cdup(self, connection: Connection, rest: Any) -> bool:
        return await self.cwd(connection, "..")

    async def type(self, connection: Connection, rest: Any) -> bool:
        known = str(rest).upper() in ("I", "A", "A N", "L 8")
        connection.response(*(("200", "ok") if known else ("504", "only types I and A")))
        return True

    async def _mode(self, connection: Connection, rest: str) -> bool:
        known = rest.upper() in ("S", "F")
        connection.response(*(("200", "ok") if known else ("504", "only stream mode and files")))
        return True

    async def epsv(self, connection: Connection, rest: Any) -> bool:
        if str(rest).upper() == "ALL":
            connection.response("200", "ok")
            return True
        return await super().epsv(connection, "")  # "1" and "2" name the protocol that is spoken already

    async def abor(self, connection: Connection, rest: Any) -> bool:
        for worker in connection.extra_workers:
            worker.cancel()
        if not connection.extra_workers:
            connection.response("226", "nothing to abort")
        return True

    async def _feat(self, connection: Connection, rest: str) -> bool:
        connection.response("211", ("features", *FEATURES, "end"), True)
        return True

    async def _ok(self, connection: Connection, rest: str) -> bool:
        connection.response("200", "ok")
        return True

    async def _no(self, connection: Connection, rest: str) -> bool:
        """Also for MKD of a folder that a client believes it must make: it is told so, and goes on."""
        connection.response("550", "not done here")
        return True

    # --- sessions ---------------------------------------------------------------------------------

    async def dispatcher(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One session. Only `close` cancels it: Python 3.11 would log that end as a bug."""
        give_up_after(socket_of(writer.transport), self._stall_s)
        with contextlib.suppress(asyncio.CancelledError):
            await super().dispatcher(reader, writer)

    async def parse_command(  # type: ignore[override]  # False ends a session quietly; raising would log it
        self, stream: StreamIO, censor_commands: tuple[str] = ("pass",)
    ) -> tuple[str, str] | bool:
        """The next command. Silence ends a session, but not while a transfer is running."""
        while True:
            try:
                line = await stream.readline()
            except TimeoutError:
                if self.connections[stream].extra_workers:
                    continue
                return False
            except (OSError, ValueError):
                return False  # the peer is gone, or its line has no end
            break
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if not line or len(line) > LINE_BYTES_MAX:
            return False
        answers = self._answers.get(stream)
        if answers is not None and answers.qsize() > ANSWERS_MAX:
            stream.writer.transport.abort()  # it asks and does not read: the rest is not waited for
            return False
        if not text.isprintable():
            return "", ""
        command, _, rest = text.lstrip().partition(" ")
        if command.lower() == "rest" and not rest.strip().isascii():
            return "rest", "none"  # "²" is a digit to the library, and no number
        return command.lower(), rest.strip()

    async def write_line(self, stream: StreamIO, line: str) -> None:
        if stream.writer.is_closing():  # uvloop would raise RuntimeError
            raise ConnectionResetError("the connection is gone")
        await stream.write(f"{line}\r\n".encode())

    async def response_writer(self, stream: StreamIO, response_queue: asyncio.Queue[Any]) -> None:
        """Answers in order. Whoever is gone gets none, and nobody waits for the queue in vain."""
        self._answers[stream] = response_queue
        try:
            while True:
                answer = await response_queue.get()
                try:
                    await self.write_response(stream, *answer)
                except OSError as error:
                    log.debug("an FTP peer is gone: %s", error)
                    stream.writer.transport.abort()  # one silence is waited for, not one per answer
                finally:
                    response_queue.task_done()
        finally:
            del self._answers[stream]

    async def _start_passive_server(
        self,
        connection: Connection,
        handler_callback: _Handler,
    ) -> asyncio.Server:
        async def same_peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            host = (writer.get_extra_info("peername") or ("",))[0]
            if host == connection.client_host:
                give_up_after(socket_of(writer.transport), self._stall_s)
                await handler_callback(reader, writer)
                return
            log.warning("a data connection from %s, the session is from %s", host, connection.client_host)
            writer.transport.abort()

        opening = self._tasks.spawn(self._port(connection, same_peer), "ftp passive port")
        try:
            opened: asyncio.Server | None = await asyncio.shield(opening)
        except asyncio.CancelledError:  # the session ended meanwhile, and knows of no port to give back
            opening.add_done_callback(lambda ended: self._unwanted(ended, connection))
            raise
        if opened is None:
            raise aioftp.errors.NoAvailablePort
        return opened

    async def _port(self, connection: Connection, handler: _Handler) -> asyncio.Server | None:
        with contextlib.suppress(aioftp.errors.NoAvailablePort):
            return await super()._start_passive_server(connection, handler)
        return None

    def _unwanted(self, opening: asyncio.Task[asyncio.Server | None], connection: Connection) -> None:
        if opening.cancelled() or opening.exception() is not None or (server := opening.result()) is None:
            return
        server.close()
        if self.available_data_ports is not None:
            self.available_data_ports.put_nowait((0, connection.passive_server_port))


def _place(connection: Connection) -> Place:
    """Where CWD has led this session."""
    place: Place = connection.place if connection.future.place.done() else ()
    return place
