"""Questions in front of a screen: yes or no, one value, a text to read. All of them work without a mouse."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from edgegw.redaction import plain

Check = Callable[[str], str]  # "" for a good value, else what is wrong with it


class Confirm(ModalScreen[bool]):
    """Is it really meant? `y` yes, `n` or escape no; enter alone does nothing."""

    DEFAULT_CSS = """
    Confirm { align: center middle; }
    Confirm > Vertical { width: 64; max-width: 95%; height: auto; max-height: 90%; }
    Confirm > Vertical { border: heavy yellow; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
    ]

    def __init__(self, question: str, consequence: str = "") -> None:
        super().__init__()
        self._question = question
        self._consequence = consequence

    def compose(self) -> ComposeResult:
        text = Text(plain(self._question), "bold")
        if self._consequence:
            text.append(f"\n\n{plain(self._consequence)}", "not bold")
        text.append("\n\ny yes    n no", "not bold cyan")
        with Vertical():
            yield Static(text)

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class Ask(ModalScreen[str | None]):
    """One value, checked as soon as it is given; None when nothing was wanted."""

    DEFAULT_CSS = """
    Ask { align: center middle; }
    Ask > Vertical { width: 64; max-width: 95%; height: auto; border: heavy cyan; padding: 0 1; }
    Ask Input { border: none; height: 1; background: transparent; text-style: reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(self, question: str, value: str = "", *, hint: str = "", check: Check | None = None) -> None:
        super().__init__()
        self._question = question
        self._value = value
        self._hint = hint
        self._check = check

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(plain(self._question), "bold"))
            yield Input(self._value, compact=True)
            yield Static(Text(plain(self._hint)), id="hint")
            yield Static(Text("enter take it    esc leave it", "cyan"))

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        complaint = self._check(event.value.strip()) if self._check is not None else ""
        if complaint:
            self.query_one("#hint", Static).update(Text(plain(complaint), "bold red"))
        else:
            self.dismiss(event.value.strip())

    def action_cancel(self) -> None:
        self.dismiss(None)


class Reading(ModalScreen[None]):
    """A text of any length: help, a message in full, an answer."""

    DEFAULT_CSS = """
    Reading { align: center middle; }
    Reading > VerticalScroll { width: 90%; max-width: 110; height: auto; max-height: 90%; }
    Reading > VerticalScroll { border: heavy cyan; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,f1,question_mark", "close", "Close")]

    def __init__(self, title: str, text: Text | str) -> None:
        super().__init__()
        self._title = title
        self._text = text if isinstance(text, Text) else Text(text)

    def compose(self) -> ComposeResult:
        with VerticalScroll() as pane:
            pane.border_title = Text(plain(self._title)).markup
            pane.border_subtitle = "esc closes"
            yield Static(self._text)

    def action_close(self) -> None:
        self.dismiss(None)
