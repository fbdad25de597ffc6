"""Which URL led to which file, and what its origin said of the version: changes in memory.

Rules of this file:
- By the hash of the URL; the URL itself may be a secret and is not kept.
- Several URLs may lead to one file; each has its own version tags and its own time of the last check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from edgegw.files.manifest import CachedFile, Contents, Origin

ORIGINS_MAX: Final = 2_000  # signed links differ every time; the oldest is forgotten


class Origins:
    def __init__(self, contents: Contents, wall: Callable[[], float]) -> None:
        self._contents = contents
        self._wall = wall

    def file(self, key: str) -> CachedFile | None:
        """What the URL led to, as that URL tells it."""
        origin = self._contents.origins.get(key)
        file = self._contents.files.get(origin.sha256) if origin else None
        if origin is None or file is None:
            return None
        return msgspec.structs.replace(
            file,
            origin=origin.shown,
            origin_key=key,
            etag=origin.etag,
            last_modified=origin.last_modified,
            checked_at=origin.checked_at,
        )

    def remember(self, file: CachedFile) -> None:
        """Where a file came from just now."""
        origins = self._contents.origins
        origins.pop(file.origin_key, None)
        if len(origins) >= ORIGINS_MAX:
            del origins[next(iter(origins))]
        origins[file.origin_key] = Origin(
            key=file.origin_key,
            sha256=file.sha256,
            shown=file.origin,
            etag=file.etag,
            last_modified=file.last_modified,
            checked_at=file.checked_at,
        )

    def confirm(self, key: str) -> None:
        """The origin said just now that it still has this version."""
        if (origin := self._contents.origins.get(key)) is not None:
            self._contents.origins[key] = msgspec.structs.replace(origin, checked_at=self._wall())

    def doubt(self, key: str) -> None:
        """What it gave was not what it should be: it is asked again before the next use."""
        if (origin := self._contents.origins.get(key)) is not None:
            self._contents.origins[key] = msgspec.structs.replace(origin, checked_at=0.0)

    def forget(self, sha256: str) -> None:
        origins = self._contents.origins
        for key in [key for key, origin in origins.items() if origin.sha256 == sha256]:
            del origins[key]
