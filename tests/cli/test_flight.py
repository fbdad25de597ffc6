"""`edgegw messages` and `edgegw replay`: what people see, and what a hostile file can do (nothing)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from edgegw.cli import edgegw
from edgegw.cli.frame_text import shown
from edgegw.control.frame_models import FrameView
from tests.cli.conftest import Shell
from tests.control.flight_house import FlightHouse, lines_of, with_line
from tests.control.house import TAG
from tests.links.house import eventually


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Of a charger that boots, charges through an outage, and is asked something by a person."""

    async def record(folder: Path) -> bytes:
        house = FlightHouse(folder)
        await house.start()
        try:
            charger = await house.boots("CP-1")
            house.cloud.goes_down()
            given = await house.starts(charger)
            await house.stops(charger, given)
            cloud = await house.cloud.comes_back("CP-1")
            for answer in ({"transactionId": 5, "idTagInfo": {"status": "Accepted"}}, {}):
                cloud.says([3, (await cloud.hears())[1], answer])
            call = asyncio.ensure_future(house.gateway.call("CP-1", "GetLocalListVersion", {}))
            charger.says([3, (await charger.hears())[1], {"listVersion": 3}])
            await call
            charger.says(b"[2,no frame")
            await house.all_is_stored()
            return await house.export()
        finally:
            await house.stop()

    return asyncio.run(record(tmp_path_factory.mktemp("recording")))


