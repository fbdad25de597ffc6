"""A flight file, line by line. It may come from anywhere: nothing in it is believed.

Rules of this file: whatever is wrong is a `FlightFault` with the number of the line; nothing is read whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from edgegw.core.flight import FORMAT, Line, decode_line
from edgegw.errors import EdgegwError
from edgegw.redaction import plain

LINE_BYTES_MAX = 4 * 1024 * 1024  # a frame of 256 KiB in which every byte is escaped has 1.5 MiB
FILE_BYTES_MAX = 8 * 1024**3
WALL_MAX = 253_402_300_799.0  # the year 9999


class FlightFault(EdgegwError):
    """The file is not what it should be. The text says where and what to do."""


class Header(msgspec.Struct, kw_only=True):
    edgegw_flight: int
    edgegw: str = ""
    site_id: str = ""
    charger: str = ""
    exported_at: float = 0.0
    site: Any = None


class FlightReader:
    """`with FlightReader(path) as file: file.header; for line in file.lines(): ...`"""

    def __init__(self, path: Path) -> None:
        """Raises FlightFault."""
        self.number = 0  # of the line that was read last
        self.read_bytes = 0
        try:
            self._file: BinaryIO = path.open("rb")
            self.size_bytes = path.stat().st_size
        except OSError as error:
            raise FlightFault(f"{path} cannot be read: {error.strerror or error}") from error
        try:
            self.header = self._header()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> FlightReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _header(self) -> Header:
        if self.size_bytes > FILE_BYTES_MAX:
            raise FlightFault("the file is larger than any recording: it is not one of edgegw")
        first = self._line()
        try:
            header = msgspec.json.decode(first, type=Header)
        except (ValueError, RecursionError) as error:
            raise FlightFault(
                "line 1: this is not a flight file of edgegw; `edgegw messages --export FILE` writes one"
            ) from error
        if header.edgegw_flight != FORMAT:
            raise FlightFault(
                f"line 1: a flight file of format {header.edgegw_flight}, written by edgegw"
                f" {plain(header.edgegw)[:40]}; this edgegw reads format {FORMAT}: use that version"
            )
        return header

    def _line(self) -> bytes:
        """Without its end. Raises FlightFault; b"" at the end of the file."""
        try:
            line = self._file.readline(LINE_BYTES_MAX + 1)
        except OSError as error:
            raise FlightFault(f"line {self.number + 1} cannot be read: {error.strerror or error}") from error
        self.number += 1
        self.read_bytes += len(line)
        if len(line) > LINE_BYTES_MAX:
            raise FlightFault(
                f"line {self.number} is longer than {LINE_BYTES_MAX // 2**20} MiB: no recorder wrote it"
            )
        if line and not line.endswith(b"\n"):
            raise self._cut_off()
        return line.rstrip(b"\n")

    def _cut_off(self) -> FlightFault:
        return FlightFault(
            f"line {self.number}: the file ends here and should not; it was cut off, export it again"
        )

    def lines(self) -> Iterator[Line]:
        """Raises FlightFault."""
        last, count = 0, 0
        while raw := self._line():
            if raw.startswith(b'{"edgegw_flight_end"'):
                self._end(raw, count)
                return
            line = self._read(raw)
            if line.n <= last:
                raise FlightFault(f"line {self.number}: number {line.n} comes after {last}; lines were moved")
            last, count = line.n, count + 1
            yield line
        raise self._cut_off()

    def _read(self, raw: bytes) -> Line:
        try:
            line = decode_line(raw)
        except (ValueError, RecursionError) as error:
            raise FlightFault(f"line {self.number} is damaged: {plain(str(error))[:200]}") from error
        if not (math.isfinite(line.mono) and 0.0 <= line.at <= WALL_MAX):
            raise FlightFault(f"line {self.number} is damaged: its time is none")
        return line

    def _end(self, raw: bytes, count: int) -> None:
        try:
            told = msgspec.json.decode(raw).get("edgegw_flight_end")
        except (ValueError, RecursionError, AttributeError):
            told = None
        if told != count:
            raise FlightFault(
                f"line {self.number}: {count} lines are here and {told} should be; some were taken out"
            )
        if self._file.read(1):
            raise FlightFault(f"line {self.number + 1}: the file goes on behind its end")
