"""Reading the members of a charging profile, whatever somebody has put there.

Rules of this file:
- JSON null is read as absent; a whole number may be written as 16.0; true is not a number.
- The first member that is wrong ends the reading with `Refused`, which never leaves `balance`.
- What the schema of the message forbids is answered with a CALLERROR (`Refusal.error`), what only the rules
  on profiles forbid with a status (OCPP 1.6 errata 3.38, 2.x K01).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from edgegw.wire.error_codes import ErrorMeaning
from edgegw.wire.timestamps import parse_timestamp

# Beyond it a float does not hold every whole number; no time or id of a profile comes near.
WHOLE_MAX = 2**53
# "No limit" is written as a high number (OCPP 2.1 K 3.7.1: 999999); above this it makes no difference.
LIMIT_MAX = 1e9
TEXT_SHOWN_MAX = 40

T = TypeVar("T")


class Refusal(msgspec.Struct, frozen=True):
    """Why something is not taken; goes to the cloud.

    With `error` the answer is a CALLERROR of that meaning (`wire.error_codes` spells it), otherwise `status`
    with, on 2.x, `reason` as statusInfo.reasonCode. `text` is in words: errorDescription or additionalInfo.
    """

    status: str  # "Rejected"; "Unknown" of a ClearChargingProfile
    reason: str  # OCPP 2.x appendix 5
    text: str
    error: ErrorMeaning | None = None


class Refused(Exception):
    """Unwinds the reading of a profile."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.refusal = refusal


def rejected(reason: str, text: str) -> Refused:
    return Refused(Refusal("Rejected", reason, text))


def not_to_schema(meaning: ErrorMeaning, text: str) -> Refused:
    return Refused(Refusal("Rejected", "InvalidValue", text, meaning))


def floor_tenth(value: float) -> float:
    """Rounded down to the one decimal that OCPP knows; 16.299999999999997, a 16.3 that was reckoned, stays
    16.3."""
    return math.floor(value * 10 + 1e-6) / 10


class Fields:
    """One JSON object of a profile. Every method raises `Refused` for what it cannot take."""

    def __init__(self, members: Any, name: str) -> None:
        if not isinstance(members, Mapping):
            raise not_to_schema(ErrorMeaning.TYPE, f"{name} must be an object")
        self.members: Mapping[str, Any] = members
        self.name = name

    def has(self, *keys: str) -> bool:
        return any(self.members.get(key) is not None for key in keys)

    def required(self, key: str) -> Any:
        value = self.members.get(key)
        if value is None:
            raise not_to_schema(ErrorMeaning.OCCURRENCE, f"{self.name} has no {key}")
        return value

    def whole(self, key: str, minimum: int = -WHOLE_MAX) -> int:
        number = self._whole(key, self.required(key))
        if number < minimum:
            raise rejected("InvalidValue", f"{self.name}: {key} {number} is below {minimum}")
        return number

    def whole_or_none(self, key: str, minimum: int = -WHOLE_MAX) -> int | None:
        return None if self.members.get(key) is None else self.whole(key, minimum)

    def number_or_none(self, key: str) -> float | None:
        """Finite."""
        value = self.members.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise not_to_schema(
                ErrorMeaning.TYPE, f"{self.name}: {key} must be a number, not {_shown(value)}"
            )
        if not -1e300 < value < 1e300:  # NaN is not, either
            raise rejected("InvalidSchedule", f"{self.name}: {key} {_shown(value)} is no number to work with")
        return float(value)

    def limit_or_none(self, key: str) -> float | None:
        """0..`LIMIT_MAX`, rounded down to one decimal."""
        value = self.number_or_none(key)
        if value is None:
            return None
        if value < 0:
            raise rejected("InvalidSchedule", f"{self.name}: {key} {value:g} is below 0")
        return floor_tenth(min(value, LIMIT_MAX))

    def flag(self, key: str) -> bool:
        value = self.members.get(key)
        if not isinstance(value, bool | None):
            raise not_to_schema(ErrorMeaning.TYPE, f"{self.name}: {key} must be true or false")
        return value is True

    def choice(self, key: str, choices: Mapping[str, T]) -> T:
        return self._choice(key, self.required(key), choices)

    def choice_or_none(self, key: str, choices: Mapping[str, T]) -> T | None:
        value = self.members.get(key)
        return None if value is None else self._choice(key, value, choices)

    def text_or_none(self, key: str) -> str | None:
        value = self.members.get(key)
        if not isinstance(value, str | None):
            raise not_to_schema(ErrorMeaning.TYPE, f"{self.name}: {key} must be text, not {_shown(value)}")
        return value

    def time_or_none(self, key: str, *, as_local: bool = False) -> float | None:
        """Seconds since 1970. `as_local`: the zone that is written is of no account (K01.FR.90), the result
        counts as if the local clock were UTC."""
        text = self.text_or_none(key)
        if text is None:
            return None
        read = parse_timestamp(_without_zone(text) if as_local else text)
        if read is None:
            raise not_to_schema(ErrorMeaning.PROPERTY, f"{self.name}: {key} {_shown(text)} is not a time")
        return read[0]

    def objects(self, key: str, maximum: int) -> list[Fields]:
        items = self.required(key)
        if not isinstance(items, list):
            raise not_to_schema(ErrorMeaning.TYPE, f"{self.name}: {key} must be a list")
        if not 1 <= len(items) <= maximum:
            text = f"{self.name}: {len(items)} of {key}, allowed are 1 to {maximum}"
            raise not_to_schema(ErrorMeaning.OCCURRENCE, text)
        return [Fields(item, f"{key} {number}") for number, item in enumerate(items)]

    def _whole(self, key: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise not_to_schema(
                ErrorMeaning.TYPE, f"{self.name}: {key} must be a number, not {_shown(value)}"
            )
        if not -WHOLE_MAX <= value <= WHOLE_MAX or value != int(value):
            raise not_to_schema(
                ErrorMeaning.TYPE, f"{self.name}: {key} {_shown(value)} is not a whole number"
            )
        return int(value)

    def _choice(self, key: str, value: Any, choices: Mapping[str, T]) -> T:
        found = choices.get(value) if isinstance(value, str) else None
        if found is None:
            text = f"{self.name}: {key} {_shown(value)} is not one of {', '.join(choices)}"
            raise not_to_schema(ErrorMeaning.PROPERTY, text)
        return found


def _without_zone(text: str) -> str:
    body = text[:-1] if text[-1:] in "Zz" else text
    date, time = body[:11], body[11:]
    for sign in "+-":
        time = time.split(sign)[0]
    return (date + time).rstrip()


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**30 else "a huge number"
    return text if len(text) <= TEXT_SHOWN_MAX else text[:TEXT_SHOWN_MAX] + "..."
