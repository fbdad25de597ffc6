"""What happens at the connectors of a simulated charger: status, transactions, energy.

Rules of this file:
- Energy is whole Wh and only rises. With cars (`power_path`) it is what has flowed; without, a sample adds
  a random step from the seeded source.
- A transaction message is queued the moment its fact happens, with its own timestamp; whether and when it
  is sent is `delivery`'s business.
- A reboot ends every task; what goes on afterwards starts from the memory.
"""

from __future__ import annotations

import random
import time
import uuid
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from edgegw.sim.delivery import Delivery
from edgegw.sim.desk import V16, CallRefused, Payload, timestamp
from edgegw.sim.dialect import Dialect2x, Dialect16, signed_text
from edgegw.sim.habits import Habits
from edgegw.sim.memory import Memory, MemoryFile, Queued, Session
from edgegw.sim.peer import LinkLost
from edgegw.sim.power_path import PowerPath
from edgegw.sim.watch import Watch


class Charging(Watch):
    """The upper half of `SimCharger`; the lower half has the power and the link."""

    identity: str
    version: str
    habits: Habits
    dialect: Dialect16 | Dialect2x
    file: MemoryFile
    delivery: Delivery
    rng: random.Random
    power: PowerPath
    powered: bool
    accepted: bool
    closed: bool = False  # takes no new transaction
    _statuses: dict[int, str]
    _reported: dict[int, str]
    _stop_wishes: dict[str, str]

    @property
    @abstractmethod
    def online(self) -> bool: ...

    @property
    @abstractmethod
    def connected(self) -> bool: ...

    @abstractmethod
    async def call(self, action: str, payload: Payload) -> Payload: ...

    @abstractmethod
    async def _try_call(self, action: str, payload: Payload) -> Payload | None: ...

    @abstractmethod
    def spawn(self, work: Coroutine[Any, Any, Any]) -> object: ...

    @abstractmethod
    def _event(self, event: str, **facts: Any) -> None: ...

    @abstractmethod
    def keep_profile(self, session: Session, profile: Payload) -> None: ...

    @abstractmethod
    def forget_profiles(self, session: Session) -> None: ...

    @property
    def memory(self) -> Memory:
        return self.file.memory

    async def _quietly(self, work: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        try:
            await work(*arguments)
        except LinkLost:
            return

    # --- connectors ---------------------------------------------------------------------------

    def status(self, connector: int) -> str:
        return self._statuses.get(connector, "Available")

    def _set_status(self, connector: int, status: str) -> None:
        self._statuses[connector] = status
        if self.online:
            self.spawn(self._quietly(self._report_status, connector))

    async def _report_status(self, connector: int) -> None:
        status = self.status(connector)
        if self._reported.get(connector) == status or not self.accepted:
            return
        self._reported[connector] = status
        try:
            await self._try_call("StatusNotification", self.dialect.status(connector, status, timestamp()))
        except LinkLost:
            self._reported.pop(connector, None)
            raise

    def set_available(self, connector: int, available: bool) -> None:
        """ChangeAvailability; connector 0 means all of them."""
        for number in [connector] if connector else range(self.habits.connectors + 1):
            if available and number in self.memory.unavailable:
                self.memory.unavailable.remove(number)
            elif not available and number not in self.memory.unavailable:
                self.memory.unavailable.append(number)
            if number not in self.memory.sessions:
                self._set_status(number, "Available" if available else "Unavailable")
        self.file.save()

    def close(self, closed: bool) -> None:
        """Take no new transaction for a while, as before an installation (2.x L01.FR.07)."""
        if self.closed is closed:
            return
        self.closed = closed
        for number in range(1, self.habits.connectors + 1):
            if number not in self.memory.sessions:
                self._set_status(number, self._resting(number))

    def _resting(self, connector: int) -> str:
        shut = self.closed or connector in self.memory.unavailable
        return "Unavailable" if shut else "Available"

    # --- charging -----------------------------------------------------------------------------

    async def charge(
        self, connector: int = 1, id_tag: str = "TAG1", samples: int | None = 3, **start: Any
    ) -> Session | None:
        """A whole transaction: authorise, start, `samples` meter values (None: until asked to stop),
        stop. None when it was not authorised; the session (perhaps cut short) otherwise."""
        session = await self.begin(connector, id_tag, **start)
        if session is not None:
            await self._charge_on(session, samples)
        return session

    async def _charge_on(self, session: Session, samples: int | None) -> None:
        boot, taken = self.memory.boot, 0
        while samples is None or taken < samples:
            if await self._stop_wished(session, boot):
                break
            self.sample(session.connector)
            taken += 1
        if self.memory.boot == boot and self.powered and self.session(session.connector) is session:
            self.finish(session.connector, self._stop_wishes.pop(session.name, "Local"))

    async def _stop_wished(self, session: Session, boot: int) -> bool:
        """Wait one meter interval; True when the transaction ends here or has been ended."""

        def over() -> bool:
            ended = self.session(session.connector) is not session or self.memory.boot != boot
            return ended or session.name in self._stop_wishes or not self.powered

        try:
            await self.wait_for(over, self.habits.meter_interval_s)
        except TimeoutError:
            return False
        return True

    def session(self, connector: int) -> Session | None:
        return self.memory.sessions.get(connector)

    def free(self, connector: int) -> bool:
        taken = connector in self.memory.sessions or connector in self.memory.unavailable
        shut = self.closed or 0 in self.memory.unavailable
        return 1 <= connector <= self.habits.connectors and not taken and not shut

    async def begin(
        self,
        connector: int,
        id_tag: str,
        *,
        remote_start_id: int | None = None,
        authorize: bool | None = None,
        profile: Payload | None = None,
    ) -> Session | None:
        """Plug in, authorise and queue the start; `profile` holds for it. None when not authorised or not
        free."""
        if not self.free(connector):
            return None
        self._set_status(connector, "Preparing")
        ask = self.habits.authorize_first if authorize is None else authorize
        if ask and not await self._authorized(id_tag):
            self._set_status(connector, "Available")
            return None
        if not self.powered or not self.free(connector):
            return None
        register = self.memory.registers_wh.setdefault(connector, self.rng.randint(10_000, 90_000))
        session = Session(
            name=uuid.uuid4().hex[:12],
            connector=connector,
            id_tag=id_tag,
            start_wh=register,
            tx="" if self.version == V16 else str(uuid.uuid4()),
            remote_start_id=remote_start_id,
            began_at=time.time(),
        )
        self.memory.sessions[connector] = session
        if profile is not None:
            self.keep_profile(session, profile)
        self.power.plug(session)
        self._queue(session, self.dialect.start_action, self.dialect.start(session, timestamp()), register)
        self._set_status(connector, session.charging_state)
        self._event("started", connector=connector, id_tag=id_tag, session=session.name)
        return session

    async def _authorized(self, id_tag: str) -> bool:
        try:
            answer = await self.call("Authorize", self.dialect.authorize(id_tag))
        except (LinkLost, TimeoutError):
            return self.habits.start_offline and self.powered
        except CallRefused:
            return False
        return self.dialect.tag_status(answer) == "Accepted"

    def sample(self, connector: int) -> None:
        """Charge on a little and queue the meter values."""
        session = self.memory.sessions[connector]
        power_w, amps = self._flow(connector)
        register = self.memory.registers_wh[connector]
        when = timestamp()
        signed = self._signed(register, when)
        payload = self.dialect.meter(session, when, register, power_w, signed, amps)
        self._queue(session, self.dialect.meter_action, payload, register)
        self._event("sample", connector=connector, register_wh=register)

    def _flow(self, connector: int) -> tuple[float, tuple[float, ...]]:
        """Watts and amps of this instant; the register is brought up to it."""
        if self.power.works:
            self.power.update()
            return round(self.power.power_w(connector)), self.power.amps(connector)
        self.memory.registers_wh[connector] += self.rng.randint(*self.habits.energy_per_sample_wh)
        return self.habits.power_w, ()

    def power_state_changed(self, connector: int, state: str) -> None:
        """The car or the offer changed: 1.6 says it as status, 2.x as an event of the transaction."""
        session = self.memory.sessions[connector]
        session.charging_state = state
        if isinstance(self.dialect, Dialect16):
            self._set_status(connector, state)
        else:
            self._statuses[connector] = state
            payload = self.dialect.state_changed(session, timestamp())
            self._queue(session, "TransactionEvent", payload, self.memory.registers_wh[connector])
        self._event("power", connector=connector, state=state)

    def finish(self, connector: int, reason: str = "Local") -> None:
        """Stop the transaction of a connector and queue the stop. reason: the 1.6 word for it."""
        self.power.unplug(connector)
        session = self.memory.sessions.pop(connector)
        self.forget_profiles(session)
        register = self.memory.registers_wh[connector]
        when = timestamp()
        payload = self.dialect.stop(session, when, register, reason, self._signed(register, when))
        self._queue(session, self.dialect.stop_action, payload, register, ends=True)
        self._set_status(connector, self._resting(connector))
        self._event("stopped", connector=connector, reason=reason, energy_wh=register - session.start_wh)

    def wish_stop(self, session: Session, reason: str) -> None:
        """Ask the task that charges this transaction on (`charge`) to stop it now."""
        self._stop_wishes[session.name] = reason
        self._happened()

    def _signed(self, register_wh: int, when: str) -> str | None:
        return signed_text(self.identity, register_wh, when) if self.habits.signed else None

    def _queue(
        self, session: Session, action: str, payload: Payload, energy_wh: int, *, ends: bool = False
    ) -> None:
        if self.version != V16 and not self.connected:
            payload["offline"] = True
        message = Queued(action=action, payload=payload, session=session.name, energy_wh=energy_wh, ends=ends)
        self.delivery.add(message)
