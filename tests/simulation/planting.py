"""The register of planted faults: a name, and how to put it into the core for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Plant = Callable[[], Any]  # gives a context manager
_PLANTS: dict[str, Plant] = {}


def plant(function: Plant) -> Plant:
    _PLANTS[function.__name__] = function
    return function


@contextmanager
def planted(name: str) -> Iterator[None]:
    with _PLANTS[name]():
        yield


def names() -> tuple[str, ...]:
    return tuple(_PLANTS)
