"""What the parts of the control client need of the whole: who talks to the gateway is `ControlClient`."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

if TYPE_CHECKING:
    import httpx  # the gateway knows the words of this file too, and needs no HTTP client

T = TypeVar("T", bound=BaseModel)

# For a Unix socket, where no TLS is spoken; it trusts nobody. Reading the machine's authorities takes 50 ms.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

ROLE_HEADER = "edgegw-role"
READ_ONLY = "read-only"


def headers_of(token: str | None, read_only: bool) -> dict[str, str]:
    """What every request of one client says of who asks."""
    said = {"authorization": f"Bearer {token}"} if token else {}
    return {**said, ROLE_HEADER: READ_ONLY} if read_only else said


class Talks(ABC):
    @abstractmethod
    def _get(self, model: type[T], path: str, query: dict[str, Any] | None = None) -> T: ...

    @abstractmethod
    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response: ...

    @abstractmethod
    def _read(self, model: type[T], answer: httpx.Response) -> T: ...

    @abstractmethod
    def _streaming(
        self, path: str, query: dict[str, Any] | None = None, *, method: str = "GET", **request: Any
    ) -> AbstractContextManager[httpx.Response]: ...
