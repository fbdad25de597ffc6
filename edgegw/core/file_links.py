"""Which of the box's links a charger is given, by what it can use. Pure.

SupportedFileTransferProtocols (1.6), OCPPCommCtrlr.FileTransferProtocols (2.x) and quirks say it; a charger
of which nothing is known is taken to know the scheme that its operator uses, and http where that is https.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgegw.core import box_calls
from edgegw.core.effects import Effect
from edgegw.core.events import Instant
from edgegw.core.state import ChargerState
from edgegw.quirks.match import match
from edgegw.quirks.model import Quirks
from edgegw.wire.versions import Version

# Length of the field: 1.6 says nothing of UpdateFirmware.location, and what fits the others fits it.
LOCATION_MAX = {Version.V16: 512, Version.V201: 512, Version.V21: 2000}
PURPOSE = "protocols"
_KEY_16, _VARIABLE_2X = "SupportedFileTransferProtocols", "FileTransferProtocols"
_LIKE = {"https": ("https", "http"), "http": ("http", "https"), "ftp": ("ftp",), "ftps": ("ftp",)}


def choose(state: ChargerState, urls: Iterable[str], original: str) -> str | None:
    """The link for this charger, or None when none of them is for it."""
    by_scheme = {url.partition(":")[0]: url for url in urls if len(url) <= LOCATION_MAX[state.version]}
    wanted = original.partition(":")[0].casefold()
    quirks = quirks_of(state)
    known = quirks.file_protocols or state.profile.file_protocols
    if known:
        usable = [protocol.casefold() for protocol in known]
        order = [wanted, "https", "http", "ftp"]
        return next((by_scheme[s] for s in order if s in usable and s in by_scheme), None)
    return next((by_scheme[s] for s in _LIKE.get(wanted, ()) if s in by_scheme), None)


def quirks_of(state: ChargerState) -> Quirks:
    profile = state.profile
    return match(state.site.files.quirks, profile.vendor, profile.model, profile.firmware)


def ask_protocols(state: ChargerState, now: Instant) -> list[Effect]:
    """Once per connection, of a charger that never said."""
    files = state.files
    if files.asked_protocols or state.profile.file_protocols or not state.charger_up:
        return []
    quirks = quirks_of(state)
    if quirks.file_protocols or not quirks.reads_configuration:
        return []
    files.asked_protocols = files.asking_protocols = True
    if not state.version.is_2x:
        return box_calls.ask(state, "GetConfiguration", {"key": [_KEY_16]}, PURPOSE, now)
    variable = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": _VARIABLE_2X}}
    return box_calls.ask(state, "GetVariables", {"getVariableData": [variable]}, PURPOSE, now)


def learn_protocols(state: ChargerState, answer: dict[str, Any]) -> list[Effect]:
    """From any GetConfiguration or GetVariables that passes."""
    for item in _items(answer):
        variable = item.get("variable")
        name = item.get("key", variable.get("name") if isinstance(variable, dict) else None)
        value = item.get("value", item.get("attributeValue"))
        if name in (_KEY_16, _VARIABLE_2X) and isinstance(value, str):
            words = (word.strip().upper() for word in value.split(","))
            return [*state.save_profile(file_protocols=tuple(word[:20] for word in words if word)[:20])]
    return []


def _items(answer: dict[str, Any]) -> list[dict[str, Any]]:
    found = answer.get("configurationKey") or answer.get("getVariableResult")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
