"""Every way in which asking a gateway can fail, and the words for it: what its clients raise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import httpx
from pydantic import ValidationError

from edgegw import __version__
from edgegw.control import models
from edgegw.errors import EdgegwError

VERSION_HEADER = "edgegw-version"


class ControlFault(EdgegwError):
    """Root of what this file raises."""


class NotReachable(ControlFault):
    """Nobody answers, or may be asked; the text says what to look at."""


class NotUnderstood(ControlFault):
    """Somebody answers, but not in this version's words."""


class Silent(ControlFault):
    """No answer in time: of the gateway, or (status 504) of the charger it asked."""


class Refused(ControlFault):
    """The gateway says no. `status` is HTTP's, `code` a stable name."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text


def unreachable(where: str, error: Exception) -> NotReachable:
    """`error` is what connecting raised."""
    if any(isinstance(cause, PermissionError) for cause in _causes(error)):
        return NotReachable(
            f"this user may not use {where}: run as the user or in the group of edgegw"
            " (the socket and the folders above it decide)"
        )
    if isinstance(error, TimeoutError | httpx.ConnectTimeout):
        return NotReachable(f"no gateway answers on {where}: it is too busy or hangs")
    return NotReachable(f"no gateway answers on {where}: is `edgegw run` running, with this site file?")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def of_httpx(where: str, error: httpx.HTTPError | httpx.InvalidURL | OSError) -> ControlFault:
    """The fault that stands for one of httpx's."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | OSError):
        return unreachable(where, error)
    if isinstance(error, httpx.TimeoutException):
        return Silent(f"the gateway on {where} did not answer in time")
    return NotReachable(f"the connection to {where} failed: {error}")


def refuse(where: str, answer: httpx.Response) -> NoReturn:
    """Raise what an answer that is no success means. It must have been read."""
    try:
        error = models.ErrorBody.model_validate(answer.json()).error
    except (ValidationError, ValueError) as fault:
        raise strange(where, answer) from fault
    if answer.status_code == 504:
        raise Silent(error.text)
    if error.code == "no_such_path":
        raise strange(where, answer)
    raise Refused(answer.status_code, error.code, error.text)


def strange(where: str, answer: httpx.Response) -> NotUnderstood:
    running = answer.headers.get(VERSION_HEADER)
    if running is None:
        return NotUnderstood(f"what answers on {where} is not edgegw (HTTP {answer.status_code})")
    if running != __version__:
        return NotUnderstood(
            f"the gateway on {where} runs edgegw {running} and this is edgegw {__version__}:"
            " restart the gateway, or use its own edgegw command"
        )
    return NotUnderstood(f"edgegw on {where} gave an answer that edgegw does not understand: a bug")
