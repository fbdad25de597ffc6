"""What a charger has to tell of its file work, in order, also after a lost link or a reboot.

Rules of this file:
- A notice waits in the memory until the cloud answered it. A refusal or silence ends it: it is no
  transaction message.
- The work itself never waits for the cloud, but for a moment before a reboot (`said`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from edgegw.sim.desk import CallRefused, Payload
from edgegw.sim.memory import Notice
from edgegw.sim.peer import LinkLost

if TYPE_CHECKING:
    from edgegw.sim.charger import SimCharger

NOTICES_MAX = 200  # a few updates' worth; a charger that is away for longer forgets the oldest


class Notices:
    def __init__(self, charger: SimCharger) -> None:
        self._charger = charger

    @property
    def _waiting(self) -> list[Notice]:
        return self._charger.memory.notices

    def say(self, action: str, payload: Payload) -> None:
        self._waiting.append(Notice(action=action, payload=payload))
        del self._waiting[:-NOTICES_MAX]
        self._charger.file.save()
        self._charger.wake()

    async def said(self) -> None:
        """Until nothing waits, or nothing can be sent."""
        await self._charger.wait_for(lambda: not self._waiting or not self._charger.online, None)

    async def run(self) -> None:
        """For ever. Cancel to stop."""
        while True:
            await self._charger.wait_for(lambda: bool(self._waiting) and self._charger.online, None)
            await self._send(self._waiting[0])

    async def _send(self, notice: Notice) -> None:
        try:
            await self._charger.call(notice.action, notice.payload)
        except LinkLost:
            await asyncio.sleep(0)  # the charger notices the end of its link in another task
            return
        except (CallRefused, TimeoutError):
            pass
        if notice in self._waiting:
            self._waiting.remove(notice)
        self._charger.file.save()
        self._charger.wake()
