"""The building's own system in the demo: it reads what the gateway publishes, and sends it commands.

Rules of this file:
- It knows topics and payloads as their description has them, and nothing of the gateway's code: paho alone.
- paho runs in a thread of its own; what it hears is handed to the loop.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from datetime import UTC, datetime
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from edgegw.errors import EdgegwError
from edgegw.sim.watch import Watch

SOURCE = "bms"  # as whom it sets limits
ONLINE_WITHIN_S = 15.0
ANSWER_WITHIN_S = 10.0


class BuildingFault(EdgegwError):
    """The gateway does not do at the broker what it should; the text says what."""


def topic_root(base: str, site: str) -> str:
    """Names in topics are of a-z 0-9 and "-"."""
    return f"{base}/1/{re.sub('[^a-z0-9]+', '-', site.lower()).strip('-')}"


class BuildingSystem(Watch):
    """`root`: topic of the gateway, without a slash at its end."""

    def __init__(self, port: int, root: str) -> None:
        super().__init__()
        self.root = root
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._heard: dict[str, bytes] = {}  # newest by topic below the root
        self._answers: dict[str, dict[str, Any]] = {}  # by transaction
        name = f"building-{secrets.token_hex(4)}"
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5)
        self._client.on_connect = self._connected
        self._client.on_message = self._message

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._client.connect, "127.0.0.1", self._port)
        self._client.loop_start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _connected(self, client: Client, *_: Any) -> None:
        client.subscribe([(f"{self.root}/{name}", 1) for name in ("status", "limit/#", "response/#")])

    def _message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self._hear, message.topic, bytes(message.payload))

    def _hear(self, topic: str, payload: bytes) -> None:
        tail = topic.removeprefix(f"{self.root}/")
        self._heard[tail] = payload
        if tail.startswith("response/"):
            answer = json.loads(payload)
            self._answers[answer["transaction"]] = answer
        self._happened()

    async def gateway_is_online(self) -> None:
        """Raises BuildingFault."""
        try:
            await self.wait_for(lambda: self._heard.get("status") == b"online", ONLINE_WITHIN_S)
        except TimeoutError:
            said = self._heard.get("status", b"").decode() or "nothing"
            raise BuildingFault(
                f"the gateway does not publish: {self.root}/status says {said} after {ONLINE_WITHIN_S:g} s; "
                "does its log say why?"
            ) from None

    async def asks(self, verb: str, **request: object) -> dict[str, Any]:
        """What the gateway answers. Raises BuildingFault when it refuses or says nothing."""
        transaction = f"{SOURCE}-{secrets.token_hex(4)}"
        ts = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        payload = {"transaction": transaction, "ts": ts, "source": SOURCE, **request}
        self._client.publish(f"{self.root}/request/{verb}", json.dumps(payload), qos=1)
        try:
            await self.wait_for(lambda: transaction in self._answers, ANSWER_WITHIN_S)
        except TimeoutError:
            raise BuildingFault(f"no answer to {verb} within {ANSWER_WITHIN_S:g} s") from None
        answer = self._answers.pop(transaction)
        if answer["status"] != "ok":
            raise BuildingFault(f"{verb} is refused: {answer['error']['text']}")
        return answer

    async def limit_is(self, state: str, within_s: float) -> None:
        """Until the gateway says that our limit "holds", or is in "fallback". Raises BuildingFault."""
        try:
            await self.wait_for(lambda: state in self._limit_states(), within_s)
        except TimeoutError:
            raise BuildingFault(f"limit/{SOURCE}/state is not {state} within {within_s:g} s") from None

    def _limit_states(self) -> set[str]:
        payload = self._heard.get(f"limit/{SOURCE}/state")
        return {limit["state"] for limit in json.loads(payload)["limits"]} if payload else set()
