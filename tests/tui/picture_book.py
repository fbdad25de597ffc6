"""The README's pictures of the console, of a real gateway: python -m tests.tui.picture_book DIR.

Three simulated cars charge under a fuse of 63 A, the building's load rises, and one charger is refused at the
door. Each picture is an SVG of the terminal as it was; nothing in it loads anything from elsewhere.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.tui.lists_site import WIDE, Looking
from tests.tui.site import ABSENT, PowerHouse, running

USUAL = (100, 28)
CHARGES_S = 45.0  # so that the plot has something to show
BUILDING_A = 30.0
# Rich's export asks a public server for a font; the reader's own monospace does as well.
_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)

# file, screen, size, keys
PICTURES: tuple[tuple[str, str, tuple[int, int], Sequence[str]], ...] = (
    ("site", "Site", USUAL, ()),
    ("chargers", "Chargers", USUAL, ()),
    ("charger", "Chargers", USUAL, ("enter", "p")),
    ("messages", "Messages", WIDE, ()),
)


def local(svg: str) -> str:
    """`svg` without what it would load."""
    return (
        _FONT_FACE.sub("", svg).replace("Fira Code, monospace", "monospace").replace("Fira Code", "monospace")
    )


async def make(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        async with running(Path(scratch)) as house:
            await _charge(house)
            for name, screen, size, keys in PICTURES:
                async with house.console(screen, size=size) as looking:
                    await _shown(looking, keys)
                    path = folder / f"{name}.svg"
                    path.write_text(local(looking.app.export_screenshot(title=f"edgegw console: {name}")))
                    print(path)


async def _charge(house: PowerHouse) -> None:
    await house.site.all_charge()
    await asyncio.sleep(CHARGES_S / 2)
    await house.site.building(BUILDING_A)
    await house.knock(ABSENT, offers="ocpp1.5")
    await asyncio.sleep(CHARGES_S / 2)


async def _shown(looking: Looking, keys: Sequence[str]) -> None:
    await asyncio.sleep(3.0)  # plots and answers are asked for when a screen comes up
    for key in keys:
        await looking.press(key)
        await asyncio.sleep(2.0)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(make(target))
