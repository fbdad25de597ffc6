"""Every planted fault is caught by the check that is there for it; what is allowed is not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgegw.sim.audit import audit, main, table
from edgegw.sim.verdict import Verdict

Lines = list[dict[str, Any]]


class Run:
    """A copy of the ledgers, to be spoiled."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def edit(self, name: str, change: Callable[[Lines], Lines | None], *, renumber: bool = True) -> None:
        path = self.directory / f"{name}.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        lines = change(lines) or lines
        for number, line in enumerate(lines, 1):
            if renumber:
                line["n"] = number
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def lines(self, name: str) -> Lines:
        return [json.loads(line) for line in (self.directory / f"{name}.jsonl").read_text().splitlines()]

    def verdict(self, **options: Any) -> Verdict:
        return audit(
            [self.directory / f"CP{n}.jsonl" for n in (1, 2, 3)], self.directory / "cloud.jsonl", **options
        )


@pytest.fixture
def run(agreeing_run: Path, tmp_path: Path) -> Run:
    shutil.copytree(agreeing_run, tmp_path / "run")
    return Run(tmp_path / "run")


def at(lines: Lines, *, kind: str, who: str = "CP1", action: str, nth: int = 0) -> int:
    """Index of the nth such line."""
    found = [i for i, e in enumerate(lines) if (e["kind"], e["who"], e.get("action")) == (kind, who, action)]
    return found[nth]


def received(lines: Lines, action: str, who: str = "CP1", nth: int = 0) -> int:
    return at(lines, kind="received_call", who=who, action=action, nth=nth)


# --- what holds -----------------------------------------------------------------------------------


def test_an_honest_run_holds(run: Run):
    verdict = run.verdict(complete=True)
    assert verdict.holds, table(verdict)
    assert verdict.facts["transactions"] == 6
    assert verdict.facts["transaction_messages"] == 24
    assert verdict.facts["energy_chargers_wh"] == verdict.facts["energy_cloud_wh"] > 0
    assert verdict.facts["transactions_answered_offline"] == 0


def test_a_local_transaction_id_that_was_mapped_holds(run: Run):
    """The charger was told 1073741825 while the cloud was away; the cloud's own id is 1."""

    def offline(lines: Lines) -> None:
        for line in lines:
            if line.get("tx") == "1" and line["who"] == "CP1":
                line["tx"] = "1073741825"
                line["raw"] = line["raw"].replace('"transactionId":1,', '"transactionId":1073741825,')
                if line["kind"] == "got_result":
                    line["at"] -= 1000

    before = (run.directory / "CP1.jsonl").read_text()
    run.edit("CP1", offline)
    assert (run.directory / "CP1.jsonl").read_text().count("1073741825") > before.count("1073741825")
    verdict = run.verdict(complete=True)
    assert verdict.holds, table(verdict)
    assert verdict.facts["transactions_answered_offline"] == 1


def test_an_offline_flag_that_was_set_holds(run: Run):
    def offline(lines: Lines) -> None:
        for line in lines:
            if line["kind"] == "received_call" and line["action"] == "TransactionEvent":
                line["raw"] = line["raw"].replace('"seqNo"', '"offline":true, "seqNo"')

    run.edit("cloud", offline)
    assert '\\"offline\\":true' in (run.directory / "cloud.jsonl").read_text()
    assert run.verdict(complete=True).holds


def test_a_double_after_an_answer_that_was_lost_holds(run: Run):
    """The connection ended right after the answer, and the message came again on the next one."""

    def double(lines: Lines) -> None:
        at_stop = received(lines, "StopTransaction", nth=1)
        again = dict(lines[at_stop], conn=90)
        lines[at_stop + 1 :] = [line for line in lines[at_stop + 1 :] if line["who"] != "CP1"]
        answer = dict(lines[at_stop], kind="sent_result", tx="", raw="[3,0,{}]")
        lines[at_stop + 1 : at_stop + 1] = [answer, again, dict(answer, conn=90)]

    run.edit("cloud", double)
    verdict = run.verdict()
    assert verdict.holds, table(verdict)
    assert verdict.facts["arrived_more_than_once"] == 1
    assert verdict.facts["answers_maybe_lost"] == 1


