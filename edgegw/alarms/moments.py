"""What is told once and has no end of its own: notices, and how updates came out.

Rules of this file:
- A moment counts as wrong for HOLD_S; its alarm is latched, so that whoever comes later sees it.
- There are MOMENTS_MAX at most; the oldest gives way: its alarm has been raised by then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping

from edgegw.core.alarms import Condition, Key
from edgegw.core.events import Instant
from edgegw.core.files import FirmwareNews, UploadNews
from edgegw.runtime.entrance import Notice

HOLD_S = 5.0  # longer than the loop ever takes to look
MOMENTS_MAX = 1000  # one update of each charger, and some

# kind of a notice -> code of its alarm
NOTICES: Mapping[str, str] = {
    "store_corrupt": "store_damaged",
    "store_unknown_outcome": "store_commit_unsure",
    "firmware_forbidden": "update_failed",
    "firmware_bad_certificate": "update_failed",
    "firmware_bad_signature": "update_failed",
}
# OCPP FirmwareStatusEnumType: the update came to nothing. "Refused": the charger did not take the command.
FAILED = frozenset(
    {"InstallationFailed", "InstallVerificationFailed", "InvalidSignature", "DownloadFailed", "Refused"}
)


class Moments:
    """A listener of the gateway's notices and of its news of files."""

    def __init__(self) -> None:
        self._new: list[Condition] = []
        self._held: OrderedDict[Key, tuple[float, Condition]] = OrderedDict()  # until when (mono)

    def on_notice(self, notice: Notice) -> None:
        code = NOTICES.get(notice.kind)
        if code is not None:
            self._tell(Condition(code=code, target=notice.charger, text=notice.text))

    def on_news(self, identity: str, news: FirmwareNews | UploadNews) -> None:
        if isinstance(news, FirmwareNews) and news.ended and news.status in FAILED:
            why = f" ({news.why})" if news.why else ""
            text = f"{identity}: the firmware update ended with {news.status}{why}"
            self._tell(Condition(code="update_failed", target=identity, text=text))

    def _tell(self, condition: Condition) -> None:
        self._new.append(condition)
        del self._new[:-MOMENTS_MAX]

    def look(self, now: Instant) -> Iterator[Condition]:
        for condition in self._new:
            self._held.pop(condition.identity, None)
            self._held[condition.identity] = (now.mono + HOLD_S, condition)
            if len(self._held) > MOMENTS_MAX:
                self._held.popitem(last=False)
        self._new.clear()
        for identity in [key for key, (until, _) in self._held.items() if now.mono >= until]:
            del self._held[identity]
        yield from (condition for _, condition in self._held.values())

    def listen_to_the_past(self, notices: Iterable[Notice]) -> None:
        """What was told before anybody listened: while the store and the files were opened."""
        for notice in notices:
            self.on_notice(notice)
