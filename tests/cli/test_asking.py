"""The commands that ask a running gateway: what they print, what they return."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from edgegw.cli import edgegw
from edgegw.cli.tables import age, span, table
from edgegw.errors import StoreFault
from tests.cli.conftest import Shell
from tests.control.house import TAG, House


async def parked(house: House) -> None:
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    await house.starts(charger)
    wire = await house.cloud.comes_back("CP-1")
    frame = await wire.hears()
    wire.says([4, frame[1], "InternalError", "no \x1b[31mcontract", {}])
    await house.all_is_stored()


# --- status ---------------------------------------------------------------------------------------


async def test_status_of_a_box_that_does_well(house: House, shell: Shell):
    await house.boots("CP-1")
    text = (await shell("status")).stdout
    assert text.startswith("status        ok\nsite          depot-1 Deck\n")
    assert "chargers      1 connected of 1 known, 0 transactions running" in text
    assert "queue         0 stored, 0 in flight, 0 parked" in text


async def test_status_is_zero_while_the_cloud_is_away_and_says_so(house: House, shell: Shell):
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    await house.starts(charger)
    text = (await shell("status")).stdout
    assert text.startswith("status        away\n              the cloud is not reached: ")
    document = await shell.json("status")
    assert document["health"]["status"] == "away"
    assert document["site"]["queue"]["stored"] == 1


async def test_status_is_one_with_the_reason_when_the_box_cannot_work(
    house: House, shell: Shell, monkeypatch
):
    async def counts():
        raise StoreFault("gone")

    monkeypatch.setattr(house.journal, "counts", counts)
    assert "the store does not answer" in (await shell("status", code=1)).stdout


async def test_status_over_the_port_needs_no_token_for_health(house: House):
    def ask(*more: str):
        return CliRunner().invoke(edgegw, ["status", "--url", f"http://{house.server.address}", *more])

    bare = await asyncio.to_thread(ask)
    assert (bare.exit_code, "depot-1" in bare.stdout) == (0, False)
    whole = await asyncio.to_thread(ask, "--token-file", str(house.token_file))
    assert (whole.exit_code, "depot-1" in whole.stdout) == (0, True)


# --- chargers, transactions, queue ----------------------------------------------------------------


async def test_chargers_in_a_table_and_one_in_detail(house: House, shell: Shell):
    assert (await shell("chargers")).stdout == "no charger was here yet\n"
    await house.boots("CP-1")
    head, row = (await shell("chargers")).stdout.splitlines()
    assert head.split() == ["CHARGER", "OCPP", "SEEN", "CLOUD", "TX", "QUEUE", "WHAT"]
    assert row.split(maxsplit=2)[:2] == ["CP-1", "1.6"]
    assert row.endswith("connected, nothing charging")
    detail = (await shell("chargers", "CP-1")).stdout
    assert "device        Acme Wall, firmware 1.2" in detail
    assert (await shell.json("chargers", "CP-1"))["identity"] == "CP-1"


async def test_the_table_says_why_a_charger_could_not_come_in(house: House, shell: Shell):
    await house.boots("CP-1")
    house.gateway.sessions["CP-1"].charger_leg = None
    house.gateway.handshake_failed("CP-1", "401: wrong password")
    assert (await shell("chargers")).stdout.splitlines()[1].endswith("not connected: 401: wrong password")


async def test_a_charger_that_is_not_there(shell: Shell):
    result = await shell("chargers", "CP-7", code=1)
    assert result.stderr == "edgegw: no charger 'CP-7' is known here\n"
    document = await shell.json("chargers", "CP-7", code=1)
    assert document["error"]["code"] == "no_such_charger"


async def test_what_a_charger_wrote_cannot_move_the_cursor(house: House, shell: Shell):
    charger = await house.boots("CP-1")
    charger.says(b"\x1b]0;gotcha\x07[bold]")
    for arguments in (("chargers", "CP-1", "--quarantine"), ("chargers", "CP-1"), ("status",)):
        text = (await shell(*arguments)).output
        assert all(c.isprintable() or c == "\n" for c in text), text
    assert "\\x1b]0;gotcha\\x07[bold]" in (await shell("chargers", "CP-1", "--quarantine")).stdout


async def test_transactions(house: House, shell: Shell):
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    transaction_id = await house.starts(charger)
    await house.stops(charger, transaction_id)
    _, row = (await shell("transactions")).stdout.splitlines()
    assert row.split()[:4] == ["CP-1", str(transaction_id), "1", "****" + TAG[-4:]]
    assert row.endswith("2500  Local, offline")
    detail = (await shell("transactions", "CP-1", str(transaction_id))).stdout
    assert f"card          {TAG}" in detail
    assert (await shell("transactions", "--running")).stdout == "no transactions\n"
    assert "more: --before " in (await shell("transactions", "CP-1", "--limit", "1")).stdout


async def test_the_queue_its_rows_and_sending_again(house: House, shell: Shell):
    await parked(house)
    words, _, row = (await shell("queue")).stdout.splitlines()
    assert words.startswith("0 stored, 0 in flight, 1 parked")
    assert row.split() == ["CP-1", "0", "0", "1", "-"]
    _, row = (await shell("queue", "--rows", "--state", "parked")).stdout.splitlines()
    assert "StartTransaction" in row
    assert "  refused 1 time: InternalError: no \\x1b[31mcontract, " in row
    assert TAG not in (await shell("queue", "--rows", "--raw")).stdout
    await shell("queue", "--state", "parked", code=2)
    done = await shell("queue", "resend", "CP-1", "999")
    assert done.stdout == "nothing of CP-1 is parked; what waits goes up by itself\n"
    assert await shell.json("queue", "resend", "CP-1") == {"charger": "CP-1", "resent": 1}


async def test_where_to_ask_may_stand_before_the_sub_command(house: House):
    arguments = ["queue", "--json", "--socket", str(house.socket), "resend", "CP-7"]
    result = await asyncio.to_thread(CliRunner().invoke, edgegw, arguments)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "no_such_charger"


# --- call -----------------------------------------------------------------------------------------


async def test_call_prints_the_answer(house: House, shell: Shell):
    charger = await house.boots("CP-1")
    asked = asyncio.create_task(shell("call", "CP-1", "Reset", "-", stdin='{"type": "Soft"}'))
    frame = await charger.hears()
    assert frame[2:] == ["Reset", {"type": "Soft"}]
    charger.says([3, frame[1], {"status": "Accepted", "note": "Grüße\x1b"}])
    assert json.loads((await asked).stdout) == {"status": "Accepted", "note": "Grüße\x1b"}
    assert "\x1b" not in (await asked).stdout


async def test_call_is_one_for_a_callerror(house: House, shell: Shell):
    charger = await house.boots("CP-1")
    asked = asyncio.create_task(shell("call", "CP-1", "ClearCache", code=1))
    frame = await charger.hears()
    charger.says([4, frame[1], "NotSupported", "not here", {"a": 1}])
    assert (await asked).stderr.startswith("edgegw: CP-1 answered CALLERROR NotSupported: not here {")
    asked = asyncio.create_task(shell.json("call", "CP-1", "ClearCache", code=1))
    frame = await charger.hears()
    charger.says([4, frame[1], "NotSupported", "", {}])
    assert (await asked)["outcome"] == "error"


async def test_call_is_four_for_silence_and_one_for_nobody(house: House, shell: Shell):
    charger = await house.boots("CP-1")
    house.is_impatient()
    assert "did not answer ClearCache in time" in (await shell("call", "CP-1", "ClearCache", code=4)).stderr
    charger.cut()
    assert "CP-1 is not connected" in (await shell("call", "CP-1", "ClearCache", code=1)).stderr


async def test_call_with_what_is_no_payload_or_no_action(house: House, shell: Shell):
    await house.boots("CP-1")
    assert "is not JSON" in (await shell("call", "CP-1", "Reset", "{type}", code=2)).stderr
    assert "must be an object" in (await shell("call", "CP-1", "Reset", "[1]", code=2)).stderr
    assert "similar: Reset" in (await shell("call", "CP-1", "reset", code=1)).stderr


# --- nobody there ---------------------------------------------------------------------------------

MINIMAL = '[site]\nid = "x"\n[chargers]\nlisten = "127.0.0.1:0"\n[store]\ndirectory = "store"\n'


def run(*arguments: str, **more) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgegw", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


def test_exit_code_three_when_no_gateway_runs(tmp_path):
    (tmp_path / "site.toml").write_text(MINIMAL)
    done = run("status", "--config", str(tmp_path / "site.toml"))
    assert (done.returncode, done.stdout) == (3, "")
    socket = tmp_path / "store" / "edgegw.sock"
    expected = f"no gateway answers on {socket}: is `edgegw run` running, with this site file?"
    assert done.stderr == f"edgegw: {expected}\n"
    done = run("queue", "--json", "--config", str(tmp_path / "site.toml"))
    assert json.loads(done.stdout) == {"error": {"code": "not_reachable", "text": expected}}


@pytest.mark.parametrize("named", [True, False])
def test_exit_code_two_without_a_site_file(tmp_path, monkeypatch, named: bool):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGEGW_CONFIG", raising=False)
    result = CliRunner().invoke(edgegw, ["status", *(["--config", "missing.toml"] if named else [])])
    assert result.exit_code == 2
    assert ("missing.toml" if named else "give --config FILE or --socket PATH") in result.stderr


def test_the_site_file_is_found_by_the_environment(tmp_path, monkeypatch):
    (tmp_path / "site.toml").write_text(MINIMAL)
    monkeypatch.setenv("EDGEGW_CONFIG", str(tmp_path / "site.toml"))
    result = CliRunner().invoke(edgegw, ["chargers"])
    assert result.exit_code == 3
    assert str(tmp_path / "store" / "edgegw.sock") in result.stderr


def test_asking_does_not_import_the_web_server(tmp_path):
    code = (
        "import sys, edgegw.cli.call, edgegw.cli.chargers, edgegw.cli.queue, edgegw.cli.transactions;"
        "print([m for m in ('fastapi', 'uvicorn', 'aiosqlite', 'edgegw.core.site') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- tables ---------------------------------------------------------------------------------------


def test_a_table_folds_on_a_terminal_and_keeps_one_line_per_row_in_a_pipe():
    rows = [("CP-" + "x" * 40, 7, "a long verdict " * 8, "[red]no markup[/red]")]
    folded = table(("CHARGER", ">N", "WHAT", "MORE"), rows, width=80)
    assert max(map(len, folded.splitlines())) <= 80
    assert "".join(folded.split()).count("x") == 40
    piped = table(("CHARGER", ">N", "WHAT", "MORE"), rows)
    assert len(piped.splitlines()) == 2
    assert "[red]no markup[/red]" in piped
    assert not any(line.endswith(" ") for line in piped.splitlines())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2 h"), (2 * 86400, "2 days")],
)
def test_a_length_of_time_in_the_unit_people_compare(seconds: float, words: str):
    assert span(seconds) == words


def test_no_time_has_no_age():
    assert age(None) == ""
