"""What holds for every command there is: help, exit codes, --json, completion, and words that stay whole."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result
from rich.cells import cell_len

from edgegw.cli import COMMANDS, EXIT_CODES, completing, edgegw
from edgegw.cli.tables import fit, table
from tests.cli.conftest import Shell
from tests.control.house import DEADLINE_S, House

# Ask nobody, or somebody else than the gateway, or stay until they are stopped.
ALONE = {"run", "demo", "meter", "mqtt", "restore", "doctor", "init", "completion", "check", "replay"}
STAYS = {"console"}


def every(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(command)
    if path:
        yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from every(found, (*path, name))


ALL = dict(every(edgegw))
ASKING = {
    path: command
    for path, command in ALL.items()
    if path[0] not in ALONE | STAYS
    and (not isinstance(command, click.Group) or command.invoke_without_command)
}


def run(*words: str, code: int | None = 0) -> Result:
    result = CliRunner().invoke(edgegw, list(words))
    assert code is None or result.exit_code == code, (words, result.output, result.exception)
    return result


@pytest.mark.parametrize("path", [pytest.param(path, id=" ".join(path)) for path in ALL])
def test_every_command_has_help_and_so_has_every_option(path: tuple[str, ...]):
    command = ALL[path]
    shown = run(*path, "--help").stdout
    assert command.help, "a command says what it does"
    assert max(map(cell_len, shown.splitlines())) <= 80
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help or parameter.show_default, parameter.name


def needed(path: tuple[str, ...], command: click.Command, folder: Path) -> list[str]:
    """Arguments that are good enough to come as far as asking."""
    if path in TOLD:
        return TOLD[path]
    words: list[str] = []
    for parameter in command.params:
        if not parameter.required:
            continue
        word = str(folder / "file") if isinstance(parameter.type, click.Path) else "1"
        if isinstance(parameter.type, click.Choice):
            word = str(parameter.type.choices[0])
        words += [parameter.opts[0], word] if isinstance(parameter, click.Option) else [word]
    return words


TOLD: dict[tuple[str, ...], list[str]] = {
    ("alarms", "ack"): ["--all"],
    ("charger", "limit"): ["CP-1", "10"],
    ("charger", "stop"): ["CP-1", "--connector", "1"],
    ("limit", "set"): ["main", "--amps", "10", "--for", "10 min"],
}


@pytest.mark.parametrize("path", [pytest.param(path, id=" ".join(path)) for path in ASKING])
def test_what_asks_the_gateway_says_so_with_3_when_it_is_not_there(path: tuple[str, ...], tmp_path: Path):
    command = ALL[path]
    names = {parameter.name for parameter in command.params}
    assert {"socket", "config", "url", "token_file", "as_json"} <= names, "the options all of them share"
    (tmp_path / "file").write_text("{}")
    words = [*path, *needed(path, command, tmp_path), "--socket", str(tmp_path / "none.sock")]
    if path == ("backup",):
        words[1] = str(tmp_path / "new.tar")
    plain = run(*words, code=3)
    assert "no gateway answers" in plain.stderr
    assert not plain.stdout
    told = run(*words, "--json", code=3)
    assert json.loads(told.stdout)["error"]["code"] == "not_reachable"
    assert not told.stderr


@pytest.mark.parametrize("path", [pytest.param(path, id=" ".join(path)) for path in ALL])
def test_wrong_arguments_are_2_everywhere(path: tuple[str, ...]):
    assert run(*path, "--no-such-option", code=2).stderr


def test_the_exit_codes_stand_in_the_help():
    shown = run("--help").stdout
    for line in EXIT_CODES.splitlines()[1:]:
        assert line.strip() in shown
    codes = re.findall(r"^ +(\d+)  ", EXIT_CODES, re.MULTILINE)
    assert codes == ["0", "1", "2", "3", "4", "70", "75", "130"]


# --- completion -----------------------------------------------------------------------------------


def completed(*words: str, begun: str = "") -> list[str]:
    shell = ShellComplete(edgegw, {}, "edgegw", "_EDGEGW_COMPLETE")
    return [item.value for item in shell.get_completions(list(words), begun)]


def test_commands_are_completed_without_importing_any():
    assert set(completed()) >= set(COMMANDS)
    assert completed(begun="al") == ["alarms"]
    asked = {**os.environ, "_EDGEGW_COMPLETE": "bash_complete", "COMP_WORDS": "edgegw st", "COMP_CWORD": "1"}
    code = "import sys; from edgegw.__main__ import main\ntry: main()\nfinally: print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=asked, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("plain,status\n"), done.stderr
    assert "httpx" not in done.stdout
    assert "fastapi" not in done.stdout


async def test_chargers_of_the_running_gateway_are_completed(house: House, shell: Shell, monkeypatch):
    import asyncio

    monkeypatch.setattr(completing, "WITHIN_S", DEADLINE_S)
    await house.boots("CP-1")
    await house.boots("CP-12")
    where = ["--socket", str(house.socket)]
    for words in (
        ["chargers", *where],
        ["events", *where],
        ["status", *where],
        ["queue", *where, "--charger"],
    ):
        assert await asyncio.to_thread(completed, *words, begun="CP-") == ["CP-1", "CP-12"], words
    assert await asyncio.to_thread(completed, "chargers", *where, begun="CP-12") == ["CP-12"]


def test_completion_is_silent_without_a_gateway(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert completed("chargers", begun="CP") == []
    assert completed("chargers", "--socket", str(tmp_path / "none"), begun="CP") == []
    assert completed("chargers", "--config", str(tmp_path / "none.toml"), begun="CP") == []
    assert capsys.readouterr() == ("", "")


def test_completion_does_not_wait_for_a_gateway_that_hangs(tmp_path: Path):
    import socket

    with socket.socket(socket.AF_UNIX) as hangs:
        hangs.bind(str(tmp_path / "s"))
        hangs.listen(5)
        assert completed("chargers", "--socket", str(tmp_path / "s"), begun="CP") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell(shell: str):
    script = run("completion", shell).stdout
    assert "_EDGEGW_COMPLETE" in script
    assert script.startswith("#")
    command = shutil.which(shell)
    if command is not None:
        subprocess.run([command, "-n"], input=script, text=True, check=True)


# --- tables and lines -----------------------------------------------------------------------------

TEXTS = (
    "the cloud is not reached: connection refused by csms.example after 30 s and again and again",
    "",
    "short",
    "GroundFailure: the residual current device has tripped; have an electrician look at the wiring",
)


@pytest.mark.parametrize("width", [80, 100, 132])
def test_a_table_breaks_between_words(width: int):
    rows = [
        ("charger_without_cloud", "critical", "DE*ABC*E1234567", f"{n} min", text)
        for n, text in enumerate(TEXTS)
    ]
    shown = table(("=CODE", "SEVERITY", "WHERE", ">AFTER", "WHAT"), rows, width=width)
    assert max(map(cell_len, shown.splitlines())) <= width
    words = {word for row in rows for cell in row for word in cell.split()}
    assert set(shown.split()) - {"CODE", "SEVERITY", "WHERE", "AFTER", "WHAT", "-"} <= words


def test_many_columns_of_long_words_stay_whole_while_they_fit_at_all():
    row = ("GroundFailure reported", "Unavailable since yesterday", "communication interrupted again",
           "DE*ABC*E1234567 upstairs", "5 min", "authorization refused")  # fmt: skip
    shown = table(tuple("ABCDEF"), [row], width=80)
    assert set(shown.split()) - set("ABCDEF") == {word for cell in row for word in cell.split()}
    assert max(map(cell_len, shown.splitlines())) <= 80


def test_a_word_without_room_is_folded_and_nothing_is_cut():
    shown = table(("A", "B"), [("x" * 100, "y" * 100)], width=80)
    assert shown.count("x") == 100
    assert shown.count("y") == 100
    assert max(map(cell_len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    "label", ["status        ", "              ", "  12 min ago  ", "- ", "", "BROKEN energy    "]
)
def test_lines_are_folded_below_where_their_words_began(label: str):
    line = label + " ".join(TEXTS)
    shown = fit(f"short\n{line}\n{'z' * 200}", width=80).split("\n")
    assert shown[0] == "short"
    assert shown[-1] == "z" * 200, "what has no gap stays in one piece"
    folded = shown[1:-1]
    assert len(folded) > 1
    assert all(cell_len(one) <= 80 for one in folded)
    assert all(one.startswith(" " * len(label)) and one[len(label)] != " " for one in folded[1:])
    assert " ".join(one[len(label) :] for one in folded).split() == line[len(label) :].split()
    assert fit(line) == line, "in a pipe nothing is touched"
