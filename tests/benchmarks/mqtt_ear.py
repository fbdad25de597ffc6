"""What hears and asks at the broker: a paho client in a thread of its own, so that it waits for nobody."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

DEADLINE_S = 60.0


class Ear:
    """Subscribed to `root`/#. `counts`: messages by topic below it; `newest`: the payload of each."""

    def __init__(self, port: int, root: str) -> None:
        self.counts: Counter[str] = Counter()
        self.newest: dict[str, bytes] = {}
        self.heard_bytes = 0
        self._root = root
        self._answered: dict[str, threading.Event] = {}
        self._answers: dict[str, dict[str, Any]] = {}
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self._client.on_message = self._hear
        self._client.on_connect = lambda client, *_: client.subscribe(f"{root}/#", 1)
        self._client.connect("127.0.0.1", port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, client: Client, data: object, message: MQTTMessage) -> None:
        tail = message.topic.removeprefix(f"{self._root}/")
        self.counts[tail] += 1
        self.newest[tail] = message.payload
        self.heard_bytes += len(message.topic) + len(message.payload)
        if tail.startswith("response/"):
            answer = json.loads(message.payload)
            self._answers[answer["transaction"]] = answer
            self._answered[answer["transaction"]].set()

    async def until(self, condition: Callable[[], bool], what: str) -> float:
        """Seconds until it holds."""
        began = time.perf_counter()
        while not condition():
            assert time.perf_counter() - began < DEADLINE_S, f"not within {DEADLINE_S:g} s: {what}"
            await asyncio.sleep(0.01)
        return time.perf_counter() - began

    def command(self, verb: str, **request: object) -> tuple[float, dict[str, Any]]:
        """One command and its answer: seconds from publishing it to hearing the answer. Blocks."""
        transaction = f"bench-{time.monotonic_ns():x}"
        self._answered[transaction] = heard = threading.Event()
        ts = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        payload = json.dumps({"transaction": transaction, "ts": ts, **request})
        began = time.perf_counter()
        self._client.publish(f"{self._root}/request/{verb}", payload, qos=1)
        assert heard.wait(DEADLINE_S), f"no answer to {verb}"
        took = time.perf_counter() - began
        return took, self._answers.pop(transaction)
