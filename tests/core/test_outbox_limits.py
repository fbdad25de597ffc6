"""What a charger can make the box hold has a limit in memory, and what is guaranteed is still delivered."""

from __future__ import annotations

from msgspec.structs import replace

from edgegw.core.effects import LoadRows
from edgegw.core.outbox import ERROR_STATES_MAX, NOTICE_ROWS_MAX, WINDOW_ROWS, Outbox
from edgegw.core.records import ChargerRecovery, JournalRow, Lane
from edgegw.core.sanity import CONNECTOR_MAX
from edgegw.store.recovery import HEAD_ROWS_MAX
from tests.core.story import away, start, status, time_at

SECURITY = {"type": "Tamper", "timestamp": time_at()}
ROW = JournalRow(
    charger="CP-1",
    seq=1,
    epoch=1,
    message_id="m",
    lane=Lane.TRANSACTION,
    version="ocpp1.6",
    action="MeterValues",
    raw=b"",
    answer=b"",
    received_at=0.0,
    clock_trusted=True,
)


def test_security_events_of_any_number_are_all_delivered_and_only_some_are_held_in_memory():
    told = away()
    for _ in range(NOTICE_ROWS_MAX + 50):
        told.charger.asks("SecurityEventNotification", SECURITY)
    assert len(told.core.state.outbox.early()) <= NOTICE_ROWS_MAX
    told.charger.asks("StartTransaction", start())
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert told.cloud.actions == ["SecurityEventNotification"] * (NOTICE_ROWS_MAX + 50) + ["StartTransaction"]
    assert told.stored == []


def test_of_a_fault_that_flaps_all_night_the_newest_states_are_kept():
    told = away()
    for number in range(ERROR_STATES_MAX + 20):
        told.charger.asks("StatusNotification", status(error="GroundFailure") | {"info": str(number)})
    told.charger.asks("StatusNotification", status())
    kept = told.core.state.outbox.early()
    assert len(kept) == ERROR_STATES_MAX + 1
    told.cloud.is_polite = True
    told.cloud.comes_back()
    told_of = [frame[3].get("info") for frame in told.cloud.frames]
    assert told_of == [*map(str, range(20, ERROR_STATES_MAX + 20)), None]


def test_the_store_gives_back_all_that_memory_may_hold_of_the_early_lanes():
    assert HEAD_ROWS_MAX > NOTICE_ROWS_MAX + ERROR_STATES_MAX + CONNECTOR_MAX


def test_what_was_stored_while_a_load_was_under_way_is_not_forgotten_when_it_finds_nothing():
    """A row that was moved to the quarantine leaves a count behind that nothing answers to."""
    outbox = Outbox()
    outbox.recover(ChargerRecovery(charger="CP-1", seq_last=1, stored={Lane.TRANSACTION: 1}))
    assert outbox.load(idle=True) is not None
    outbox.append(replace(ROW, seq=2))
    outbox.loaded(())
    assert outbox.waiting == 1
    assert outbox.load(idle=True) == LoadRows(0, WINDOW_ROWS)
    outbox.loaded((replace(ROW, seq=2),))
    assert outbox.next() == replace(ROW, seq=2)


def test_a_state_that_is_overtaken_while_it_is_on_the_wire_is_settled_by_nobody():
    told = away()
    told.charger.asks("StatusNotification", status(1, "Charging"))
    told.cloud.comes_back()
    told.charger.asks("StatusNotification", status(1, "Finishing"))
    told.cloud.answers({})
    assert told.cloud.last[3]["status"] == "Finishing"
    told.cloud.answers({})
    assert told.stored == []
