"""The OpenAPI document of a running gateway keeps its word, whatever is asked; and a reader changes nothing.

Rules of this file:
- One real process with two chargers in the middle of a transaction each. `QUIET` is nobody's aim; of `AIM`
  anything may be ordered.
- Requests are drawn by seed (`tests.control.fuzzing`). After them the box is all right, and still charges.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
import schemathesis
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode

from tests.control.fuzzing import QUESTIONS, Fuzz
from tests.e2e.children import DEADLINE_S, Children
from tests.e2e.faults import RawCharger, charger, start_tx, until
from tests.e2e.file_site import files_table
from tests.e2e.gateway import GatewayProcess
from tests.plain_http import NO_TLS

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUIET, AIM = "CP-QUIET", "CP-AIM"
KNOWN = {"identity": AIM, "charger": AIM, "circuit": "garage", "connector": 1}
TOKEN, READ_TOKEN = "the-token-of-the-operator-01234", "the-token-of-the-reader-0123456"
EXAMPLES = 4  # of each kind, for each operation
SITE_IS_TEXT = {"application/json": {"schema": {"type": "string"}}}
OF_THE_BOX = {"GetConfiguration", "SetChargingProfile", "ClearChargingProfile", "TriggerMessage"}


@dataclass
class Box:
    """The gateway, its two chargers and the API as an operator sees it."""

    gateway: GatewayProcess
    url: str
    quiet: RawCharger
    aim: RawCharger
    http: httpx.AsyncClient
    document: dict[str, Any]

    async def get(self, path: str) -> Any:
        answer = await self.http.get(f"/v1/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fuzz(self, token: str, examples: int = EXAMPLES) -> Fuzz:
        return Fuzz(self.url, {"authorization": f"Bearer {token}"}, KNOWN, examples)

    async def is_all_right(self) -> None:
        """It says so; both chargers are there and charge, and `QUIET` was asked for nothing but limits."""
        health = await self.get("health")
        assert (health["status"], health["reasons"]) == ("ok", [])
        connected = {one["identity"] for one in (await self.get("chargers"))["chargers"] if one["connected"]}
        assert connected == {QUIET, AIM}
        running = (await self.get("transactions?running=true"))["transactions"]
        assert {one["charger"] for one in running} == {QUIET, AIM}
        for one in (self.quiet, self.aim):
            assert (await one.call("Heartbeat", {}))[0] == 3
        assert {frame[2] for frame in self.quiet.frames if frame[0] == 2} <= OF_THE_BOX

    async def state(self) -> dict[str, Any]:
        """All that an order can change, and what the chargers were asked."""
        power = await self.get("power")
        return {
            "limits": power["limits"],
            "wiring": await self.get("wiring"),
            "orders": [await self._orders_of(identity) for identity in (QUIET, AIM)],
            "acknowledged": [
                one["code"] for one in (await self.get("alarms"))["alarms"] if one["acknowledged"]
            ],
            "firmware": [await self.get(f"firmware{more}") for more in ("", "/rollouts")],
            "diagnostics": await self.get("diagnostics"),
            "rows": (await self.get("queue/rows"))["rows"],
            "strangers": await self.get("strangers"),
            "asked": [frame[2] for frame in self.aim.frames if frame[0] == 2 and frame[2] not in OF_THE_BOX],
        }

    async def _orders_of(self, identity: str) -> Any:
        detail = await self.get(f"chargers/{identity}/detail")
        return detail["bypassed_until"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    folder = tmp_path_factory.mktemp("openapi")
    for name, token in (("token", TOKEN), ("read-token", READ_TOKEN)):
        (folder / name).write_text(token + "\n")
        (folder / name).chmod(0o600)
    children = Children(folder)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(children.close)
        files = stack.enter_context(files_table())
        host, port = files["listen"].split(":")
        listen = f"{host}:{int(port) + 1}"
        tables: dict[str, Any] = {
            "control": {"listen": listen, "token_file": "token", "read_token_file": "read-token"},
            "files": files,
            "authorization": {"unknown_tags": "accept"},
            "circuit": [{"name": "garage", "fuse": 63}],
            "connector": [{"charger": one, "circuit": "garage"} for one in (QUIET, AIM)],
        }
        gateway = GatewayProcess(children, folder, cloud=None, settings=tables)
        await gateway.start()
        stack.push_async_callback(gateway.close)
        quiet, aim = [await stack.enter_async_context(charger(gateway, one)) for one in (QUIET, AIM)]
        for one in (quiet, aim):
            assert (await one.call("StartTransaction", start_tx()))[2]["transactionId"] > 0
        http = httpx.AsyncClient(
            base_url=f"http://{listen}",
            headers={"authorization": f"Bearer {TOKEN}"},
            trust_env=False,
            timeout=DEADLINE_S,
            verify=NO_TLS,
        )
        await stack.enter_async_context(http)
        document = (await http.get("/openapi.json")).json()
        yield Box(gateway, f"http://{listen}", quiet, aim, http, document)


async def test_the_document_is_valid(box: Box) -> None:
    assert box.document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(box.document).validate()
    ids = [one["operationId"] for path in box.document["paths"].values() for one in path.values()]
    assert len(ids) == len(set(ids))


async def test_who_may_only_read_changes_nothing(box: Box) -> None:
    before = await box.state()
    fuzz = box.fuzz(READ_TOKEN, examples=2)
    orders = [one for one in fuzz.operations(box.document) if one.method.upper() not in QUESTIONS]
    assert len(orders) >= 20
    for operation in orders:
        await asyncio.to_thread(fuzz.ask, operation, GenerationMode.POSITIVE)
    assert fuzz.statuses == {operation.label: {403} for operation in orders}
    assert await box.state() == before
    await box.is_all_right()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
async def test_every_answer_is_one_that_the_document_promises(box: Box, mode: GenerationMode) -> None:
    fuzz = box.fuzz(TOKEN)
    operations = list(fuzz.operations(box.document))
    assert len(operations) >= 40
    for operation in operations:
        await asyncio.to_thread(fuzz.ask, operation, mode)
    await box.is_all_right()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("201", SITE_IS_TEXT),
        ("200", {**SITE_IS_TEXT, "text/plain": {}}),
        ("200", {"text/plain": {"schema": {"type": "string"}}}),
    ],
    ids=["status", "body", "content type"],
)
async def test_a_promise_that_is_not_kept_is_seen(box: Box, status: str, body: dict[str, Any]) -> None:
    document = copy.deepcopy(box.document)
    document["paths"] = {"/v1/site": document["paths"]["/v1/site"]}
    promised = document["paths"]["/v1/site"]["get"]["responses"]
    promised[status] = {"description": "", "content": body}
    if status != "200":
        del promised["200"]
    fuzz = box.fuzz(TOKEN, examples=1)
    (operation,) = fuzz.operations(document)
    with pytest.raises((AssertionError, FailureGroup)):
        await asyncio.to_thread(fuzz.ask, operation, GenerationMode.POSITIVE)


async def test_a_stream_begins_and_ends_when_its_listener_goes(box: Box) -> None:
    streams = [
        path
        for path, operations in box.document["paths"].items()
        if "text/event-stream"
        in operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
    ]
    assert streams
    for path in streams:
        async with box.http.stream("GET", path) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
        refused = await box.http.get(path, headers={"authorization": "Bearer nobody"})
        assert refused.status_code == 401
    await until(lambda: box.get("health"))
    await box.is_all_right()
