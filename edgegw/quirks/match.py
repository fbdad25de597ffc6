"""Which flags a charger has, by what its BootNotification says of it. Pure.

Patterns are globs without regard to case and to spaces around. A firmware rule is "" (any), a glob, or
comparisons joined by commas, all of which must hold. A version is the last dotted number in the charger's
text ("TAC3Z9119006710273::V1.8.21" is 1.8.21); numbers are compared one by one, missing ones are 0. A
firmware text without any number meets no comparison.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

from edgegw.quirks.model import QuirkEntry, Quirks

_COMPARISON = re.compile(r"(<=|>=|==|!=|<|>)\s*v?(\d+(?:\.\d+)*)", re.IGNORECASE)
_DOTTED = re.compile(r"\d+(?:\.\d+)+")
_NUMBER = re.compile(r"\d+")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}


def match(entries: Iterable[QuirkEntry], vendor: str, model: str, firmware: str) -> Quirks:
    """The flags of one charger: of all entries that fit, the later ones winning flag by flag."""
    fitting = [entry for entry in entries if fits(entry, vendor, model, firmware)]
    flags: dict[str, Any] = {}
    for entry in fitting:
        flags |= entry.flags
    return Quirks(names=tuple(entry.name for entry in fitting), **flags)


def fits(entry: QuirkEntry, vendor: str, model: str, firmware: str) -> bool:
    return (
        _like(vendor, entry.vendor) and _like(model, entry.model) and _firmware_fits(firmware, entry.firmware)
    )


def is_firmware_rule(rule: str) -> bool:
    """Is this a rule that `fits` understands?"""
    if not any(sign in rule for sign in "<>=!,"):
        return True
    return all(_COMPARISON.fullmatch(part.strip()) for part in rule.split(","))


def _like(text: str, pattern: str) -> bool:
    return fnmatchcase(text.strip().casefold(), pattern.strip().casefold())


def _firmware_fits(firmware: str, rule: str) -> bool:
    if not rule.strip():
        return True
    if not any(sign in rule for sign in "<>=!,"):
        return _like(firmware, rule)
    version = _version(firmware)
    return version is not None and all(_holds(version, part.strip()) for part in rule.split(","))


def _holds(version: tuple[int, ...], comparison: str) -> bool:
    found = _COMPARISON.fullmatch(comparison)
    if found is None:
        return False
    bound = _numbers(found[2])
    length = max(len(version), len(bound))
    return _COMPARE[found[1]](_padded(version, length), _padded(bound, length))


def _version(text: str) -> tuple[int, ...] | None:
    found = _DOTTED.findall(text) or _NUMBER.findall(text)
    return _numbers(found[-1]) if found else None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if len(part) <= 18)


def _padded(version: tuple[int, ...], length: int) -> tuple[int, ...]:
    return version + (0,) * (length - len(version))
