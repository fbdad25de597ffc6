"""Where a meter answers, as people write it."""

from __future__ import annotations

import pytest

from edgegw.meter_address import MeterAddress, parse_address

GOOD = {
    "tcp://10.0.0.7": MeterAddress("tcp", "10.0.0.7", 502),
    "tcp://meter.example:1502": MeterAddress("tcp", "meter.example", 1502),
    "tcp://[fe80::1]:502": MeterAddress("tcp", "fe80::1", 502),
    "rtu+tcp://10.0.0.9:4001": MeterAddress("rtu+tcp", "10.0.0.9", 4001),
    "rtu:///dev/ttyUSB0": MeterAddress("rtu", device="/dev/ttyUSB0"),
    "rtu:///dev/serial/by-id/usb-FTDI_A-if00?baud=19200&parity=e&stopbits=2": MeterAddress(
        "rtu", device="/dev/serial/by-id/usb-FTDI_A-if00", baud=19200, parity="E", stopbits=2
    ),
}

BAD = {
    "": "must be",
    "10.0.0.7:502": "must be",
    "http://10.0.0.7": "must be",
    "tcp://": "names no host",
    "tcp://user@10.0.0.7": "must be",
    "tcp://10.0.0.7:0": "between 1 and 65535",
    "tcp://10.0.0.7:99999": "is no address",
    "tcp://10.0.0.7/1": "must end after the port",
    "tcp://10.0.0.7?baud=9600": "baud, parity and stopbits belong to rtu",
    " tcp://10.0.0.7": "must be",
    "tcp://10.0.0.7\n": "must be",
    "rtu+tcp://10.0.0.9": "must name the port of the converter",
    "rtu://dev/ttyUSB0": "three slashes",
    "rtu:///": "must name a serial device",
    "rtu:///dev/ttyUSB0?baud=9601": 'baud "9601" must be one of 1200',
    "rtu:///dev/ttyUSB0?parity=X": 'parity "X" must be one of N, E, O',
    "rtu:///dev/ttyUSB0?stopbits=3": "stopbits",
    "rtu:///dev/ttyUSB0?speed=9600": 'knows no "speed"',
    "rtu:///dev/ttyUSB0?baud=9600&baud=9600": "more than once",
    "rtu:///dev/ttyUSB0?baud": "must be like",
}


@pytest.mark.parametrize("text", GOOD)
def test_an_address_is_read_and_written_back(text: str):
    assert parse_address(text) == GOOD[text]
    assert parse_address(str(GOOD[text])) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_a_wrong_address_is_refused_in_words(text: str):
    with pytest.raises(ValueError, match="^[^']*" + BAD[text].replace("(", "\\(")):
        parse_address(text)


def test_only_modbus_tcp_says_whose_answer_it_is():
    assert [parse_address(text).rtu_framing for text in GOOD] == [False, False, False, True, True, True]
