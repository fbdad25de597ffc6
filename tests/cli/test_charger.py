"""`edgegw charger`: what a person sees of one charger and orders of it, and exit codes."""

from __future__ import annotations

import asyncio
import io
import sys
from contextlib import nullcontext

import click
import pytest
from click.testing import CliRunner

from edgegw.cli.asking import Asking
from edgegw.cli.charger import charger
from edgegw.cli.charger_options import ask_before
from edgegw.cli.charger_show import _parts, _profile
from edgegw.control import detail_models as models
from tests.cli.conftest import Shell
from tests.control.house import TAG, House, Wire


async def hears(charger: Wire, action: str) -> list:
    while True:
        frame = await charger.hears()
        if frame[0] == 2 and frame[2] == action:
            return frame


async def test_the_first_word_may_be_the_charger(house: House, shell: Shell):
    await house.boots("CP-1")
    for words in (["CP-1"], ["CP-1", "detail"], ["detail", "CP-1"]):
        told = (await shell("charger", *words)).stdout
        assert told.startswith("charger       CP-1\n")
        assert "boot          20" in told
    found = await shell.json("charger", "CP-1")
    assert found["charger"]["identity"] == "CP-1"
    assert "no charger 'CP-7'" in (await shell("charger", "CP-7", code=1)).stderr


async def test_what_it_may_draw(house: House, shell: Shell):
    await house.boots("CP-1")
    told = (await shell("charger", "profile", "CP-1", "--span", "1 h")).stdout
    assert told.splitlines()[0].split() == ["FROM", "A", "WHAT", "BINDS", "IT"]
    assert "does not balance it" in told
    assert "unknown unit" in (await shell("charger", "profile", "CP-1", "--span", "1 x", code=2)).stderr


