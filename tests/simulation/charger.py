"""A simulated charger: its connection, its message ids, its queue of transaction messages.

It follows the specification where nothing is said: one CALL at a time, transaction messages strictly in
order and kept until they are answered, the same id and the same bytes at every retry (OCPP 1.6 3.7.1,
2.x E13). What it does otherwise is in its `Habits`. It keeps its own ledger and knows no gateway.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation import speech
from tests.simulation.charging import Connectors
from tests.simulation.ledger import CALL, ERROR, RESULT, Asked, Message, Text
from tests.simulation.obedience import Obedience
from tests.simulation.script import V16, Habits
from tests.simulation.wire import Socket

if TYPE_CHECKING:
    from tests.simulation.world import World

ATTEMPTS_MAX = 3
HANDSHAKE_S = 30.0  # then the charger dials anew
NEVER_GIVEN = -1  # 1.6 errata 3.18

OnAnswer = Callable[[list[Any]], None]


class Chatter:
    """A CALL that is asked once: nobody keeps it."""

    __slots__ = ("action", "on_answer", "payload")

    def __init__(self, action: str, payload: dict[str, Any], on_answer: OnAnswer | None = None) -> None:
        self.action = action
        self.payload = payload
        self.on_answer = on_answer


class Waiting:
    """A CALL that was sent and not answered yet."""

    __slots__ = ("asked", "message", "on_answer")

    def __init__(self, asked: Asked, message: Message | None, on_answer: OnAnswer | None) -> None:
        self.asked = asked
        self.message = message
        self.on_answer = on_answer


class SimCharger:
    def __init__(self, world: World, name: str, habits: Habits, rng: Random) -> None:
        self.world = world
        self.name = name
        self.habits = habits
        self.rng = rng
        self.socket: Socket | None = None
        self.queue: list[Message] = []  # survives a reboot, as it must
        self.chatter: deque[Chatter] = deque()
        self.waiting: dict[str, Waiting] = {}
        self.boot_due = habits.boots != "never"
        self.accepted = habits.boots == "never"
        self.registration = "Accepted" if self.accepted else ""
        self.boot_not_before = 0.0
        self.boots = 0
        self.down = False
        self.quiet = False  # the calm: no new sessions
        self.timeouts = 0
        self._count = 0
        self._unique = 0
        self._awake = 0.0
        self._asked: dict[str, list[Asked]] = defaultdict(list)
        self._knocks = 0
        self.connectors = Connectors(self)
        self.obedience = Obedience(self)

    # --- connection ------------------------------------------------------------------------------

    @property
    def online(self) -> bool:
        return self.socket is not None

    def connect(self) -> None:
        if self.socket is not None or self.down:
            return
        self._knocks += 1
        knock = self._knocks
        self.world.agenda.after(HANDSHAKE_S, lambda: self._no_answer(knock))
        socket = Socket(self.world, self.name, "charger", self.habits.latency_s)
        self.world.agenda.after(self.habits.latency_s, lambda: self.world.knock(self, socket))

    def admitted(self, socket: Socket) -> None:
        if self.down or self.socket is not None or not socket.alive:
            socket.cut(down_knows_after_s=0.0, top_knows_after_s=1.0)
            return
        self.socket = socket
        socket.down = self
        self.timeouts = 0
        if self.habits.boots == "always":
            self.boot_due = True
        self.pump()

    def refused(self) -> None:
        self._again()

    def _no_answer(self, knock: int) -> None:
        if knock == self._knocks:
            self.connect()

    def on_closed(self) -> None:
        self._unplugged()
        self._again()

    def last_asked(self, message_id: str) -> Asked | None:
        asked = self._asked.get(message_id)
        return asked[-1] if asked else None

    def _again(self) -> None:
        self.world.agenda.after(self.habits.reconnect_s * (0.5 + self.rng.random()), self.connect)

    def _unplugged(self) -> None:
        self.socket = None
        self.boot_due |= any(w.asked.action == "BootNotification" for w in self.waiting.values())
        self.waiting.clear()
        for message in self.queue:
            message.in_flight = False

    def hang_up(self) -> None:
        if self.socket is not None:
            self.socket.close(by_down=True)
            self._unplugged()
            self._again()

    def reboot(self) -> None:
        """Power lost: memory is gone, flash is not."""
        if self.down:
            return
        self.world.say(self.name, "REBOOT")
        self.down = True
        if self.socket is not None:
            self.socket.down = None
            self.socket.cut(down_knows_after_s=0.0, top_knows_after_s=self.rng.choice((0.1, 5.0, 50.0)))
        self._unplugged()
        self.chatter.clear()
        if self.habits.ids_from_one:
            self._count = 0
        self.boot_due = self.habits.boots != "never"
        self.accepted = not self.boot_due
        self.connectors.power_lost()
        self.world.agenda.after(self.rng.uniform(5.0, 90.0), self._up_again)

    def _up_again(self) -> None:
        self.down = False
        self.connect()

    # --- saying ----------------------------------------------------------------------------------

    def tell(self, action: str, payload: dict[str, Any], on_answer: OnAnswer | None = None) -> None:
        if self.socket is not None and len(self.chatter) < 60:
            self.chatter.append(Chatter(action, payload, on_answer))
            self.pump()

    def shout(self, action: str, payload: dict[str, Any]) -> None:
        """Without waiting for anybody, as two chargers in the field do."""
        self._send(Chatter(action, payload))

    def queue_message(self, message: Message) -> None:
        self.queue.append(message)
        self.world.ledger.messages.append(message)
        self.pump()

    def pump(self) -> None:
        """Send what may be sent now."""
        while self.socket is not None:
            room = 1 if self.rng.random() >= self.habits.early_call else 2
            if len(self.waiting) >= room or not self._send_next():
                return

    def _send_next(self) -> bool:
        now = self.world.agenda.now
        if self.boot_due:
            if self.waiting or now < self.boot_not_before:
                self._wake_at(self.boot_not_before)
                return False
            self.boot_due = False
            self.boots += 1
            self._send(Chatter("BootNotification", speech.boot(self.habits, self.boots), self._booted))
            return True
        if not self.accepted:
            return False
        if self.chatter:
            self._send(self.chatter.popleft())
            return True
        return self._send_message(now)

    def _send_message(self, now: float) -> bool:
        message = next((m for m in self.queue if not m.in_flight), None)
        if message is None:
            return False
        if now < message.retry_at:
            self._wake_at(message.retry_at)
            return False
        if not message.raw and not self._finish(message):
            return False
        message.in_flight = True
        self._transmit(message.raw, message.id, message.action, message, None)
        return True

    def _finish(self, message: Message) -> bool:
        """Give id and bytes; from now on they stand. False while the Start has no answer."""
        session = message.session
        known: Any = None
        if self.habits.version == V16 and session is not None and message is not session.start:
            assert session.start is not None
            if session.id is None and session.start in self.queue:
                return False
            known = NEVER_GIVEN if session.id is None else session.id
        message.id = self._new_id()
        payload = speech.with_id(message, known) if self.habits.version == V16 else message.payload
        message.raw = speech.frame(self.habits, self.rng, message.id, message.action, payload)
        message.payload = payload
        return True

    def _send(self, chatter: Chatter) -> None:
        message_id = self._new_id()
        raw = speech.frame(self.habits, self.rng, message_id, chatter.action, chatter.payload)
        self._transmit(raw, message_id, chatter.action, None, chatter.on_answer)

    def _transmit(
        self, raw: bytes, message_id: str, action: str, message: Message | None, on_answer: OnAnswer | None
    ) -> None:
        assert self.socket is not None
        times = 2 if self.rng.random() < self.habits.duplicate else 1
        for _ in range(times):
            text = self.socket.send(up=True, raw=raw)
            asked = Asked(self.name, text, message, action, text.frame[3])
            asked.must_wait = self.world.cloud.says_wait(self.name)
            self.world.ledger.asked.append(asked)
            self._asked[message_id].append(asked)
            if message is not None:
                message.sent.append(text)
        waiting = Waiting(asked, message, on_answer)
        self.waiting[message_id] = waiting
        self.world.agenda.after(self.habits.patience_s, lambda: self._impatient(message_id, waiting))

    def _new_id(self) -> str:
        if not self.habits.ids_from_one:
            self._unique += 1
            return f"{self.name}-{self._unique}"
        while True:
            self._count += 1
            if str(self._count) not in self.waiting and all(m.id != str(self._count) for m in self.queue):
                return str(self._count)

    def _wake_at(self, when: float) -> None:
        if when > self._awake or self._awake <= self.world.agenda.now:
            self._awake = when
            self.world.agenda.at(when, self.pump)

    # --- hearing ---------------------------------------------------------------------------------

    def on_text(self, text: Text) -> None:
        if text.kind == CALL:
            self.obedience.on_call(text)
        elif text.kind in (RESULT, ERROR):
            self._on_answer(text)

    def _on_answer(self, text: Text) -> None:
        self._note_answer(text)
        waiting = self.waiting.pop(text.id, None)
        if waiting is None:
            return
        self.timeouts = 0
        if waiting.message is not None:
            self._message_answered(waiting.message, text)
        if waiting.on_answer is not None:
            waiting.on_answer(text.frame)
        self.pump()

    def _note_answer(self, text: Text) -> None:
        """Each answer belongs to one transmission on this socket; one too many is a stray."""
        assert self.socket is not None
        leg = self.socket.leg.number
        for asked in self._asked.get(text.id, ()):
            if asked.text.leg == leg and not asked.answers:
                asked.answers.append(text)
                return
        self.world.ledger.strays.append(text)

    def _message_answered(self, message: Message, text: Text) -> None:
        message.in_flight = False
        if message not in self.queue:
            return
        if text.kind == RESULT:
            message.answer = text
            self.queue.remove(message)
            self.connectors.answered(message, text.frame[2])
            return
        message.attempts += 1
        message.retry_at = self.world.agenda.now + self.habits.retry_s * message.attempts
        if message.attempts >= ATTEMPTS_MAX:
            message.given_up = True
            self.queue.remove(message)

    def _impatient(self, message_id: str, waiting: Waiting) -> None:
        if self.waiting.get(message_id) is not waiting:
            return
        del self.waiting[message_id]
        waiting.asked.gave_up_at = self.world.agenda.now
        self.timeouts += 1
        if waiting.message is not None:
            waiting.message.in_flight = False
        elif waiting.asked.action == "BootNotification":
            self.boot_due = True
        if self.timeouts >= 3:
            self.hang_up()
        self.pump()

    def _booted(self, answer: list[Any]) -> None:
        status = answer[2].get("status") if answer[0] == RESULT else "Rejected"
        self.registration = status
        if status != "Accepted":
            self.accepted = False
            self.boot_due = True
            wait_s = float(answer[2].get("interval", 0)) if answer[0] == RESULT else 0.0
            self.boot_not_before = self.world.agenda.now + min(max(wait_s, 10.0), 90.0)
            self._wake_at(self.boot_not_before)
            return
        self.accepted = True
        self.connectors.tell_states()
