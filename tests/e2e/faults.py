"""What the fault tests share: a charger that says anything, raw handshakes, the local API.

Rules of this file:
- `RawCharger` decides nothing: it sends what it is told to and keeps what comes, in order.
- Waiting is for a condition that is looked at again after each thing that comes, with a deadline.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.e2e.children import DEADLINE_S
from tests.e2e.gateway import GatewayProcess
from tests.plain_http import through

V16, V201, V21 = "ocpp1.6", "ocpp2.0.1", "ocpp2.1"
BOOT_16 = {"chargePointVendor": "Vendor", "chargePointModel": "Model"}
NOW = "2026-06-01T12:00:00Z"
MANY_WITHIN_S = 3 * DEADLINE_S  # for a thousand things that take milliseconds each

T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T] | T], timeout_s: float = DEADLINE_S) -> T:
    """The first truthy thing `look` gives."""
    found: Any = None
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                found = look()
                if isinstance(found, Awaitable):
                    found = await found
                if found:
                    return found  # type: ignore[no-any-return]
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"never came; last seen: {found!r}") from None


@contextlib.asynccontextmanager
async def tcp_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """The port of a server that talks like this to each who connects. Nothing of it is left at the end."""
    talks: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks[task] = writer
        with contextlib.suppress(ConnectionError, EOFError, asyncio.CancelledError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        while talks:  # one that was accepted just before may begin only now
            task, writer = talks.popitem()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        await server.wait_closed()


class RawCharger:
    """A connected charger. `frames`: all that came, parsed; `texts`: as it came."""

    def __init__(self, ws: ClientConnection, *, answers: bool) -> None:
        self.ws = ws
        self.frames: list[list[Any]] = []
        self.texts: list[str] = []
        self._answers = answers
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in self.ws:
                assert isinstance(text, str)
                frame = json.loads(text)
                self.texts.append(text)
                self.frames.append(frame)
                if self._answers and frame[0] == 2:
                    await self.ws.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
                await self._tell()
        await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def send(self, text: str | bytes) -> None:
        await self.ws.send(text, text=True)

    async def seen(self, wanted: Callable[[list[Any]], bool], timeout_s: float = DEADLINE_S) -> list[Any]:
        """The first frame that fits."""
        async with asyncio.timeout(timeout_s), self._news:
            while True:
                found = next(filter(wanted, self.frames), None)
                if found is not None:
                    return found
                assert not self.closed, f"closed with {self.ws.close_code} {self.ws.close_reason}"
                await self._news.wait()

    async def count(self, number: int, timeout_s: float = MANY_WITHIN_S) -> None:
        """Until so many frames came."""
        async with asyncio.timeout(timeout_s), self._news:
            await self._news.wait_for(lambda: len(self.frames) >= number)

    @property
    def closed(self) -> bool:
        return self.ws.close_code is not None

    async def call(
        self, action: str, payload: Any, message_id: str = "", timeout_s: float = DEADLINE_S
    ) -> Any:
        """The whole answer frame."""
        message_id = message_id or str(uuid.uuid4())
        await self.send(json.dumps([2, message_id, action, payload]))
        return await self.seen(lambda frame: frame[0] in (3, 4) and frame[1] == message_id, timeout_s)

    async def boot(self) -> Any:
        payload: Any = BOOT_16
        if self.ws.subprotocol != V16:
            payload = {"reason": "PowerUp", "chargingStation": {"vendorName": "Vendor", "model": "Model"}}
        answer = await self.call("BootNotification", payload)
        assert answer[2]["status"] == "Accepted", answer
        return answer

    async def end(self) -> tuple[int, str]:
        """Until the other side has closed: code and reason."""
        async with asyncio.timeout(DEADLINE_S):
            await self.ws.wait_closed()
        return self.ws.close_code or 0, self.ws.close_reason or ""

    async def close(self) -> None:
        await self.ws.close()
        await self._reader


@contextlib.asynccontextmanager
async def charger(
    gateway: GatewayProcess,
    identity: str,
    *,
    offers: tuple[str, ...] = (V16,),
    password: str | None = None,
    answers: bool = True,
    boot: bool = True,
    port: int = 0,
) -> AsyncIterator[RawCharger]:
    """A charger at the gateway (or at `port`, where a bad line leads to it)."""
    made = await dial(gateway, identity, offers=offers, password=password, answers=answers, port=port)
    try:
        if boot:
            await made.boot()
        yield made
    finally:
        await made.close()


async def dial(
    gateway: GatewayProcess,
    identity: str,
    *,
    offers: tuple[str, ...] = (V16,),
    password: str | None = None,
    answers: bool = True,
    port: int = 0,
) -> RawCharger:
    headers = {"Authorization": basic(identity, password)} if password is not None else {}
    ws = await connect(
        f"ws://127.0.0.1:{port or gateway.port}/ocpp/{identity}",
        subprotocols=list(offers) or None,  # type: ignore[arg-type]
        additional_headers=headers,
        compression=None,
        ping_interval=None,
        max_size=None,
        close_timeout=1,
        proxy=None,
        open_timeout=DEADLINE_S,
    )
    return RawCharger(ws, answers=answers)


def basic(identity: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{identity}:{password}".encode()).decode()


async def knock(
    port: int, target: str, *, headers: dict[str, str] | None = None, offers: str | None = V16
) -> tuple[int, bytes]:
    """A handshake written by hand: (HTTP status, everything that came). 0: closed without an answer."""
    lines = {
        "Host": "box",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
        "Sec-WebSocket-Version": "13",
        **({"Sec-WebSocket-Protocol": offers} if offers else {}),
        **(headers or {}),
    }
    head = f"GET {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return await shout(port, head.encode("utf-8", "surrogateescape") + b"\r\n")


async def shout(port: int, data: bytes) -> tuple[int, bytes]:
    """Any bytes to the chargers' door, until the door closes or an open WebSocket is there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = b""
    try:
        writer.write(data)
        async with asyncio.timeout(DEADLINE_S):
            while not heard.startswith(b"HTTP/1.1 101") or b"\r\n\r\n" not in heard:
                more = await reader.read(4096)
                if not more:
                    break
                heard += more
    except ConnectionError:
        pass
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    status = int(heard.split(b" ", 2)[1]) if heard.startswith(b"HTTP/1.1 ") else 0
    return status, heard


