"""The trace of a site: what counts as an excess, the files it writes, the site file it makes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from edgegw import config
from edgegw.sim import trace
from edgegw.sim.building import LOADS, Building
from edgegw.sim.trace import MAIN_A, RESERVE_A, Sample, report, site_text, write_csv
from edgegw.sim.trace_plot import draw, thinned

READY = {
    "chargers": ["CP01", "CP02", "CP03"],
    "meter": "tcp://127.0.0.1:4711",
    "wiring": {"CP01/1": "L1 L2 L3", "CP02/1": "L2 L3 L1", "CP03/1": "L3 L1 L2", "CP03/2": "L3 L1 L2"},
}


def sample(at_s: float, building: float, cars: float, north: float = 0.0) -> Sample:
    """The same on L2; nothing on the other phases."""
    garages = {"north": (0.0, north, 0.0), "south": (0.0, 0.0, 0.0)}
    return Sample(at_s, (0.0, building, 0.0), (0.0, cars, 0.0), garages)


def steps(*spans: tuple[float, float, float]) -> list[Sample]:
    """(seconds, building, cars), one sample per half second."""
    samples, now = [], 0.0
    for seconds, building, cars in (*spans, (0.5, 0.0, 0.0)):
        for _ in range(int(seconds * 2)):
            samples.append(sample(now, building, cars))
            now += 0.5
    return samples


def test_seconds_above_the_fuse_and_the_longest_that_cars_cause():
    samples = steps((10, 50, 40), (4, 90, 40), (3, 50, 40), (6, 80, 40), (10, 50, 40))
    excess = trace.main_excess(samples)
    assert (excess.seconds, excess.longest_s, excess.worst_a) == (10.0, 6.0, 130 - MAIN_A)
    assert report(samples)[1]


def test_an_excess_of_the_building_alone_is_not_the_cars():
    excess = trace.main_excess(steps((40, MAIN_A + 5, 6)))
    assert (excess.seconds, excess.longest_s) == (40.0, 0.0)


def test_the_bar_is_missed_after_25_seconds():
    assert report(steps((25, 90, 40)))[1]
    text, good = report(steps((26, 90, 40)))
    assert not good
    assert "MISSED" in text
    over = [sample(at / 2, 0, 0, north=70) for at in range(60)]
    assert not report(over)[1]


def test_its_files(tmp_path: Path):
    samples = steps((20, 50, 40), (1, 90, 40), (5, 50, 10))
    write_csv(samples, tmp_path / "trace.csv")
    rows = (tmp_path / "trace.csv").read_text().splitlines()
    assert len(rows) == len(samples) + 1
    assert rows[0].startswith("seconds,fuse_a,building_L1_a,")
    assert rows[1].split(",")[:4] == ["0.0", f"{MAIN_A:g}", "0.0", "50.0"]
    for name in ("one.svg", "two.svg"):
        draw(samples, tmp_path / name)
    drawn = (tmp_path / "one.svg").read_text()
    assert drawn == (tmp_path / "two.svg").read_text()
    assert f"fuse {MAIN_A:g} A" in drawn
    assert "dc:date" not in drawn


def test_nothing_above_the_fuse_is_left_out_of_the_picture():
    samples = steps((5.5, 50, 10), (0.5, 90, 40), (5, 50, 10))
    kept = thinned(samples)
    assert max(s.total_a(1) for s in kept) == 130
    assert all(later.at_s > earlier.at_s for earlier, later in pairwise(kept))
    assert len(kept) < len(samples)


def test_its_site_file_is_taken(tmp_path: Path):
    path = tmp_path / "site.toml"
    path.write_text(site_text(tmp_path, "ws://127.0.0.1:4712/csms", READY))
    path.chmod(0o600)
    site = config.load(path)
    assert {circuit.name for circuit in site.circuit} == {"main", "north", "south"}
    assert [(c.id, c.circuit, c.safe_a) for c in site.connector] == [
        ("CP01/1", "north", 6),
        ("CP02/1", "south", 6),
        ("CP03/1", "north", 6),
        ("CP03/2", "north", 0),
    ]
    assert site.connector[1].phases == (1, 2, 0)


def test_the_reserve_covers_the_building():
    base = Building().base_a
    worst = max(base[phase] + sum(load.amps[phase] for load in LOADS) for phase in range(3))
    assert worst <= RESERVE_A
