"""A cloud, a store, a clock and a publisher around one `OwnStation`, so that a test reads like a story.

Effects are carried out by the real `Sequencer`. Every frame of the station is checked against the schemas of
its version. Ids and times are counted, never drawn. After `restart` and `power_cut` only the store is left.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import Any

import orjson

from edgegw.core.effects import CloseCloud, Noticed, SendCloud
from edgegw.core.events import CloudConnected, CloudLost, CloudSpoke, Instant, Woke
from edgegw.core.own_station import OwnStation, UnpublishSettled, UnpublishWanted
from edgegw.core.own_variables import OwnFacts
from edgegw.core.publishing import PublishProgress, PublishStopped, PublishWanted, Stage
from edgegw.core.records import Document, SaveDocument
from edgegw.runtime.sequencer import Sequencer
from edgegw.wire import frames
from edgegw.wire.frames import parse
from edgegw.wire.schemas import Schemas
from edgegw.wire.versions import Version

V201, V21 = Version.V201, Version.V21
NOON = 1_790_000_000.0
IDENTITY = "gateway-1"
MD5 = "0123456789abcdef0123456789abcdef"
URL = "https://user:secret@files.example/fw/wall-2.bin"
ORDER = {"location": URL, "checksum": MD5, "requestId": 7}
SCHEMAS = Schemas()


class Cloud:
    """The other end of the leg."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self.heard: deque[list[Any]] = deque()  # CALLs not yet answered, in order
        self.answers: dict[str, list[Any]] = {}
        self.asked: dict[str, str] = {}  # id -> action of the cloud's own CALLs
        self.most_at_once = 0

    def hear(self, data: bytes) -> None:
        frame = orjson.loads(data)
        if frame[0] == frames.CALL:
            self.heard.append(frame)
            self.most_at_once = max(self.most_at_once, len(self.heard))
            complaints = SCHEMAS.complaints(self.version, "request", frame[2], frame[3])
        else:
            self.answers[frame[1]] = frame
            action = self.asked.get(frame[1], "")
            is_result = frame[0] == frames.CALLRESULT
            complaints = SCHEMAS.complaints(self.version, "response", action, frame[2]) if is_result else ()
        assert complaints == (), (frame, complaints)


