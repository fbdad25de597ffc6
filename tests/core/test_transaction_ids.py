"""OCPP 1.6: a transaction that began away from the cloud has two ids; each side only ever reads its own."""

from __future__ import annotations

import orjson
import pytest

from edgegw.core.effects import SendCharger, SendCloud
from edgegw.core.records import Append, RowState, SaveDocument, SaveTransaction, Settle
from edgegw.core.rewriting import COST_VENDOR
from edgegw.core.transactions import LOCAL_ID_FIRST, LOCAL_ID_LAST
from tests.core.story import V16, Story, away, meter, online, start, stop

CLOUD_ID = 4711


def cost(message: str, told: object) -> dict[str, object]:
    inner = f'{{"cost" : 1.50,"transactionId": {orjson.dumps(told).decode()}, "state":"Charging"}}'
    return {"vendorId": COST_VENDOR, "messageId": message, "data": inner}


@pytest.fixture
def mapped() -> tuple[Story, int]:
    """A transaction that began away and that the cloud has named since: (story, local id)."""
    told = away()
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.cloud.comes_back()
    told.cloud.answers({"transactionId": CLOUD_ID, "idTagInfo": {"status": "Accepted"}})
    told.forget()
    return told, local


def test_a_start_away_from_the_cloud_gets_an_id_of_the_reserved_range():
    local = away().charger.asks("StartTransaction", start())["transactionId"]
    assert LOCAL_ID_FIRST <= local <= LOCAL_ID_LAST


def test_the_row_and_the_pair_are_on_disk_before_the_charger_is_answered():
    told = away()
    told.charger.sends("StartTransaction", start())
    kinds = [type(effect) for effect in told.effects]
    told.expect(SaveDocument, SaveDocument, SaveTransaction, Append, SendCharger)
    assert kinds[kinds.index(SendCharger) :] == [
        SendCharger,
        SaveDocument,
    ]  # its energy: nobody waits for that


def test_no_two_starts_of_a_site_get_one_id():
    told = away()
    other = Story(V16, told.policy, identity="CP-2", beside=told)
    other.charger.connects()
    ids = [
        told.charger.asks("StartTransaction", start(1))["transactionId"],
        other.charger.asks("StartTransaction", start(1))["transactionId"],
        told.charger.asks("StartTransaction", start(2))["transactionId"],
    ]
    assert len(set(ids)) == 3


def test_the_pair_is_in_the_same_commit_as_the_reply_that_brought_it():
    told = away()
    told.charger.sends("StartTransaction", start())
    told.charger.sends("MeterValues", meter())
    told.cloud.comes_back()
    told.forget()
    told.cloud.answers({"transactionId": CLOUD_ID, "idTagInfo": {"status": "Accepted"}})
    settle = next(n for n, e in enumerate(told.effects) if isinstance(e, Settle))
    pair = next(
        n for n, e in enumerate(told.effects) if isinstance(e, SaveDocument) and e.kind == "transaction_id"
    )
    sent = next(n for n, e in enumerate(told.effects) if isinstance(e, SendCloud))
    assert settle < pair < sent
    store_ops = told.effects[settle : pair + 1]
    assert not any(isinstance(e, SendCharger | SendCloud) for e in store_ops)


def test_stored_messages_go_up_with_the_cloud_s_id_and_nothing_else_changed():
    told = away()
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.charger.says(
        b'[2,"m",  "MeterValues",{"meterValue":[{"timestamp":"2026-09-21T14:13:20.00Z","sampledValue":'
        b'[{"value":"1.50"}]}],"transactionId":  %d,"connectorId":1}]' % local
    )
    told.charger.says(
        b'[2,"s","StopTransaction",{"timestamp":"x","transactionId":%d ,"meterStop":7}]' % local
    )
    told.cloud.comes_back()
    told.cloud.answers({"transactionId": CLOUD_ID, "idTagInfo": {"status": "Accepted"}})
    told.cloud.answers({})
    told.cloud.answers({})
    assert told.cloud.raw[1:] == [
        b'[2,"m",  "MeterValues",{"meterValue":[{"timestamp":"2026-09-21T14:13:20.00Z","sampledValue":'
        b'[{"value":"1.50"}]}],"transactionId":  4711,"connectorId":1}]',
        b'[2,"s","StopTransaction",{"timestamp":"x","transactionId":4711 ,"meterStop":7}]',
    ]


