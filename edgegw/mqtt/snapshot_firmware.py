"""The firmware of each charger for the view: what it said last of an update, and how far its download is.

Rules of this file:
- News of updates come from `Gateway.file_listeners`; after a restart the order on disk says what is known.
- A name, never an address: addresses hold tokens, users and passwords.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from edgegw.control.file_house import FileHouse, TransferSeen
from edgegw.core.file_orders import FirmwareOrder, Stage
from edgegw.core.files import FirmwareNews, UploadNews
from edgegw.core.state import ChargerState
from edgegw.mqtt import payloads
from edgegw.mqtt.numbers import clipped

CHARGERS_MAX = 2_000  # whose last news are remembered
# What the box knows of an order that its charger has not reported on since the box started.
_WORDS: Mapping[Stage, str] = {
    Stage.FETCHING: "Fetching",
    Stage.SENT: "Sent",
    Stage.LOCAL: "Sent",
    Stage.ORIGINAL: "Sent",
    Stage.FAILED: "DownloadFailed",
}


class FirmwareMaker:
    def __init__(self, files: FileHouse | None) -> None:
        self._files = files
        self._news: dict[str, FirmwareNews] = {}
        self._running: dict[str, TransferSeen] = {}
        self._made: dict[str, tuple[object, payloads.FirmwareState]] = {}

    def heard(self, identity: str, news: FirmwareNews | UploadNews) -> None:
        """A listener of `Gateway.file_listeners`."""
        if isinstance(news, FirmwareNews):
            self._news.pop(identity, None)
            self._news[identity] = news
            if len(self._news) > CHARGERS_MAX:
                del self._news[next(iter(self._news))]

    def look(self) -> None:
        """At the downloads under way: once per view."""
        if self._files is not None:
            self._running = {
                transfer.charger: transfer
                for transfer in self._files.transfers
                if transfer.state == "running" and transfer.direction == "down"
            }

    def state(self, state: ChargerState | None, identity: str) -> payloads.FirmwareState:
        version = state.profile.firmware if state is not None else ""
        order = state.files.firmware if state is not None else None
        news, transfer = self._news.get(identity), self._running.get(identity)
        progress = _progress(transfer)
        key = (version, order, news, transfer.name if transfer is not None else "", progress)
        known = self._made.get(identity)
        if known is not None and known[0] == key:
            return known[1]
        made = payloads.FirmwareState(
            version=clipped(version),
            state=_word(order, news),
            file=clipped(transfer.name if transfer is not None else _name(order)),
            progress=progress,
            error=clipped(news.why) if news is not None else "",
        )
        self._made[identity] = key, made
        return made

    def forget(self, identities: set[str]) -> None:
        """Chargers that are gone."""
        for identity in identities:
            self._made.pop(identity, None)


def _word(order: FirmwareOrder | None, news: FirmwareNews | None) -> str:
    if news is not None and (order is None or order.id == news.order):
        return clipped(news.status)
    if order is not None:
        return _WORDS[order.stage]
    return clipped(news.status) if news is not None else ""


def _progress(transfer: TransferSeen | None) -> float | None:
    if transfer is None or not transfer.total_bytes:
        return None
    return round(min(1.0, max(0.0, transfer.bytes_moved / transfer.total_bytes)), 3)


def _name(order: FirmwareOrder | None) -> str:
    if order is None:
        return ""
    try:
        return unquote(urlsplit(order.location).path.rpartition("/")[2])
    except ValueError:
        return ""
