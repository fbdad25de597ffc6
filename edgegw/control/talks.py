"""What the parts of the control client need of the whole: who talks to the gateway is `ControlClient`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel

T = TypeVar("T", bound=BaseModel)


class Talks(ABC):
    @abstractmethod
    def _get(self, model: type[T], path: str, query: dict[str, Any] | None = None) -> T: ...

    @abstractmethod
    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response: ...

    @abstractmethod
    def _read(self, model: type[T], answer: httpx.Response) -> T: ...

    @abstractmethod
    def _streaming(self, path: str) -> AbstractContextManager[httpx.Response]: ...
