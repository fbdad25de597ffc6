"""A gateway with its real store and its real local API; the wires to chargers and cloud are in memory."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from datetime import UTC
from pathlib import Path

import httpx
import jsonschema_rs
import msgspec
import pytest

from edgegw.balance.limits import LimitBook
from edgegw.balance.model import Circuit, Connector, Reading
from edgegw.balance.tree import Tree
from edgegw.config_values import Address
from edgegw.control.client import ControlClient
from edgegw.control.file_house import FileRooms
from edgegw.control.server import ControlServer
from edgegw.control.service import Service
from edgegw.core.authorization import TokenPolicy
from edgegw.core.load_control import LoadControl, PowerPlan
from edgegw.core.power import PowerPolicy, Wiring
from edgegw.core.records import Recovery, SaveDocument
from edgegw.core.site import Policy, Site
from edgegw.runtime import clock
from edgegw.runtime.backoff import BackoffSettings
from edgegw.runtime.cloud_way import GatewaySettings
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.ports import Admitted, DialFailed, DialRequest, HandshakeRequest, LegListener
from edgegw.store.journal import Journal
from tests.plain_http import NO_TLS, through

DEADLINE_S = 30.0  # for what takes milliseconds: a busy machine must not fail a test
TAG = "04A1B2C3D4E5F6"
BOOT = {"chargePointVendor": "Acme", "chargePointModel": "Wall", "firmwareVersion": "1.2"}
START = {"connectorId": 1, "idTag": TAG, "meterStart": 1000, "timestamp": "2026-11-20T10:00:00Z"}

GARAGE = PowerPlan(
    circuits=(
        Circuit(name="main", limit_a=63.0, metered=True, reserve_a=20.0),
        Circuit(name="garage", limit_a=32.0, parent="main"),
    ),
    connectors=(Connector(id="CP-1/1", circuit="garage"), Connector(id="CP-2/1", circuit="garage")),
    wirings={"CP-1": (Wiring(connector=1),), "CP-2": (Wiring(connector=1),)},
    circuit_of_meter={"grid": ("main",)},
)


class Wire:
    """One leg (`runtime.ports.Leg`), and at once the peer at its other end."""

    def __init__(self, subprotocol: str, listener: LegListener) -> None:
        self.subprotocol = subprotocol
        self.peer = "192.0.2.7:40001"
        self.open = True
        self._listener = listener
        self._heard: asyncio.Queue[list] = asyncio.Queue()
        self._ids = itertools.count(1)

    def send(self, data: bytes) -> None:
        self._heard.put_nowait(json.loads(data))

    def close(self, code: int, reason: str) -> None:
        self.open = False

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return

    async def is_alive(self, timeout_s: float) -> bool:
        return self.open

    # --- as the peer ----------------------------------------------------------------------------

    async def hears(self) -> list:
        """The next frame the gateway sends on this leg."""
        return await asyncio.wait_for(self._heard.get(), DEADLINE_S)

    def says(self, frame: list | bytes) -> None:
        self._listener.on_text(frame if isinstance(frame, bytes) else json.dumps(frame).encode())

    def calls(self, action: str, payload: dict) -> str:
        message_id = f"m{next(self._ids)}"
        self.says([2, message_id, action, payload])
        return message_id

    def cut(self) -> None:
        self.open = False
        self._listener.on_closed(1006, "cut")


class Cloud:
    """`runtime.ports.CloudDialler`: takes every connection while it is up."""

    def __init__(self) -> None:
        self.up = True
        self.wires: dict[str, Wire] = {}
        self._dialled = asyncio.Condition()

    async def dial(self, request: DialRequest) -> Wire:
        if not self.up:
            raise DialFailed("connection refused by the test")
        wire = Wire(request.subprotocols[0], request.listener)
        request.listener.on_open(wire)
        async with self._dialled:
            self.wires[request.identity] = wire
            self._dialled.notify_all()
        return wire

    def goes_down(self) -> None:
        self.up = False
        wires, self.wires = self.wires, {}
        for wire in wires.values():
            wire.cut()

    async def comes_back(self, identity: str) -> Wire:
        self.up = True
        async with asyncio.timeout(DEADLINE_S), self._dialled:
            await self._dialled.wait_for(lambda: identity in self.wires)
        return self.wires[identity]


def patient(patch: pytest.MonkeyPatch) -> None:
    """A gateway in a test's own process is waited for, however busy the machine is."""
    patch.setitem(ControlClient.__init__.__kwdefaults__, "timeout_s", DEADLINE_S)
    patch.setattr("edgegw.control.health.COUNTS_WITHIN_S", DEADLINE_S)


