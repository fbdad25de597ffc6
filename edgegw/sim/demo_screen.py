"""How the demo looks: a live table on a terminal, plain lines everywhere else."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edgegw.sim.demo import Picture

STORY_LINES = 8
PLAIN_EVERY_S = 5.0
_ACT_STYLE = {
    "the cloud is up": "green",
    "the building is busy": "bold yellow",
    "the building is quiet": "green",
    "the building asks for less": "bold yellow",
    "the cloud is away": "bold red",
    "the cloud is back": "cyan",
}
_PHASES = ("L1", "L2", "L3")
_BAR_CELLS = 36  # with the words behind it a line of 80 columns


class PlainScreen:
    """One line per event, and how the site stands before each and every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._next_at = 0.0
        self._untold: Picture | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        return None

    def _stamp(self) -> str:
        return f"{time.monotonic() - self._began:6.1f} s"

    def tell(self, line: str) -> None:
        if self._untold is not None:
            self._describe(self._untold)  # how things stood when the story went on
        self._print(line)

    def show(self, picture: Picture) -> None:
        self._untold = picture
        if time.monotonic() >= self._next_at:
            self._describe(picture)

    def _describe(self, picture: Picture) -> None:
        self._untold = None
        self._next_at = time.monotonic() + PLAIN_EVERY_S
        self._print(f"   {summary(picture)}")
        if line := flow(picture):
            self._print(f"   {line}")

    def _print(self, line: str) -> None:
        self._console.print(
            f"{self._stamp()}  {line}", highlight=False, soft_wrap=not self._console.is_terminal
        )


class LiveScreen:
    """The story above, the site below, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._began = time.monotonic()
        self._story: deque[str] = deque(maxlen=STORY_LINES)
        self._picture: Picture | None = None
        self._live = Live(console=console, refresh_per_second=4, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._live.stop()

    def tell(self, line: str) -> None:
        self._story.append(f"{time.monotonic() - self._began:5.1f} s  {line}")
        self._draw()

    def show(self, picture: Picture) -> None:
        self._picture = picture
        self._draw()

    def _draw(self) -> None:
        parts: list[Any] = [Text(line, overflow="fold") for line in self._story]
        if self._picture is not None:
            act = self._picture.act
            parts += [Text(f"\n{act}", style=_ACT_STYLE.get(act, "")), *phase_bars(self._picture)]
            parts += [site_table(self._picture), Text(summary(self._picture))]
        self._live.update(Group(*parts))


def summary(picture: Picture) -> str:
    store = picture.health["store"]
    connected = sum(c["connected"] for c in picture.chargers)
    charging = sum(len(c["transactions"]) for c in picture.chargers)
    oldest = store["oldest_unsent_s"]
    waits = f", oldest {oldest:.0f} s" if oldest else ""
    return (
        f"chargers {connected}, charging {charging}, with cloud {picture.health['cloud']['connected_legs']}; "
        f"stored {store['stored']}, in flight {store['in_flight']}, parked {store['parked']}{waits}"
    )


def main_fuse_a(picture: Picture) -> float:
    """0 when the gateway balances nothing."""
    return next((float(c["fuse_a"]) for c in picture.power.get("circuits", ()) if not c["parent"]), 0.0)


def flow(picture: Picture) -> str:
    """Amps per phase and the limits of the chargers in one line; "" when nobody knows."""
    fuse = main_fuse_a(picture)
    if not (fuse and picture.grid):
        return ""
    phases = " ".join(
        f"{name} {building:.0f}+{cars:.0f}"
        for name, building, cars in zip(_PHASES, picture.grid["building"], picture.grid["cars"], strict=True)
    )
    limits = " ".join(f"{c['limit_a']:g}" for c in picture.power["connectors"])
    return f"amps of building+cars: {phases}, fuse {fuse:g}; limits of the connectors: {limits}"


def phase_bars(picture: Picture) -> list[Text]:
    """One bar per phase: building, cars, what is left up to the fuse."""
    fuse = main_fuse_a(picture)
    if not (fuse and picture.grid):
        return []
    pairs = zip(picture.grid["building"], picture.grid["cars"], strict=True)
    return [_bar(name, *pair, fuse) for name, pair in zip(_PHASES, pairs, strict=True)]


def _bar(name: str, building: float, cars: float, fuse: float) -> Text:
    first = min(_BAR_CELLS, round(building / fuse * _BAR_CELLS))
    second = min(_BAR_CELLS - first, round(cars / fuse * _BAR_CELLS))
    over = building + cars > fuse
    return Text.assemble(
        f"{name} ",
        ("█" * first, "blue"),
        ("█" * second, "bold red" if over else "green"),
        ("░" * (_BAR_CELLS - first - second), "dim"),
        f" building {building:3.0f} A  cars {cars:3.0f} A  fuse {fuse:g} A",
    )


def _limits(picture: Picture, identity: str) -> str:
    mine = [c for c in picture.power.get("connectors", ()) if c["charger"] == identity]
    return " ".join(f"{c['limit_a']:g}" for c in mine)


def _drawn(picture: Picture, identity: str) -> str:
    connectors = picture.grid.get("connectors", {})
    mine = [c["amps"] for name, c in connectors.items() if name.rpartition("/")[0] == identity]
    return " ".join(f"{max(amps):.0f}x{sum(a > 0 for a in amps)}" if any(amps) else "-" for amps in mine)


def site_table(picture: Picture) -> Table:
    table = Table(box=None, pad_edge=False)
    right = ("energy", "stored", "limit A", "draws A")
    for heading in ("charger", "OCPP", "cloud", "connectors", "limit A", "draws A", "energy", "stored"):
        table.add_column(heading, justify="right" if heading in right else "left", no_wrap=True)
    for charger in picture.chargers:
        energy = sum(t["energy_wh"] or 0 for t in charger["transactions"])
        states = " ".join(c["status"] for c in charger["connectors"] if c["id"] != "0")
        cloud = Text("up", "green") if charger["cloud"]["up"] else Text("away", "red")
        table.add_row(
            charger["identity"],
            charger["version"].removeprefix("ocpp"),
            cloud if charger["connected"] else Text("charger off", "yellow"),
            states,
            _limits(picture, charger["identity"]),
            _drawn(picture, charger["identity"]),
            f"{energy} Wh" if charger["transactions"] else "",
            str(charger["queue"]["stored"] or ""),
        )
    return table