class OwnStory:
    def __init__(self, version: Version = V201, identity: str = IDENTITY) -> None:
        self.version = version
        self.facts = OwnFacts(identity=identity, firmware="1.2.3")
        self.mono = 0.0
        self.documents: dict[str, bytes] = {}
        self.disk_works = True
        self.riding: list[Any] = []  # stored with the next commit that somebody waits for
        self.notices: list[Noticed] = []
        self.wanted: list[PublishWanted] = []
        self.stopped: list[int] = []
        self.unpublishing: list[UnpublishWanted] = []
        self.hung_up: list[str] = []
        self._ids = count(1)
        self._cloud_ids = count(1)
        self._begin()

    def _begin(self) -> None:
        self.cloud = Cloud(self.version)
        self.connected = False
        self.held: list[Any] = []  # commits that the disk has not done yet
        documents = [Document("published", "", key, value) for key, value in self.documents.items()]
        other = Document("local_id", "", "", b"1")  # the site keeps more than files
        ids = self._ids
        self.station = OwnStation(
            self.facts, self.version, lambda: f"m{next(ids)}", [other, *documents], SCHEMAS
        )
        self.sequencer = Sequencer(self._perform, self._commit, self._failed)
        self.sequencer.push(self.station.begin(self.now))

    @property
    def now(self) -> Instant:
        return Instant(self.mono, NOON + self.mono)

    def restart(self) -> None:
        """In an orderly way: what rode along is on disk too."""
        self._write(self.riding)
        self.power_cut()

    def power_cut(self) -> None:
        self.mono += 1.0
        self.riding.clear()
        self.wanted.clear()
        self.unpublishing.clear()
        self._begin()

    # --- effects ---------------------------------------------------------------------------------

    def _commit(self, ops: list[Any], done: Any) -> None:
        if not self.disk_works:
            self.held.append((ops, done))
            return
        if not any(op.durable for op in ops):
            self.riding += ops
            return
        self._write([*self.riding, *ops])
        self.riding.clear()
        done(None)

    def _write(self, ops: list[Any]) -> None:
        for op in ops:
            assert isinstance(op, SaveDocument)
            assert (op.kind, op.charger) == ("published", "")
            if op.value is None:
                self.documents.pop(op.key, None)
            else:
                self.documents[op.key] = op.value

    def disk_catches_up(self) -> None:
        self.disk_works = True
        held, self.held = self.held, []
        for ops, done in held:
            self._write(ops)
            done(None)

    def _failed(self, error: BaseException) -> None:
        raise error

    def _perform(self, effect: Any) -> None:
        match effect:
            case SendCloud(data):
                if self.connected:
                    self.cloud.hear(data)
            case CloseCloud(reason):
                self.hung_up.append(reason)
                self.loses()
            case Noticed():
                assert "secret" not in effect.text
                self.notices.append(effect)
            case PublishWanted():
                self.wanted.append(effect)
            case PublishStopped(run):
                self.stopped.append(run)
            case UnpublishWanted():
                self.unpublishing.append(effect)
            case _:
                raise AssertionError(effect)

    def handle(self, event: Any) -> None:
        self.sequencer.push(self.station.handle(event, self.now))

    # --- the leg ---------------------------------------------------------------------------------

    def connects(self) -> None:
        self.cloud.heard.clear()
        self.connected = True
        self.handle(CloudConnected())

    def loses(self) -> None:
        self.connected = False
        self.sequencer.forget(SendCloud, CloseCloud)
        self.handle(CloudLost("cut"))

    def is_up(self) -> OwnStory:
        """Connected, accepted, and the start-up event answered."""
        self.connects()
        self.is_accepted()
        assert self.hears("SecurityEventNotification")["type"] == "StartupOfTheDevice"
        return self

    def is_accepted(self, interval: int = 300) -> dict[str, Any]:
        return self.hears("BootNotification", self.registration("Accepted", interval))

    @staticmethod
    def registration(status: str, interval: int = 300) -> dict[str, Any]:
        return {"status": status, "interval": interval, "currentTime": "2026-11-30T12:00:00Z"}

    # --- CALLs of the station --------------------------------------------------------------------

    def hears(self, action: str, answer: dict[str, Any] | None = None) -> dict[str, Any]:
        """The next CALL, which must be this one; it is answered. Its payload."""
        assert self.cloud.heard, f"no {action}"
        _, message_id, heard, payload = self.cloud.heard.popleft()
        assert heard == action, payload
        self.says(frames.result(message_id, answer or {}))
        return payload

    def refuses(self, code: str) -> str:
        """The next CALL gets a CALLERROR; which it was."""
        _, message_id, action, _ = self.cloud.heard.popleft()
        self.says(frames.error(message_id, code))
        return action

    def statuses(self) -> list[str]:
        """All statuses that come now, each answered."""
        heard = []
        while self.cloud.heard and self.cloud.heard[0][2] == "PublishFirmwareStatusNotification":
            heard.append(self.hears("PublishFirmwareStatusNotification")["status"])
        return heard

    @property
    def is_quiet(self) -> bool:
        return not self.cloud.heard

    # --- CALLs of the cloud ----------------------------------------------------------------------

    def says(self, data: bytes) -> None:
        self.handle(CloudSpoke(parse(data, self.version)))

    def asks(self, action: str, payload: dict[str, Any]) -> str:
        message_id = f"c{next(self._cloud_ids)}"
        self.cloud.asked[message_id] = action
        self.says(frames.call(message_id, action, payload))
        return message_id

    def answer_of(self, message_id: str) -> dict[str, Any] | None:
        frame = self.cloud.answers.get(message_id)
        if frame is None:
            return None
        assert frame[0] == frames.CALLRESULT, frame
        return frame[2]

    def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """The payload of the answer."""
        answer = self.answer_of(self.asks(action, payload))
        assert answer is not None, "not answered yet"
        return answer

    def error_of(self, action: str, payload: dict[str, Any]) -> str:
        frame = self.cloud.answers[self.asks(action, payload)]
        assert frame[0] == frames.CALLERROR, frame
        return frame[2]

    # --- the publisher ---------------------------------------------------------------------------

    def run_is(self, stage: Stage, *locations: str, why: str = "", run: int | None = None) -> None:
        number = self.wanted[-1].run if run is None else run
        self.handle(PublishProgress(run=number, stage=stage, locations=locations, why=why))

    def unpublish_is(self, outcome: Any) -> None:
        wanted = self.unpublishing.pop(0)
        self.handle(UnpublishSettled(ticket=wanted.ticket, outcome=outcome))

    # --- time ------------------------------------------------------------------------------------

    def passes(self, seconds: float) -> None:
        """With a `Woke` at every deadline on the way."""
        end = self.mono + seconds
        for _ in range(10_000):
            wake = self.station.wake_at
            if wake > end:
                break
            self.mono = max(self.mono, wake)
            self.handle(Woke())
        else:
            raise AssertionError("a deadline that never moves")
        self.mono = end
