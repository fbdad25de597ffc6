"""What is wrong now, an alarm, and what happened to one: data, and the name an alarm has everywhere."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Literal

import msgspec

from edgegw.catalogue.model import SEVERITIES, Severity

ID_MAX = 120  # characters; a topic and a URL hold it

_PLAIN_TARGET = re.compile(r"([a-z]+ [a-z0-9]+(-[a-z0-9]+)*|[A-Z0-9]+(-[A-Z0-9]+)*)?(/[0-9]+)?", re.ASCII)
_PLAIN_KEY = re.compile(r"([a-z0-9]+(-[a-z0-9]+)*)?", re.ASCII)
_NOT_SLUG = re.compile(r"[^a-z0-9]+", re.ASCII)

Key = tuple[str, str, str]
ChangeKind = Literal["raised", "repeated", "acknowledged", "cleared", "gone"]


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """Something is wrong now. Severity, title and todo are the rule's when they are not given."""

    code: str
    target: str = ""  # "" the site, "CP-7", "CP-7/1", "meter grid", "circuit main", ...
    text: str
    severity: Severity | None = None
    title: str = ""
    todo: str = ""
    key: str = ""  # of several of one code at one target: which ("groundfailure")

    @property
    def identity(self) -> Key:
        return self.code, self.target, self.key


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """Times are wall clock, seconds since 1970."""

    id: str  # a-z 0-9 and "-"; the same whenever the same is wrong
    code: str
    target: str
    severity: Severity
    title: str
    text: str
    todo: str
    state: Literal["active", "cleared"] = "active"
    acknowledged: bool = False
    acknowledged_by: str = ""
    acknowledged_at: float | None = None
    since: float
    last_at: float  # when it came last: raised or repeated
    cleared_at: float | None = None
    count: int = 1  # how often it came
    latched: bool = False


class AlarmChange(msgspec.Struct, frozen=True, kw_only=True):
    """`alarm` is as it is after the change.

    "cleared": it is no longer in the list, unless it is latched and nobody has acknowledged it.
    "gone": it left the list although it is not over, for a worse one.
    """

    kind: ChangeKind
    alarm: Alarm


def alarm_id(code: str, target: str, key: str = "") -> str:
    """Readable where names allow it, else with a hash: two alarms never share one."""
    head, *rest = target.split("/")
    joined = "-".join(filter(None, (_slug(code), _slug(head))))
    joined += "".join(f"--{_slug(part)}" for part in (*rest, key) if part)
    if _PLAIN_TARGET.fullmatch(target) and _PLAIN_KEY.fullmatch(key) and len(joined) <= ID_MAX:
        return joined
    digest = sha256("\0".join((code, target, key)).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{joined[: ID_MAX - 9].strip('-')}-{digest}"


def _slug(text: str) -> str:
    return _NOT_SLUG.sub("-", text.lower()).strip("-")


def order(alarm: Alarm) -> tuple[int, bool, bool, float, str]:
    """Sort key: the worst first, then what is still so and what nobody has seen, then the newest."""
    return (
        -SEVERITIES.index(alarm.severity),
        alarm.state != "active",
        alarm.acknowledged,
        -alarm.last_at,
        alarm.id,
    )
