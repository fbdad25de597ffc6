"""The building's side goes on looking, whatever goes wrong in one look."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from edgegw.control import models
from edgegw.core.events import Instant
from edgegw.mqtt import building
from edgegw.mqtt.building import Building
from edgegw.mqtt.snapshot_sources import Sources
from edgegw.mqtt.view import View
from edgegw.runtime.audit import AuditTrail
from tests.mqtt.broker_side import until
from tests.mqtt.site import Site


class Frail:
    """A service that cannot say how it is, the first times it is asked."""

    def __init__(self, well: models.Health) -> None:
        self.asked = 0
        self._well = well

    async def health(self) -> models.Health:
        self.asked += 1
        if self.asked < 3:
            raise LookupError
        return self._well


async def test_a_bug_in_one_look_is_not_the_last_look(
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    for name in ("HEALTH_EVERY_S", "LOOK_EVERY_MIN_S"):
        monkeypatch.setattr(building, name, 0.01)
    claim = socket.socket()  # nobody listens there, and nobody else gets the port
    claim.bind(("127.0.0.1", 0))
    request.addfinalizer(claim.close)
    port = claim.getsockname()[1]
    site = Site(tmp_path, broker=f"mqtt://127.0.0.1:{port}", interval="200 ms")
    await site.start()
    await site.counts()
    assert site.health is not None
    frail = Frail(site.health)
    audit = AuditTrail(None)
    found = Building(
        site.settings, site.site, site.gateway, frail, Sources(), queue=None, audit=audit, alarms=None  # type: ignore[arg-type]
    )  # fmt: skip
    look = found._snapshots.view
    failed: list[Instant] = []

    def fail(now: Instant) -> View:
        failed.append(now)
        raise LookupError

    monkeypatch.setattr(found._snapshots, "view", fail)
    found.start()
    try:
        await until(lambda: len(failed) > 2 and frail.asked > 3)
        assert found._view is None
        monkeypatch.setattr(found._snapshots, "view", look)
        await until(lambda: found._view is not None)
        assert found._health is site.health
        assert sum("bug while looking at the site" in record.message for record in caplog.records) == 1
    finally:
        await found.stop()
        await site.stop()