class AtOnce:
    async def wait(self) -> None:
        return


class Plain:
    """Verifiers for chargers that have no password."""

    async def make(self, authorization_header: str) -> str:
        return authorization_header

    async def make_password(self, username: str, password: bytes) -> str:
        return username

    async def verify(self, authorization_header: str, stored: str) -> bool:
        return authorization_header == stored


class House:
    def __init__(
        self,
        folder: Path,
        *,
        standalone: bool = False,
        known: frozenset[str] = frozenset(),
        plan: PowerPlan | None = None,
        **parts: object,
    ) -> None:
        self.parts = parts  # of the control server: audit, lag, mqtt, ...
        self.plan = plan  # of a site that is balanced
        self.folder = folder
        self.socket = folder / "control.sock"
        self.cloud = Cloud()
        self._standalone = standalone
        self._known = known
        self.token_file = folder / "token"
        self.token = "a-token-of-the-tests-0123456789"
        self.token_file.write_text(self.token + "\n")
        self.token_file.chmod(0o600)
        self.read_token_file = folder / "read-token"
        self.read_token = "a-token-that-only-reads-0123456789"
        self.read_token_file.write_text(self.read_token)
        self.read_token_file.chmod(0o600)

    async def start(self, *, tcp: bool = False) -> None:
        self.journal = await Journal.open(
            self.folder / "store", retention_s=1e6, reserve_bytes=4096, wall=time.time
        )
        ids = itertools.count(1)
        policy = Policy(
            standalone=self._standalone,
            accept_unknown_chargers=True,
            tokens=TokenPolicy(accept_unknown=True),
            charger_answer_timeout_s=DEADLINE_S,
            message_attempts=1,
            replay_unlimited=True,
        )
        settings = GatewaySettings(
            cloud_url="" if self._standalone else "ws://cloud.test",
            known=self._known,
            replay_rate_per_s=0.0,
            backoff=BackoffSettings(0.01, 0.0, 0),
        )
        self.gateway = Gateway(
            Site(
                policy,
                lambda: f"box-{next(ids)}",
                PowerPolicy(wirings=self.plan.wirings if self.plan else {}),
            ),
            settings,
            self.journal,
            None if self._standalone else self.cloud,
            None if self._standalone else AtOnce(),
            Plain(),
        )
        await self.open_flight()
        recovery = await self.journal.recover()
        self.gateway.recover(recovery)
        if self.plan is not None:
            self._balance(self.plan, recovery)
        await self.open_api(recovery, tcp=tcp)

    async def open_api(self, recovery: Recovery, *, tcp: bool) -> None:
        service = Service(
            self.gateway,
            self.journal,
            site_id="depot-1",
            site_name="Deck",
            started_at=time.time(),
            files=await self.open_files(recovery),
            **self.parts,
        )
        self.server = ControlServer(service, self.parts.get("audit"))
        listen = Address("127.0.0.1", 0) if tcp else None
        files = (self.token_file, self.read_token_file) if tcp else (None, None)
        await self.server.start(self.socket, listen, *files)

    async def open_flight(self) -> None:
        """For a house that records frames: see `tests.control.flight_house`."""

    async def open_files(self, recovery: Recovery) -> FileRooms | None:
        """For a house that keeps firmware: see `tests.control.file_house`."""
        return None

    def _balance(self, plan: PowerPlan, recovery: Recovery) -> None:
        limits = LimitBook(Tree(plan.circuits, plan.connectors), UTC)
        for document in recovery.documents:
            if document.kind == "limits":
                assert limits.restore(json.loads(document.value)) == []
        control = LoadControl(plan, limits)
        assert control.recover(recovery.documents, clock.now(), not_before=0.0) == []
        self.load = self.gateway.balance(control, ("grid",))

    def reads(self, *amps: float) -> None:
        """The meter of the main circuit."""
        first, second, third = amps
        self.load.on_reading("grid", Reading(at=time.monotonic(), current_a=(first, second, third)))
        self.load.step()

    async def stop(self) -> None:
        await self.server.stop()
        await self.gateway.stop()
        await self.journal.close()

    # --- chargers -------------------------------------------------------------------------------

    async def connects(self, identity: str, version: str = "ocpp1.6") -> Wire:
        request = HandshakeRequest(
            target=f"/ocpp/{identity}",
            subprotocols=(version,),
            authorization=None,
            compression=False,
            peer_ip="192.0.2.7",
            tls=False,
        )
        admitted = await self.gateway.admit(request)
        assert isinstance(admitted, Admitted), admitted
        wire = Wire(version, admitted.listener)
        admitted.listener.on_open(wire)
        return wire

    async def boots(self, identity: str) -> Wire:
        """A 1.6 charger that the cloud (or the standalone box) accepted."""
        charger = await self.connects(identity)
        asked = charger.calls("BootNotification", BOOT)
        if not self._standalone:
            wire = self.cloud.wires[identity]
            frame = await wire.hears()
            assert frame[1] == asked
            accepted = {"status": "Accepted", "currentTime": "2026-11-20T10:00:00Z", "interval": 300}
            wire.says([3, asked, accepted])
        assert (await self.told(charger, asked))["status"] == "Accepted"
        return charger

    async def told(self, charger: Wire, asked: str) -> dict:
        """The answer to a CALL of a charger. What the gateway asks of it meanwhile is answered: one that is
        steered is asked a few seconds after its boot."""
        while (frame := await charger.hears())[:2] != [3, asked]:
            if frame[0] == 2:
                charger.says([3, frame[1], {"status": "Accepted"}])
        return frame[2]

    def is_impatient(self) -> None:
        """A charger that says nothing is not waited for: for the tests of just that."""
        site = self.gateway.site
        site.policy = msgspec.structs.replace(site.policy, charger_answer_timeout_s=0.2)

    async def starts(self, charger: Wire) -> int:
        """A transaction while the cloud is away. Returns the id the charger was given."""
        return (await self.told(charger, charger.calls("StartTransaction", START)))["transactionId"]

    async def stops(self, charger: Wire, transaction_id: int, meter_wh: int = 3500) -> None:
        payload = {
            "transactionId": transaction_id,
            "meterStop": meter_wh,
            "timestamp": "2026-11-20T11:00:00Z",
        }
        await self.told(charger, charger.calls("StopTransaction", payload))

    async def all_is_stored(self) -> None:
        """What was handed to the store before is on disk, and its effects were carried out."""
        await self.journal.commit([SaveDocument(kind="barrier", charger="", key="", value=b"{}")])
        assert all(session.sequencer.idle for session in self.gateway.sessions.values())

    # --- the API --------------------------------------------------------------------------------

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=through(self.socket), base_url="http://box", trust_env=False, timeout=DEADLINE_S
        )

    def tcp(self, token: str | None) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        base_url = f"http://{self.server.address}"
        return httpx.AsyncClient(
            base_url=base_url, headers=headers, trust_env=False, timeout=DEADLINE_S, verify=NO_TLS
        )


