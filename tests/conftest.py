"""What holds for every test: none fails because the machine is busy, or because of how it was started."""

from __future__ import annotations

import gc
import signal
import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every machine; `pytest --hypothesis-profile=search` draws others.
settings.register_profile(
    "edgegw", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edgegw")

# Behind `nohup` or `&` these are ignored, and a process that a test starts would inherit that. A handler
# that does nothing is as good here, and gone in the child.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

# --- what is left open ----------------------------------------------------------------------------

_left_open: list[str] = []  # where


def pytest_warning_recorded(warning_message: warnings.WarningMessage, nodeid: str) -> None:
    if "unclosed resource" in str(warning_message.message):
        _left_open.append(nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Also what nobody collected so far: of a worker, pytest itself would not tell."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", ResourceWarning)
        gc.collect()
    late = (str(one.message) for one in found if issubclass(one.category, ResourceWarning))
    _left_open.extend(f"{text} (one of the last tests)" for text in late)
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_open"] = _left_open
    if _left_open and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _left_open.extend(getattr(node, "workeroutput", {}).get("left_open", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for where in sorted(set(_left_open)):
        terminalreporter.write_line(f"LEFT OPEN: {where}", red=True)
