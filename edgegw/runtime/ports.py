"""What the runtime needs of the rooms above it, as protocols; `app` plugs the real ones in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from edgegw.core.files import FileEffect
from edgegw.core.records import JournalRow, Recovery, RowState, StoreOp, TransactionRecord
from edgegw.errors import CloudFault


class Leg(Protocol):
    """One open WebSocket, to a charger or to the cloud."""

    @property
    def subprotocol(self) -> str | None: ...

    @property
    def peer(self) -> str:
        """`host:port` of the other end, for people."""

    def send(self, data: bytes) -> None:
        """Send one text message. Never blocks, never raises; a leg that is closing drops it."""

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; `on_closed` follows within the close timeout."""

    def pause_reading(self) -> None:
        """Stop reading from the socket (TCP back pressure) until `resume_reading`."""

    def resume_reading(self) -> None: ...

    async def is_alive(self, timeout_s: float) -> bool:
        """Ping the peer; True when anything at all arrives from it within `timeout_s`."""


class LegListener(Protocol):
    """Who is told what happens on a leg. Called from the event loop, must not block or raise."""

    def on_open(self, leg: Leg) -> None: ...

    def on_text(self, data: bytes) -> None:
        """One whole text message, exactly the bytes that came (UTF-8 not yet checked)."""

    def on_closed(self, code: int, reason: str) -> None:
        """Exactly once per leg that was opened. 1006 when the peer vanished."""


class HandshakeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a charger asked for, untouched."""

    target: str  # request target as sent, latin-1: "/ocpp/CP%2F1"
    subprotocols: tuple[str, ...]
    authorization: str | None  # header value as sent
    compression: bool  # permessage-deflate offered
    peer_ip: str
    tls: bool


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """Answer 101. `subprotocol` None: without the header. `close_reason` not empty: then close with
    1002 (OCPP-J 3.3: no common subprotocol); the listener hears nothing of it."""

    subprotocol: str | None
    listener: LegListener
    close_reason: str = ""
    compression: bool = False


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Answer `status` and close. `reason` goes to the log and the technician, not to the peer."""

    status: int
    reason: str
    text: str = ""  # body for the peer; must give nothing away
    headers: Mapping[str, str] = {}


class Gatekeeper(Protocol):
    async def admit(self, request: HandshakeRequest) -> Admitted | Refused: ...

    def handshake_failed(self, peer_ip: str, reason: str) -> None:
        """A connection that never became a handshake request (TLS failure, junk, timeout)."""


class DialRequest(msgspec.Struct, frozen=True, kw_only=True):
    identity: str
    raw_segment: str  # percent-encoded last path segment as the charger sent it
    base_url: str  # cloud URL this charger belongs to
    subprotocols: tuple[str, ...]
    authorization: str | None
    compression: bool
    listener: LegListener


class DialFailed(CloudFault):
    """The cloud leg did not open.

    `status` is the HTTP status if the cloud answered one (401, 403, 404, 429, 503 ...), else None; 101 when
    it took the connection but none of the subprotocols offered;
    `retry_after_s` its Retry-After. `text` says in words what failed (DNS, TCP, TLS, HTTP, timeout).
    """

    def __init__(self, text: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.retry_after_s = retry_after_s


class CloudDialler(Protocol):
    async def dial(self, request: DialRequest) -> Leg:
        """Open a cloud leg; `listener.on_open` was called when it returns. Raises DialFailed."""


class JournalPort(Protocol):
    """The store as the runtime sees it."""

    def commit(self, ops: Sequence[StoreOp]) -> asyncio.Future[None]:
        """All `ops` in one transaction, group-committed with others'. Resolves after the sync.

        Fails with StoreFull (nothing written) or StoreUnknownOutcome (maybe written).
        """

    async def recover(self, charger: str | None = None) -> Recovery:
        """All that is needed to go on after a restart; of one charger only when it is named."""

    async def rows(self, charger: str, *, after_seq: int, limit: int) -> Sequence[JournalRow]:
        """Waiting (`stored`) rows of lane TRANSACTION with seq > after_seq, in order."""

    async def listing(
        self,
        *,
        state: RowState | None = None,
        charger: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[tuple[int, JournalRow]]:
        """(row id, row), newest first, for people. `before` pages on."""

    async def transactions(
        self,
        *,
        charger: str | None = None,
        running: bool | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[tuple[int, TransactionRecord]]: ...


class FilesPort(Protocol):
    """The file service. What it has to say comes back through `Gateway.tell`."""

    def perform(self, identity: str, effect: FileEffect) -> None:
        """Carry out what a charger's decisions want of files. Never blocks, never raises."""

    def cloud_is_back(self) -> None:
        """A leg to the cloud opened: what waits to be sent may be tried now."""


class DialTurns(Protocol):
    """The site's pace of dialling the cloud."""

    async def wait(self) -> None:
        """Returns when it is this caller's turn."""


class LoginBrake(Protocol):
    """Slows down who guesses passwords, by address; locks nobody out."""

    def delay_s(self, ip: str, now: float) -> float:
        """The wait that the failures of this address have earned. `now` in seconds, monotonic."""

    def failed(self, ip: str, now: float) -> float:
        """Count a failed login; the wait before the next."""


class Verifiers(Protocol):
    """Keeps what proves a charger's password, never the password."""

    async def make(self, authorization_header: str) -> str: ...

    async def make_password(self, username: str, password: bytes) -> str: ...

    async def verify(self, authorization_header: str, stored: str) -> bool: ...
