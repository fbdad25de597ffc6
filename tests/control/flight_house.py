"""A house with a flight recorder and its real telemetry file."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import msgspec

from edgegw.app_flight import Flight
from edgegw.core.flight import Line, decode_line
from edgegw.core.records import Recovery
from edgegw.store.telemetry import Telemetry
from tests.control.house import House


class FlightHouse(House):
    quota_bytes = 1_000_000

    async def open_flight(self) -> None:
        self.telemetry = await Telemetry.open(self.folder / "store", events_kept=100, wall=time.time)
        config = SimpleNamespace(
            store=SimpleNamespace(flight_quota_bytes=self.quota_bytes), site=SimpleNamespace(id="depot-1")
        )
        self.flight = await Flight.open(config, self.gateway, self.telemetry)
        self.parts["flight"] = self.flight.reader if self.flight is not None else None

    async def open_api(self, recovery: Recovery, *, tcp: bool) -> None:
        if self.flight is not None:
            self.flight.start(self.gateway)
        await super().open_api(recovery, tcp=tcp)

    @property
    def recorder(self):
        return self.flight.reader.recorder

    async def stop(self) -> None:
        await self.server.stop()
        await self.gateway.stop()
        if self.flight is not None:
            await self.flight.stop()
        await self.telemetry.close()
        await self.journal.close()

    async def taken_down(self) -> None:
        """Everything that was taken is a line."""
        self.recorder.tell()

    async def export(self, **asked: object) -> bytes:
        await self.taken_down()
        async with self.http() as http:
            answer = await http.get("/v1/frames/export", params=asked)
            assert answer.status_code == 200, answer.text
            return answer.content

    async def exported(self, target: Path, **asked: object) -> Path:
        target.write_bytes(await self.export(**asked))  # noqa: ASYNC240
        return target


def lines_of(exported: bytes) -> list[Line]:
    return [decode_line(line) for line in exported.splitlines()[1:-1]]


def with_line(exported: bytes, number: int, **changed: object) -> bytes:
    """The file with other members in one of its lines, counted from 0 behind the header."""
    lines = exported.splitlines()
    line = {**msgspec.json.decode(lines[number + 1]), **changed}
    lines[number + 1] = msgspec.json.encode(line)
    return b"\n".join(lines) + b"\n"