def replay(file: Path, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(edgegw, ["replay", str(file), *arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def written(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "flight").write_bytes(content)
    return tmp_path / "flight"


def replayed(tmp_path: Path, content: bytes, *arguments: str, code: int = 0) -> Result:
    return replay(written(tmp_path, content), *arguments, code=code)


def summary(result: Result) -> dict:
    return json.loads(result.stdout.splitlines()[-1])["summary"]


# --- replay -----------------------------------------------------------------------------------------


def test_the_same_is_decided_again(recording: bytes, tmp_path: Path):
    told = replayed(tmp_path, recording, "--json")
    found = summary(told)
    sent = sum(line.what in ("send_charger", "send_cloud") for line in lines_of(recording))
    assert (found["same"], found["differing"], found["undecided"], found["missing"]) == (sent, 0, 0, 0)
    assert found["events"] >= 12
    assert TAG not in told.stdout


def test_every_decision_is_told_in_words(recording: bytes, tmp_path: Path):
    text = replayed(tmp_path, recording).stdout
    for words in (
        "charger says BootNotification m1",
        "- to the cloud: BootNotification m1",
        "cloud lost: cut",
        "- keep StartTransaction m2 of transaction 1073741824 as message 1 for the cloud (stored)",
        "- message 1 is delivered",
        "turned away (not_json): nothing was decided",
        "events decided again",
    ):
        assert words in text
    assert "DIFFERS" not in text


def test_a_planted_answer_is_shown_as_a_difference(recording: bytes, tmp_path: Path):
    number = next(n for n, line in enumerate(lines_of(recording)) if b"1073741824" in bytes(line.frame or b"")
                  and line.what == "send_charger")  # fmt: skip
    answer = json.loads(bytes(lines_of(recording)[number].frame))
    answer[2]["transactionId"] = 77
    planted = with_line(recording, number, frame=answer)
    text = replayed(tmp_path, planted, "--differences", code=1).stdout
    assert "DIFFERS, sent then, not now, to the charger" in text
    assert '"transactionId":77' in text
    assert summary(replayed(tmp_path, planted, "--json", code=1))["differing"] >= 1


def test_an_answer_that_is_missing_is_shown_too(recording: bytes, tmp_path: Path):
    lines = recording.splitlines()
    number = next(n for n, line in enumerate(lines) if b'"send_charger"' in line and b"1073741824" in line)
    del lines[number]
    lines[-1] = msgspec.json.encode({"edgegw_flight_end": len(lines) - 2})
    text = replayed(tmp_path, b"\n".join(lines) + b"\n", "--differences", code=1).stdout
    assert "DIFFERS, sent now, not then, to the charger" in text


def test_without_a_state_it_says_that_nothing_can_be_decided(recording: bytes, tmp_path: Path):
    lines = [line for line in recording.splitlines() if b'"state_kept"' not in line]
    lines[-1] = msgspec.json.encode({"edgegw_flight_end": len(lines) - 2})
    told = replayed(tmp_path, b"\n".join(lines) + b"\n")
    assert "not decided again: what it knew before is not in the recording" in told.stdout
    assert "could not be compared" in told.stdout


def test_until_ends_it(recording: bytes, tmp_path: Path):
    first = lines_of(recording)[0].at
    from edgegw.wire.timestamps import format_timestamp

    told = replayed(tmp_path, recording, "--until", format_timestamp(first))
    assert "BootNotification" not in told.stdout
    replayed(tmp_path, recording, "--until", "noon", code=2)
    replayed(tmp_path, recording, "--until", "25:00", code=2)


def test_only_one_charger_is_shown(recording: bytes, tmp_path: Path):
    told = replayed(tmp_path, recording, "--charger", "CP-2", "--json")
    assert "CP-1" not in told.stdout
    assert summary(told)["same"] > 5  # decided again all the same


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1: this is not a flight file"),
        (b"\x00\xff\xfe" * 100 + b"\n", "line 1: this is not a flight file"),
        (b"[1,2]\n", "line 1: this is not a flight file"),
        (b'{"edgegw_flight":99,"edgegw":"9.9\\u001b[2J"}\n', "line 1: a flight file of format 99"),
        (b'{"edgegw_flight":1,"site":{"policy":{"mode":7}}}\n', "line 1: what the site decides"),
        (b'{"edgegw_flight":1}\n' + b"[" * 100_000 + b"\n", "line 2 is damaged"),
        (b'{"edgegw_flight":1}\n{"n":1,"at":1,"mono":1,"what":"x\\u001b[2J"}\n', "line 2 is damaged: no"),
        (b'{"edgegw_flight":1}\n{"n":1,"at":1e99,"mono":1,"what":"woke"}\n', "line 2 is damaged: its time"),
        (b'{"edgegw_flight":1}\n{"n":1,"at":1,"mono":1,"what":"state_kept","data":{"why":7}}\n', "line 2 is"),
        (b'{"edgegw_flight":1}\n{"n":1,"at":1,"mono":1,"what":"state_kept","data":[]}\n', "line 2 is"),
        (b'{"edgegw_flight":1}\n{"n":2,"at":1,"mono":1,"what":"woke"}\n{"n":1,"at":1,"mono":1,"what":"woke"}\n',
         "line 3: number 1 comes after 2"),
        (b'{"edgegw_flight":1}\n{"edgegw_flight_end":5}\n', "line 2: 0 lines are here and 5 should be"),
        (b'{"edgegw_flight":1}\n{"edgegw_flight_end":0}\nmore\n', "line 3: the file goes on"),
        (b'{"edgegw_flight":1}\n' + b"x" * 5_000_000, "line 2 is longer than 4 MiB"),
    ],
)  # fmt: skip
def test_a_damaged_or_hostile_file_is_refused_with_its_line(content: bytes, words: str, tmp_path: Path):
    told = replayed(tmp_path, content, code=1)
    assert words in told.stderr
    assert "\x1b" not in told.output
    assert json.loads(replayed(tmp_path, content, "--json", code=1).stdout.splitlines()[-1])["error"]


def test_a_file_that_was_cut_off_is_replayed_up_to_there(recording: bytes, tmp_path: Path):
    for length in range(100, len(recording), 97):
        told = replayed(tmp_path, recording[:length], "--json", code=1)
        assert "cut off" in told.stdout.splitlines()[-1] or "not a flight file" in told.stdout


def test_no_byte_that_is_changed_makes_a_traceback(recording: bytes, tmp_path: Path):
    lines = recording.splitlines(keepends=True)
    state = next(n for n, line in enumerate(lines) if b'"state_kept"' in line)
    for number in (0, 1, state, state + 3):
        whole = lines[number]
        for place in range(5, len(whole) - 1, max(1, len(whole) // 25)):
            changed = whole[:place] + b"7" + whole[place + 1 :]
            content = b"".join([*lines[:number], changed, *lines[number + 1 :]])
            file = tmp_path / "flight"
            file.write_bytes(content)
            result = CliRunner().invoke(edgegw, ["replay", str(file), "--json"])
            assert result.exit_code in (0, 1), (number, place, result.exception)
            assert isinstance(result.exception, SystemExit | None)


def test_half_a_character_in_a_frame_ends_no_replay(recording: bytes, tmp_path: Path):
    lines = recording.splitlines(keepends=True)
    place = next(n for n, line in enumerate(lines) if b'"charger_spoke"' in line and b'"frame":' in line)
    head = lines[place].partition(b'"frame":')[0]
    half = b'[2,"\\ud800","DataTransfer",{"vendorId":"\\udc1b[2J"}]}\n'
    content = b"".join([*lines[:place], head + b'"frame":' + half, *lines[place + 1 :]])
    told = CliRunner().invoke(edgegw, ["replay", str(written(tmp_path, content))])
    assert "events decided again" in told.stdout
    assert "damaged" not in told.output
    assert "\x1b" not in told.output
    cut = content.replace(half, half.removesuffix(b"}\n") + b"\n")  # what stands there is judged as a frame
    told = CliRunner().invoke(edgegw, ["replay", str(written(tmp_path, cut))])
    assert isinstance(told.exception, SystemExit | None)


def test_a_file_that_is_not_there(tmp_path: Path):
    assert "cannot be read: No such file" in replay(tmp_path / "none", code=1).stderr


# --- messages ---------------------------------------------------------------------------------------


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[FlightHouse]:
    house = FlightHouse(tmp_path)
    await house.start()
    yield house
    await house.stop()


async def test_messages_are_listed_exported_and_refused(house: FlightHouse, shell: Shell, tmp_path: Path):
    charger = await house.boots("CP-1")
    charger.calls("DataTransfer", {"vendorId": "\x1b[2Jx", "data": "y"})
    await house.cloud.wires["CP-1"].hears()
    text = (await shell("messages", "CP-1")).stdout
    assert "CP-1         charger > box BootNotification m1" in text
    assert "\x1b" not in text
    assert len(text.splitlines()) == 6
    found = await shell.json("messages", "--action", "BootNotification")
    assert [frame["kind"] for frame in found["frames"]] == ["CALL", "CALL", "CALLRESULT", "CALLRESULT"]
    assert len((await shell.json("messages", "--limit", "2"))["frames"]) == 2
    assert len((await shell.json("messages", "--since", "1 h"))["frames"]) == 6
    assert "no Reset of CP-1" in (await shell("messages", "CP-1", "--action", "Reset")).stdout
    await shell("messages", "--since", "yesterday", code=2)
    await shell("messages", "--export", "x", "--follow", code=2)
    assert "no charger 'CP-77'" in (await shell("messages", "CP-77", code=1)).stderr
    target = tmp_path / "flight"
    assert "edgegw replay" in (await shell("messages", "--export", str(target))).stdout
    assert summary(await asyncio.to_thread(replay, target, "--json"))["differing"] == 0
    missing = await shell("messages", "--export", str(tmp_path / "no" / "folder"), code=1)
    assert "cannot be written" in missing.stderr


async def test_an_export_replaces_nothing_unless_told(house: FlightHouse, shell: Shell, tmp_path: Path):
    await house.boots("CP-1")
    await house.taken_down()
    target = tmp_path / "flight"
    target.write_bytes(b"of last year")
    refused = await shell.json("messages", "--export", str(target), code=1)
    assert refused["error"]["code"] == "exists"
    assert "--force" in refused["error"]["text"]
    assert target.read_bytes() == b"of last year"
    await shell("messages", "--export", str(target), "--force")
    assert summary(await asyncio.to_thread(replay, target, "--json"))["differing"] == 0
    assert target.stat().st_mode & 0o777 == 0o600
    await shell("messages", "--force", code=2)


async def test_follow_shows_what_passes_until_the_gateway_stops(house: FlightHouse, shell: Shell):
    charger = await house.boots("CP-1")
    following = asyncio.ensure_future(shell("messages", "CP-1", "--follow", "--json", code=3))
    await eventually(lambda: house.recorder.listeners)
    charger.calls("Heartbeat", {})
    await house.cloud.wires["CP-1"].hears()
    await house.taken_down()
    desk = house.server.service.frames
    await eventually(lambda: not any(buffer.lines for buffer in desk._streams))
    desk.close()
    told = await following
    actions = [json.loads(line)["action"] for line in told.stdout.splitlines()[:-1]]
    assert actions == ["BootNotification"] * 4 + ["Heartbeat"] * 2
    assert "ended the stream" in told.stdout.splitlines()[-1]


def view(text: str, **changed: object) -> FrameView:
    fields = {
        "n": 1, "at": "2026-11-21T03:44:07.123Z", "charger": "CP-1", "leg": "charger", "direction": "in",
        "kind": "CALL", "action": "DataTransfer", "message_id": "m1", "size_bytes": 20, "text": text,
        "complaints": (),
    }  # fmt: skip
    return FrameView(**{**fields, **changed})


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([2, "m1", "DataTransfer", {"vendorId": "x" * 300, "data": "two words " * 40}]),
        json.dumps(
            [2, "m1", "DataTransfer", {"a": {"b": {"c": ["\u5145" * 60, {"d": 1.5}]}}}], ensure_ascii=False
        ),
        json.dumps([4, "m1", "InternalError", "no" * 100, {}]),
        "\x1b[31m\x9b2J" * 30,
        "[" * 500,
    ],
)
def test_a_frame_fits_the_terminal_and_holds_no_control_character(text: str):
    lines = shown(view(text, complaints=("vendorId: is longer than 255 characters",)), 80).split("\n")
    assert all(cell_len(line) <= 80 for line in lines)
    assert all(line.isprintable() for line in lines)
    assert lines[-1] == "  ! vendorId: is longer than 255 characters"
    assert "\n" not in shown(view(text), None)


def test_what_was_missed_is_said():
    assert shown(view("[3]", missed=12), 80).startswith("(12 frames are missing here")
