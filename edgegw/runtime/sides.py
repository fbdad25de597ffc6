"""Who hears a leg: what it says reaches its session as long as it is that session's current one."""

from __future__ import annotations

from edgegw.runtime.ports import Leg
from edgegw.runtime.session import Session
from edgegw.wire.versions import Version


class ChargerSide:
    """Listener of one charger leg; deaf once the session has another."""

    __slots__ = ("_leg", "_session", "_version")

    def __init__(self, session: Session, version: Version) -> None:
        self._session = session
        self._version = version
        self._leg: Leg | None = None

    def on_open(self, leg: Leg) -> None:
        self._leg = leg
        self._session.charger_opened(leg, self._version)

    def on_text(self, data: bytes) -> None:
        session = self._session
        if session.charger_leg is self._leg:
            session.charger_said(data)

    def on_closed(self, code: int, reason: str) -> None:
        if self._leg is not None:
            self._session.charger_closed(self._leg, code, reason)


class CloudSide:
    """Listener of one cloud leg. It holds what the cloud says until the leg is a session's."""

    __slots__ = ("_early", "_leg", "_session", "lost")

    def __init__(self) -> None:
        self._session: Session | None = None
        self._leg: Leg | None = None
        self._early: list[bytes] = []
        self.lost = False

    def on_open(self, leg: Leg) -> None:
        self._leg = leg

    def attach(self, session: Session) -> bool:
        """The leg is this session's now. False when it is gone already."""
        if self.lost or self._leg is None:
            return False
        self._session = session
        session.cloud_opened(self._leg)
        early, self._early = self._early, []
        for data in early:
            session.cloud_said(data)
        return True

    def on_text(self, data: bytes) -> None:
        session = self._session
        if session is None:
            self._early.append(data)
        elif session.cloud_leg is self._leg:
            session.cloud_said(data)

    def on_closed(self, code: int, reason: str) -> None:
        self.lost = True
        if self._session is not None:
            self._session.cloud_closed(self._leg, code, reason)
