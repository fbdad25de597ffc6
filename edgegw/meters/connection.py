"""One line to Modbus meters: a TCP connection, a serial device, or a converter that carries RTU frames.

Rules of this file:
- Everything that touches pymodbus is here: its minor releases change names and behaviour.
- pymodbus neither retries nor reconnects (its first connect is never retried, a later one after up to five
  minutes): whoever polls asks again, and a read opens the line when it is closed.
- RTU frames carry no transaction id, so an answer that comes late would be taken for the next one's, and
  every answer after it too. After any read that was not answered in full the line is closed; before the
  next one of that unit it has to be silent for as long as an answer may take, and then a marker is read, a
  request whose answer has another length than every answer that is still owed.
- One request at a time on a line, whoever shares it.
- Only reads: there is no way to write a register.
"""

from __future__ import annotations

import asyncio
import logging
import os
import termios
from collections.abc import Sequence
from typing import Literal, NamedTuple

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.framer import FramerType
from pymodbus.pdu import ModbusPDU

from edgegw.errors import EdgegwError
from edgegw.meter_address import MeterAddress
from edgegw.meters.decode import Block
from edgegw.meters.frames import READ_HOLDING, Request, exception_text, tcp_fault, without_noise
from edgegw.runtime import clock

FaultKind = Literal["unreachable", "no_answer", "wrong_answer", "exception"]

CONNECT_TIMEOUT_S = 3.0
TCP_MISSES_MAX = 3  # then the connection itself is in doubt: a half-open one never answers again
SILENCES_MAX = 4  # a line that is not quiet for one timeout within this many has another master
SILENCE_WITHOUT_MARKER = 3  # timeouts of silence where no request has a length of its own
BITS_PER_CHARACTER = 11
SERIAL_PAUSE_MIN_S = 0.005

Shape = tuple[int, int]
"""Function and register count: all that tells one RTU answer of a unit from another."""

# Every miss is an ERROR to pymodbus. Whoever reads here counts it and says it in words, once.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


