"""What a session needs of the gateway around it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from edgegw.core.effects import CallFinished, LoadRows, Noticed, Reported
from edgegw.core.events import Instant
from edgegw.core.files import FileEffect
from edgegw.core.flight import Recordable
from edgegw.core.records import StoreOp
from edgegw.runtime.sequencer import Done
from edgegw.wire.frames import Frame
from edgegw.wire.versions import Version

if TYPE_CHECKING:
    from edgegw.runtime.session import Session

Record = Callable[[tuple[Instant, str, Recordable]], None]  # (when, identity, what): keeps it, does no more


class SessionOwner(Protocol):
    observe: Callable[[Version, Frame, str | None, Counter[str]], None]
    record: Record | None = None  # who keeps what happens, for people; None: nobody does

    def commit(self, ops: list[StoreOp], done: Done) -> None: ...

    def load_rows(self, session: Session, effect: LoadRows) -> None: ...

    def ask_replay_slot(self, session: Session) -> None: ...

    def call_finished(self, effect: CallFinished) -> None: ...

    def reported(self, session: Session, effect: Reported) -> None: ...

    def credentials_changed(self, session: Session, password: str) -> None: ...

    def noticed(self, session: Session, notice: Noticed) -> None: ...

    def file_effect(self, session: Session, effect: FileEffect) -> None: ...

    def charger_leg_opened(self, session: Session) -> None: ...

    def cloud_leg_opened(self, session: Session) -> None: ...

    def cloud_leg_lost(self, session: Session) -> None: ...

    def charger_leg_lost(self, session: Session) -> None: ...

    def broken(self, session: Session, error: BaseException) -> None: ...