ACTIONS = [
    (["reset", "--hard"], "Reset", {"type": "Hard"}),
    (["unlock", "--connector", "2"], "UnlockConnector", {"connectorId": 2}),
    (["availability", "inoperative"], "ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}),
    (["start", TAG], "RemoteStartTransaction", {"connectorId": 1, "idTag": TAG}),
    (["stop", "5"], "RemoteStopTransaction", {"transactionId": 5}),
    (["trigger", "Heartbeat"], "TriggerMessage", {"requestedMessage": "Heartbeat"}),
]


async def test_every_action_and_its_exit_codes(house: House, shell: Shell):
    charger = await house.connects("CP-1")
    for words, action, payload in ACTIONS:
        name, *rest = words
        asking = asyncio.create_task(shell("charger", name, "CP-1", *rest))
        frame = await hears(charger, action)
        assert frame[3] == payload
        charger.says([3, frame[1], {"status": "Accepted"}])
        assert (await asking).stdout.startswith("CP-1: Accepted: ")
    asking = asyncio.create_task(shell("charger", "unlock", "CP-1", code=1))
    charger.says([3, (await hears(charger, "UnlockConnector"))[1], {"status": "UnlockFailed"}])
    assert "edgegw: CP-1: UnlockFailed: the lock did not open" in (await asking).stderr
    asking = asyncio.create_task(shell.json("charger", "unlock", "CP-1", code=1))
    charger.says([3, (await hears(charger, "UnlockConnector"))[1], {"status": "UnlockFailed"}])
    assert (await asking)["accepted"] is False
    house.is_impatient()
    await shell("charger", "unlock", "CP-1", code=4)  # it says nothing
    await shell("charger", "unlock", "CP-7", code=1)
    await shell("charger", "stop", "CP-1", code=2)
    await shell("charger", "trigger", "CP-1", "Anything", code=2)


async def test_settings_are_shown_and_set(house: House, shell: Shell):
    charger = await house.connects("CP-1")
    asking = asyncio.create_task(shell("charger", "settings", "CP-1"))
    keys = [{"key": "HeartbeatInterval", "readonly": False, "value": "300"},
            {"key": "NumberOfConnectors", "readonly": True, "value": "1"}]  # fmt: skip
    charger.says([3, (await hears(charger, "GetConfiguration"))[1], {"configurationKey": keys}])
    head, first, second, asked = (await asking).stdout.splitlines()
    assert head.split() == ["NAME", "VALUE", "NOTE"]
    assert first.split() == ["HeartbeatInterval", "300", "-"]
    assert second.split() == ["NumberOfConnectors", "1", "read-only"]
    assert asked.startswith("as told at ")
    assert "HeartbeatInterval" in (await shell("charger", "CP-1", "settings", "beat")).stdout
    assert "nothing of it holds 'x'" in (await shell("charger", "settings", "CP-1", "x")).stdout
    asking = asyncio.create_task(shell("charger", "set", "CP-1", "HeartbeatInterval", "60"))
    charger.says([3, (await hears(charger, "ChangeConfiguration"))[1], {"status": "Accepted"}])
    assert (await asking).stdout == "CP-1: HeartbeatInterval: Accepted: it is set\n"
    asking = asyncio.create_task(shell("charger", "set", "CP-1", "HeartbeatInterval", "-1", code=2))
    assert "No such option" in (await asking).stderr
    asking = asyncio.create_task(shell("charger", "set", "CP-1", "Other", "60", code=1))
    charger.says([3, (await hears(charger, "ChangeConfiguration"))[1], {"status": "NotSupported"}])
    assert "the charger has no such setting" in (await asking).stderr
    refused = await shell("charger", "set", "CP-1", "AuthorizationKey", "secret", code=1)
    assert "is a secret" in refused.stderr


async def test_bypass_and_limit_of_a_charger_that_is_not_balanced(house: House, shell: Shell):
    await house.connects("CP-1")
    for words in (["bypass", "CP-1"], ["limit", "CP-1", "10"], ["limit", "CP-1", "--end"]):
        refused = await shell("charger", *words, code=1)
        assert "nothing is balanced here" in refused.stderr
    await shell("charger", "limit", "CP-1", code=2)


# --- a person at a terminal -------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "ends"), [("y\n", None), ("n\n", SystemExit), ("", click.Abort)])
def test_on_a_terminal_it_is_asked_before(monkeypatch, capsys, typed: str, ends: type[BaseException] | None):
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    with pytest.raises(ends) if ends else nullcontext():
        ask_before(Asking(), "restart CP-1?", yes=False)
    told = capsys.readouterr().err
    assert "restart CP-1?" in told
    assert ("nothing was ordered" in told) is (ends is SystemExit)


def test_nobody_is_asked_with_yes_in_a_script_or_for_json(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    ask_before(Asking(), "restart?", yes=True)
    ask_before(Asking(as_json=True), "restart?", yes=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    ask_before(Asking(), "restart?", yes=False)


# --- words --------------------------------------------------------------------------------------------


def test_all_parts_of_a_detail_are_shown():
    order = models.ConnectorOrderView(
        kind="bypass", connector=1, limit_a=None, until="2026-11-21T03:44:00Z", left_s=600.0
    )
    found = models.ChargerDetail.model_construct(
        charger=None, power=(), events=(), boot=None, clock_offset_s=-3600.0, alarms=(), orders=(order,),
        handshake_failures=(models.Notice(at="2026-11-21T03:44:07Z", charger="CP-1", kind="handshake",
                                          text="wrong password. Set it"),),
        profile_answers=(models.ProfileAnswer(at="2026-11-21T03:44:07Z", connector=1, method="tx",
                                              limit_a=16.0, answer="Rejected"),),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgegw.cli.charger_show.described", lambda charger: "")
        told = "\n\n".join(_parts(found))
    assert "clock         60 min behind ours: set it" in told
    assert "connector 1: left out of balancing for 10 min more, until 2026-11-21 03:44Z" in told
    assert "wrong password. Set it" in told
    assert told.splitlines()[-1].split()[2:] == ["1", "tx", "16", "Rejected"]


def test_a_profile_is_a_table_of_times():
    steps = (
        models.ProfileStep(from_s=0.0, limit_a=16.0, binds="garage L1"),
        models.ProfileStep(from_s=300.0, limit_a=6.0, binds="its safe value"),
    )
    told = _profile(models.ProfileView(connector=1, span_s=3600, steps=steps)).splitlines()
    assert told[1].split() == ["now", "16", "garage", "L1"]
    assert told[2].split()[:4] == ["in", "5", "min", "6"]


def test_options_without_a_charger_say_what_is_missing():
    told = CliRunner().invoke(charger, ["--config", "site.toml"])
    assert (told.exit_code, "name a charger first" in told.stderr) == (2, True)
