"""The picture of a trace: building, cars and fuse, one panel per phase. Needs matplotlib (a dev tool)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from edgegw.sim.trace import MAIN_A, PHASES, Sample

BUILDING, CARS, FUSE = "#7a8799", "#3d8f5f", "#b3261e"
_TOO_EXACT = re.compile(r"(\d\.\d)\d+")  # a tenth of a point is finer than anybody sees
EVERY_S = 1.0  # one point a second keeps the file small


def draw(samples: Sequence[Sample], path: Path) -> None:
    """Write `path`, its kind by its ending. No date and no program's name get into the file."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "edgegw"
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib import pyplot as plt

    points = thinned(samples)
    edges = [*(s.at_s for s in points), points[-1].at_s + EVERY_S]
    figure, panels = plt.subplots(3, 1, sharex=True, sharey=True, figsize=(9, 7), layout="constrained")
    for phase, panel in enumerate(panels):
        building = [s.building_a[phase] for s in points]
        total = [s.total_a(phase) for s in points]
        # The building lies over the whole, so that what is left of it is the cars.
        panel.stairs(total, edges, fill=True, color=CARS, label="cars")
        panel.stairs(building, edges, fill=True, color=BUILDING, label="building")
        panel.axhline(MAIN_A, color=FUSE, linewidth=1.5, label=f"fuse {MAIN_A:g} A")
        panel.set_ylabel(f"{PHASES[phase]}, A")
        panel.set_ylim(0, MAIN_A * 1.4)
        panel.margins(x=0)
    panels[0].legend(loc="upper right", ncols=3, frameon=False)
    panels[0].set_title("Cars of OCPP 1.6, 2.0.1 and 2.1 chargers give way to a building")
    panels[-1].set_xlabel("seconds")
    svg = path.suffix == ".svg"
    figure.savefig(path, metadata={"Date": None, "Creator": None} if svg else None)
    plt.close(figure)
    if svg:
        path.write_text(_TOO_EXACT.sub(r"\1", path.read_text()))


def thinned(samples: Sequence[Sample]) -> list[Sample]:
    """At most one a second, but always the highest of its second: nothing above the fuse is left out."""
    kept: dict[int, Sample] = {}
    for sample in samples:
        slot = int(sample.at_s / EVERY_S)
        if slot not in kept or _highest(sample) > _highest(kept[slot]):
            kept[slot] = sample
    return list(kept.values())


def _highest(sample: Sample) -> float:
    return max(sample.total_a(phase) for phase in range(3))