def test_fault_43_signed_values_survive_the_rewriting_byte_for_byte(mapped):
    told, local = mapped
    signed = (
        b'"meterValue":[{"timestamp":"2026-09-21T14:13:20Z","sampledValue":[{"format":"SignedData","value":'
        b'"OCMF|{\\"PG\\":\\"T\\u0031\\"}|{\\"SD\\":\\"\\/\\/\\\\8\\"} \\"transactionId\\":%d"}]}]' % local
    )
    told.charger.says(b'[2,"m","MeterValues",{%s,"transactionId":%d,"connectorId":1}]' % (signed, local))
    assert told.cloud.take() == [b'[2,"m","MeterValues",{%s,"transactionId":4711,"connectorId":1}]' % signed]


def test_live_meter_values_and_stop_carry_the_cloud_s_id(mapped):
    told, local = mapped
    told.cloud.is_polite = True
    told.charger.sends("MeterValues", meter(local))
    told.charger.sends("StopTransaction", stop(local))
    assert [frame[3]["transactionId"] for frame in told.cloud.frames] == [CLOUD_ID, CLOUD_ID]


@pytest.mark.parametrize("as_text", [False, True])
def test_a_cost_message_of_the_charger_carries_the_cloud_s_id_in_its_own_type(mapped, as_text):
    told, local = mapped
    told.charger.sends("DataTransfer", cost("ConnectorUnplugged", str(local) if as_text else local))
    payload = told.cloud.last[3]
    wanted = str(CLOUD_ID) if as_text else CLOUD_ID
    assert payload == cost("ConnectorUnplugged", wanted)


@pytest.mark.parametrize("message", ["RunningCost", "FinalCost"])
@pytest.mark.parametrize("as_text", [False, True])
def test_a_cost_message_of_the_cloud_carries_the_charger_s_id_in_its_own_type(mapped, message, as_text):
    told, local = mapped
    told.cloud.sends("DataTransfer", cost(message, str(CLOUD_ID) if as_text else CLOUD_ID))
    wanted = str(local) if as_text else local
    assert told.charger.last[3] == cost(message, wanted)


@pytest.mark.parametrize(
    "data",
    ["not json", "[]", "{}", '{"transactionId":"x"}', '{"transactionId":null}', '{"transactionId":[]}', 5],
)
def test_a_cost_message_that_makes_no_sense_is_left_alone(mapped, data):
    told, _ = mapped
    payload = {"vendorId": COST_VENDOR, "messageId": "RunningCost", "data": data}
    told.cloud.sends("DataTransfer", payload)
    assert told.charger.last[3] == payload


def test_a_message_of_another_vendor_is_left_alone(mapped):
    told, _ = mapped
    payload = cost("RunningCost", CLOUD_ID) | {"vendorId": "else"}
    told.cloud.sends("DataTransfer", payload)
    assert told.charger.last[3] == payload


def test_a_remote_stop_reaches_the_charger_with_its_own_id(mapped):
    told, local = mapped
    told.cloud.sends("RemoteStopTransaction", {"transactionId": CLOUD_ID})
    assert told.charger.last[3] == {"transactionId": local}


def test_a_charging_profile_reaches_the_charger_with_its_own_id(mapped):
    told, local = mapped
    profile = {"chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile"}
    wanted = {"connectorId": 1, "csChargingProfiles": profile | {"transactionId": CLOUD_ID}}
    told.cloud.sends("SetChargingProfile", wanted)
    assert told.charger.last[3]["csChargingProfiles"] == profile | {"transactionId": local}


def test_a_profile_in_a_remote_start_is_tolerated_with_an_id(mapped):
    told, local = mapped
    told.cloud.sends("RemoteStartTransaction", {"idTag": "T", "chargingProfile": {"transactionId": CLOUD_ID}})
    assert told.charger.last[3]["chargingProfile"] == {"transactionId": local}


def test_a_remote_stop_of_an_unknown_id_is_relayed_for_the_charger_to_refuse(mapped):
    told, _ = mapped
    told.cloud.sends("RemoteStopTransaction", {"transactionId": 99})
    assert told.charger.last[3] == {"transactionId": 99}


def test_a_remote_stop_is_rejected_while_the_stop_waits_in_our_queue(mapped):
    told, local = mapped
    told.cloud.goes_away()
    told.charger.sends("StopTransaction", stop(local))
    told.replay_is_free = False
    told.cloud.comes_back()
    told.forget()
    told.cloud.sends("RemoteStopTransaction", {"transactionId": CLOUD_ID}, id="rs")
    assert told.cloud.take() == [b'[3,"rs",{"status":"Rejected"}]']
    assert told.charger.take() == []


