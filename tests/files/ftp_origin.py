"""An FTP server on loopback that misbehaves as told, and logs what it was asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass
class FtpOrigin:
    data: bytes
    modified: str = "20240101100000"  # "" the server does not know MDTM
    knows_size: bool = True
    knows_rest: bool = True
    knows_epsv: bool = True
    pasv_address: str = "127,0,0,1"  # what PASV claims
    answers: dict[str, str] = field(default_factory=dict)  # by command, instead of the usual
    cuts: list[int] = field(default_factory=list)  # after so many bytes of the next transfers
    hold: bool = False  # instead of a cut keep both connections open and silent, until `release`
    says_done: bool = True  # with 226
    log: list[str] = field(default_factory=list)
    data_connections: int = 0
    port: int = 0

    async def __aenter__(self) -> FtpOrigin:
        self._server = await asyncio.start_server(self._control, "127.0.0.1", 0)
        self._data = await asyncio.start_server(self._transfer, "127.0.0.1", 0)
        self._transfers: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._open: list[asyncio.StreamWriter] = []
        self.port = self._server.sockets[0].getsockname()[1]
        self.data_port = self._data.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in (self._server, self._data):
            server.close()
        for writer in self._open:
            writer.close()
        for server in (self._server, self._data):
            await server.wait_closed()

    def release(self) -> None:
        """The transfer that is held is cut now."""
        for one in self._held:
            one.close()

    def url(self, path: str = "fw/charger-1.2.bin", credentials: str = "") -> str:
        return f"ftp://{credentials}127.0.0.1:{self.port}/{path}"

    async def _transfer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.data_connections += 1
        self._open.append(writer)
        await self._transfers.put((reader, writer))

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(writer)
        writer.write((self.answers.get("", "220 ready") + "\r\n").encode())
        self._offset = 0
        try:
            while line := (await reader.readline()).decode():
                self.log.append(line.rstrip())
                await self._command(line.rstrip(), writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _command(self, line: str, writer: asyncio.StreamWriter) -> None:
        word, _, argument = line.partition(" ")
        if word in ("EPSV", "PASV"):
            while not self._transfers.empty():
                self._transfers.get_nowait()[1].close()  # of an attempt that was given up
        if word == "RETR" and word not in self.answers:
            await self._retr(writer)
            return
        writer.write((self.answers.get(word) or self._answer(word, argument)).encode() + b"\r\n")

    def _answer(self, word: str, argument: str) -> str:
        high, low = divmod(self.data_port, 256)
        if word == "REST":
            self._offset = int(argument) if self.knows_rest else 0
        return {
            "USER": "331 password",
            "PASS": "230 welcome",
            "TYPE": "200 ok",
            "SIZE": f"213 {len(self.data)}" if self.knows_size else "500 what",
            "MDTM": f"213 {self.modified}" if self.modified else "500 what",
            "EPSV": f"229 passive (|||{self.data_port}|)" if self.knows_epsv else "500 what",
            "PASV": f"227 passive ({self.pasv_address},{high},{low})",
            "REST": "350 from there" if self.knows_rest else "502 what",
        }.get(word, "500 what")

    async def _retr(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"150 here it comes\r\n")
        _, out = await self._transfers.get()
        stop = self._offset + self.cuts.pop(0) if self.cuts else None
        cut = stop is not None
        try:
            out.write(self.data[self._offset : stop])
            await out.drain()
        except ConnectionError:
            pass
        self._offset = 0
        if cut and self.hold:
            self._held = (out, writer)
            return
        out.close()
        if cut:
            writer.close()
        elif self.says_done:
            writer.write(b"226 done\r\n")
        else:
            writer.write(b"426 aborted\r\n")
