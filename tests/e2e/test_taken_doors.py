"""Ports that another program has: charging goes on without all of them but its own."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import httpx

from edgegw.sim.charger import SimCharger
from edgegw.sim.habits import Habits
from tests.e2e.children import DEADLINE_S, Children
from tests.e2e.faults import ask, until
from tests.e2e.file_site import files_table
from tests.e2e.gateway import FAST, READY_WITHIN_S, GatewayProcess, Gateways, toml
from tests.servers.shared import claim_ports


def listening(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    other = socket.socket()
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    other.bind((host, int(port)))
    other.listen()
    return other


async def shut(gateway: GatewayProcess, count: int) -> dict[str, str]:
    """What the alarms say, when so many doors are shut."""
    alarms = (await ask(gateway, "/v1/alarms"))["alarms"]
    found = {a["target"]: a["text"] for a in alarms if a["code"] == "door_shut" and a["state"] == "active"}
    return (found or {"none": ""}) if len(found) == count else {}


async def test_chargers_are_served_while_other_doors_are_shut(tmp_path: Path, gateways: Gateways):
    port, claim = claim_ports()
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123")
    token.chmod(0o600)
    control = {"listen": f"127.0.0.1:{port}", "token_file": str(token)}
    with claim, files_table(ftp=True) as files:
        doors = {"[files] listen": files["listen"], "[files] ftp_listen": files["ftp_listen"]}
        doors["[control] listen"] = control["listen"]
        others = {name: listening(address) for name, address in doors.items()}
        try:
            gateway = await gateways(None, {"files": files, "control": control})
            charger = SimCharger("CP-1", "ocpp1.6", gateway.url, habits=Habits(heartbeat_s=0.0))
            await charger.start()
            try:
                await until(lambda: charger.online)
            finally:
                await charger.stop()

            told = await until(lambda: shut(gateway, len(doors)))
            for name, text in told.items():
                assert text.startswith(f"{name} = {doors[name]}: Address already in use; another program")
        finally:
            for other in others.values():
                other.close()
        await until(lambda: shut(gateway, 0))
        async with httpx.AsyncClient(trust_env=False, timeout=DEADLINE_S) as http:
            assert (await http.get(f"http://{files['listen']}/nothing")).status_code == 404
            assert (await http.get(f"http://{control['listen']}/v1/health")).status_code == 200
        with socket.create_connection(("127.0.0.1", int(files["ftp_listen"].rpartition(":")[2]))) as ftp:
            ftp.settimeout(DEADLINE_S)
            assert ftp.recv(100).startswith(b"220")
        assert gateway.log.count("is open now") == 3


async def test_a_pipe_in_the_place_of_the_manifest_keeps_no_start(tmp_path: Path, gateways: Gateways):
    """Opened to be read it would make the start wait for ever."""
    cache = tmp_path / "firmware_cache"
    cache.mkdir()
    os.mkfifo(cache / "manifest.json")
    with files_table() as files:
        gateway = await gateways(None, {"files": files})  # ready: the chargers' door is open

        async def told() -> list[str]:
            alarms = (await ask(gateway, "/v1/alarms"))["alarms"]
            return [alarm["text"] for alarm in alarms if alarm["code"] == "cache_unusable"]

        assert f"{cache / 'manifest.json'}: not a regular file" in (await until(told))[0]


async def test_the_chargers_own_door_stops_the_start_with_words(tmp_path: Path, children: Children):
    port, claim = claim_ports()
    site = tmp_path / "site.toml"
    tables = {name: table for name, table in FAST.items() if name != "cloud"}
    site.write_text(toml(tables | {"chargers": {"listen": f"127.0.0.1:{port}"}}))
    with claim, listening(f"127.0.0.1:{port}"):
        words = [sys.executable, "-m", "edgegw", "run", "--config", str(site)]
        child = await children.start("edgegw", *words)
        assert await child.ended(READY_WITHIN_S) == 1
    assert (
        f"edgegw: [chargers] listen = 127.0.0.1:{port}: Address already in use; another program has this port"
        in child.log
    )
    assert "Traceback" not in child.log
