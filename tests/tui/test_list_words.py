"""Lines and texts of the list screens: pure functions, whatever a peer wrote."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rich.cells import cell_len
from rich.text import Text

from edgegw.control.firmware_models import (
    FetchView,
    FileView,
    FirmwareView,
    HolderView,
    RolloutCharger,
    RolloutSummary,
    RolloutView,
    TransferView,
)
from edgegw.control.live_models import LogLine
from edgegw.control.models import ChargerQueue, QueueRow
from edgegw.control.wiring_models import AcceptedCharger, Stranger, WiringView
from edgegw.tui import (
    alarm_words,
    firmware_words,
    frame_words,
    log_words,
    queue_words,
    site_words,
    stop_words,
    transaction_words,
    wiring_words,
)
from edgegw.tui.json_text import CHARACTERS_MAX, pretty
from edgegw.tui.power_past import SPANS, PowerPast
from edgegw.tui.table import Row
from tests.tui.made_up import alarm, at, circuit, power
from tests.tui.made_up_charger import frame, transaction

NOW = at()
EVIL = "\x1b[2J\x07[bold red]x[/]\u202e\u0301" + "宽" * 40 + "\r\n\tA" * 2000


def queue(**changed: Any) -> ChargerQueue:
    values = {"charger": "CP1", "stored": 2, "in_flight": 1, "parked": 0, "oldest_unsent_at": at(300)}
    return ChargerQueue.model_validate({**values, **changed})


def message(**changed: Any) -> QueueRow:
    values: dict[str, Any] = {
        "row": 1, "charger": "CP1", "seq": 7, "state": "parked", "lane": "transaction",
        "action": "StartTransaction", "message_id": "m1", "received_at": at(90), "clock_trusted": True,
        "transaction": "17", "attempts": 3, "error": "FormationViolation", "flags": (), "raw": '[2,"m1"]',
    }  # fmt: skip
    return QueueRow.model_validate({**values, **changed})


def file(**changed: Any) -> FileView:
    values: dict[str, Any] = {
        "sha256": "a" * 64, "md5": "b" * 32, "size_bytes": 3_000_000, "name": "fw.bin", "origin": "http://o/fw",
        "local": False, "published": False, "signature": "none", "vendor": "Acme", "model": "Wall*",
        "version": "2.0", "fetched_at": at(60), "used_at": None,
        "holders": (HolderView(charger="CP1", status="installed", at=at(5)),),
    }  # fmt: skip
    return FileView.model_validate({**values, **changed})


def fetch(**changed: Any) -> FetchView:
    values: dict[str, Any] = {
        "name": "fw.bin", "origin": "http://o/fw", "state": "fetching", "received_bytes": 500,
        "total_bytes": 1000, "attempt": 2, "started_at": at(3),
    }  # fmt: skip
    return FetchView.model_validate({**values, **changed})


def transfer(**changed: Any) -> TransferView:
    values: dict[str, Any] = {
        "charger": "CP1", "name": "fw.bin", "direction": "down", "protocol": "HTTP", "state": "running",
        "moved_bytes": 250, "total_bytes": 1000, "started_at": at(3), "ended_at": None, "peer_ip": "10.0.0.9",
    }  # fmt: skip
    return TransferView.model_validate({**values, **changed})


def rollout(**changed: Any) -> RolloutSummary:
    values: dict[str, Any] = {
        "id": "1", "state": "running", "why": "", "sha256": "a" * 64, "name": "fw.bin", "vendor": "Acme",
        "model": "*", "version": "2.0", "at_once": 2, "only_idle": True, "window": "22:00-05:00",
        "failures_max": 1, "created_at": at(600), "ended_at": None, "down": 1,
        "counts": {"installed": 3, "installing": 1, "waiting": 4},
    }  # fmt: skip
    return RolloutSummary.model_validate({**values, **changed})


def line(**changed: Any) -> LogLine:
    values: dict[str, Any] = {
        "n": 1, "at": at(1), "level": "info", "logger": "edgegw.gateway", "text": "CP1: admitted"
    }  # fmt: skip
    return LogLine.model_validate({**values, **changed})


def stranger(**changed: Any) -> Stranger:
    values: dict[str, Any] = {
        "identity": "NEW1", "peer": "10.0.0.7", "first_at": at(600), "last_at": at(20), "times": 9,
        "offered": ("ocpp1.6",),
    }  # fmt: skip
    return Stranger.model_validate({**values, **changed})


def wiring(**changed: Any) -> WiringView:
    values: dict[str, Any] = {
        "charger": "CP1", "connector": 1, "circuit": "main", "phases": "L2 L3 L1", "min_a": 6.0,
        "max_a": 32.0,
        "safe_a": 6.0, "dc": False, "min_kw": None, "max_kw": None, "safe_kw": None, "source": "site file",
        "at": None, "trouble": "",
    }  # fmt: skip
    return WiringView.model_validate({**values, **changed})


def cells(row: Row) -> str:
    return " | ".join(cell if isinstance(cell, str) else cell[0] for cell in row.cells)


# --- whatever a peer wrote ----------------------------------------------------------------------------

EVIL_FRAME = frame(1, text=EVIL, action=EVIL, charger=EVIL, message_id=EVIL, complaints=(EVIL,), kind="bad")
EVIL_JSON = frame(2, text=json.dumps([2, "1", "X", {EVIL: EVIL}]))
EVIL_TRANSACTION = transaction(
    charger=EVIL, id=EVIL, id_tag=EVIL, stop_reason=EVIL, flags=(EVIL,), started_at=EVIL, running=False
)
EVIL_QUEUE = queue(charger=EVIL)
EVIL_MESSAGE = message(action=EVIL, error=EVIL, raw=EVIL, message_id=EVIL, transaction=EVIL, flags=(EVIL,))
EVIL_ALARM = alarm(1, target=EVIL, title=EVIL, text=EVIL, todo=EVIL, acknowledged=True, acknowledged_by=EVIL)
EVIL_LINE = line(text=EVIL, logger=EVIL)
EVIL_HOLDER = HolderView(charger=EVIL, status=EVIL, at=None)
EVIL_FILE = file(name=EVIL, version=EVIL, vendor=EVIL, holders=(EVIL_HOLDER,))
EVIL_ROLLOUT = rollout(name=EVIL, why=EVIL, vendor=EVIL, window=EVIL)
EVIL_STRANGER = stranger(identity=EVIL, peer=EVIL, offered=(EVIL,))
EVIL_WIRING = wiring(charger=EVIL, circuit=EVIL, trouble=EVIL)

HOSTILE: dict[str, tuple[Row, Text]] = {
    "frame": (frame_words.row_of(EVIL_FRAME), frame_words.about(EVIL_FRAME)),
    "json": (frame_words.row_of(EVIL_JSON), frame_words.about(EVIL_JSON)),
    "transaction": (
        transaction_words.row_of(EVIL_TRANSACTION, NOW),
        transaction_words.about(EVIL_TRANSACTION, NOW),
    ),
    "queue": (queue_words.row_of(EVIL_QUEUE, NOW), queue_words.about_queue(EVIL_QUEUE, NOW)),
    "message": (queue_words.message_row(EVIL_MESSAGE), queue_words.about_message(EVIL_MESSAGE)),
    "alarm": (alarm_words.row_of(EVIL_ALARM, NOW), alarm_words.about(EVIL_ALARM, NOW)),
    "line": (log_words.row_of(EVIL_LINE), log_words.about(EVIL_LINE)),
    "file": (firmware_words.file_row(EVIL_FILE), firmware_words.about_file(EVIL_FILE)),
    "rollout": (firmware_words.rollout_row(EVIL_ROLLOUT), firmware_words.about_rollout(EVIL_ROLLOUT)),
    "stranger": (
        wiring_words.stranger_row(EVIL_STRANGER, NOW),
        wiring_words.about_stranger(EVIL_STRANGER, NOW),
    ),
    "wiring": (wiring_words.wiring_row(EVIL_WIRING), wiring_words.about_wiring(EVIL_WIRING)),
}


@pytest.mark.parametrize("thing", HOSTILE)
def test_nothing_that_a_terminal_obeys_is_shown(thing: str):
    row, text = HOSTILE[thing]
    for cell in row.cells:
        assert (cell if isinstance(cell, str) else cell[0]).isprintable()
    assert text.plain.replace("\n", "").isprintable()
    assert "red]x" in cells(row) + text.plain, "it is shown as it is, not read as markup"


# --- frames -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('[2,"id","Heartbeat",{}]', "{}"),
        ('[2, "a\\"b", "Status", {"a": 1}]', '{"a": 1}'),
        ('[3,"id",{"status":"Accepted"}]', '{"status":"Accepted"}'),
        ('[4,"id","InternalError","why",{}]', '"InternalError","why",{}'),
        ('[2,"id","Heartbeat",{"cut":"of', '{"cut":"of'),
        ("hello", "hello"),
        ("", ""),
    ],
)
def test_a_line_shows_what_the_other_columns_do_not(text: str, shown: str):
    assert frame_words.payload_of(text) == shown


def test_a_complaint_is_marked_and_spelled_out_first():
    one = frame(3, complaints=("connectorId: is not an integer",))
    assert cells(frame_words.row_of(one)).startswith("!")
    assert frame_words.about(one).plain.startswith(
        "! does not fit its schema: connectorId: is not an integer"
    )
    assert frame_words.is_fault(one)
    assert not frame_words.is_fault(frame(4))


def test_a_frame_that_did_not_get_through_is_told_of():
    assert "3 messages before this one are not shown" in cells(frame_words.row_of(frame(1, missed=3)))


def test_the_filter_sees_the_whole_frame():
    one = frame(1, text='[2,"1","DataTransfer",{"data":"' + "x" * 1000 + 'needle"}]')
    assert "needle" in frame_words.searched(one, frame_words.row_of(one))


def test_json_is_indented_with_its_names_in_colour():
    text = pretty('[2,"1","A",{"b":{"c":"d\\u001b","long":"' + "x" * 60 + '"}}]')
    assert text.plain.split("\n")[5:7] == ["    " + '"b": {', "      " + '"c": "d\\u001b",']
    assert {text.plain[span.start : span.end] for span in text.spans} == {'"b"', '"c"', '"long"'}


@pytest.mark.parametrize("raw", ['[2,"1","A",{"b":', "", "not json", "[" * 5000, "\x00\x9b"])
def test_what_is_no_json_is_shown_as_it_is(raw: str):
    assert pretty(raw).plain.isprintable()


def test_a_frame_of_a_megabyte_is_cut_and_it_is_said():
    text = pretty(json.dumps([2, "1", "A", {"data": "x" * 1_000_000}]))
    assert len(text.plain) < CHARACTERS_MAX + 100
    assert "more characters" in text.plain


# --- transactions -------------------------------------------------------------------------------------


def test_running_ones_come_first_and_the_newest_of_each():
    found = [
        transaction(1, running=False, received_at=at(10)),
        transaction(2, running=True, received_at=at(500)),
        transaction(3, running=True, received_at=at(400)),
        transaction(4, running=False, received_at=at(5)),
    ]
    assert [t.id for t in transaction_words.in_order(found)] == ["3", "2", "4", "1"]


@pytest.mark.parametrize(
    ("reason", "words", "usual"),
    [
        ("EVDisconnected", "the car was unplugged", True),
        ("", "ended", True),
        ("PowerLoss", "the charger lost power", False),
        ("Tired\x07", "Tired\\x07 (no reason of OCPP)", False),
    ],
)
def test_why_it_ended(reason: str, words: str, usual: bool):
    ended = transaction(1, running=False, stop_reason=reason)
    assert words in cells(transaction_words.row_of(ended, NOW))
    assert stop_words.is_usual(reason) is usual
    assert transaction_words.is_odd(ended) is not usual


@pytest.mark.parametrize(
    ("begun", "ended", "took"),
    [
        (at(4000), at(100), "1h05"),
        (at(300), at(0), "5m"),
        (at(33), at(0), "33s"),
        (at(0), at(30), "0s"),
        (at(100), at(4000), "?"),
        ("yesterday", at(0), "-"),
        ("2026-11-20T10:00:00", at(0), "-"),
    ],
)
def test_how_long_it_took(begun: str, ended: str, took: str):
    one = transaction(1, running=False, started_at=begun, stopped_at=ended)
    assert transaction_words.took(one, NOW) == took


# --- queue, alarms, log -------------------------------------------------------------------------------


def test_what_is_parked_is_told_with_the_reason_and_what_to_do():
    assert "refused by the cloud" in cells(queue_words.row_of(queue(parked=2), NOW))
    assert "2 messages the cloud refused for good" in queue_words.about_queue(queue(parked=2), NOW).plain
    assert "refused 3 times: FormationViolation" in cells(queue_words.message_row(message()))
    assert "r sends it once more" in queue_words.about_message(message()).plain


def test_an_alarm_that_somebody_has_seen_is_dim_and_says_who():
    unseen, seen = alarm(1), alarm(1, acknowledged=True, acknowledged_by="anna", acknowledged_at=at(5))
    assert alarm_words.row_of(unseen, NOW).style == ""
    row = alarm_words.row_of(seen, NOW)
    assert row.style == "dim"
    assert cells(row).startswith("v")
    assert "anna" in cells(row)
    assert "What to do: " in alarm_words.about(seen, NOW).plain


@pytest.mark.parametrize(
    ("target", "charger"),
    [("CP1", "CP1"), ("CP1/2", "CP1"), ("A/B", "A/B"), ("A/B/1", "A/B"), ("circuit main", None), ("", None)],
)
def test_which_charger_an_alarm_is_about(target: str, charger: str | None):
    assert alarm_words.charger_of(target, {"CP1", "A/B"}) == charger


def test_levels_go_round():
    seen = ["debug"]
    for _ in range(4):
        seen.append(log_words.next_level(seen[-1]))  # type: ignore[arg-type]
    assert seen == ["debug", "info", "warning", "error", "debug"]
    assert log_words.is_at_least(line(level="critical"), "error")
    assert not log_words.is_at_least(line(level="info"), "warning")


# --- firmware -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        (0.0, "░░░░   0%"),
        (0.5, "██░░  50%"),
        (1.0, "████ 100%"),
        (7.0, "████ 100%"),
        (-1, "░░░░   0%"),
        (None, ""),
    ],
)
def test_a_bar_is_always_as_wide_as_it_should_be(part: float | None, shown: str):
    assert firmware_words.bar(part, 4) == shown
    assert part is None or cell_len(shown) == 9


def test_what_moves_comes_before_what_lies_there():
    firmware = FirmwareView(
        files=(file(),), fetching=(fetch(),), transfers=(transfer(),), size_bytes=3_000_000
    )
    rollouts = (rollout(), rollout(id="2", state="ended", why="all done", down=0, counts={"installed": 2}))
    kinds = [cells(row).split(" | ")[1] for row in firmware_words.rows_of(firmware, rollouts)]
    assert kinds == ["rollout", "fetch", "transfer", "file", "rollout"]


def test_a_rollout_says_how_far_it_is_and_what_failed():
    row = cells(firmware_words.rollout_row(rollout()))
    assert "37%" in row
    assert "3 of 8" in row
    failed = firmware_words.rollout_row(
        rollout(state="paused", why="1 failed: CP7", counts={"failed": 1, "sent": 1})
    )
    assert cells(failed).startswith("x")
    assert "paused, 1 FAILED, 1 down: 1 failed: CP7" in cells(failed)
    assert firmware_words.stages_of(rollout()) == "4 waiting, 1 installing, 3 installed"


def test_the_chargers_of_a_rollout_the_failed_ones_first():
    stages = ("installed", "waiting", "failed", "downloading", "skipped")
    chargers = tuple(
        RolloutCharger(charger=f"CP{n}", stage=stage, down=False, why="", percent=40.0 if n == 3 else None)
        for n, stage in enumerate(stages)
    )
    whole = RolloutView(**rollout().model_dump(), chargers=chargers)
    assert [one.stage for one in firmware_words.in_order(whole)] == [
        "failed", "downloading", "waiting", "installed", "skipped"
    ]  # fmt: skip
    assert "40%" in cells(firmware_words.charger_row(chargers[3]))


# --- wiring -------------------------------------------------------------------------------------------


def test_a_stranger_and_what_is_kept_but_not_in_force():
    assert "knocked 9x, last 20s ago, from 10.0.0.7" in cells(wiring_words.stranger_row(stranger(), NOW))
    assert cells(wiring_words.wiring_row(wiring(trouble="no such circuit"))).startswith("!")
    accepted = AcceptedCharger(identity="NEW1", at=at(5), source="accepted")
    assert "not wired yet" in cells(wiring_words.accepted_row(accepted, False))
    assert "DC, 5 to 50 kW" in wiring_words.about_wiring(
        wiring(dc=True, min_kw=5.0, max_kw=50.0, safe_kw=5.0)
    ).plain  # fmt: skip


def test_the_last_numbers_of_a_silent_meter_are_not_shown_as_those_of_now():
    silent = circuit(stale=True)  # it still holds 41.2 A and more
    row = site_words.circuit_rows(power(circuits=(silent,)))[0]
    assert [text.split("/")[0].strip() for text, _ in row.cells[2:5]] == ["-", "-", "-"]
    assert "L1 -" in site_words.phase_line(silent, "5 min", None).plain
    past = PowerPast("main", SPANS[0])
    past.add(power(circuits=(silent,)), NOW)
    assert past.is_unmeasured
