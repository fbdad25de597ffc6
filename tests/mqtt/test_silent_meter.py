"""A meter that falls silent: what it showed last is history, and nobody outside must take it for now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgegw.core.events import Instant
from edgegw.runtime import clock
from tests.control.house import GARAGE
from tests.mqtt.site import Site

NONE = (None, None, None)


@pytest.fixture
async def garage(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path, plan=GARAGE)
    await site.start()
    yield site
    await site.stop()


async def test_a_silent_meter_is_not_known_everywhere_at_once(garage: Site, monkeypatch: pytest.MonkeyPatch):
    garage.reads(20.0, 21.0, 22.0)
    seen = garage.sees()
    assert seen.site.current_l_a == seen.circuits["main"].measured_l_a == (20.0, 21.0, 22.0)
    silent_s = GARAGE.settings.stale_after_s + 1.0
    real = clock.now

    def later() -> Instant:
        now = real()
        return Instant(now.mono + silent_s, now.wall + silent_s, now.trusted)

    monkeypatch.setattr(clock, "now", later)
    garage.load.step()
    seen = garage.sees(later_s=silent_s)
    assert seen.circuits["main"].meter_stale
    assert seen.site.current_l_a == seen.circuits["main"].measured_l_a == NONE
    assert seen.meters["grid"].current_l_a == NONE
    assert (seen.meters["grid"].ok, seen.site.import_w) == (False, None)
