"""The main screens look as they did: pictures of a made-up site (see `tests.tui.shots`)."""

from __future__ import annotations

import pytest

from edgegw.control.live_models import Snapshot
from tests.tui import made_up
from tests.tui.shots import shot

NARROW, WIDE = (80, 24), (160, 50)
OPEN_CP007 = ("2", "down", "down", "down", "enter")

PICTURES = {
    "site": (made_up.snapshot, (), NARROW),
    "site_away_wide": (made_up.away, ("u",), WIDE),
    "chargers": (made_up.snapshot, ("2", "down", "down", "down"), NARROW),
    "chargers_wide": (made_up.snapshot, ("2", "end"), WIDE),
    "charger": (made_up.snapshot, OPEN_CP007, NARROW),
    "charger_wide": (made_up.snapshot, OPEN_CP007, WIDE),
    "alarms": (made_up.snapshot, ("6", "down"), NARROW),
    "messages_wide": (made_up.snapshot, ("3",), WIDE),
    "charger_power": (made_up.snapshot, (*OPEN_CP007, "p"), NARROW),
}


@pytest.mark.parametrize("name", PICTURES)
async def test_a_main_screen_looks_as_it_did(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    make, keys, size = PICTURES[name]
    picture: Snapshot = make()
    text = await shot(name, picture, keys, size)
    assert len(text.splitlines()) <= size[1]
