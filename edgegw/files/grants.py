"""Who may download which file, and how far each charger is with it: changes in memory.

Rules of this file:
- Nothing is on disk by itself; `FirmwareCache` saves before it tells anybody.
- A token is never given twice and never for another file; the same order gets its token again, so a command
  that is repeated names the same link.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from edgegw.files.addresses import safe_name
from edgegw.files.disk import CacheFault
from edgegw.files.manifest import CachedFile, Contents, Grant, Holder, HolderStatus
from edgegw.files.stamps import StampClock, grant_moved

TOKEN_BYTES: Final = 24  # 192 bits: not to be guessed by anybody who can reach the port
GRANTS_MAX: Final = 10_000  # a thousand chargers, ten orders each
HOLDERS_MAX: Final = 5_000


class Grants:
    def __init__(self, contents: Contents, wall: Callable[[], float], trusted: Callable[[], bool]) -> None:
        self._contents = contents
        self._clock = StampClock(wall, trusted, self._move_stamps)

    def of(self, token: str) -> Grant | None:
        now = self._clock.judging()
        grant = self._contents.grants.get(token)
        return grant if grant is not None and now < grant.expires_at else None

    def live(self) -> Iterator[Grant]:
        """Those that have not expired."""
        now = self._clock.judging()
        return (grant for grant in self._contents.grants.values() if now < grant.expires_at)

    def _move_stamps(self, now: float) -> None:
        """The clock has been set."""
        for token, grant in self._contents.grants.items():
            self._contents.grants[token] = grant_moved(grant, now)

    def give(self, charger: str, file: CachedFile, order: str, expires_at: float, name: str) -> Grant:
        """Raises CacheFault when there are too many."""
        now = self._clock()
        old = self._known(charger, file.sha256, order)
        if old is None and len(self._contents.grants) >= GRANTS_MAX:
            raise CacheFault(
                f"{GRANTS_MAX} links to firmware are open; revoke some or wait until they expire"
            )
        grant = Grant(
            token=old.token if old else secrets.token_urlsafe(TOKEN_BYTES),
            charger=charger,
            sha256=file.sha256,
            name=safe_name(name or file.name),
            expires_at=max(expires_at, old.expires_at) if old else expires_at,
            order=order,
            undated_at=None if self._clock.trusted else now,
        )
        self._contents.grants[grant.token] = grant
        return grant

    def _known(self, charger: str, sha256: str, order: str) -> Grant | None:
        wanted = (order, charger, sha256)
        same = (grant for grant in self.live() if (grant.order, grant.charger, grant.sha256) == wanted)
        return next(same, None)

    def drop(self, unwanted: Callable[[Grant], bool]) -> bool:
        """Take back what is not wanted any more; whether there was any."""
        grants = self._contents.grants
        tokens = [token for token, grant in grants.items() if unwanted(grant)]
        for token in tokens:
            del grants[token]
        return bool(tokens)

    def drop_expired(self) -> None:
        now = self._clock.judging()
        self.drop(lambda grant: grant.expires_at <= now)

    def note(self, charger: str, sha256: str, status: HolderStatus) -> None:
        """Keep how far a charger is with a file; one that installed this one no longer has another."""
        holder = Holder(charger=charger, status=status, at=self._clock())
        for file in list(self._contents.files.values()):
            here = file.sha256 == sha256
            if here or status == "installed":
                others = tuple(h for h in file.holders if h.charger != charger)
                holders = (*others, holder)[-HOLDERS_MAX:] if here else others
                self._contents.files[file.sha256] = msgspec.structs.replace(file, holders=holders)
