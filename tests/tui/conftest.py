"""What holds for every console in front of a gateway: neither is given up because the machine is busy."""

from __future__ import annotations

import pytest

from tests.control.house import patient


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    patient(monkeypatch)
