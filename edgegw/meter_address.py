"""Where a Modbus meter answers, as the site file and the command line say it.

    tcp://10.0.0.7:502                                     Modbus TCP
    rtu+tcp://10.0.0.9:4001                                RTU frames through a serial-to-Ethernet converter
    rtu:///dev/ttyUSB0?baud=9600&parity=N&stopbits=1       RTU on a serial line

Rules of this file: pure, the standard library alone; a refusal is a ValueError that says what is allowed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, urlsplit

Transport = Literal["tcp", "rtu+tcp", "rtu"]

MODBUS_PORT = 502  # registered for Modbus TCP; an RTU converter has no usual one
BAUD_RATES = (1200, 2400, 4800, 9600, 14400, 19200, 38400, 57600, 115200)
PARITIES = ("N", "E", "O")

ALLOWED = (
    'must be "tcp://host:502", "rtu+tcp://host:port" or "rtu:///dev/ttyUSB0?baud=9600&parity=N&stopbits=1"'
)

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", re.ASCII)
_DEVICE = re.compile(r"/[A-Za-z0-9._:+/-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class MeterAddress:
    """`host` and `port` of a network address; `device` and the line's settings of a serial one."""

    transport: Transport
    host: str = ""
    port: int = 0
    device: str = ""
    baud: int = 9600
    parity: str = "N"
    stopbits: int = 1

    @property
    def rtu_framing(self) -> bool:
        """RTU frames carry no transaction id: nothing in an answer says which request it belongs to."""
        return self.transport != "tcp"

    @property
    def line(self) -> str:
        """What it shares with others: the serial device, or the host and port."""
        if self.transport == "rtu":
            return self.device
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """The address in full, as `parse_address` reads it back."""
        if self.transport == "rtu":
            return f"rtu://{self.device}?baud={self.baud}&parity={self.parity}&stopbits={self.stopbits}"
        return f"{self.transport}://{self.line}"


def parse_address(text: str) -> MeterAddress:
    """Raises ValueError in words."""
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError(f"is no address: {ALLOWED}") from None
    if text != text.strip() or not text.isprintable() or url.fragment or url.username is not None:
        raise ValueError(ALLOWED)
    if url.scheme == "rtu":
        return _serial(url)
    if url.scheme in ("tcp", "rtu+tcp"):
        return _network(url, port)
    raise ValueError(ALLOWED)


def _network(url: SplitResult, port: int | None) -> MeterAddress:
    host = url.hostname or ""
    if not _HOST.fullmatch(host):
        raise ValueError(f"names no host: {ALLOWED}")
    if url.query or url.path.strip("/"):
        raise ValueError("must end after the port: baud, parity and stopbits belong to rtu:///dev/...")
    if port is None and url.scheme == "rtu+tcp":
        raise ValueError('must name the port of the converter, such as "rtu+tcp://10.0.0.9:4001"')
    if port == 0:
        raise ValueError("the port must be between 1 and 65535")
    transport: Transport = "tcp" if url.scheme == "tcp" else "rtu+tcp"
    return MeterAddress(transport, host, MODBUS_PORT if port is None else port)


def _serial(url: SplitResult) -> MeterAddress:
    if url.netloc:
        raise ValueError('a serial device has three slashes, such as "rtu:///dev/ttyUSB0"')
    if not _DEVICE.fullmatch(url.path):
        raise ValueError('must name a serial device, such as "rtu:///dev/ttyUSB0"')
    options = _options(url.query)
    return MeterAddress(
        "rtu",
        device=url.path,
        baud=_whole(options, "baud", 9600, BAUD_RATES),
        parity=_parity(options),
        stopbits=_whole(options, "stopbits", 1, (1, 2)),
    )


def _options(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError('what follows "?" must be like baud=9600&parity=N&stopbits=1') from None
    options = dict(pairs)
    if len(options) < len(pairs):
        raise ValueError("names an option of the line more than once")
    if unknown := sorted(options.keys() - {"baud", "parity", "stopbits"}):
        raise ValueError(f'knows no "{unknown[0]}": baud, parity and stopbits are the options of the line')
    return options


def _whole(options: dict[str, str], name: str, default: int, allowed: tuple[int, ...]) -> int:
    text = options.get(name, str(default))
    if text not in map(str, allowed):
        raise ValueError(f'{name} "{text}" must be one of {", ".join(map(str, allowed))}')
    return int(text)


def _parity(options: dict[str, str]) -> str:
    parity = options.get("parity", "N").upper()
    if parity not in PARITIES:
        raise ValueError(f'parity "{parity}" must be one of {", ".join(PARITIES)}')
    return parity