def test_of_two_calls_with_one_id_the_first_is_answered_first(mapped):
    told, local = mapped
    told.cloud.goes_away()
    told.charger.sends("StopTransaction", stop(local))
    told.replay_is_free = False
    told.cloud.comes_back()
    told.forget()
    told.cloud.sends("ClearCache", {}, id="1")
    told.cloud.sends("RemoteStopTransaction", {"transactionId": CLOUD_ID}, id="1")
    assert told.cloud.take() == []
    told.charger.answers({"status": "Accepted"})
    assert told.charger.last[3] == {"transactionId": local}
    told.charger.answers({"status": "Rejected"})
    assert [frame[1:] for frame in told.cloud.frames] == [
        ["1", {"status": "Accepted"}],
        ["1", {"status": "Rejected"}],
    ]


def test_an_online_transaction_keeps_the_cloud_s_id_everywhere():
    told = online()
    told.charger.sends("StartTransaction", start())
    told.cloud.answers({"transactionId": CLOUD_ID, "idTagInfo": {"status": "Accepted"}})
    assert told.charger.last[2]["transactionId"] == CLOUD_ID
    told.cloud.goes_away()
    told.charger.sends("MeterValues", meter(CLOUD_ID), id="m")
    told.charger.sends("StopTransaction", stop(CLOUD_ID), id="s")
    raws = [row.raw for row in told.rows]
    told.cloud.take()
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert told.cloud.take() == raws
    assert told.store.documents.get(("CP-1", "transaction_id", str(CLOUD_ID))) is None


def test_a_start_on_the_wire_when_the_link_dies_goes_up_again_with_the_same_id_and_bytes():
    told = online()
    sent = told.charger.sends("StartTransaction", start())
    (first,) = told.cloud.take()
    told.cloud.goes_away()
    local = told.charger.told(sent)["transactionId"]
    told.cloud.comes_back()
    assert told.cloud.take() == [first]
    told.cloud.answers({"transactionId": CLOUD_ID, "idTagInfo": {"status": "Accepted"}})
    told.charger.sends("StopTransaction", stop(local))
    assert told.cloud.last[3]["transactionId"] == CLOUD_ID


def test_a_start_that_is_repeated_under_a_new_id_gets_the_same_transaction():
    told = away()
    first = told.charger.asks("StartTransaction", start())
    again = told.charger.asks("StartTransaction", start())
    assert first["transactionId"] == again["transactionId"]
    assert len(told.rows) == 1


def test_a_charger_without_a_clock_may_charge_twice_with_the_same_words():
    """Tag, connector, meter and time may all be equal; the first transaction has had its Stop."""
    told = away()
    first = told.charger.asks("StartTransaction", start())["transactionId"]
    told.charger.sends("StopTransaction", stop(first))
    second = told.charger.asks("StartTransaction", start())["transactionId"]
    assert first != second
    assert [row.action for row in told.rows] == ["StartTransaction", "StopTransaction", "StartTransaction"]


def test_what_follows_a_parked_start_goes_up_with_minus_one():
    told = away(message_attempts=1)
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.charger.sends("MeterValues", meter(local))
    told.charger.sends("StopTransaction", stop(local))
    told.cloud.comes_back()
    told.cloud.refuses("FormationViolation")
    told.cloud.answers({})
    told.cloud.answers({})
    assert [f[2] for f in told.cloud.frames] == ["StartTransaction", "MeterValues", "StopTransaction"]
    assert [f[3]["transactionId"] for f in told.cloud.frames[1:]] == [-1, -1]
    assert [row.state for row in told.rows] == [RowState.PARKED, RowState.DELIVERED, RowState.DELIVERED]


def test_live_messages_of_a_transaction_whose_start_was_parked_carry_minus_one_too():
    told = away(message_attempts=1)
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.cloud.comes_back()
    told.cloud.refuses("FormationViolation")
    told.charger.sends("StopTransaction", stop(local))
    assert told.cloud.last[3]["transactionId"] == -1


def test_fault_49_of_two_answers_with_different_ids_the_first_one_wins():
    told = away()
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.cloud.comes_back()
    message_id = told.cloud.newest_call
    told.cloud.answers({"transactionId": 1, "idTagInfo": {"status": "Accepted"}}, id=message_id)
    told.cloud.answers({"transactionId": 2, "idTagInfo": {"status": "Accepted"}}, id=message_id)
    told.charger.sends("StopTransaction", stop(local))
    assert told.cloud.last[3]["transactionId"] == 1
    assert told.site.counters["cloud_answer_unknown"] == 1


@pytest.mark.parametrize("odd", [0, -1, 2**31, 2**31 - 1])
def test_fault_50_an_odd_id_of_the_cloud_is_kept_as_it_is(odd):
    told = away()
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.cloud.comes_back()
    told.cloud.answers({"transactionId": odd, "idTagInfo": {"status": "Accepted"}})
    told.charger.sends("StopTransaction", stop(local))
    assert told.cloud.last[3]["transactionId"] == odd
    told.cloud.answers({})
    told.charger.sends("StartTransaction", start())
    told.cloud.answers({"transactionId": odd, "idTagInfo": {"status": "Accepted"}})
    assert told.charger.last[2]["transactionId"] == odd


