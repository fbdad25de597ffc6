"""With the cloud up, what one side writes is what the other side reads: every character, in both directions.

A recorder as charger and a recorder as cloud, both on `websockets`, talk in the oddest JSON (`scribe`).
The number of frames is per version; EDGEGW_FRAMES=10000 is the full run.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.e2e.children import DEADLINE_S
from tests.e2e.gateway import Gateways
from tests.e2e.scribe import (
    CALL,
    CALLERROR,
    CALLRESULT,
    CALLRESULTERROR,
    FROM_CHARGER,
    FROM_CLOUD,
    NUMBERS,
    SEND,
    V16,
    V21,
    VERSIONS,
    Payload,
    Scribe,
    Speech,
    Spelt,
    answer_to,
)

FRAMES = int(os.environ.get("EDGEGW_FRAMES", "400"))

# A space, a bar, a dash nobody had to encode, and lower case hex digits: RFC 3986 knows all of them as one.
SEGMENT = "BYTES%2D1%7cA%20b"


# --- who says it ----------------------------------------------------------------------------------


class Recorder:
    """One end: it writes down every message it sends and every one it gets, character by character."""

    def __init__(self, name: str, ws: Any, version: str, scribe: Scribe) -> None:
        self.sent: list[str] = []
        self.heard: list[str] = []
        self._name = name
        self._ws = ws
        self._version = version
        self._scribe = scribe
        self._numbers = itertools.count(1)
        self._one_at_a_time = asyncio.Lock()
        self._answered: asyncio.Future[None] | None = None
        self._pending = ""
        self.was_refused = False  # the last answer was an error

    async def read(self) -> None:
        async for text in self._ws:
            assert isinstance(text, str)
            self.heard.append(text)
            kind, message_id, *rest = json.loads(text)
            if kind == CALL:
                code, *content = answer_to(self._scribe, self._version, rest[0])
                await self._send([code, message_id, *content])
            elif kind in (CALLRESULT, CALLERROR):
                assert message_id == self._pending
                assert self._answered is not None
                self.was_refused = kind == CALLERROR
                self._answered.set_result(None)

    async def call(self, action: str, payload: Payload) -> None:
        """Send a CALL and come back when its answer is there."""
        self._pending = self._new_id()
        self._answered = asyncio.get_running_loop().create_future()
        await self._send([CALL, self._pending, action, payload])
        async with asyncio.timeout(DEADLINE_S):
            await self._answered

    async def send(self, kind: int, *content: Any) -> None:
        """What nobody answers (OCPP 2.1)."""
        await self._send([kind, self._new_id(), *content])

    async def complain(self) -> None:
        """OCPP 2.1 CALLRESULTERROR about the last answer, which was a CALLRESULT."""
        assert not self.was_refused
        await self._send([CALLRESULTERROR, self._pending, "FormatViolation", "", {"n": self._scribe.odd()}])

    def _new_id(self) -> str:
        return f"{self._name}-{next(self._numbers)}-{self._scribe.choice(['', 'é/', chr(34), '№' * 9])}"

    async def _send(self, frame: list[Any]) -> None:
        text = self._scribe.message(frame)
        async with self._one_at_a_time:
            self.sent.append(text)
            await self._ws.send(self._scribe.pieces(text))


@asynccontextmanager
async def reading(recorder: Recorder) -> AsyncIterator[None]:
    """It reads meanwhile. What goes wrong there goes wrong here."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(recorder.read())
        yield
        task.cancel()


async def talk(
    one: Recorder, speech: Speech, scribe: Scribe, version: str, enough: Callable[[], bool]
) -> None:
    while not enough():
        action, payload = scribe.choice(speech)
        await one.call(action, payload(scribe))
        if version == V21 and scribe.chance(0.1):
            await one.send(
                SEND, "NotifyPeriodicEventStream", {"id": scribe.choice(NUMBERS), "data": [scribe.odd()]}
            )
        if version == V21 and not one.was_refused and scribe.chance(0.1):
            await one.complain()