def test_a_message_sent_again_after_callerror_holds(run: Run):
    def refused_first(lines: Lines) -> None:
        index = received(lines, "MeterValues")
        refusal = dict(lines[index], kind="sent_error", raw='[4,"x","InternalError","",{}]')
        lines[index:index] = [dict(lines[index]), refusal]

    run.edit("cloud", refused_first)
    assert run.verdict().holds


# --- planted faults -------------------------------------------------------------------------------


def lose_meter_values(lines: Lines) -> None:
    del lines[received(lines, "MeterValues")]


def lose_start(lines: Lines) -> None:
    del lines[received(lines, "StartTransaction")]


def swap(lines: Lines) -> None:
    one, other = received(lines, "MeterValues"), received(lines, "StopTransaction")
    lines[one], lines[other] = lines[other], lines[one]


def swap_meter_values(lines: Lines) -> None:
    one, other = received(lines, "MeterValues"), received(lines, "MeterValues", nth=1)
    lines[one], lines[other] = lines[other], lines[one]


def swap_transactions(lines: Lines) -> None:
    """The whole second transaction before the first."""
    mine = [i for i, e in enumerate(lines) if e["who"] == "CP3" and e.get("action") == "TransactionEvent"]
    parts = [lines[i] for i in mine]
    half = len(parts) // 2
    for index, line in zip(mine, parts[half:] + parts[:half], strict=True):
        lines[index] = line


def double(lines: Lines) -> None:
    index = received(lines, "StartTransaction")
    lines[index + 2 : index + 2] = [dict(lines[index]), dict(lines[index + 1])]


def double_later(lines: Lines) -> None:
    lines.append(dict(lines[received(lines, "StartTransaction")], conn=99))


def change_byte(lines: Lines) -> None:
    line = lines[received(lines, "StartTransaction")]
    line["raw"] = line["raw"].replace("TAG1", "TAG2")


def respell_escape(lines: Lines) -> None:
    line = lines[received(lines, "TransactionEvent", "CP3", nth=1)]
    assert "\\/" in line["raw"]
    line["raw"] = line["raw"].replace("\\/", "/")


def drop_blank(lines: Lines) -> None:
    line = lines[received(lines, "StopTransaction", "CP2")]
    assert '": ' in line["raw"]
    line["raw"] = line["raw"].replace('": ', '":', 1)


def foreign_id(lines: Lines) -> None:
    """CP1's stop carries the id of CP2's transaction."""
    line = lines[received(lines, "StopTransaction")]
    foreign = lines[received(lines, "StopTransaction", "CP2")]["tx"]
    line["raw"] = line["raw"].replace(f'"transactionId":{line["tx"]},', f'"transactionId":{foreign},')
    line["tx"] = foreign


def local_id_leaks(lines: Lines) -> None:
    line = lines[received(lines, "MeterValues")]
    line["raw"] = line["raw"].replace(f'"transactionId":{line["tx"]},', '"transactionId":1073741825,')
    line["tx"] = "1073741825"


def second_transactions_id_on_the_first(lines: Lines) -> None:
    line = lines[received(lines, "StopTransaction")]
    other = lines[received(lines, "StopTransaction", nth=1)]["tx"]
    line["raw"] = line["raw"].replace(f'"transactionId":{line["tx"]},', f'"transactionId":{other},')
    line["tx"] = other


def wrong_energy(lines: Lines) -> None:
    lines[received(lines, "StopTransaction")]["energy_wh"] += 1


def wrong_energy_2x(lines: Lines) -> None:
    lines[received(lines, "TransactionEvent", "CP3", nth=3)]["energy_wh"] -= 1


def crossed_2x(lines: Lines) -> None:
    lines.append(dict(lines[received(lines, "TransactionEvent", "CP3")], who="CP1", conn=99))


def invent(lines: Lines) -> None:
    lines.append(dict(lines[received(lines, "MeterValues")], id="nobody-sent-this", conn=99))


