"""A rollout of one firmware file, and what is known of each of its chargers: data only; `rollout` decides.

One document per rollout is all that is kept, so it must say everything: also which chargers may be down.
Of a member's times both clocks are kept: how long ago one was is judged on `mono`, which no NTP moves, and
`rollout_member.recovered` brings it over a restart. Times of a whole rollout are wall clock, for people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import tzinfo
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec

from edgegw.balance.local_time import DAY_S, offset_s
from edgegw.core.events import Instant

SILENT_S = 7200.0  # large files on slow chargers take an hour; nothing takes two without a word

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)


class Stage(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"
    INSTALLING = "installing"
    INSTALLED = "installed"  # says the charger; `down` until it has been seen back
    FAILED = "failed"
    SKIPPED = "skipped"


UNDER_WAY = frozenset({Stage.SENT, Stage.DOWNLOADING, Stage.DOWNLOADED, Stage.INSTALLING})
OVER = frozenset({Stage.INSTALLED, Stage.FAILED, Stage.SKIPPED})


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One charger of a rollout."""

    stage: Stage = Stage.WAITING
    why: str = ""  # of FAILED and SKIPPED, in words
    order: str = ""  # the id that `UpdateOrdered` carries; news of any other order are not ours
    down: bool = False  # it was sent the update and has not been seen back since
    heard: Instant | None = None  # its last word on the update, or when it was sent
    began: Instant | None = (
        None  # when it began to install: what it connects after that may run something new
    )
    done: Instant | None = None  # when it said that it is done, or was given up
    firmware_before: str = ""
    acknowledged: bool = False  # the order has reached the charger's session, or the charger itself
    unsure: bool = False  # written down as sent, but the box may have stopped before it was
    silent: bool = False  # FAILED because it said nothing


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    sha256: str
    name: str
    vendor: str = "*"  # globs, without regard to case
    model: str = "*"
    version: str = ""  # what a charger says in its boot once it runs the file; "" not known
    chargers: dict[str, Member] = {}
    at_once: int = 1  # chargers down at the same time
    only_idle: bool = True
    window: str = ""  # "22:00-05:00", the site's local time; "" at any time
    failures_max: int = 1  # then it pauses by itself
    silent_s: float = SILENT_S
    created_at: float = 0.0
    paused: bool = False
    ended: bool = False
    ended_at: float = 0.0
    why: str = ""  # why it is paused or ended
    forgiven: int = 0  # failures before a person let it go on
    linking: frozenset[str] = frozenset()  # links for these are being made; not kept over a restart

    @property
    def down(self) -> int:
        return sum(member.down for member in self.chargers.values())

    @property
    def places_taken(self) -> int:
        """Those that are down, and those that will be as soon as they have a link."""
        return self.down + sum(not self.chargers[identity].down for identity in self.linking)

    @property
    def failures(self) -> int:
        """Since a person last let it go on."""
        return max(0, self.count(Stage.FAILED) - self.forgiven)

    @property
    def settled(self) -> bool:
        """Nothing can happen any more."""
        return self.ended and not self.places_taken

    def count(self, *stages: Stage) -> int:
        return sum(member.stage in stages for member in self.chargers.values())

    def with_member(self, charger: str, member: Member) -> Rollout:
        return msgspec.structs.replace(self, chargers={**self.chargers, charger: member})


class ChargerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollout may know of a charger now."""

    connected: bool = False
    connected_mono: float = 0.0  # when this connection began
    accepted: bool = True  # by its cloud, or by the box
    busy: str = ""  # why it is not idle; "" when it is
    update: str = ""  # the order of an update that runs at it, whoever gave it
    vendor: str = ""
    model: str = ""
    firmware: str = ""  # as in its newest boot


class MakeLink(msgspec.Struct, frozen=True, kw_only=True):
    """Order: make a link for this charger, then tell `rollout.linked`. The charger knows nothing yet."""

    rollout: str
    charger: str
    order: str
    sha256: str
    again: bool = False  # after a restart: it may have been sent before


class SendUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """Order: send this charger `UpdateOrdered`. That it is sent is on disk."""

    link: MakeLink  # what it answers
    url: str


def matches(text: str, pattern: str) -> bool:
    return fnmatchcase(text.strip().casefold(), pattern.strip().casefold())


def fits(rollout: Rollout, facts: ChargerFacts) -> bool:
    """Is the file for this make of charger?"""
    return matches(facts.vendor, rollout.vendor) and matches(facts.model, rollout.model)


def runs(version: str, facts: ChargerFacts) -> bool:
    return bool(version.strip()) and facts.firmware.strip().casefold() == version.strip().casefold()


def is_window(text: str) -> bool:
    """ "" or "22:00-05:00" with a beginning and an end that differ."""
    found = _WINDOW.fullmatch(text)
    return not text or (found is not None and found.group(1, 2) != found.group(3, 4))


def in_window(window: str, zone: tzinfo | None, wall: float) -> bool:
    """Is `wall` within a window by the site's clock? The end is no part of it."""
    if not window:
        return True
    found = _WINDOW.fullmatch(window)
    assert found is not None, window
    hour, minute, until_hour, until_minute = (int(part) for part in found.groups())
    begin_s, end_s = (hour * 60 + minute) * 60, (until_hour * 60 + until_minute) * 60
    local_s = (wall + offset_s(zone, wall)) % DAY_S
    if begin_s < end_s:
        return begin_s <= local_s < end_s
    return local_s >= begin_s or local_s < end_s


def listed(names: Iterable[str], shown_max: int = 3) -> str:
    """ "CP-1, CP-2, CP-3 and 4 more" """
    known = sorted(names)
    more = f" and {len(known) - shown_max} more" if len(known) > shown_max else ""
    return ", ".join(known[:shown_max]) + more