class RecordingCloud:
    """Takes one charger; `request` is its handshake."""

    def __init__(self, version: str, scribe: Scribe) -> None:
        self._version = version
        self._scribe = scribe
        self.recorder: asyncio.Future[Recorder] = asyncio.get_running_loop().create_future()
        self.request: Any = None
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[RecordingCloud]:
        async with serve(
            self._serve, "127.0.0.1", 0, select_subprotocol=self._select, max_size=None, compression="deflate"
        ) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/some/path"
            yield self

    def _select(self, ws: ServerConnection, offered: Any) -> Subprotocol:
        self.request = ws.request
        return Subprotocol(self._version)

    async def _serve(self, ws: ServerConnection) -> None:
        recorder = Recorder("cloud", ws, self._version, self._scribe)
        self.recorder.set_result(recorder)
        await recorder.read()


@pytest.mark.timeout(300 + FRAMES // 50)
@pytest.mark.parametrize("version", VERSIONS)
async def test_every_frame_is_the_same_on_both_sides(version: str, gateways: Gateways) -> None:
    scribe = Scribe(VERSIONS.index(version))
    offers = [Subprotocol(version), *(Subprotocol(other) for other in VERSIONS if other != version)]
    login = "Basic " + base64.b64encode("BYTES-1|A b:pässword\x00\xff".encode("latin-1")).decode()
    async with RecordingCloud(version, scribe).serving() as cloud:
        gateway = await gateways(cloud.url)
        headers = {"Authorization": login}
        url = f"{gateway.url}/{SEGMENT}"
        async with connect(
            url, subprotocols=offers, additional_headers=headers, max_size=None, open_timeout=DEADLINE_S
        ) as ws:
            charger = Recorder("charger", ws, version, scribe)
            async with reading(charger):
                await _exchange(charger, await cloud.recorder, scribe, version)
            compressed = [type(one).__name__ for one in ws.protocol.extensions]
    _assert_handshake(cloud.request, version, offers, login)
    assert compressed == ([] if version == V16 else ["PerMessageDeflate"])


async def _exchange(charger: Recorder, cloud: Recorder, scribe: Scribe, version: str) -> None:
    def enough() -> bool:
        return len(charger.sent) + len(cloud.sent) >= FRAMES

    await charger.call("BootNotification", {"x": scribe.odd()})
    async with asyncio.TaskGroup() as both:
        both.create_task(talk(charger, FROM_CHARGER[version], scribe, version, enough))
        both.create_task(talk(cloud, FROM_CLOUD[version], scribe, version, enough))
    await charger.call("Heartbeat", {})  # all before it has arrived
    await cloud.call("ClearCache", {})
    _assert_same(charger.sent, cloud.heard)
    _assert_same(cloud.sent, charger.heard)


def _assert_same(sent: list[str], heard: list[str]) -> None:
    for number, (written, read) in enumerate(zip(sent, heard, strict=False)):
        assert written == read, f"message {number}"
    assert len(sent) == len(heard)


def _assert_handshake(request: Any, version: str, offers: list[Subprotocol], login: str) -> None:
    assert request.path == f"/some/path/{SEGMENT}"
    assert request.headers.get_all("Sec-WebSocket-Protocol") == [", ".join(offers)]
    assert request.headers.get_all("Authorization") == [login]


def test_the_scribe_writes_json_that_means_what_it_was_given() -> None:
    scribe = Scribe(7)
    for _ in range(50):
        value = {"a/b": ["Zähler №1 \U0001f697", 'x"\\\n', {"n": Spelt("1.10")}], "c": None, "d": True}
        assert json.loads(scribe.message([value])) == [{**value, "a/b": [*value["a/b"][:2], {"n": 1.1}]}]
    spelt = {scribe.message([2, "id", "A", {"b": "c", "d": Spelt("1E3")}]) for _ in range(20)}
    assert len(spelt) > 15
