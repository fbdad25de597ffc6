"""Which profiles a ClearChargingProfile or GetChargingProfiles means.

Rules of this file: all criteria that are given must fit (logical AND). With an id in a ClearChargingProfile
nothing else counts (1.6 errata 3.26, K10.FR.03). A 1.6 request without any means all; on 2.x that is not
allowed (K10.FR.02) and means none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from edgegw.balance.profile_fields import Fields, Refusal, Refused, not_to_schema
from edgegw.balance.profile_parsing import purposes_of
from edgegw.balance.profiles import Profile, Purpose
from edgegw.wire.error_codes import ErrorMeaning

# A cloud that asks for more single profiles than a charger can hold means something else.
ITEMS_MAX = 1024


class Criteria(msgspec.Struct, frozen=True, kw_only=True):
    """None: any."""

    ids: tuple[int, ...] | None = None
    connector: int | None = None  # 0: those of the charger as a whole alone (K09.FR.05)
    purpose: Purpose | None = None
    stack_level: int | None = None
    sources: tuple[str, ...] | None = None

    def match(self, profile: Profile) -> bool:
        return (
            (self.ids is None or profile.id in self.ids)
            and self.connector in (None, profile.connector)
            and self.purpose in (None, profile.purpose)
            and self.stack_level in (None, profile.stack_level)
            and (self.sources is None or profile.source in self.sources)
        )


def clear_criteria(payload: Mapping[str, Any], *, is_2x: bool) -> Criteria | Refusal:
    """From a ClearChargingProfile request of 1.6 or 2.x."""
    try:
        return _clear_2x(payload) if is_2x else _clear_16(payload)
    except Refused as refused:
        return refused.refusal


def get_criteria(payload: Mapping[str, Any]) -> Criteria | Refusal:
    """From a GetChargingProfiles request (2.x): evseId and the criterion in chargingProfile."""
    try:
        fields = Fields(payload, "GetChargingProfiles")
        criterion = Fields(fields.required("chargingProfile"), "chargingProfile")
        return Criteria(
            ids=_ids(criterion),
            connector=fields.whole_or_none("evseId"),
            purpose=criterion.choice_or_none("chargingProfilePurpose", purposes_of(is_2x=True)),
            stack_level=criterion.whole_or_none("stackLevel"),
            sources=_sources(criterion),
        )
    except Refused as refused:
        return refused.refusal


def _clear_16(payload: Mapping[str, Any]) -> Criteria:
    fields = Fields(payload, "ClearChargingProfile")
    if fields.has("id"):
        return Criteria(ids=(fields.whole("id"),))
    return _selection(fields, "connectorId", is_2x=False)


def _clear_2x(payload: Mapping[str, Any]) -> Criteria | Refusal:
    fields = Fields(payload, "ClearChargingProfile")
    if fields.has("chargingProfileId"):
        return Criteria(ids=(fields.whole("chargingProfileId"),))
    if not fields.has("chargingProfileCriteria"):
        return Refusal("Unknown", "MissingParam", "neither chargingProfileId nor criteria (K10.FR.02)")
    criteria = Fields(fields.required("chargingProfileCriteria"), "chargingProfileCriteria")
    return _selection(criteria, "evseId", is_2x=True)


def _selection(fields: Fields, connector_key: str, *, is_2x: bool) -> Criteria:
    return Criteria(
        connector=fields.whole_or_none(connector_key),
        purpose=fields.choice_or_none("chargingProfilePurpose", purposes_of(is_2x=is_2x)),
        stack_level=fields.whole_or_none("stackLevel"),
    )


def _ids(criterion: Fields) -> tuple[int, ...] | None:
    items = _items(criterion, "chargingProfileId")
    return (
        None
        if items is None
        else tuple(Fields({"item": item}, "chargingProfileId").whole("item") for item in items)
    )


def _sources(criterion: Fields) -> tuple[str, ...] | None:
    items = _items(criterion, "chargingLimitSource")
    return None if items is None else tuple(str(item) for item in items)


def _items(criterion: Fields, key: str) -> list[Any] | None:
    items = criterion.members.get(key)
    if items is not None and not (isinstance(items, list) and 1 <= len(items) <= ITEMS_MAX):
        raise not_to_schema(ErrorMeaning.TYPE, f"{key} must be a list of 1 to {ITEMS_MAX}")
    return items
