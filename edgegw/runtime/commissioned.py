"""Connectors that were wired while the gateway ran: what is kept of them, and the site with them. Pure.

Rules of this file:
- The site file is right: what it wires itself is not wired here, and every rule of `[[connector]]` and of the
  sums per circuit holds for both together (`config_power`), with the same words.
- What does not fit any more, because the site file has changed, stays kept and is not in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from edgegw.config import SiteConfig
from edgegw.config_power import PHASE_NAMES, Connector, check_power
from edgegw.config_text import words_of
from edgegw.errors import EdgegwError

KIND = "wiring"
COMMISSIONED_MAX = 2000


class NotWired(EdgegwError):
    """Wiring that the site file would be refused for; the text is its complaint."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a `[[connector]]`, and when it was commissioned (wall)."""

    charger: str
    connector: int
    circuit: str
    phases: str = "L1 L2 L3"
    min_a: float = 6.0
    max_a: float = 32.0
    safe_a: float = 6.0
    dc: bool = False
    min_kw: float | None = None
    max_kw: float | None = None
    safe_kw: float | None = None
    at: float = 0.0

    @property
    def id(self) -> str:
        return f"{self.charger}/{self.connector}"


class Merged(msgspec.Struct, frozen=True):
    """The site file with what was commissioned."""

    config: SiteConfig
    in_force: Mapping[str, Kept]
    superseded: tuple[str, ...]  # the site file wires them by now
    troubles: Mapping[str, str]  # kept, not in force, and why


def merge(site_file: SiteConfig, kept: Iterable[Kept]) -> Merged:
    """`kept` in the order in which they were commissioned: whoever came first keeps its place."""
    named = {connector.id for connector in site_file.connector}
    connectors, in_force, troubles = list(site_file.connector), dict[str, Kept](), dict[str, str]()
    superseded = []
    for one in kept:
        if one.id in named:
            superseded.append(one.id)
            continue
        try:
            connectors = [*connectors, checked(site_file, connectors, one)]
            in_force[one.id] = one
        except NotWired as fault:
            troubles[one.id] = str(fault)
    config = site_file.model_copy(update={"connector": tuple(connectors)})
    return Merged(config, in_force, tuple(superseded), troubles)


def checked(site_file: SiteConfig, others: Iterable[Connector], kept: Kept) -> Connector:
    """As the site file would have it beside `others`. Raises NotWired."""
    connector = _connector(kept)
    try:
        check_power(
            site_file.meter,
            site_file.circuit,
            [*others, connector],
            site_file.schedule,
            site_file.balancing,
        )
    except PydanticCustomError as fault:
        raise NotWired(fault.message()) from None
    return connector


def _connector(kept: Kept) -> Connector:
    fields: dict[str, Any] = {
        "charger": kept.charger,
        "connector": kept.connector,
        "circuit": kept.circuit,
        "phases": kept.phases,
        "dc": kept.dc,
    }
    amps = {} if kept.dc else {"min": kept.min_a, "max": kept.max_a, "safe": kept.safe_a}
    power = {"min_kw": kept.min_kw, "max_kw": kept.max_kw, "safe_kw": kept.safe_kw}
    try:
        return Connector.model_validate({**fields, **amps, **power})
    except ValidationError as fault:
        raise NotWired("; ".join(_complaints(fault))) from None


def _complaints(fault: ValidationError) -> Iterable[str]:
    for error in fault.errors()[:5]:
        key = error.get("ctx", {}).get("key") or ".".join(str(part) for part in error["loc"])
        yield f"{key} {words_of(error)}" if key else words_of(error)


def phase_words(phases: Iterable[int]) -> str:
    """ "L2 L3 L1" of (1, 2, 0)."""
    return " ".join(PHASE_NAMES[phase] for phase in phases)