def test_fault_50_two_chargers_may_be_given_the_same_id():
    told = away()
    other = Story(V16, told.policy, identity="CP-2", beside=told)
    mine = told.charger.asks("StartTransaction", start())["transactionId"]
    other.cloud.comes_back()
    other.charger.connects()
    other.charger.sends("StartTransaction", start())
    other.cloud.answers({"transactionId": CLOUD_ID, "idTagInfo": {"status": "Accepted"}})
    told.cloud.comes_back()
    told.cloud.answers({"transactionId": CLOUD_ID, "idTagInfo": {"status": "Accepted"}})
    other.cloud.sends("RemoteStopTransaction", {"transactionId": CLOUD_ID})
    told.cloud.sends("RemoteStopTransaction", {"transactionId": CLOUD_ID})
    assert other.charger.last[3] == {"transactionId": CLOUD_ID}
    assert told.charger.last[3] == {"transactionId": mine}


def test_a_cloud_id_equal_to_one_of_ours_is_exchanged_for_another_and_back():
    told = away()
    local = told.charger.asks("StartTransaction", start(1))["transactionId"]
    told.cloud.comes_back()
    told.cloud.answers({"transactionId": CLOUD_ID, "idTagInfo": {"status": "Accepted"}})
    told.charger.sends("StartTransaction", start(2))
    told.cloud.answers({"transactionId": local, "idTagInfo": {"status": "Accepted"}})
    second = told.charger.last[2]["transactionId"]
    assert second != local
    told.charger.sends("StopTransaction", stop(second))
    assert told.cloud.last[3]["transactionId"] == local
    told.cloud.answers({})
    told.charger.sends("StopTransaction", stop(local))
    assert told.cloud.last[3]["transactionId"] == CLOUD_ID
    told.cloud.answers({})
    told.cloud.sends("RemoteStopTransaction", {"transactionId": local})
    assert told.charger.last[3] == {"transactionId": second}


def test_a_local_id_is_never_one_that_the_cloud_gave_a_running_transaction():
    told = online()
    told.charger.sends("StartTransaction", start(1))
    told.cloud.answers({"transactionId": LOCAL_ID_FIRST, "idTagInfo": {"status": "Accepted"}})
    told.cloud.goes_away()
    assert told.charger.asks("StartTransaction", start(2))["transactionId"] != LOCAL_ID_FIRST


def test_the_row_of_a_start_says_all_there_is_to_say():
    told = away()
    told.clock_trusted = False
    told.after(5)
    told.charger.sends("StartTransaction", start(), id="id-9")
    (raw,) = told.charger.take()
    (row,) = told.rows
    local = orjson.loads(raw)[2]["transactionId"]
    assert row.charger == "CP-1"
    assert row.seq == 1
    assert row.message_id == "id-9"
    assert (row.lane, row.version, row.action) == (3, "ocpp1.6", "StartTransaction")
    assert orjson.loads(row.raw) == [2, "id-9", "StartTransaction", start()]
    assert row.answer == raw
    assert row.received_at == told.wall
    assert row.clock_trusted is False
    assert row.state is RowState.STORED
    assert row.transaction == str(local)
    assert (row.attempts, row.error) == (0, "")


def test_the_seq_of_a_charger_s_rows_has_no_hole():
    told = away()
    for n in range(1, 6):
        told.charger.sends("MeterValues", meter(wh=n))
    assert [row.seq for row in told.rows] == [1, 2, 3, 4, 5]


def test_an_id_that_the_cloud_gives_a_second_time_means_the_newest_transaction(mapped):
    """A cloud that lost its counter, or gives every transaction the same id."""
    told, local = mapped
    told.charger.sends("StopTransaction", stop(local))
    told.cloud.answers({})
    told.charger.sends("StartTransaction", start(1))
    told.cloud.answers({"transactionId": CLOUD_ID, "idTagInfo": {"status": "Accepted"}})
    assert told.charger.last[2]["transactionId"] == CLOUD_ID
    told.cloud.sends("RemoteStopTransaction", {"transactionId": CLOUD_ID})
    assert told.charger.last[3] == {"transactionId": CLOUD_ID}
    told.restart()
    told.charger.connects()
    told.cloud.comes_back()
    told.cloud.sends("RemoteStopTransaction", {"transactionId": CLOUD_ID}, id="again")
    assert told.charger.last[3] == {"transactionId": CLOUD_ID}
