"""A made-up gateway to put a console in front of: it shows pictures and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from edgegw.control.client import Refused
from edgegw.control.frame_models import FrameList, FrameView
from edgegw.control.live_models import LogLine, Snapshot
from edgegw.control.models import TransactionList
from edgegw.tui.link import Where
from tests.tui.made_up import at, history
from tests.tui.made_up_charger import PROFILE, SETTINGS, frame, full, transaction


@dataclass
class Stage:
    """What the made-up gateway says and what it was asked. `pictures` are shown one after the other."""

    pictures: list[Snapshot]
    answers: dict[str, Callable[..., Any]] = field(default_factory=dict)
    asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def show(self, picture: Snapshot) -> None:
        self.pictures.append(picture)
        self.news.set()

    def answer(self, name: str, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self.asked.append((name, given, named))
        if name in self.answers:
            return self.answers[name](*given, **named)
        rows = {one.identity: one for one in self.pictures[-1].chargers}
        known: dict[str, Callable[[], Any]] = {
            "power_history": lambda: history(given[0], named.get("span_s", 900)),
            "detail": lambda: full(rows[given[0]]),
            "profile": lambda: PROFILE,
            "settings": lambda: SETTINGS,
            "frames": lambda: FrameList(frames=tuple(frame(n) for n in range(20)), next_before=None),
            "transactions": lambda: TransactionList(transactions=(transaction(),), next_before=None),
        }
        if name not in known:
            raise Refused(404, "not_here", f"nobody plays {name} here")
        return known[name]()


class StageLive:
    """As `LiveClient`."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def __aenter__(self) -> StageLive:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        shown = 0
        while True:
            self._stage.news.clear()
            while shown < len(self._stage.pictures):
                yield self._stage.pictures[shown]
                shown += 1
            await self._stage.news.wait()

    async def frames(self, charger: str | None = None) -> AsyncIterator[FrameView]:
        """Nothing passes."""
        await asyncio.Event().wait()
        yield frame(0)

    async def log(self) -> AsyncIterator[LogLine]:
        await asyncio.Event().wait()
        yield LogLine(n=0, at=at(), level="info", logger="edgegw", text="")


class StageClient:
    """As `ControlClient`: every method is a question to the stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __enter__(self) -> StageClient:
        return self

    def __exit__(self, *error: object) -> None:
        return

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *given, **named: self._stage.answer(name, given, named)


class OnStage(Where):
    """A `Where` that leads to a stage. `OnStage.of(stage)`."""

    __slots__ = ("_stage",)
    _stage: Stage

    @classmethod
    def of(cls, stage: Stage, *, operator: bool = True) -> OnStage:
        where = cls(operator=operator)
        object.__setattr__(where, "_stage", stage)
        return where

    def live(self) -> Any:
        return StageLive(self._stage)

    def client(self) -> Any:
        return StageClient(self._stage)
