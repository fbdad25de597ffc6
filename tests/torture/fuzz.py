"""Fuzzing a live session from both sides while a well-behaved charger beside it goes on (R8).

The fuzzed charger and its cloud live here and misbehave; the good charger and what it measures are a
process of their own. A session counts as alive when a Heartbeat with a fresh id is answered.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.e2e.gateway import GatewayProcess
from tests.torture.corpus import VERSIONS, Fuzzer

ALIVE_EVERY = 20  # frames between two looks at the session: 100 bad ones in a row would end it
ALIVE_WITHIN_S = 30.0
DOCUMENTED = {1002, 1003, 1007, 1008, 1009}  # how the gateway may end a session, and why
_ID = re.compile(r'\[\s*2\s*,\s*("(?:[^"\\]|\\.)*")')


@dataclass
class Score:
    frames: int = 0
    closes: Counter[int] = field(default_factory=Counter)
    slowest_s: float = 0.0


class EchoCloud:
    """Answers every CALL with a little of everything; `sessions` are its open connections by identity."""

    def __init__(self) -> None:
        self.sessions: dict[str, ServerConnection] = {}
        self.came = asyncio.Event()
        self._server: Any = None

    async def __aenter__(self) -> EchoCloud:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, subprotocols=list(VERSIONS), max_size=None, ping_interval=None,  # type: ignore[arg-type]
            close_timeout=1,
        )  # fmt: skip
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/csms"

    async def _serve(self, ws: ServerConnection) -> None:
        assert ws.request is not None
        identity = ws.request.path.rpartition("/")[2]
        self.sessions[identity] = ws
        self.came.set()
        try:
            async for text in ws:
                found = _ID.match(str(text))
                if found:
                    await ws.send(f"[3,{found[1]},{ANSWER}]")
        except ConnectionClosed:
            pass
        finally:
            if self.sessions.get(identity) is ws:
                del self.sessions[identity]

    async def session(self, identity: str) -> ServerConnection:
        while identity not in self.sessions:
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), ALIVE_WITHIN_S)
        return self.sessions[identity]


ANSWER = json.dumps(
    {
        "currentTime": "2026-06-01T12:00:00Z",
        "interval": 300,
        "status": "Accepted",
        "transactionId": 7,
        "idTagInfo": {"status": "Accepted"},
        "idTokenInfo": {"status": "Accepted"},
    }
)


class Fuzzed:
    """One charger whose own side is fuzzed; it answers the cloud's CALLs so that none blocks the way."""

    def __init__(self, gateway: GatewayProcess, identity: str, version: str, score: Score) -> None:
        self.identity = identity
        self.version = version
        self.score = score
        self._gateway = gateway
        self._answers: dict[str, asyncio.Future[str]] = {}
        self._reader: asyncio.Task[None] | None = None
        self.ws: ClientConnection

    async def connect(self) -> None:
        self.ws = await connect(
            f"{self._gateway.url}/{self.identity}", subprotocols=[self.version], compression=None,  # type: ignore[list-item]
            ping_interval=None, max_size=None, close_timeout=1, open_timeout=ALIVE_WITHIN_S,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read(self.ws))

    async def close(self) -> None:
        await self.ws.close()
        if self._reader is not None:
            await self._reader

    async def _read(self, ws: ClientConnection) -> None:
        try:
            async for text in ws:
                assert isinstance(text, str)
                frame = json.loads(text)
                if frame[0] == 2:
                    await ws.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
                elif frame[1] in self._answers and not self._answers[frame[1]].done():
                    self._answers[frame[1]].set_result(text)
        except ConnectionClosed:
            pass

    async def alive(self) -> bool:
        """Is the session's Heartbeat answered? Reconnects when it was closed, for a documented reason."""
        begun = asyncio.get_running_loop().time()
        message_id = str(uuid.uuid4())
        answer = self._answers[message_id] = asyncio.get_running_loop().create_future()
        try:
            await self.ws.send(json.dumps([2, message_id, "Heartbeat", {}]))
            closed = asyncio.ensure_future(self.ws.wait_closed())
            try:
                async with asyncio.timeout(ALIVE_WITHIN_S):
                    await asyncio.wait((answer, closed), return_when=asyncio.FIRST_COMPLETED)
            finally:
                closed.cancel()
        except ConnectionClosed:
            pass
        finally:
            del self._answers[message_id]
        self.score.slowest_s = max(self.score.slowest_s, asyncio.get_running_loop().time() - begun)
        if answer.done():
            return True
        answer.cancel()
        code = self.ws.close_code or 0
        self.score.closes[code] += 1
        assert code in DOCUMENTED, f"{self.identity} was closed with {code} {self.ws.close_reason}"
        await self.connect()
        return False


async def fuzz_from_charger(charger: Fuzzed, seed: int, frames: int) -> None:
    fuzzer = Fuzzer(seed, charger.version)
    for number in range(1, frames + 1):
        try:
            await charger.ws.send(fuzzer.text(), text=True)
        except ConnectionClosed:
            await charger.alive()
        charger.score.frames += 1
        if number % ALIVE_EVERY == 0:
            await charger.alive()
    assert await charger.alive() or await charger.alive()


async def fuzz_from_cloud(cloud: EchoCloud, charger: Fuzzed, seed: int, frames: int) -> None:
    """A bad frame of the cloud may cost its own connection, never the charger's."""
    fuzzer = Fuzzer(seed, charger.version, from_cloud=True)
    for number in range(1, frames + 1):
        try:
            await (await cloud.session(charger.identity)).send(fuzzer.text(), text=True)
        except ConnectionClosed:
            charger.score.closes[-1] += 1
        charger.score.frames += 1
        if number % ALIVE_EVERY == 0:
            assert await charger.alive(), "a frame of the cloud ended the charger's connection"


def rss_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])  # type: ignore[index]


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def latencies_s(ledger: Path) -> tuple[list[float], int]:
    """(seconds per answered CALL of a charger, CALLs without an answer) from its own ledger."""
    from edgegw.sim.ledger import read

    sent: dict[str, float] = {}
    taken: list[float] = []
    for entry in read(ledger):
        if entry.kind == "sent_call":
            sent[entry.id] = entry.at
        elif entry.kind in ("got_result", "got_error") and entry.id in sent:
            taken.append(entry.at - sent.pop(entry.id))
    return taken, len(sent)


__all__ = [
    "EchoCloud", "Fuzzed", "Score", "fuzz_from_charger", "fuzz_from_cloud", "latencies_s", "open_files",
    "rss_kib", "websockets",
]  # fmt: skip