_document: dict = {}  # made once in a process: it is the same of every house, and takes half a second


class Api:
    """Asks, and holds every answer against the document the server gives of itself."""

    def __init__(self, http: httpx.AsyncClient, document: dict) -> None:
        self.http = http
        self.document = document

    @classmethod
    async def of(cls, http: httpx.AsyncClient) -> Api:
        if not _document:
            _document.update((await http.get("/openapi.json")).json())
        return cls(http, _document)

    async def get(self, route: str, *, status: int = 200, params: dict | None = None, **parts: str) -> dict:
        return await self._ask("get", route, status, parts, params=params)

    async def post(self, route: str, body: object, *, status: int = 200, **parts: str) -> dict:
        return await self._ask("post", route, status, parts, json=body)

    async def _ask(self, method: str, route: str, status: int, parts: dict, **request) -> dict:
        quoted = {name: httpx.URL("http://x/").copy_with(path="/" + part).raw_path.decode()[1:]
                  for name, part in parts.items()}  # fmt: skip
        answer = await self.http.request(method, route.format(**quoted), **request)
        assert answer.status_code == status, answer.text
        self.fits(method, route, answer)
        return answer.json()

    def fits(self, method: str, route: str, answer: httpx.Response) -> None:
        """The answer is what the served OpenAPI document says it is."""
        path = next(p for p in self.document["paths"] if p.replace(":path", "") == route)
        responses = self.document["paths"][path][method]["responses"]
        described = responses.get(str(answer.status_code), responses["default"])
        schema = described["content"]["application/json"]["schema"]
        whole = {**schema, "components": self.document["components"]}
        validator = jsonschema_rs.validator_for(whole, validate_formats=True)
        validator.validate(answer.json())
