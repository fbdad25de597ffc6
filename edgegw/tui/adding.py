"""Adding a firmware file from this machine: which file, and which chargers it is for."""

from __future__ import annotations

from edgegw.control.client import ControlClient, ControlFault
from edgegw.control.firmware_client import DamagedOnTheWay
from edgegw.control.firmware_models import FileView
from edgegw.tui.dialogs import Ask, Check
from edgegw.tui.frame import ConsoleScreen
from edgegw.tui.saving import path_of
from edgegw.tui.words import size

QUESTIONS = (
    ("Which file on this machine?", "The machine that this console runs on."),
    ("Vendor of the chargers it is for?", 'As they say it themselves; "*" fits all.'),
    ("Model of the chargers it is for?", '"*" and "?" are wildcards, such as Wall*.'),
    ("Version?", "What a charger says in its boot once it runs this file."),
)


class AddFirmware:
    """One question after the other; leaving one of them leaves all."""

    def __init__(self, screen: ConsoleScreen) -> None:
        self._screen = screen
        self._answers: list[str] = []

    def begin(self) -> None:
        place = len(self._answers)
        if place == len(QUESTIONS):
            self._carry_out()
            return
        question, hint = QUESTIONS[place]
        check: Check = _is_file if place == 0 else _is_word
        self._screen.app.push_screen(Ask(question, hint=hint, check=check), self._answered)

    def _answered(self, answer: str | None) -> None:
        if answer is not None:
            self._answers.append(answer)
            self.begin()

    def _carry_out(self) -> None:
        path, vendor, model, version = self._answers
        self._screen.order(
            f"Add {path}",
            lambda client: _add(client, path, vendor, model, version),
            lambda file: f"{file.name}, {size(file.size_bytes)}, is kept here",
        )


def _add(client: ControlClient, path: str, vendor: str, model: str, version: str) -> FileView:
    try:
        return client.add_firmware(path_of(path), vendor=vendor, model=model, version=version)
    except OSError as error:
        raise ControlFault(f"cannot read {path}: {error.strerror or error}") from error
    except DamagedOnTheWay as fault:
        raise ControlFault(str(fault)) from fault


def _is_file(text: str) -> str:
    try:
        return "" if path_of(text).is_file() else "there is no such file"
    except (OSError, ValueError, RuntimeError):
        return "that is no file name"


def _is_word(text: str) -> str:
    return "" if 0 < len(text) <= 100 else "1 to 100 characters"