class MeterFault(EdgegwError):
    """A read brought nothing that may be used. The text says why, in a technician's words."""

    def __init__(self, kind: FaultKind, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.kind: FaultKind = kind
        self.code = code  # of a Modbus exception


class Answer(NamedTuple):
    registers: tuple[int, ...]
    at: float  # monotonic instant of its last byte


class MeterConnection:
    """Reads registers over one line. Opens it when needed; `close` it at the end."""

    def __init__(self, address: MeterAddress, *, pause_s: float = 0.0) -> None:
        """`pause_s`: least time between an answer and the next request, for devices that need it."""
        self.address = address
        self.opened = 0  # times; a reader that sees it change must not trust what it knew of the meter
        self.late = 0  # answers and bytes that nobody waited for
        self.pause_s = max(pause_s, _frame_gap_s(address))
        self._lock = asyncio.Lock()
        self._client: AsyncModbusTcpClient | AsyncModbusSerialClient | None = None
        self._exchange: _Exchange | None = None
        self._heard_at = -float("inf")
        self._misses = 0
        self._why: OSError | TimeoutError | None = None  # the line could not be opened
        self._checked: set[int] = set()  # units whose marker was read since the line was opened
        # unit -> (function, count) of requests whose answer may still come
        self._owed: dict[int, set[Shape]] = {}
        self._last: dict[int, Shape] = {}

    @property
    def is_open(self) -> bool:
        return self._client is not None and self._client.connected

    async def read(self, unit: int, block: Block, timeout_s: float, markers: Sequence[Block] = ()) -> Answer:
        """The registers of `block`. `markers`: reads this unit takes, of different lengths; the more
        there are, the sooner it is clear after a miss whose answer comes. Raises MeterFault."""
        async with self._lock:
            await self._open(timeout_s)
            if self.address.rtu_framing:
                await self._check(unit, markers, timeout_s)
            return await self._ask(_request(unit, block), timeout_s)

    async def close(self) -> None:
        """Whoever reads again opens it again."""
        async with self._lock:
            self._shut()
        await asyncio.sleep(0)  # the transport ends in the loop's next round

    # --- opening and closing ---------------------------------------------------------------------

    async def _open(self, timeout_s: float) -> None:
        if self.is_open:
            return
        self._shut()
        wait_s = max(CONNECT_TIMEOUT_S, timeout_s)
        client = self._client = self._make(wait_s)
        self._note_why(client)
        if not await client.connect():
            why, self._client = self._why, None
            client.close()
            raise MeterFault("unreachable", _unreachable_text(self.address, why))
        self.opened += 1
        self._misses = 0
        self._checked.clear()

    def _make(self, wait_s: float) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
        at = self.address
        if at.transport == "rtu":
            return AsyncModbusSerialClient(
                at.device,
                baudrate=at.baud,
                parity=at.parity,
                stopbits=at.stopbits,
                timeout=wait_s,
                retries=0,
                reconnect_delay=0,
                trace_packet=self._packet,
                trace_connect=self._connected,
            )
        return AsyncModbusTcpClient(
            at.host,
            port=at.port,
            framer=FramerType.RTU if at.rtu_framing else FramerType.SOCKET,
            timeout=wait_s,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._packet,
            trace_connect=self._connected,
        )

    def _note_why(self, client: AsyncModbusTcpClient | AsyncModbusSerialClient) -> None:
        """pymodbus says that it could not connect, but only its log says why."""
        create = client.ctx.call_create

        async def noted() -> object:
            self._why = TimeoutError()  # unless it ends in another way: whoever waits gave up
            try:
                return await create()
            except OSError as error:
                self._why = error
                raise
            except termios.error as error:  # the device does not take this baud rate or parity
                self._why = OSError(*error.args)
                raise self._why from error

        client.ctx.call_create = noted

    def _shut(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    # --- one request -----------------------------------------------------------------------------

    async def _ask(self, request: Request, timeout_s: float) -> Answer:
        await self._rest()
        self._last[request.unit] = (request.function, request.count)
        try:
            answer = await self._one(request, timeout_s)
        except MeterFault as fault:
            self._missed(request, fault)
            raise
        except asyncio.CancelledError:  # whoever shares the line must not get this answer
            self._missed(request, MeterFault("no_answer", "nobody waits any longer"))
            raise
        self._misses = 0
        return answer

    async def _rest(self) -> None:
        pause_s = self._heard_at + self.pause_s - clock.now().mono
        if pause_s > 0:
            await asyncio.sleep(pause_s)

    async def _one(self, request: Request, timeout_s: float) -> Answer:
        assert self._client is not None
        exchange = self._exchange = _Exchange(request, asyncio.timeout(timeout_s))
        read = (
            self._client.read_holding_registers
            if request.function == READ_HOLDING
            else self._client.read_input_registers
        )
        try:
            async with exchange.scope:
                pdu = await read(request.address, count=request.count, device_id=request.unit)
        except TimeoutError:
            raise exchange.fault(timeout_s) from None
        except ConnectionException:
            raise MeterFault("no_answer", f"{request}: the connection was closed before it") from None
        except ModbusException as error:
            raise MeterFault("wrong_answer", f"{request}: {error}") from None
        finally:
            self._exchange = None
        return Answer(_registers(request, pdu), self._heard_at)

    def _missed(self, request: Request, fault: MeterFault) -> None:
        """What is known of the line after this."""
        if fault.kind == "exception":
            return  # an answer in full
        self._misses += 1
        if self.address.rtu_framing:
            self._owed.setdefault(request.unit, set()).add((request.function, request.count))
            self._shut()
        elif fault.kind == "wrong_answer" or self._misses >= TCP_MISSES_MAX:
            self._shut()

    # --- whose answer is it? (RTU framing) -------------------------------------------------------

    async def _check(self, unit: int, markers: Sequence[Block], timeout_s: float) -> None:
        """Return only when the next answer of `unit` can be nobody else's."""
        owed = self._owed.get(unit, set())
        if unit in self._checked and not owed:
            return
        marker = next((one for one in markers if (one.function, one.count) not in owed), None)
        if owed:
            await self._silence(timeout_s * (1 if marker else SILENCE_WITHOUT_MARKER))
        if marker is not None:
            await self._ask(_request(unit, marker), timeout_s)
        self._owed.pop(unit, None)
        self._checked.add(unit)

    async def _silence(self, silence_s: float) -> None:
        begun = clock.now().mono
        quiet_since = begun
        while (now := clock.now().mono) < quiet_since + silence_s:
            if now > begun + SILENCES_MAX * silence_s:
                self._shut()
                text = f"{self.address.line} is never silent: is another master on the line?"
                raise MeterFault("wrong_answer", text)
            await asyncio.sleep(quiet_since + silence_s - now)
            quiet_since = max(quiet_since, self._heard_at)
        if not self.is_open:
            self._shut()
            raise MeterFault("no_answer", f"{self.address.line} closed the connection")

    # --- what pymodbus tells ---------------------------------------------------------------------

    def _packet(self, sending: bool, data: bytes) -> bytes:
        """Every frame that goes out, and all bytes that wait to be understood. What is returned is used."""
        exchange = self._exchange
        if sending:
            if exchange is not None:
                exchange.transaction = int.from_bytes(data[:2], "big")
            return data
        self._heard_at = clock.now().mono
        if exchange is None:
            self._unasked()
            return b""
        exchange.bytes_in = len(data)
        if self.address.rtu_framing:
            return without_noise(data, exchange.request)
        wrong = tcp_fault(data, exchange.transaction, exchange.request)
        if wrong is not None:
            exchange.end(wrong)
            return b""
        return data

    def _unasked(self) -> None:
        """A late answer, or one that another master asked for: the next read starts afresh."""
        self.late += 1
        if self.address.rtu_framing:
            for unit, shape in self._last.items():
                self._owed.setdefault(unit, set()).add(shape)

    def _connected(self, is_connected: bool) -> None:
        if not is_connected and self._exchange is not None:
            self._exchange.end("", lost=True)


class _Exchange:
    """One request on its way."""

    def __init__(self, request: Request, scope: asyncio.Timeout) -> None:
        self.request = request
        self.scope = scope
        self.transaction = 0
        self.bytes_in = 0
        self.wrong = ""
        self.lost = False

    def end(self, wrong: str, *, lost: bool = False) -> None:
        """Do not wait any longer. The first reason is the one that counts."""
        if self.wrong or self.lost:
            return
        self.wrong, self.lost = wrong, lost
        if not self.scope.expired():
            self.scope.reschedule(asyncio.get_running_loop().time())

    def fault(self, timeout_s: float) -> MeterFault:
        if self.wrong:
            return MeterFault("wrong_answer", f"{self.request}: {self.wrong}")
        if self.lost:
            return MeterFault("no_answer", f"{self.request}: the connection was closed in place of an answer")
        if self.bytes_in:
            return MeterFault("wrong_answer", f"{self.request}: {self.bytes_in} bytes that make no answer")
        return MeterFault("no_answer", f"{self.request}: no answer within {timeout_s:g} s")


def _request(unit: int, block: Block) -> Request:
    return Request(unit, block.function, block.address, block.count)


def _registers(request: Request, pdu: ModbusPDU) -> tuple[int, ...]:
    """Raises MeterFault when it is not the answer to `request`."""
    if pdu.isError():
        code = int(pdu.exception_code)
        raise MeterFault("exception", f"{request}: {exception_text(code)}", code)
    if pdu.dev_id != request.unit or pdu.function_code != request.function:
        text = f"unit {pdu.dev_id} answered function {pdu.function_code}"
        raise MeterFault("wrong_answer", f"{request}: {text}")
    if len(pdu.registers) != request.count:
        raise MeterFault("wrong_answer", f"{request}: the answer holds {len(pdu.registers)} registers")
    return tuple(pdu.registers)


def _frame_gap_s(address: MeterAddress) -> float:
    """Silence between two frames on a serial line (Modbus over serial line 1.02, 2.5.1.1: 3.5 characters)."""
    if address.transport != "rtu":
        return 0.0
    return max(SERIAL_PAUSE_MIN_S, 3.5 * BITS_PER_CHARACTER / address.baud)


def _unreachable_text(address: MeterAddress, why: OSError | TimeoutError | None) -> str:
    if isinstance(why, TimeoutError) or why is None:
        return f"{address.line} does not take a connection"
    # asyncio has its own words in place of the system's; negative numbers are those of name look-ups
    known = os.strerror(why.errno) if why.errno and why.errno > 0 else why.strerror or str(why)
    return f"{address.line} cannot be opened: {known}"


class Lines:
    """The open lines of a process: meters behind one device or host share one connection."""

    def __init__(self) -> None:
        self._all: dict[str, MeterConnection] = {}

    def connection(self, address: MeterAddress, pause_s: float = 0.0) -> MeterConnection:
        """Raises ValueError when another meter has the line with other settings."""
        known = self._all.get(address.line)
        if known is None:
            known = self._all[address.line] = MeterConnection(address, pause_s=pause_s)
        if known.address != address:
            raise ValueError(f"{address} and {known.address} are one line with different settings")
        known.pause_s = max(known.pause_s, pause_s)
        return known
