"""What the doctor sees on the wire: the cloud, ports, meters, the broker. It changes nothing there.

Rules of this file: every wait has an end, and a finding names the step that fails (name, connection, TLS).
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from edgegw.cli.doctor_findings import Finding, left_out, look, ok, wrong
from edgegw.cli.mqtt_broker import Broker, BrokerFault, Lost
from edgegw.cli.tables import span
from edgegw.config import Cloud, SiteConfig
from edgegw.config_mqtt import Mqtt
from edgegw.config_power import Meter
from edgegw.config_values import Address
from edgegw.errors import ConfigFault
from edgegw.links import tls
from edgegw.meter_address import parse_address

CONNECT_WITHIN_S = 5.0
OFFSET_LOOK_S = 10.0
OFFSET_WRONG_S = 300.0
CERTIFICATE_LOOK_S = 21 * 86_400.0
METER_ROUNDS = 3
FIREWALL = "ask whoever keeps the network to let this box out to it"


# --- the cloud ------------------------------------------------------------------------------------


def cloud(settings: Cloud) -> Iterator[Finding]:
    url = urlsplit(settings.url)
    secure, host = url.scheme == "wss", url.hostname or ""
    port = url.port or (443 if secure else 80)
    addresses = _resolved(host, port)
    if isinstance(addresses, str):
        yield wrong("cloud", f"the name {host} is not found: {addresses}", "check the DNS server of this box")
        return
    line = _connected(host, port)
    if isinstance(line, str):
        yield wrong(
            "cloud", f"no connection to {host} port {port} ({', '.join(addresses)}): {line}", FIREWALL
        )
        return
    with line:
        if not secure:
            yield ok("cloud", f"{host} port {port} takes connections (not encrypted)")
            yield from _dated(line, host, url.path)
            return
        yield from _secured(line, settings, host, url.path)


def _resolved(host: str, port: int) -> list[str] | str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    return sorted({str(where[0]) for *_, where in found})


def _connected(host: str, port: int) -> socket.socket | str:
    try:
        return socket.create_connection((host, port), CONNECT_WITHIN_S)
    except TimeoutError:
        return f"no answer within {CONNECT_WITHIN_S:.0f} s"
    except OSError as error:
        return error.strerror or str(error)


def _secured(line: socket.socket, settings: Cloud, host: str, path: str) -> Iterator[Finding]:
    try:
        context = tls.client_context(settings.ca_file)
        with context.wrap_socket(line, server_hostname=host) as secured:
            left_s = _left_s(secured)
            days = f"{left_s / 86_400:.0f} days"
            if left_s < CERTIFICATE_LOOK_S:
                yield look(
                    "cloud", f"the certificate of {host} ends in {days}", "tell the operator of the cloud"
                )
            else:
                yield ok("cloud", f"{host}: {secured.version()}, its certificate is good for {days}")
            yield from _dated(secured, host, path)
    except ConfigFault as fault:
        yield wrong("cloud", str(fault))
    except (ssl.SSLError, OSError) as error:
        todo = (
            "a clock that is wrong looks like this too; else ca_file in [cloud], or the operator of the cloud"
        )
        yield wrong("cloud", f"TLS with {host} fails: {tls.describe_failure(error, host)}", todo)


def _left_s(secured: ssl.SSLSocket) -> float:
    shown = secured.getpeercert() or {}
    return ssl.cert_time_to_seconds(str(shown.get("notAfter", ""))) - time.time()


def _dated(line: socket.socket, host: str, path: str) -> Iterator[Finding]:
    """Ask for a page that is hardly there: every HTTP server says what time it is."""
    offset_s = _offset_s(line, host, path or "/")
    if offset_s is None:
        yield left_out("clock", f"{host} does not say what time it is")
        return
    words = f"{abs(offset_s):.0f} s {'ahead of' if offset_s > 0 else 'behind'} {host}"
    if abs(offset_s) >= OFFSET_WRONG_S:
        yield wrong("clock", f"this box is {span(abs(offset_s))} off: {words}", "set the clock; see NTP")
    elif abs(offset_s) >= OFFSET_LOOK_S:
        yield look("clock", f"this box is {words}", "see NTP")
    else:
        yield ok("clock", f"as at {host}")


def _offset_s(line: socket.socket, host: str, path: str) -> float | None:
    line.settimeout(CONNECT_WITHIN_S)
    try:
        began = time.time()
        line.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = http.client.HTTPResponse(line)
        answer.begin()
        said = answer.getheader("date")
        answer.close()
        return (began + time.time()) / 2 - parsedate_to_datetime(said or "").timestamp()
    except (OSError, ValueError, http.client.HTTPException):
        return None


# --- ports ----------------------------------------------------------------------------------------


def ports(config: SiteConfig, *, running: bool) -> Iterator[Finding]:
    """With a gateway its doors must answer, without one they must be free."""
    doors = {"[chargers] listen": config.chargers.listen, "[control] listen": config.control.listen}
    if config.files is not None:
        doors["[files] listen"] = config.files.listen
        doors["[files] ftp_listen"] = config.files.ftp_listen
    for key, address in doors.items():
        if address is not None and address.port:
            yield _answers(key, address) if running else _is_free(key, address)


def _answers(key: str, address: Address) -> Finding:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104
    line = _connected(host, address.port)
    if isinstance(line, str):
        return wrong(
            "ports",
            f"{key} = {address}: the gateway runs and nobody answers there: {line}",
            "restart the gateway: the site file may be newer than it",
        )
    line.close()
    return ok("ports", f"{key} = {address} answers")


def _is_free(key: str, address: Address) -> Finding:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        where = socket.getaddrinfo(address.host, address.port, family, socket.SOCK_STREAM)[0]
        with socket.socket(where[0], socket.SOCK_STREAM) as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(where[4])
    except OSError as error:
        who = "`ss -ltnp` says who has it" if error.errno == 98 else "check the address"
        return wrong("ports", f"{key} = {address} cannot be used: {error.strerror or error}", who)
    return ok("ports", f"{key} = {address} is free")


# --- meters and the broker ------------------------------------------------------------------------


def meter(config: SiteConfig, one: Meter, *, running: bool) -> Iterator[Finding]:
    """Whether it answers as its template says; a running gateway is asked instead (one master on a line)."""
    about = f"meter {one.name}"
    address = parse_address(one.address)
    if address.host:
        line = None if running else _connected(address.host, address.port)
        if isinstance(line, str):
            yield wrong(
                about, f"no connection to {address}: {line}", "check power, cable and address of the meter"
            )
            return
        if line is not None:
            line.close()
    if running:
        return
    yield asyncio.run(_read(config, one, about))


async def _read(config: SiteConfig, one: Meter, about: str) -> Finding:
    from edgegw.app_meters import pollers_from  # Modbus: only for a site with a meter

    alone = config.model_copy(update={"meter": (one,)})
    (poller,) = pollers_from(alone, lambda *_: None, lambda *_: None)
    try:
        for _ in range(METER_ROUNDS):
            await poller.poll()
            if poller.status.reading is not None:
                amps = ", ".join("-" if a is None else f"{a:.1f} A" for a in poller.status.reading.current_a)
                return ok(about, f"reads {amps}")
    finally:
        await poller.stop()
    return wrong(about, poller.status.trouble or "it gives nothing", f"edgegw meter probe {one.address}")


def broker(settings: Mqtt) -> Iterator[Finding]:
    try:
        line = Broker(settings, "doctor")
        line.open()
        line.close()
    except (BrokerFault, Lost) as fault:
        yield wrong("mqtt", str(fault), "check [mqtt] of the site file, and the broker")
        return
    yield ok("mqtt", f"{settings.broker} takes us")
