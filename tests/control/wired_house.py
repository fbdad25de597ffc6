"""A whole gateway from a site file, in this process: chargers in memory, the local API over its socket."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from edgegw.app import App
from edgegw.balance.model import Reading
from edgegw.config import loads
from edgegw.runtime.ports import Admitted, HandshakeRequest, Refused
from tests.control.house import BOOT, DEADLINE_S, Wire
from tests.links.house import eventually

SITE = """
[site]
id = "depot-1"

[chargers]
listen = "127.0.0.1:0"
known = ["CP-1"]

[store]
directory = "{store}"
reserve = "1 MiB"

[balancing]
profile_lifetime = "60 s"
quirks_directory = "{quirks}"

[[circuit]]
name = "main"
fuse = 40
reserve = 20

[[circuit]]
name = "garage"
parent = "main"
fuse = 40
reserve = 0
"""
WIRED = """
[[connector]]
charger = "CP-1"
circuit = "garage"
"""
AT_ONCE = """
[[quirk]]
name = "of the tests"
vendor = "*"
why = "answers at once"
source = ["this test"]
settle_s = 0
"""


class WiredHouse:
    def __init__(self, folder: Path, more: str = WIRED) -> None:
        self.folder = folder
        self.more = more

    async def start(self) -> None:
        quirks = self.folder / "quirks"
        quirks.mkdir(exist_ok=True)
        (quirks / "tests.toml").write_text(AT_ONCE)
        text = SITE.format(store=self.folder / "store", quirks=quirks) + self.more
        self.app = App(loads(text, self.folder / "site.toml"))
        await self.app.start()
        await self.app.start_control()
        transport = httpx.AsyncHTTPTransport(uds=str(self.folder / "store" / "edgegw.sock"))
        self.http = httpx.AsyncClient(
            transport=transport, base_url="http://box", trust_env=False, timeout=DEADLINE_S
        )

    async def stop(self) -> None:
        await self.http.aclose()
        await self.app.stop()

    async def again(self, more: str | None = None) -> None:
        """Stop and start, perhaps with another site file."""
        await self.stop()
        self.more = self.more if more is None else more
        await self.start()

    # --- chargers -----------------------------------------------------------------------------------

    async def knocks(
        self, identity: str, *, peer: str = "192.0.2.7", offers: tuple[str, ...] = ("ocpp1.6",)
    ) -> Admitted | Refused:
        return await self.app.gateway.admit(
            HandshakeRequest(
                target=f"/ocpp/{identity}",
                subprotocols=offers,
                authorization=None,
                compression=False,
                peer_ip=peer,
                tls=False,
            )
        )

    async def boots(self, identity: str) -> Charger:
        admitted = await self.knocks(identity)
        assert isinstance(admitted, Admitted), admitted
        wire = Wire("ocpp1.6", admitted.listener)
        admitted.listener.on_open(wire)
        charger = Charger(wire)
        await charger.asks("BootNotification", BOOT)
        return charger

    def reads(self, *amps: float) -> None:
        """The main circuit's meter, if there is one."""
        first, second, third = amps
        load = self.app.gateway.load
        assert load is not None
        load.on_reading("grid", Reading(at=time.monotonic(), current_a=(first, second, third)))

    @property
    def load(self):
        return self.app.gateway.load

    # --- the API ------------------------------------------------------------------------------------

    async def wire(self, charger: str, *, connector: int = 1, status: int = 200, **order: object) -> dict:
        body = {"circuit": "garage", **order}
        answer = await self.http.put(f"/v1/wiring/{charger}/{connector}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def unwire(self, charger: str, *, connector: int = 1, status: int = 200) -> dict:
        answer = await self.http.delete(f"/v1/wiring/{charger}/{connector}")
        assert answer.status_code == status, answer.text
        return answer.json()

    async def wiring(self) -> dict[str, dict]:
        found = (await self.http.get("/v1/wiring")).json()["wiring"]
        return {f"{one['charger']}/{one['connector']}": one for one in found}

    async def connector(self, name: str) -> dict:
        """What the power view says of it."""
        found = (await self.http.get("/v1/power")).json()["connectors"]
        return next(one for one in found if f"{one['charger']}/{one['connector']}" == name)

    async def accept(self, charger: str, status: int = 200) -> dict:
        answer = await self.http.post(f"/v1/chargers/{charger}/accept")
        assert answer.status_code == status, answer.text
        return answer.json()


class Charger:
    """A 1.6 charger that takes every profile; it answers when `listens` is awaited or it waits for a word."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.profiles: list[dict] = []

    async def asks(self, action: str, payload: dict) -> dict:
        """A CALL of its own, and its answer; what comes between is answered."""
        asked = self.wire.calls(action, payload)
        while True:
            frame = await self.wire.hears()
            if frame[0] == 3 and frame[1] == asked:
                return frame[2]
            self._answer(frame)

    async def takes(self, profiles: int) -> None:
        """Answer until so many profiles were set since it connected."""
        while len(self.profiles) < profiles:
            self._answer(await self.wire.hears())

    def _answer(self, frame: list) -> None:
        if frame[0] != 2:
            return
        if frame[2] == "SetChargingProfile":
            self.profiles.append(frame[3])
        answer = {"configurationKey": []} if frame[2] == "GetConfiguration" else {"status": "Accepted"}
        self.wire.says([3, frame[1], answer])

    async def status(self, word: str, connector: int = 1) -> None:
        payload = {"connectorId": connector, "errorCode": "NoError", "status": word}
        await self.asks("StatusNotification", payload)

    async def limits_within(self) -> float:
        """The newest limit it was told."""
        await eventually(lambda: bool(self.profiles))
        return self.profiles[-1]["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"][0][
            "limit"
        ]
