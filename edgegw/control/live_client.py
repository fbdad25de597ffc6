"""The other end of the local API for those who stay and watch: streams, over asyncio.

Rules of this file:
- What can go wrong is one of `control.faults`; nothing of httpx leaves. Nothing is tried again here: who
  watches says that the line is gone, and comes back.
- An iterator never ends by itself: a gateway that ends its stream, or is silent for SILENT_S, is a fault.
- A part of a snapshot that did not change is the same object as before (`is`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote

import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError
from pydantic import BaseModel, ValidationError

from edgegw.control import faults
from edgegw.control.detail_client import ASKS_CHARGER_TIMEOUT_S
from edgegw.control.detail_models import Settings
from edgegw.control.frame_models import FramesMissed, FrameView
from edgegw.control.live_models import Change, LogLine, Snapshot
from edgegw.control.live_view import apply
from edgegw.control.talks import NO_TLS, headers_of

CONNECT_WITHIN_S = 10.0
SILENT_S = 20.0  # the gateway says something every 5 s

T = TypeVar("T", bound=BaseModel)


class LiveClient:
    """One gateway: over its Unix socket, or over `base_url` with the token. An async context manager."""

    def __init__(
        self,
        socket: Path | None = None,
        *,
        base_url: str | None = None,
        token: str | None = None,
        read_only: bool = False,
    ) -> None:
        """`read_only`: be one who may order nothing, whatever the token would allow."""
        if (socket is None) == (base_url is None):
            raise ValueError("give a socket or a base_url")
        self.where = str(socket or base_url)
        self._http = httpx.AsyncClient(
            base_url=base_url or "http://edgegw",
            transport=None if socket is None else httpx.AsyncHTTPTransport(uds=str(socket), verify=NO_TLS),
            headers=headers_of(token, read_only),
            timeout=httpx.Timeout(SILENT_S, connect=CONNECT_WITHIN_S),
            trust_env=False,
        )

    async def __aenter__(self) -> LiveClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    # --- streams --------------------------------------------------------------------------------

    async def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        """The whole picture at once, then again whenever something changed, at most four times a second."""
        snapshot: Snapshot | None = None
        async with self._events("/v1/stream") as events:
            async for event in events:
                if event.event == "snapshot":
                    snapshot = self._read(Snapshot, event.data)
                elif event.event == "change" and snapshot is not None:
                    snapshot = apply(snapshot, self._read(Change, event.data))
                else:
                    continue  # of a newer gateway
                yield snapshot

    async def frames(self, charger: str | None = None) -> AsyncGenerator[FrameView, None]:
        """OCPP frames as they pass, of one charger or of all; `missed` says what did not get through."""
        asked = {"charger": charger} if charger is not None else {}
        missed = 0
        async with self._events("/v1/frames/stream", asked) as events:
            async for event in events:
                if event.event == "dropped":
                    missed += self._read(FramesMissed, event.data).count
                elif event.event == "frame":
                    frame = self._read(FrameView, event.data)
                    yield frame.model_copy(update={"missed": missed}) if missed else frame
                    missed = 0

    async def log(self) -> AsyncGenerator[LogLine, None]:
        """Lines of the gateway's log as they are written."""
        async with self._events("/v1/log/stream") as events:
            async for event in events:
                if event.event == "line":
                    yield self._read(LogLine, event.data)

    # --- a question that may take minutes --------------------------------------------------------

    async def settings(self, identity: str, *, fresh: bool = False) -> Settings:
        """As `DetailClient.settings`. Who stops waiting for it takes it from nobody else."""
        path = f"/v1/chargers/{quote(identity, safe='')}/settings"
        timeout = httpx.Timeout(ASKS_CHARGER_TIMEOUT_S, connect=CONNECT_WITHIN_S)
        try:
            answer = await self._http.get(path, params={"fresh": fresh}, timeout=timeout)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise faults.of_httpx(self.where, error) from error
        if not answer.is_success:
            faults.refuse(self.where, answer)
        return self._read(Settings, answer.text)

    # --- HTTP -----------------------------------------------------------------------------------

    @asynccontextmanager
    async def _events(
        self, path: str, asked: dict[str, str] | None = None
    ) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
        headers = {"accept": "text/event-stream", "cache-control": "no-store"}
        try:
            async with self._http.stream("GET", path, params=asked, headers=headers) as answer:
                if not answer.is_success:
                    await answer.aread()
                    faults.refuse(self.where, answer)
                async with aclosing(self._heard(answer)) as events:
                    yield events
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise faults.of_httpx(self.where, error) from error

    async def _heard(self, answer: httpx.Response) -> AsyncGenerator[ServerSentEvent, None]:
        try:
            async with aclosing(EventSource(answer).aiter_sse()) as events:
                async for event in events:
                    yield event
        except SSEError as error:
            raise faults.strange(self.where, answer) from error
        raise faults.NotReachable(f"the gateway on {self.where} ended the stream: it stops or starts again")

    def _read(self, model: type[T], text: str) -> T:
        try:
            return model.model_validate_json(text)
        except ValidationError as error:
            words = f"edgegw on {self.where} sent something that this edgegw does not understand: a bug"
            raise faults.NotUnderstood(words) from error
