"""The recorder between sessions and its sink: nothing waits, everything is bounded, ids are kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from itertools import count

import pytest

from edgegw.core.effects import SendCharger, SendCloud
from edgegw.core.events import ChargerSpoke, CloudConnected, CloudSpoke, Instant, Woke
from edgegw.core.flight import FrameTurnedAway, Line, encode_line
from edgegw.core.flight_block import Block, lines
from edgegw.core.site import Policy, Site
from edgegw.runtime import flight_recorder, flight_scribe
from edgegw.runtime.flight_recorder import FlightRecorder
from edgegw.runtime.flight_scribe import CALLS_KNOWN, FRAME_BYTES_MAX, Entry, Scribe
from edgegw.wire.frames import call, parse, result
from edgegw.wire.versions import Version
from tests.links.house import eventually

NOW = Instant(5.0, 1_800_000_000.0)


class Sink:
    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.works = True

    async def write(self, block: Block) -> bool:
        if self.works:
            self.lines += lines(block.first_n, block.pack())
        return self.works


@pytest.fixture
def sink() -> Sink:
    return Sink()


def recorder(sink: Sink) -> FlightRecorder:
    ids = count(1)
    site = Site(Policy(), lambda: f"box-{next(ids)}")
    return FlightRecorder(sink, site, next_n=1, about={"edgegw": "1"})


def what(found: Sequence[Line]) -> list[str]:
    return [line.what for line in found]


def told(line: Line) -> object:
    return json.loads(bytes(line.data))


async def test_what_was_taken_is_with_the_sink_at_the_end(sink: Sink):
    found = recorder(sink)
    found.start({})
    found.take((NOW, "CP-1", CloudConnected()))
    found.take((NOW, "CP-1", Woke()))
    await found.stop()
    assert what(sink.lines) == ["gateway_started", "cloud_connected", "woke"]
    assert [line.n for line in sink.lines] == [1, 2, 3]
    assert (sink.lines[1].mono, sink.lines[1].at) == (5.0, 1_800_000_000.0)
    await found.stop()


async def test_an_id_belongs_to_the_decision_that_made_it(sink: Sink):
    found = recorder(sink)
    new_id = found.ids(lambda: "made")
    found.start({})
    found.take((NOW, "CP-7", Woke()))
    assert new_id() == "made"
    await found.stop()
    line = sink.lines[-1]
    assert (line.what, line.charger, bytes(line.data)) == ("id_given", "CP-7", b'{"id":"made"}')


async def test_a_disk_that_stands_still_costs_the_oldest_and_no_memory(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(flight_scribe, "BLOCK_BYTES", 500)
    monkeypatch.setattr(flight_recorder, "WAITING_BYTES_MAX", 2000)
    found = recorder(sink)
    found.start({})
    for _ in range(200):
        found.take((NOW, "CP-1", Woke()))
    assert sum(len(packed) for _, packed in found.unwritten()) <= 2500
    await found.stop()
    assert what(sink.lines)[-1] == "missing"
    assert told(sink.lines[-1]) == {"count": found.dropped}
    assert found.dropped > 50
    assert what(sink.lines).count("woke") + found.dropped == 201  # the first line is among the oldest
    assert sink.lines[0].n == found.dropped + 1


class Counted(bytes):
    """Of a frame; how many there are now."""

    alive = 0

    def __init__(self, _: bytes) -> None:
        Counted.alive += 1

    def __del__(self) -> None:
        Counted.alive -= 1


async def test_long_frames_do_not_wait_for_others(sink: Sink):
    """One may be 64 MiB: they would fill the memory before there are enough of them."""
    found = recorder(sink)
    found.start({})
    assert flight_recorder.LONG_BYTES <= FRAME_BYTES_MAX
    text = "x" * FRAME_BYTES_MAX
    for number in range(10):
        raw = Counted(call(f"m{number}", "DataTransfer", {"data": text}))
        found.take((NOW, "CP-1", spoke(raw)))
        found.take((NOW, "CP-1", FrameTurnedAway("charger", "json", Counted(raw))))
        del raw
    assert Counted.alive <= 2, "the last that was heard, to know it when it goes out"
    await found.stop()
    assert what(sink.lines).count("charger_spoke") == 10
    assert Counted.alive <= 2


async def test_a_bug_there_is_no_bug_of_the_session(
    sink: Sink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    found = recorder(sink)
    found.start({})
    with monkeypatch.context() as broken:
        broken.setattr(flight_scribe, "cleaned", lambda *_: {}["nothing"])
        found.take((NOW, "CP-1", spoke(call("m1", "Heartbeat", {}))))
        found.tell()
    found.take((NOW, "CP-1", Woke()))
    await found.stop()
    assert what(sink.lines)[1:] == ["woke", "missing"]
    assert "bug while recording frames" in caplog.text


async def test_what_the_sink_does_not_take_is_said_when_it_takes_again(sink: Sink):
    found = recorder(sink)
    found.start({})
    sink.works = False
    found.take((NOW, "CP-1", Woke()))
    await found.write()
    sink.works = True
    found.take((NOW, "CP-1", Woke()))
    await found.stop()
    assert what(sink.lines) == ["woke", "missing"]
    assert found.dropped == 2


async def test_a_listener_with_a_bug_stops_nothing(sink: Sink, caplog: pytest.LogCaptureFixture):
    found = recorder(sink)
    heard: list[str] = []
    found.listeners.append(lambda lines: {}["nothing"])
    found.listeners.append(lambda lines: heard.extend(what(lines)))
    found.start({})
    found.take((NOW, "CP-1", Woke()))
    await eventually(lambda: "woke" in heard)
    await found.stop()
    assert "woke" in what(sink.lines)


async def test_it_writes_by_itself_after_a_moment(sink: Sink, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flight_recorder, "WRITE_EVERY_S", 0.01)
    found = recorder(sink)
    found.start({})
    found.take((NOW, "CP-1", Woke()))
    await eventually(lambda: "woke" in what(sink.lines))
    await found.stop()


# --- lines ------------------------------------------------------------------------------------------


def spoke(raw: bytes) -> ChargerSpoke:
    return ChargerSpoke(parse(raw, Version.V16))


def line_of(scribe: Scribe, entry: Entry) -> Line:
    first_n = scribe.block.next_n
    scribe.add(entry)
    return next(line for line in lines(scribe.block.first_n, scribe.block.pack()) if line.n == first_n)


def a_scribe() -> Scribe:
    return Scribe(1, on_full=lambda block: None, on_rewired=lambda: None)


def test_bytes_in_are_bytes_out():
    scribe = a_scribe()
    for raw in (b'[2,"a","Heartbeat",{}]', b'[2, "b" ,"DataTransfer", {"vendorId":"\\u00fc \xc3\xbc"} ]'):
        line = line_of(scribe, (NOW, "CP-1", spoke(raw)))
        assert line.shown.encode() == raw
        assert line.size == len(raw)
    pretty = b'[2,"c",\n"Heartbeat",{}]'
    line = line_of(scribe, (NOW, "CP-1", spoke(pretty)))
    assert line.shown.encode() == pretty
    assert b"\n" not in encode_line(line)


def test_ids_with_escapes_are_told_as_they_are_meant():
    line = line_of(a_scribe(), (NOW, "CP-1", spoke(b'[2,"a\\u0062\\"","Heartbeat",{}]')))
    assert (line.kind, line.id, line.action) == (2, 'ab"', "Heartbeat")


def test_what_goes_out_as_it_came_in_is_one_byte_and_the_same_frame():
    scribe = a_scribe()
    heard = spoke(call("m1", "DataTransfer", {"vendorId": "x", "data": "y" * 200}))
    scribe.add((NOW, "CP-1", heard))
    size = len(scribe.block)
    line = line_of(scribe, (NOW, "CP-1", SendCloud(heard.frame.raw)))
    assert len(scribe.block) == size + 1
    assert (line.what, line.charger, line.action, line.id) == ("send_cloud", "CP-1", "DataTransfer", "m1")
    assert line.shown.encode() == heard.frame.raw
    later = line_of(scribe, (Instant(6.0, 1_800_000_001.0), "CP-1", SendCloud(heard.frame.raw)))
    assert (later.mono, later.shown) == (6.0, line.shown)


def test_what_is_repeated_is_in_the_same_block(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flight_scribe, "BLOCK_BYTES", 1)
    blocks: list[Block] = []
    scribe = Scribe(1, on_full=blocks.append, on_rewired=lambda: None)
    heard = spoke(call("m1", "Heartbeat", {}))
    scribe.add((NOW, "CP-1", heard))
    scribe.add((NOW, "CP-1", SendCloud(heard.frame.raw)))
    found = [line for block in blocks for line in lines(block.first_n, block.pack())]
    assert [(line.n, line.what, line.action) for line in found] == [
        (1, "charger_spoke", "Heartbeat"),
        (2, "send_cloud", "Heartbeat"),
    ]


def test_a_repetition_of_nothing_is_no_block():
    block = Block(1)
    block.repeat(4)
    with pytest.raises(ValueError, match="repeats"):
        list(lines(1, block.pack()))


def test_an_answer_has_the_action_of_its_call_on_its_own_leg():
    scribe = a_scribe()
    asked = call("m1", "Heartbeat", {})
    line_of(scribe, (NOW, "CP-1", spoke(asked)))
    assert line_of(scribe, (NOW, "CP-2", SendCharger(result("m1", {})))).action == ""
    assert line_of(scribe, (NOW, "CP-1", SendCloud(result("m1", {})))).action == ""
    answer = CloudSpoke(parse(result("m1", {}), Version.V16))
    assert line_of(scribe, (NOW, "CP-1", answer)).action == "Heartbeat"
    assert line_of(scribe, (NOW, "CP-1", SendCharger(result("m1", {"a": 1})))).action == "Heartbeat"
    for n in range(2 * CALLS_KNOWN):
        scribe.add((NOW, "CP-1", spoke(call(f"n{n}", "Heartbeat", {}))))
    assert line_of(scribe, (NOW, "CP-1", SendCharger(result("m1", {})))).action == ""


def test_a_frame_that_is_too_long_is_kept_as_its_beginning():
    raw = call("m1", "DataTransfer", {"vendorId": "x", "data": "y" * FRAME_BYTES_MAX})
    scribe = a_scribe()
    line = line_of(scribe, (NOW, "CP-1", spoke(raw)))
    assert line.cut
    assert (line.size, line.kind, line.id, line.action) == (len(raw), 2, "m1", "DataTransfer")
    assert len(scribe.block) < 1000


def test_what_was_turned_away_is_a_line_whatever_it_was():
    for data in (b"\xff\xfe\x00", b"", b"[[[["):
        line = line_of(a_scribe(), (NOW, "CP-1", FrameTurnedAway("cloud", "not_json", data)))
        assert (line.what, line.rule, line.size) == ("cloud_turned_away", "not_json", len(data))


async def test_nothing_of_it_runs_without_sessions(sink: Sink):
    found = recorder(sink)
    found.start({})
    await asyncio.sleep(0)
    await asyncio.wait_for(found.stop(), 30)
