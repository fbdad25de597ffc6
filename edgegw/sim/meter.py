"""A Modbus TCP meter at the site's connection, with the registers of an Eastron SDM630, and its troubles.

    python -m edgegw.sim.meter --port 0 --building 20

The first line on stdout is {"meter": "tcp://127.0.0.1:PORT"}; then one JSON line per answer to a command
on stdin (`meter_control`). End of stdin, SIGTERM and SIGINT end it.

Rules of this file:
- Modbus is spoken by hand (MBAP and functions 3 and 4), so that a fault can be put anywhere.
- Input registers are f32, high word first: voltages at 0, currents at 6, powers at 12, total power at 52,
  frequency at 70, import in kWh at 72. Addresses nobody uses read as 0, as on the real one.
- What it shows is asked of its source at each request; energy is the integral of what it showed truly.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Self

from edgegw.sim.building import PhaseAmps

NOMINAL_V = 230.0
READ_HOLDING, READ_INPUT = 3, 4
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
REGISTERS = 380
REGISTERS_PER_READ_MAX = 80
SERIAL_NUMBER_AT = 0xFC00  # holding register, u32
SERIAL_NUMBER = 20_260_001
MBAP = struct.Struct(">HHHB")  # transaction, protocol, bytes that follow, unit
REQUEST = struct.Struct(">BHH")  # function, address, count

Source = Callable[[], PhaseAmps]


def _held(host: str, port: int) -> socket.socket:
    """A bound socket that never listens: the system gives its port to nobody else. Raises OSError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


@dataclass(slots=True)
class MeterFaults:
    """What is wrong with it now; everything off is a good meter."""

    latency_s: float = 0.0
    silent: bool = False  # takes requests and never answers
    frozen: bool = False  # the same values for ever
    nan: bool = False  # currents are not a number
    swapped: bool = False  # low word first
    negative: bool = False  # transformers the wrong way round
    factors: PhaseAmps = (1.0, 1.0, 1.0)  # 0: a transformer clamp that has come off


class SimMeter:
    """Use as `async with SimMeter(source) as meter:`; source() gives the amps per grid phase now."""

    def __init__(
        self,
        source: Source,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        unit: int = 1,
        seed: int = 0,
        energy_speed: float = 1.0,
    ) -> None:
        self.host, self.port, self.unit = host, port, unit
        self.faults = MeterFaults()
        self.requests = 0
        self._source = source
        self._energy_speed = energy_speed  # that of the cars, so that both count the same
        self._rng = Random(seed)
        self._import_kwh = 1234.5
        self._counted_at = time.monotonic()
        self._shown: dict[int, float] = {}
        self._server: asyncio.Server | None = None
        self._holder: socket.socket | None = None  # bound, never listens: the port stays ours while it is cut
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        return f"tcp://{self.host}:{self.port}"

    # --- life ---------------------------------------------------------------------------------

    async def start(self) -> Self:
        """Listen; after `cut` on the same port again. Raises OSError."""
        if self._holder is None:
            self._holder = _held(self.host, self.port)
            self.port = self._holder.getsockname()[1]
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port, reuse_address=True)
        return self

    async def stop(self) -> None:
        """For good: somebody else may have the port."""
        await self.cut()
        if self._holder is not None:
            self._holder.close()
            self._holder = None

    async def cut(self) -> None:
        """As if its network cable were pulled at the box: connections end, nobody listens."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        if server is not None:
            await server.wait_closed()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # --- Modbus -------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                transaction, _, length, unit = MBAP.unpack(await reader.readexactly(MBAP.size))
                request = await reader.readexactly(length - 1)
                self.requests += 1
                if self.faults.latency_s:
                    await asyncio.sleep(self.faults.latency_s)
                if self.faults.silent or unit not in (self.unit, 0):
                    continue  # a serial meter behind a bridge says nothing for others
                answer = self.answer(request)
                writer.write(MBAP.pack(transaction, 0, len(answer) + 1, unit) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def answer(self, request: bytes) -> bytes:
        """The PDU that answers a PDU."""
        if len(request) != REQUEST.size:
            return bytes((request[0] | 0x80, ILLEGAL_VALUE)) if request else b"\x80\x01"
        function, address, count = REQUEST.unpack(request)
        if function not in (READ_HOLDING, READ_INPUT):
            return bytes((function | 0x80, ILLEGAL_FUNCTION))
        if not 1 <= count <= REGISTERS_PER_READ_MAX:
            return bytes((function | 0x80, ILLEGAL_VALUE))
        words = self._holding(address, count) if function == READ_HOLDING else self._input(address, count)
        if words is None:
            return bytes((function | 0x80, ILLEGAL_ADDRESS))
        return bytes((function, 2 * count)) + struct.pack(f">{count}H", *words)

    def _holding(self, address: int, count: int) -> list[int] | None:
        words = [SERIAL_NUMBER >> 16, SERIAL_NUMBER & 0xFFFF]
        start = address - SERIAL_NUMBER_AT
        return words[start : start + count] if start >= 0 and start + count <= len(words) else None

    def _input(self, address: int, count: int) -> list[int] | None:
        if address + count > REGISTERS:
            return None
        words = [0] * REGISTERS
        for at, value in self.values().items():
            pair = struct.unpack(">2H", struct.pack(">f", value))
            words[at : at + 2] = reversed(pair) if self.faults.swapped else pair
        return words[address : address + count]

    # --- what it shows ------------------------------------------------------------------------

    def values(self) -> dict[int, float]:
        """Register address -> value, faults but the word order included."""
        if not (self.faults.frozen and self._shown):
            self._shown = self._measure()
        if not self.faults.nan:
            return self._shown
        return {at: float("nan") if 6 <= at < 12 else value for at, value in self._shown.items()}

    def _measure(self) -> dict[int, float]:
        sign = -1.0 if self.faults.negative else 1.0
        true = self._source()
        volts = [NOMINAL_V + self._rng.uniform(-1.5, 1.5) for _ in true]
        self._count(sum(a * v for a, v in zip(true, volts, strict=True)))
        amps = [a * f * sign for a, f in zip(true, self.faults.factors, strict=True)]
        watts = [a * v for a, v in zip(amps, volts, strict=True)]
        shown = dict(zip((0, 2, 4, 6, 8, 10, 12, 14, 16), (*volts, *amps, *watts), strict=True))
        shown |= dict.fromkeys((30, 32, 34, 62), 1.0)  # power factors
        return shown | {
            52: sum(watts), 70: 50.0 + self._rng.uniform(-0.02, 0.02), 72: self._import_kwh, 74: 0.0,
        }  # fmt: skip

    def _count(self, power_w: float) -> None:
        now = time.monotonic()
        self._import_kwh += power_w * (now - self._counted_at) * self._energy_speed / 3_600_000
        self._counted_at = now

    def mend(self) -> None:
        """A good meter again."""
        self.faults = replace(MeterFaults())


if __name__ == "__main__":
    from edgegw.sim.meter_control import main

    sys.exit(main())