async def ask(gateway: GatewayProcess, path: str) -> Any:
    """GET of the local API."""
    transport = through(gateway.store / "edgegw.sock")
    async with httpx.AsyncClient(transport=transport, base_url="http://edgegw", trust_env=False) as http:
        answer = await http.get(path, timeout=DEADLINE_S)
        answer.raise_for_status()
        return answer.json()


async def waiting(gateway: GatewayProcess) -> int:
    store = (await ask(gateway, "/v1/health"))["store"]
    return int(store["stored"]) + int(store["in_flight"])


async def drained(gateway: GatewayProcess) -> None:
    async def empty() -> bool:
        return await waiting(gateway) == 0

    await until(empty, MANY_WITHIN_S)


def start_tx(tag: str = "TAG1", connector: int = 1, meter_wh: int = 1000) -> dict[str, Any]:
    return {"connectorId": connector, "idTag": tag, "meterStart": meter_wh, "timestamp": NOW}


def meter(transaction: int, wh: int, samples: int = 1, connector: int = 1) -> dict[str, Any]:
    values = [{"value": str(wh + i), "unit": "Wh"} for i in range(samples)]
    return {
        "connectorId": connector,
        "transactionId": transaction,
        "meterValue": [{"timestamp": NOW, "sampledValue": values}],
    }


def stop_tx(transaction: int, meter_wh: int = 2000) -> dict[str, Any]:
    return {"transactionId": transaction, "meterStop": meter_wh, "timestamp": NOW}
