"""How a simulated charger delivers its transaction messages: in order, one at a time, until answered.

Rules of this file (OCPP 1.6 3.7.1, 2.x E13):
- A message keeps its id, text and timestamps over lost links, timeouts and reboots.
- CALLERROR costs an attempt and a wait of `retry_interval_s` x attempts; after `attempts_max` the message
  is given up. A lost link or a timeout costs no attempt: nothing is dropped for being offline.
- 1.6: the transaction id is put in when the message is first sent, -1 if the start was given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Protocol

from edgegw.sim.desk import V16, CallRefused, Payload
from edgegw.sim.dialect import Dialect2x, Dialect16
from edgegw.sim.memory import MemoryFile, Queued
from edgegw.sim.peer import LinkLost
from edgegw.sim.wire_log import Context

NEVER_GIVEN = -1  # 1.6 errata 3.18


class Carrier(Protocol):
    """What delivery needs of the charger."""

    version: str
    dialect: Dialect16 | Dialect2x
    file: MemoryFile

    async def ready_to_send(self) -> None: ...
    async def exchange(self, message_id: str, payload: Payload, context: Context) -> Payload: ...
    def new_id(self) -> str: ...
    def on_delivered(self, message: Queued, answer: Payload) -> None: ...
    def on_given_up(self, message: Queued) -> None: ...


class Delivery:
    def __init__(self, carrier: Carrier, *, attempts_max: int, retry_interval_s: float) -> None:
        self._carrier = carrier
        self.attempts_max = attempts_max
        self.retry_interval_s = retry_interval_s
        self._filled = asyncio.Event()

    @property
    def queue(self) -> list[Queued]:
        return self._carrier.file.memory.queue

    def add(self, message: Queued) -> None:
        self.queue.append(message)
        self._carrier.file.save()
        self._filled.set()

    def mark_offline(self) -> None:
        """2.x E11.FR.07: what waits when the link goes is `offline` now, unless it was sent before."""
        if self._carrier.version != V16:
            for message in self.queue:
                if not message.sent:
                    message.payload["offline"] = True

    async def run(self) -> None:
        """Deliver for ever. Cancel to stop; the queue stays."""
        while True:
            while not self.queue:
                self._filled.clear()
                await self._filled.wait()
            await self._carrier.ready_to_send()
            if self.queue:
                await self._try(self.queue[0])

    async def _try(self, message: Queued) -> None:
        self._prepare(message)
        context = Context(message.action, message.session, message.energy_wh)
        try:
            answer = await self._carrier.exchange(message.id, message.payload, context)
        except LinkLost:
            await asyncio.sleep(0)  # the charger notices the end of its link in another task
            return
        except TimeoutError:
            await asyncio.sleep(self.retry_interval_s)
            return
        except CallRefused:
            await self._refused(message)
            return
        self._done(message, answer)

    def _prepare(self, message: Queued) -> None:
        """Give id and transaction id at the first transmission; from then on the text stands."""
        if message.sent:
            return
        message.id = self._carrier.new_id()
        if self._carrier.version == V16 and message.action != "StartTransaction":
            tx = int(self._carrier.file.memory.ids.get(message.session, NEVER_GIVEN))
            message.payload = dict(_with_transaction_id(message.payload, tx))
        message.sent = True
        self._carrier.file.save()

    async def _refused(self, message: Queued) -> None:
        message.attempts += 1
        if message.attempts >= self.attempts_max:
            self._carrier.on_given_up(message)
            self._forget(message)
        else:
            self._carrier.file.save()
            await asyncio.sleep(self.retry_interval_s * message.attempts)

    def _done(self, message: Queued, answer: Payload) -> None:
        memory = self._carrier.file.memory
        if message.action == "StartTransaction" and "transactionId" in answer:
            memory.ids[message.session] = str(answer["transactionId"])
            for session in memory.sessions.values():
                if session.name == message.session:
                    session.tx = str(answer["transactionId"])
        self._forget(message)
        self._carrier.on_delivered(message, answer)

    def _forget(self, message: Queued) -> None:
        self.queue.remove(message)
        if message.ends:
            self._carrier.file.memory.ids.pop(message.session, None)
        self._carrier.file.save()


def _with_transaction_id(payload: Payload, tx: int) -> Iterator[tuple[str, object]]:
    """Members in the order of the specification's tables: connectorId first, then the transaction."""
    if "connectorId" in payload:
        yield "connectorId", payload["connectorId"]
    yield "transactionId", tx
    for key, value in payload.items():
        if key != "connectorId":
            yield key, value
