"""A charging profile that comes with a remote start: the charger never sees it, its transaction gets it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from edgegw.wire import frames
from tests.core.balanced_story import (
    TWO,
    BalancedStory,
    balanced,
    profile,
    status_of,
)
from tests.core.story import V16, V21, V201

EVERY_VERSION = pytest.mark.parametrize("version", [V16, V201, V21])
ONLY_2X = pytest.mark.parametrize("version", [V201, V21])


def remote_start(told: BalancedStory, wire: dict[str, Any], tag: str = "REMOTE") -> tuple[str, bytes]:
    """Sends one with odd spacing; returns the message id and the bytes that the charger got."""
    if told.version.is_2x:
        head = (
            b'{ "remoteStartId" : 5,  "evseId":1, "idToken":{"idToken":"%s", "type":"Central"} , '
            % tag.encode()
        )
        action = b"RequestStartTransaction"
    else:
        head, action = b'{ "connectorId" : 1,  "idTag":"%s" , ' % tag.encode(), b"RemoteStartTransaction"
    tail = b'"chargingProfile" : ' + orjson.dumps(wire) + b" } ]"
    told.charger.take()
    told.cloud.says(b'[2, "rs", "' + action + b'", ' + head + tail)
    sent = [raw for raw in told.charger.raw if b'"rs"' in raw]
    return "rs", (sent or [b""])[0]


@EVERY_VERSION
def test_the_profile_of_a_remote_start_is_cut_out_and_holds_for_its_transaction(version):
    told = balanced(version)
    asked, sent = remote_start(told, profile(version, 11.0))
    assert b"chargingProfile" not in sent
    assert sent.startswith(b'[2, "rs", "Re')
    assert b" : " in sent
    assert sent.endswith(b" } ]")
    told.charger.says(frames.result("rs", {"status": "Accepted"}))
    assert told.reply(asked) == {"status": "Accepted"}
    transaction = told.begins(tag="REMOTE")
    assert told.told[1] == 11.0
    assert [p.transaction for p in told.core.state.power.book.profiles] == [str(transaction)]


@EVERY_VERSION
def test_the_transaction_of_somebody_else_does_not_get_it(version):
    told = balanced(version)
    remote_start(told, profile(version, 11.0))
    told.charger.says(frames.result("rs", {"status": "Accepted"}))
    told.begins(tag="OTHER")
    assert told.told[1] == 32.0


@EVERY_VERSION
def test_a_start_that_the_charger_rejects_leaves_nothing(version):
    told = balanced(version)
    asked, _ = remote_start(told, profile(version, 11.0))
    told.charger.says(frames.result("rs", {"status": "Rejected"}))
    assert told.reply(asked) == {"status": "Rejected"}
    told.begins(tag="REMOTE")
    assert told.told[1] == 32.0


@EVERY_VERSION
def test_a_remote_start_survives_a_power_cut_with_its_profile(version):
    told = balanced(version)
    remote_start(told, profile(version, 11.0))
    told.charger.says(frames.result("rs", {"status": "Accepted"}))
    told.restart()
    told.cloud.comes_back()
    told.charger.connects()
    told.seconds(8)
    told.grants(32.0)
    told.begins(tag="remote")
    assert told.told[1] == 11.0


@EVERY_VERSION
def test_a_remote_start_with_a_bad_profile_is_rejected_and_starts_nothing(version):
    told = balanced(version)
    asked, sent = remote_start(told, profile(version, 11.0, purpose="TxDefaultProfile"))
    assert sent == b""
    assert status_of(told, asked) == "Rejected"


@ONLY_2X
def test_the_transaction_is_the_one_that_names_the_remote_start(version):
    told = balanced(version, *TWO)
    remote_start(told, profile(version, 11.0))
    told.charger.says(frames.result("rs", {"status": "Accepted"}))
    info = {"transactionId": "tx-1", "remoteStartId": 5}
    told.begins(1, "SOMETHING-ELSE", id="tx-1", transactionInfo=info)
    assert told.told[1] == 11.0


@ONLY_2X
def test_a_transaction_that_runs_since_the_cable_was_plugged_in(version):
    told = balanced(version)
    told.begins(1, "CABLE", id="tx-1")
    _, _ = remote_start(told, profile(version, 11.0))
    told.charger.says(frames.result("rs", {"status": "Accepted", "transactionId": "tx-1"}))
    told.seconds(2)
    assert told.told[1] == 11.0


@EVERY_VERSION
def test_a_remote_start_without_a_profile_passes_as_it_is(version):
    told = balanced(version)
    action = "RequestStartTransaction" if version.is_2x else "RemoteStartTransaction"
    raw = b'[2, "plain","%s", {"idTag" :"T"}]' % action.encode()
    told.cloud.says(raw)
    assert told.charger.raw == [raw]


@EVERY_VERSION
def test_the_same_tag_on_another_connector_or_from_before_is_not_meant(version):
    told = balanced(version, *TWO)
    told.begins(1, "REMOTE", id="tx-1")
    told.seconds(5)
    remote_start(told, profile(version, 11.0))  # on connector 1
    told.charger.says(frames.result("rs", {"status": "Accepted"}))
    told.begins(2, "REMOTE", id="tx-2")
    told.seconds(5)
    assert told.told[1] == told.told[2] == 32.0
    assert len(told.core.state.power.starts) == 1


@EVERY_VERSION
def test_a_start_that_nobody_uses_is_forgotten(version):
    told = balanced(version)
    remote_start(told, profile(version, 11.0))
    told.charger.says(frames.result("rs", {"status": "Accepted"}))
    told.mono, told.wall = told.mono + 901.0, told.wall + 901.0
    told.begins(1, "REMOTE")
    assert told.core.state.power.starts == []
    assert told.told[1] == 32.0
