"""A table of things that keep coming, the newest last: it follows them, or stays where somebody reads.

Rule: while the cursor is on the last row it goes along to the new last row. Elsewhere the row under the
cursor keeps its line on the screen, whatever comes below it and goes above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from edgegw.tui.table import Line, VirtualTable


class TailTable(VirtualTable):
    HELP: ClassVar[str] = (
        "The newest is at the bottom. End (or G) goes there and follows what comes; "
        "any other line stays where it is while you read it. Space holds everything."
    )

    @property
    def follows(self) -> bool:
        return self._cursor >= len(self._rows) - 1

    def show(self, rows: Sequence[Line], empty: str | None = None) -> None:
        follows, line = self.follows, self._cursor - self.scroll_offset.y
        super().show(rows, empty)
        if follows:
            self._move_to(len(self._rows) - 1)
        elif self._cursor - self.scroll_offset.y != line:
            self.scroll_to(y=max(0, self._cursor - line), animate=False, immediate=True, force=True)
            self.refresh()
