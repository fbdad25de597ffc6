"""A text on the screen that is drawn again only when it is another one."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static


class Still(Static):
    """Its height must not depend on its text: a new text never moves what stands around it."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._text = Text()

    @property
    def text(self) -> Text:
        return self._text

    def tell(self, text: Text) -> None:
        if text != self._text or text.style != self._text.style:  # `==` leaves the style out
            self._text = text
            self.update(text, layout=False)
