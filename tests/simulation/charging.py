"""Sessions at the connectors of a simulated charger: who plugs in, what the meter reads, what is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.simulation import speech
from tests.simulation.ledger import RESULT, Charging, Message
from tests.simulation.script import TAGS, V16

if TYPE_CHECKING:
    from tests.simulation.charger import SimCharger


class Connectors:
    def __init__(self, charger: SimCharger) -> None:
        self._charger = charger
        self._meters = [1000 * n for n in range(charger.habits.connectors + 1)]
        self.running: dict[int, Charging] = {}
        self.is_16 = charger.habits.version == V16

    # --- the day of a charger ----------------------------------------------------------------------

    def begin(self) -> None:
        charger = self._charger
        for connector in range(1, charger.habits.connectors + 1):
            self._later(charger.rng.uniform(5.0, 900.0), lambda c=connector: self._car_comes(c))
        self._later(charger.rng.uniform(10.0, 60.0), self._heartbeat)
        if self.is_16 and charger.rng.random() < 0.5:
            self._later(900.0, self._clock_aligned)

    def _later(self, delay_s: float, action: Any) -> None:
        self._charger.world.agenda.after(delay_s, action)

    def _heartbeat(self) -> None:
        self._charger.tell("Heartbeat", {})
        self._later(self._charger.habits.heartbeat_s, self._heartbeat)

    def _clock_aligned(self) -> None:
        """1.6: a meter value of the main meter, outside any transaction, still transaction-related."""
        charger = self._charger
        if not charger.quiet and not charger.down:
            payload = speech.sample_16(None, self._meters[0], self._now(), charger.habits.signed)
            self._queue("MeterValues", payload, None, "clock")
        self._later(max(1800.0, charger.habits.sample_every_s), self._clock_aligned)

    def _car_comes(self, connector: int) -> None:
        charger = self._charger
        if not charger.quiet:
            pause_s = charger.rng.uniform(0.5, 1.5) * charger.habits.pause_s
            self._later(pause_s + charger.habits.session_s, lambda: self._car_comes(connector))
        if charger.quiet or charger.down or connector in self.running:
            return
        tag = charger.rng.choice(TAGS)
        if charger.online and charger.accepted and charger.rng.random() < charger.habits.authorizes:

            def answered(answer: list[Any]) -> None:
                payload = answer[2] if answer[0] == RESULT else {}
                info = payload.get("idTagInfo") or payload.get("idTokenInfo") or {}
                if info.get("status") == "Accepted":
                    self.start(connector, tag)

            charger.tell("Authorize", speech.authorize(charger.habits, tag), answered)
        else:
            self.start(connector, tag)

    # --- one session -------------------------------------------------------------------------------

    def start(self, connector: int, tag: str) -> None:
        charger = self._charger
        if connector in self.running or charger.down or charger.quiet:
            return
        meter = self._meters[connector]
        number = len(charger.world.ledger.sessions) + 1
        session = Charging(number, charger.name, connector, tag, meter, meter)
        charger.world.ledger.sessions.append(session)
        self.running[connector] = session
        if self.is_16:
            payload = speech.start_16(session, self._now())
            session.start = self._queue("StartTransaction", payload, session, "start")
        else:
            session.id = f"tx-{charger.name}-{number}"
            session.start = self._event(session, "Started", "start")
        self._tell_state(connector, "Charging")
        self._later(charger.habits.sample_every_s, lambda: self._sample(session))
        length_s = charger.habits.session_s * charger.rng.uniform(0.3, 1.3)
        self._later(length_s, lambda: self.stop(session, "Local"))

    def _sample(self, session: Charging) -> None:
        if session.stopped:
            return
        self._charge(session)
        if self.is_16:
            payload = speech.sample_16(session, session.meter_wh, self._now(), self._charger.habits.signed)
            self._queue("MeterValues", payload, session, "sample")
        else:
            self._event(session, "Updated", "sample")
        self._later(self._charger.habits.sample_every_s, lambda: self._sample(session))

    def _charge(self, session: Charging) -> None:
        self._meters[session.connector] += self._charger.rng.randrange(10, 900)
        session.meter_wh = self._meters[session.connector]

    def stop(self, session: Charging, reason: str) -> None:
        if session.stopped or self._charger.down:
            return
        self._charge(session)
        self._end(session, reason)
        self._tell_state(session.connector, "Available")

    def _end(self, session: Charging, reason: str) -> None:
        session.stopped = True
        if self.running.get(session.connector) is session:
            del self.running[session.connector]
        if self.is_16:
            self._queue("StopTransaction", speech.stop_16(session, self._now(), reason), session, "stop")
        else:
            self._event(session, "Ended", "stop", reason)

    def stop_all(self) -> None:
        for session in list(self.running.values()):
            self.stop(session, "Local")

    def power_lost(self) -> None:
        """Some chargers tell after the boot that the power went, some lose the session."""
        for session in list(self.running.values()):
            if self._charger.rng.random() < 0.8:
                self._end(session, "PowerLoss")
            else:
                session.stopped = True
                del self.running[session.connector]

    # --- messages ----------------------------------------------------------------------------------

    def _event(self, session: Charging, kind: str, part: str, reason: str = "") -> Message:
        charger = self._charger
        offline = True if not charger.online else charger.rng.choice((None, None, False))
        payload = speech.event_2x(
            session, kind, self._now(), reason, signed=charger.habits.signed, offline=offline
        )
        session.seq_no += 1
        return self._queue("TransactionEvent", payload, session, part)

    def _queue(self, action: str, payload: dict[str, Any], session: Charging | None, part: str) -> Message:
        world = self._charger.world
        number = len(world.ledger.messages) + 1
        message = Message(number, self._charger.name, action, session, world.agenda.now)
        message.payload, message.part = payload, part
        if part == "start" and session is not None:
            session.start = message
        self._charger.queue_message(message)
        return message

    def answered(self, message: Message, answer: dict[str, Any]) -> None:
        session = message.session
        if session is None or message is not session.start:
            return
        if self.is_16:
            session.id = answer.get("transactionId")
        info = answer.get("idTagInfo") or answer.get("idTokenInfo") or {}
        if info.get("status") != "Accepted" and self._charger.rng.random() < 0.9:
            self._later(1.0, lambda: self.stop(session, "DeAuthorized"))

    def tell_states(self) -> None:
        for connector in range(0 if self.is_16 else 1, self._charger.habits.connectors + 1):
            self._tell_state(connector, "Charging" if connector in self.running else "Available")

    def _tell_state(self, connector: int, state: str) -> None:
        charger = self._charger
        charger.tell("StatusNotification", speech.status(charger.habits, connector, state, self._now()))

    def flood(self) -> None:
        """A loose contactor: states as fast as the line takes them, answers or not."""
        charger = self._charger
        for n in range(charger.rng.randrange(10, 40)):
            if charger.socket is None or not charger.accepted:
                return
            state = ("SuspendedEV", "Charging")[n % 2] if self.is_16 else ("Occupied", "Available")[n % 2]
            payload = speech.status(charger.habits, 1, state, self._now() + n / 1000)
            charger.shout("StatusNotification", payload)

    def session_of(self, transaction_id: Any) -> Charging | None:
        return next((s for s in self.running.values() if s.id == transaction_id), None)

    def _now(self) -> float:
        """The charger's own clock, a millisecond later for each message, so that none equals another."""
        world = self._charger.world
        return world.agenda.now + (len(world.ledger.messages) % 997) / 1000
