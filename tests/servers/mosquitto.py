"""mosquitto as the building's broker, with mosquitto_pub and mosquitto_sub beside it.

Open, or with a password, with an access list, over TLS with or without certificates of the clients. `kept`:
it writes what it retains to disk, at every change, so that it is there again after a kill -9.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.e2e.children import DEADLINE_S
from tests.servers.certificates import make_authority
from tests.servers.shared import PASSWORD, USER, Entry, Server, program_path

_SETTINGS = """
listener {port} 127.0.0.1
listener {admin_port} 127.0.0.1
per_listener_settings false
allow_anonymous {anonymous}
log_dest stderr
log_type all
{more}
"""
# mosquitto checks once a second whether a change is to be written.
_KEPT = """
persistence true
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1
"""
_TLS = """
listener {tls_port} 127.0.0.1
cafile {folder}/authority.pem
certfile {folder}/server.pem
keyfile {folder}/server.key
require_certificate {certificates}
"""
# Every field of MQTT 5 that the tests look at, one JSON object on a line.
FORMAT = '{"topic":"%t","retain":%r,"qos":%q,"expiry":"%E","correlation":"%D","response":"%R","hex":"%x"}'


class Received(NamedTuple):
    topic: str
    payload: bytes
    retain: bool
    qos: int
    expiry_s: int | None
    correlation: str
    response_topic: str


class Mosquitto(Server):
    """`acl`: lines of its access list. `settings`: more lines of its configuration."""

    program = "mosquitto"

    def __init__(
        self,
        folder: Path,
        *,
        kept: bool = False,
        password: bool = False,
        acl: str = "",
        client_certificates: bool = False,
        settings: str = "",
    ) -> None:
        super().__init__(folder)
        self.tls_port = self.port + 1
        self.authority = folder / "authority.pem"
        self._kept, self._password, self._acl = kept, password, acl
        self._client_certificates, self._more = client_certificates, settings

    @property
    def client_certificate(self) -> tuple[Path, Path]:
        """Certificate and key that the authority of this broker signed for a client."""
        return self.folder / "client.pem", self.folder / "client.key"

    async def kill(self, *, forget: bool = False) -> None:
        """kill -9. `forget`: what it kept is gone as well."""
        await self.stop()
        if forget:
            (self.folder / "mosquitto.db").unlink(missing_ok=True)

    async def kept_on_disk(self, text: str) -> None:
        """Until what it retains is in its file."""
        path = self.folder / "mosquitto.db"
        async with asyncio.timeout(DEADLINE_S):
            while not path.exists() or text.encode() not in path.read_bytes():  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def _says(self, text: str) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while text not in self.said:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    # --- clients -----------------------------------------------------------------------------------

    async def publish(self, topic: str, payload: bytes | str = b"", *arguments: str) -> None:
        """One message, QoS 1. `arguments`: more of mosquitto_pub, such as "-r"."""
        body = payload.encode() if isinstance(payload, str) else payload
        command = [program_path("mosquitto_pub"), *self._address(), "-q", "1", "-t", topic, *arguments]
        command += ["-s"] if body else ["-n"]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                _, said = await process.communicate(body)
        except BaseException:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        assert process.returncode == 0, said.decode()

    async def retained(self, topic: str = "#") -> dict[str, Received]:
        """All that it holds now; the end is known by a message of our own."""
        async with self.subscribed(topic, "edgegw-test/end") as listener:
            await self.publish("edgegw-test/end")
            found: dict[str, Received] = {}
            async for one in listener:
                if one.topic == "edgegw-test/end":
                    return found
                if one.retain:
                    found[one.topic] = one
        raise AssertionError("mosquitto_sub ended")

    @asynccontextmanager
    async def subscribed(self, *topics: str, qos: int = 1) -> AsyncIterator[Listener]:
        """mosquitto_sub, connected and subscribed."""
        listener, name = Listener(), f"sub-{secrets.token_hex(4)}"
        command = [program_path("mosquitto_sub"), *self._address(), "-i", name, "-q", str(qos), "-F", FORMAT]
        command += ["-W", "300"]  # also when nobody is left to stop it
        for topic in topics:
            command += ["-t", topic]
        await listener.start(command)
        try:
            await self._says(f"Sending SUBACK to {name}")  # mosquitto_sub says nothing before a message comes
            yield listener
        finally:
            await listener.stop()

    def _address(self) -> list[str]:
        return ["-V", "5", "-h", "127.0.0.1", "-p", str(self.port), *self._login()]

    def _login(self) -> list[str]:
        return ["-u", USER, "-P", PASSWORD] if self._password else []

    # --- how it is run -----------------------------------------------------------------------------

    def entries(self) -> list[Entry]:
        return []  # it moves no files

    def _prepare(self, program: str) -> None:
        self._program = program
        for name in ("mosquitto_pub", "mosquitto_sub"):
            program_path(name)
        make_authority(self.folder)
        (self.folder / "conf").write_text(self._configuration())
        for name in ("server.pem", "server.key", "conf"):
            (self.folder / name).chmod(0o600)

    def _configuration(self) -> str:
        more = [self._more]
        if os.getuid() == 0:
            more.append("user root")  # or it could not read the test's folder
        if self._kept:
            more.append(_KEPT.format(folder=self.folder))
        if self._password:
            more.append(f"password_file {self._password_file()}")
        if self._acl:
            (self.folder / "acl").write_text(self._acl)
            (self.folder / "acl").chmod(0o600)
            more.append(f"acl_file {self.folder}/acl")
        certificates = str(self._client_certificates).lower()
        more.append(_TLS.format(folder=self.folder, tls_port=self.tls_port, certificates=certificates))
        return _SETTINGS.format(
            port=self.port,
            admin_port=self.port + 2,
            anonymous=str(not self._password).lower(),
            more="\n".join(more),
        )

    def _password_file(self) -> Path:
        path = self.folder / "passwords"
        command = [program_path("mosquitto_passwd"), "-b", "-c", str(path), USER, PASSWORD]
        subprocess.run(command, check=True, capture_output=True)
        path.chmod(0o600)
        return path

    def _command(self) -> list[str]:
        return [self._program, "-c", str(self.folder / "conf")]

    async def _heard(self) -> str:
        """A broker says nothing of its own accord; the port is claimed, so whoever answers is ours."""
        connect = b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06edgegw"
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return ""
        try:
            writer.write(connect)
            answer = await reader.read(4)
        except OSError:
            answer = b""
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        return self.token if answer[:1] == b"\x20" else ""


class Listener:
    """The messages that one mosquitto_sub gets, as they come."""

    def __init__(self) -> None:
        self.seen: list[Received] = []
        self._news = asyncio.Event()
        self._ended = False

    async def start(self, command: list[str]) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, limit=2**24
        )
        self._reader = asyncio.create_task(self._read())

    async def stop(self) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self._reader
        await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.startswith(b'{"topic"') and line.endswith(b"\n"):  # it may be killed in the middle of one
                self.seen.append(_received(json.loads(line)))
            self._news.set()
        self._ended = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[Received]:
        at = 0
        while True:
            self._news.clear()
            while at < len(self.seen):
                at += 1
                yield self.seen[at - 1]
            if self._ended:
                return
            async with asyncio.timeout(DEADLINE_S):
                await self._news.wait()

    async def until(self, topic: str, payload: bytes | None = None) -> Received:
        """The first on this topic, with this payload."""
        async for one in self:
            if one.topic == topic and payload in (None, one.payload):
                return one
        raise AssertionError("mosquitto_sub ended")

    def on(self, topic: str) -> list[Received]:
        return [one for one in self.seen if one.topic == topic]


def _received(found: Mapping[str, Any]) -> Received:
    expiry = str(found["expiry"])
    return Received(
        topic=found["topic"],
        payload=bytes.fromhex(found["hex"]),
        retain=bool(found["retain"]),
        qos=int(found["qos"]),
        expiry_s=int(expiry) if expiry.isdigit() else None,
        correlation=found["correlation"],
        response_topic=found["response"],
    )