@pytest.mark.parametrize(
    ("fault", "caught_by"),
    [
        (lose_meter_values, {"I1"}),
        (lose_start, {"I1", "I3", "I5", "I6"}),
        (swap, {"I3", "ORDER"}),
        (swap_meter_values, {"I3", "ORDER"}),
        (swap_transactions, {"ORDER"}),
        (double, {"I2"}),
        (double_later, {"I2", "ORDER"}),
        (change_byte, {"I4"}),
        (respell_escape, {"I4"}),
        (drop_blank, {"I4"}),
        (foreign_id, {"I5"}),
        (local_id_leaks, {"I5"}),
        (second_transactions_id_on_the_first, {"I5"}),
        (wrong_energy, {"I6"}),
        (wrong_energy_2x, {"I6"}),
        (crossed_2x, {"I5", "INVENTED"}),
        (invent, {"INVENTED"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_fault_planted_in_the_clouds_ledger_is_caught(
    run: Run, fault: Callable[[Lines], None], caught_by: set[str]
):
    run.edit("cloud", fault)
    verdict = run.verdict()
    assert verdict.broken() == caught_by, table(verdict)
    assert all(check.offenders for check in verdict.checks if check.name in caught_by)


@pytest.mark.parametrize("ledger", ["cloud", "CP2"])
def test_a_line_that_is_missing_from_a_ledger_is_caught(run: Run, ledger: str):
    run.edit(ledger, lambda lines: lines[:4] + lines[5:], renumber=False)
    assert "LEDGERS" in run.verdict().broken()


def test_one_id_given_for_two_transactions_is_caught(run: Run):
    def same(lines: Lines) -> None:
        first, second = (at(lines, kind="got_result", action="StartTransaction", nth=n) for n in (0, 1))
        lines[second]["tx"] = lines[first]["tx"]

    run.edit("CP1", same)
    assert run.verdict().broken() == {"I5"}


def test_an_unanswered_message_is_open_but_not_lost(run: Run):
    def unanswered(lines: Lines) -> None:
        del lines[at(lines, kind="got_result", action="StopTransaction", nth=1)]

    run.edit("CP1", unanswered)
    run.edit("cloud", lambda lines: [e for e in lines if not _is_last_stop(lines, e)])
    assert run.verdict().holds
    assert run.verdict(complete=True).broken() == {"COMPLETE"}


def _is_last_stop(lines: Lines, line: dict[str, Any]) -> bool:
    return line is lines[received(lines, "StopTransaction", nth=1)]


def test_doubles_are_allowed_up_to_the_number_given(run: Run):
    run.edit("cloud", double)
    assert run.verdict().broken() == {"I2"}
    assert run.verdict(replies_lost=1).holds


# --- the program ----------------------------------------------------------------------------------


def test_the_program_says_so_and_exits_0(run: Run):
    done = subprocess.run(
        [sys.executable, "-m", "edgegw.sim.audit", str(run.directory / "CP1.jsonl")]
        + [str(run.directory / f"CP{n}.jsonl") for n in (2, 3)]
        + ["--cloud", str(run.directory / "cloud.jsonl"), "--complete"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the ledgers agree" in done.stdout


def test_the_program_exits_1_and_names_the_offender(run: Run, capsys: pytest.CaptureFixture[str]):
    run.edit("cloud", lose_meter_values)
    chargers = [str(run.directory / f"CP{n}.jsonl") for n in (1, 2, 3)]
    assert main([*chargers, "--cloud", str(run.directory / "cloud.jsonl")]) == 1
    assert "CP1 MeterValues" in capsys.readouterr().out
    assert main([*chargers, "--cloud", str(run.directory / "cloud.jsonl"), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert [check["name"] for check in said["checks"] if not check["holds"]] == ["I1"]


def test_a_ledger_that_is_not_there_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path / "none.jsonl"), "--cloud", str(tmp_path / "no.jsonl")]) == 2
    assert "none.jsonl" in capsys.readouterr().err
