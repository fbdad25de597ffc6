"""What the console tells: a line of its own above the footer, which covers nothing, and all of it on key 0.

Rules of this file:
- Nothing is lost: the newest stays with its time until another one comes, and the last KEPT_MAX can be read.
- For FRESH_S a message has as many lines as it needs (LINES_MAX, and fewer on a low terminal), so have those
  that came with it; what does not fit is counted.
- The same message again and again is one, with how often it came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from textwrap import wrap
from typing import Literal, NamedTuple

from rich.text import Text
from textual.widgets import Static

from edgegw.redaction import plain

KEPT_MAX = 500
TEXT_MAX = 2000  # characters: a charger's answer may be any JSON
FRESH_S = 20.0
LINES_MAX, SCREEN_SHARE = 4, 6  # of so many lines of the terminal one is for messages
SHOWN_AT_ONCE_MAX = 8
KEY = "0"

Severity = Literal["information", "warning", "error"]

SIGNS: dict[Severity, str] = {"information": "", "warning": "! ", "error": "x "}
STYLES: dict[Severity, str] = {"information": "bold", "warning": "yellow", "error": "bold red"}


class Told(NamedTuple):
    at: float  # seconds since 1970, by this terminal's clock
    text: str
    severity: Severity

    @property
    def clock(self) -> str:
        return f"{datetime.fromtimestamp(self.at, UTC):%H:%M:%S}Z"


class Several(NamedTuple):
    """The newest of those that say the same."""

    told: Told
    times: int

    @property
    def words(self) -> str:
        often = f" ({self.times} times)" if self.times > 1 else ""
        return f"{self.told.clock} {SIGNS[self.told.severity]}{self.told.text}{often}"


class SaidBook:
    """All that was told, the newest last."""

    def __init__(self) -> None:
        self._kept: deque[Told] = deque(maxlen=KEPT_MAX)

    @property
    def texts(self) -> list[str]:
        return [one.text for one in self._kept]

    def add(self, text: str, severity: Severity, at: float) -> None:
        short = text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 4]} ..."
        self._kept.append(Told(at, plain(short), severity))

    def lines(self, now: float, width: int, height: int) -> list[Text]:
        """What stands above the footer of a terminal of that size; nothing when nothing was told yet."""
        if not self._kept:
            return []
        said = _without_repeats(reversed([one for one in self._kept if now - one.at < FRESH_S]))
        room = max(1, min(LINES_MAX, height // SCREEN_SHARE))
        if not said:
            return [_line(_without_repeats([self._kept[-1]])[0], width - 2)]
        return _fitted(said[:SHOWN_AT_ONCE_MAX], width - 2, room, left_out=len(said[SHOWN_AT_ONCE_MAX:]))

    def whole(self) -> Text:
        """To be read; the newest first."""
        text = Text()
        for one in _without_repeats(reversed(self._kept)):
            text.append(f"{one.words}\n", STYLES[one.told.severity])
        text.rstrip()
        return text if self._kept else Text("nothing was told yet")


def _without_repeats(newest_first: Iterable[Told]) -> list[Several]:
    found: list[Several] = []
    for one in newest_first:
        if found and (found[-1].told.text, found[-1].told.severity) == (one.text, one.severity):
            found[-1] = Several(found[-1].told, found[-1].times + 1)
        else:
            found.append(Several(one, 1))
    return found


def _fitted(newest_first: list[Several], width: int, room: int, *, left_out: int) -> list[Text]:
    """The newest at the bottom, in full when there is room."""
    found: list[Text] = []
    for place, one in enumerate(newest_first):
        wrapped = wrap(one.words, max(10, width), subsequent_indent=" " * 10) or [""]
        if len(found) + len(wrapped) > room:
            left_out += len(newest_first) - place
            break
        found = [Text(f" {line}", STYLES[one.told.severity]) for line in wrapped] + found
    if not found:
        return [_line(newest_first[0], width, left_out - 1)]
    if left_out:
        hint = f"  and {left_out} before: key {KEY}"
        found[0].truncate(max(1, width + 1 - len(hint)), overflow="ellipsis")
        found[0].append(hint, "not bold cyan")
    return found


def _line(one: Several, width: int, before: int = 0) -> Text:
    """In one line; what does not fit is behind the key."""
    more = f" and {before} before" if before > 0 else ""
    line = Text(f" {one.words}", STYLES[one.told.severity], no_wrap=True)
    if line.cell_len > width or more:
        line.truncate(max(1, width - len(more) - 14), overflow="ellipsis")
        line.append(f"  key {KEY}: all{more}", "not bold cyan")
    return line


class SaidLine(Static):
    """Above the footer; not there before anything is told."""

    DEFAULT_CSS = "SaidLine { display: none; height: 1; text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Text] = []

    def tell(self, lines: list[Text]) -> None:
        if lines == self._lines:
            return
        if len(lines) != len(self._lines):
            self.styles.height = max(1, len(lines))
            self.display = bool(lines)
        self._lines = lines
        self.update(Text("\n", no_wrap=True).join(lines), layout=False)
