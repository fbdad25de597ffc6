"""What the site decides for all chargers, as a recording holds it: policies as plain values and back.

Rules of this file: card ids of the site file are masked by who writes it (`masked`), as in frames.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Any

import msgspec
from msgspec.structs import replace

from edgegw.core.files import NO_FILES, FilesPolicy
from edgegw.core.power import NOT_BALANCED, PowerPolicy
from edgegw.core.site import Policy, Site


class SiteKept(msgspec.Struct, frozen=True, kw_only=True):
    policy: Policy = Policy()
    power: PowerPolicy = NOT_BALANCED
    files: FilesPolicy = NO_FILES


def to_data(site: Site, masked: Callable[[str], str]) -> Any:
    """`masked` is given a card id."""
    tokens = site.policy.tokens
    tags = {masked(tag): status for tag, status in tokens.tags.items()}
    policy = replace(site.policy, tokens=replace(tokens, tags=tags))
    kept = SiteKept(policy=policy, power=site.power, files=site.files)
    return msgspec.to_builtins(kept, enc_hook=_zone_name)


def _zone_name(value: Any) -> str:
    if isinstance(value, tzinfo):
        return getattr(value, "key", "") or "UTC"
    raise NotImplementedError(f"{type(value).__name__} in a policy")


def from_data(data: Any, zone: Callable[[str], tzinfo]) -> SiteKept:
    """`zone` knows time zones by name. Raises msgspec.ValidationError, and what `zone` raises."""

    def hook(kind: type, value: Any) -> Any:
        return zone(str(value)) if kind is tzinfo else value

    return msgspec.convert(data, SiteKept, dec_hook=hook, str_keys=True)
