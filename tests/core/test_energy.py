"""The gateway's own energy per connector: it never falls, whatever registers and messages do."""

from __future__ import annotations

from typing import Any

import pytest

from edgegw.core import energy_book
from edgegw.core.events import Instant
from edgegw.core.odometer import Odometer, Reading
from edgegw.core.power import PowerPolicy, PowerState, Wiring
from edgegw.core.records import SaveDocument
from tests.core.story import (
    IDENTITY,
    NOON,
    V16,
    V201,
    Story,
    away,
    event,
    meter,
    online,
    start,
    status,
    stop,
    time_at,
)

MINUTE, HOUR = 60.0, 3600.0


def at_home(**more: Any) -> Story:
    """1.6, with a cloud that takes everything."""
    told = online(**more)
    told.cloud.is_polite = True
    return told


def sample(value: object, **more: Any) -> dict[str, Any]:
    return {"value": str(value), **more}


def values(told: Story, *samples: dict[str, Any], said_s: float | None = None) -> list[dict[str, Any]]:
    """One meterValue, said now or at `said_s` seconds after the story began."""
    said = told.wall - NOON if said_s is None else said_s
    return [{"timestamp": time_at(said), "sampledValue": list(samples)}]


def reads(
    told: Story, *samples: dict[str, Any] | int, transaction: int | None = 101, said_s: float | None = None
) -> int:
    """The charger sends a MeterValues of connector 1; what the gateway has counted by then."""
    listed = [one if isinstance(one, dict) else sample(one) for one in samples]
    says(told, *listed, transaction=transaction, said_s=said_s)
    return counted(told)


def says(told: Story, *listed: dict[str, Any], transaction: int | None = 101, said_s: float | None = None):
    payload = {"connectorId": 1, "meterValue": values(told, *listed, said_s=said_s)}
    if transaction is not None:
        payload["transactionId"] = transaction
    told.charger.sends("MeterValues", payload)


def counted(told: Story, connector: int = 1) -> int:
    """With what is not shown yet."""
    line = told.core.state.energy._lines.get(connector)
    return line.meter.total_wh if line is not None else 0


def shown(told: Story, connector: int = 1) -> int:
    return told.core.state.energy.total_wh(connector)


def begins(told: Story, wh: int) -> None:
    told.charger.sends("StartTransaction", start(wh=wh, at=told.wall - NOON))


def ends(told: Story, wh: int, transaction: int = 101, **more: Any) -> None:
    told.charger.sends("StopTransaction", stop(transaction, wh=wh, at=told.wall - NOON, **more))


def writes(told: Story) -> int:
    return sum(type(e) is SaveDocument and e.kind == "energy" for e in told.effects)


# --- one session ------------------------------------------------------------------------------------


def test_what_the_register_rises_by_is_counted_from_the_first_one_seen():
    told = at_home()
    begins(told, 5_000_000)
    assert counted(told) == 0
    told.after(10 * MINUTE)
    assert reads(told, 5_001_500) == 1500
    told.after(10 * MINUTE)
    ends(told, 5_003_000)
    assert counted(told) == shown(told) == 3000


def test_the_same_register_told_by_several_messages_counts_once():
    told = at_home()
    begins(told, 1000)
    told.after(10 * MINUTE)
    reads(told, 2000)
    reads(told, 2000)
    data = [*values(told, sample(1000), said_s=0), *values(told, sample(2000))]
    ends(told, 2000, transactionData=data)
    assert shown(told) == 1000


def test_away_from_the_cloud_it_is_counted_as_well_and_not_again_when_the_messages_are_delivered():
    told = away()
    begins(told, 1000)
    local = int(next(iter(told.core.state.transactions.running)))
    told.after(10 * MINUTE)
    reads(told, 2000, transaction=local)
    ends(told, 2500, local)
    assert shown(told) == 1500
    told.cloud.is_polite = True
    told.cloud.comes_back()
    told.after(MINUTE)
    assert told.stored == []
    assert shown(told) == 1500


def test_a_message_that_is_sent_again_counts_once_even_when_the_register_began_anew_since():
    told = at_home()
    begins(told, 0)
    told.after(10 * MINUTE)
    again = stop(101, wh=3000, at=told.wall - NOON)
    told.charger.sends("StopTransaction", again, id="its-id")
    begins(told, 0)  # within the same second
    told.charger.sends("StopTransaction", again, id="its-id")
    told.charger.sends("StopTransaction", again, id="under-another-id")
    told.after(10 * MINUTE)
    assert reads(told, 1000, transaction=102) == 4000


@pytest.mark.parametrize(
    ("samples", "wh"),
    [
        ((sample(2, unit="kWh"),), 1000),
        ((sample("1.25", unit="kWh"),), 250),
        ((sample(2000, measurand="Energy.Active.Import.Register\n"),), 1000),
        ((sample(9, measurand="Current.Import"), sample(2000)), 1000),
        ((sample(700, phase="L1"), sample(700, phase="L2"), sample(600, phase="L3")), 1000),
        ((sample(9000, phase="L1"), sample(2000)), 1000),
        ((sample(700, phase="L1"), sample(700, phase="L1-N"), sample(700, phase="L2-N")), 400),
        ((sample(2000, location="Inlet"),), 0),
        ((sample(2000, measurand="Energy.Active.Export.Register"),), 0),
        ((sample(2000, measurand="Energy.Active.Import.Interval"),), 0),
        ((sample(2000, format="SignedData"),), 0),
        ((sample("NaN"),), 0),
        ((sample("inf"),), 0),
        ((sample(-5),), 0),
        ((sample(""),), 0),
        ((sample("9" * 400),), 0),
        ((sample(2000, unit="W"),), 0),
        ((), 0),
    ],
)
def test_what_is_read_of_a_sample(samples: tuple[dict[str, Any], ...], wh: int):
    told = at_home()
    begins(told, 1000)
    told.after(10 * MINUTE)
    assert reads(told, *samples) == wh


def test_a_register_in_kwh_beside_one_in_wh_is_the_same_register():
    told = at_home()
    begins(told, 12_345)
    for minute in range(1, 31):
        told.after(MINUTE)
        reads(told, sample(f"{(12_345 + 100 * minute) // 1000}", unit="kWh"))
    ends(told, 15_345)
    told.after(MINUTE)
    begins(told, 15_345)
    assert counted(told) == 3000


# --- registers that begin anew ------------------------------------------------------------------------


def test_a_charger_whose_register_begins_at_zero_each_session_is_counted_in_full():
    told = at_home()
    for session in range(3):
        begins(told, 0)
        told.after(20 * MINUTE)
        reads(told, 2000, transaction=101 + session)
        told.after(20 * MINUTE)
        ends(told, 4000, 101 + session)
        told.after(HOUR)
    assert shown(told) == 12_000


def test_a_first_reading_of_a_new_session_above_the_last_of_the_old_one_is_counted_in_full():
    told = at_home()
    begins(told, 0)
    told.after(MINUTE)
    ends(told, 300)
    told.after(HOUR)
    begins(told, 0)
    told.after(20 * MINUTE)
    assert reads(told, 5000, transaction=102) == 5300


def test_a_register_that_began_anew_in_the_middle_is_believed_when_the_next_reading_says_so_too():
    told = at_home()
    begins(told, 8000)
    told.after(10 * MINUTE)
    assert reads(told, 10_000) == 2000
    told.after(10 * MINUTE)
    assert reads(told, 300) == 2000  # perhaps; its charger has rebooted
    told.after(10 * MINUTE)
    assert reads(told, 700) == 2700


def test_a_single_zero_between_right_readings_counts_nothing():
    told = at_home()
    begins(told, 500)
    told.after(10 * MINUTE)
    assert reads(told, 3000) == 2500
    told.after(MINUTE)
    assert reads(told, 0) == 2500
    told.after(MINUTE)
    assert reads(told, 3100) == 2600


@pytest.mark.parametrize("new", [0, 20_000, 40_000_000])
def test_what_a_new_meter_showed_before_is_not_energy_of_this_connector(new: int):
    told = at_home()
    begins(told, 5_000_000)
    told.after(20 * MINUTE)
    ends(told, 5_002_000)
    told.after(3 * HOUR)
    begins(told, new)
    told.after(20 * MINUTE)
    reads(told, new + 1000, transaction=102)
    told.after(20 * MINUTE)
    assert reads(told, new + 3000, transaction=102) in (5000, 4000)  # the higher one is believed one later


def test_a_register_that_rolls_over_goes_on():
    told = at_home()
    begins(told, 2**32 - 500)
    told.after(20 * MINUTE)
    assert reads(told, 700) == 0  # perhaps a wrong one
    told.after(10 * MINUTE)
    assert reads(told, 900) == 1400


# --- registers that lie -------------------------------------------------------------------------------


def test_ten_megawatt_hours_in_a_minute_are_not_believed_and_change_nothing_after():
    told = at_home()
    begins(told, 1000)
    told.after(10 * MINUTE)
    reads(told, 2000)
    told.after(MINUTE)
    assert reads(told, 10_002_000) == 1000
    told.after(MINUTE)
    assert reads(told, 2200) == 1200


def test_a_jump_that_the_register_goes_on_from_is_where_it_is_counted_from():
    told = at_home()
    begins(told, 1000)
    for rise in (0, 200, 400):
        told.after(MINUTE)
        reads(told, 10_002_000 + rise)
    assert counted(told) == 400


def test_what_a_connector_can_give_bounds_what_is_believed():
    told = at_home()
    wired = PowerPolicy(wirings={IDENTITY: (Wiring(connector=1, max_a=16.0),)})
    told.core.state.power = PowerState(IDENTITY, wired)
    told.charger.sends("MeterValues", {"connectorId": 1, "meterValue": values(told, sample(0))})
    told.after(HOUR)
    told.charger.sends("MeterValues", {"connectorId": 1, "meterValue": values(told, sample(30_000))})
    assert counted(told) == 0  # 16 A on three phases are 11 kW
    told.charger.sends("MeterValues", {"connectorId": 1, "meterValue": values(told, sample(11_000))})
    assert counted(told) == 11_000


# --- time and order -----------------------------------------------------------------------------------


def test_readings_that_were_stored_in_the_charger_come_in_a_burst_and_count():
    told = at_home()
    begins(told, 0)
    told.charger.leaves()
    told.after(6 * HOUR)
    told.cloud.comes_back()
    told.charger.connects()
    for quarter in range(1, 25):
        reads(told, 5500 * quarter, said_s=quarter * 15 * MINUTE)
    assert counted(told) == 24 * 5500


def test_a_reading_of_before_says_nothing_new_even_where_the_register_has_begun_anew():
    told = at_home()
    begins(told, 0)
    told.after(HOUR)
    ends(told, 9000)
    told.after(HOUR)
    begins(told, 0)
    told.after(10 * MINUTE)
    assert reads(told, 1000, transaction=102) == 10_000
    assert reads(told, 6000, said_s=40 * MINUTE) == 10_000
    told.after(10 * MINUTE)
    assert reads(told, 2000, transaction=102) == 11_000


def test_a_charger_whose_clock_is_set_back_is_counted_on_after_ten_minutes():
    told = at_home()
    begins(told, 0)
    told.after(HOUR)
    reads(told, 1000)
    for minute in range(15):
        told.after(MINUTE)
        reads(told, 1100 + 100 * minute, said_s=minute * MINUTE)  # an hour behind
    assert counted(told) == 2500


def test_times_that_make_no_sense_do_not_stop_the_count():
    told = at_home()
    begins(told, 0)
    for hour in range(1, 4):
        told.after(HOUR)
        reads(told, hour * 5000, said_s=-1_790_000_000)
    assert counted(told) == 15_000


def test_without_times_the_samples_of_a_stop_are_read_in_their_order():
    told = at_home()
    begins(told, 500)
    told.after(HOUR)
    reads(told, 4000)
    told.after(MINUTE)
    data = [{"sampledValue": [sample(500)]}, {"sampledValue": [sample(4200)]}]
    told.charger.sends("StopTransaction", {"transactionId": 101, "meterStop": 4200, "transactionData": data})
    assert shown(told) == 3700


# --- connectors ---------------------------------------------------------------------------------------


def test_connector_zero_is_the_chargers_own_meter_and_counts_nowhere():
    told = at_home()
    for wh in (0, 1000):
        told.charger.sends("MeterValues", {"connectorId": 0, "meterValue": values(told, sample(wh))})
        told.after(HOUR)
    assert told.core.state.energy.totals_wh == {}


@pytest.mark.parametrize("connector", [65, -1, True, "1", None, 2**60, 1.0])
def test_what_is_no_connector_is_not_kept(connector: object):
    told = at_home()
    told.charger.sends("MeterValues", {"connectorId": connector, "meterValue": values(told, sample(5))})
    assert told.core.state.energy.totals_wh == {}


@pytest.mark.parametrize("value", [None, 5, [5], [{"sampledValue": 5}], [{"sampledValue": [5, None]}]])
def test_meter_values_of_another_shape_are_left_alone(value: object):
    told = at_home()
    told.charger.sends("MeterValues", {"connectorId": 1, "meterValue": value})
    told.charger.sends("StopTransaction", {"transactionId": 7, "meterStop": "x", "transactionData": value})
    told.charger.sends("StartTransaction", {**start(), "meterStart": "x"})
    assert told.core.state.energy.totals_wh == {}


def test_2x_counts_by_evse_and_remembers_where_a_transaction_is():
    told = online(V201)
    told.cloud.is_polite = True

    def says(kind: str, seq: int, wh: int, **more: Any) -> None:
        of = {"value": wh, "unitOfMeasure": {"unit": "Wh"}}
        told.charger.sends("TransactionEvent", event(kind, seq=seq, meterValue=values(told, of), **more))
        told.after(10 * MINUTE)

    says("Started", 0, 1000, evse={"id": 2, "connectorId": 1})
    says("Updated", 1, 2000)
    says("Ended", 2, 2600)
    assert told.core.state.energy.totals_wh == {2: 1600}
    told.charger.sends("MeterValues", {"evseId": 2, "meterValue": values(told, sample(2900))})
    assert counted(told, 2) == 1900


def test_2x_without_a_first_value_a_lower_register_in_a_new_transaction_began_at_zero():
    told = online(V201)
    told.cloud.is_polite = True
    evse = {"id": 1}
    for name in ("a", "b"):
        told.charger.sends("TransactionEvent", event("Started", name, evse=evse))
        for wh in (1000, 4000):
            told.after(20 * MINUTE)
            value = values(told, {"value": wh})
            told.charger.sends("TransactionEvent", event("Updated", name, meterValue=value))
        told.charger.sends("TransactionEvent", event("Ended", name))
    assert shown(told) == 3000 + 4000


# --- over a restart -----------------------------------------------------------------------------------


def back(told: Story) -> None:
    told.cloud.comes_back()
    told.charger.connects()


def test_what_passed_between_the_last_write_and_a_power_cut_is_found_in_the_next_reading():
    told = at_home()
    begins(told, 1000)
    told.after(61)
    reads(told, 2000)
    told.after(20)
    reads(told, 2300)
    assert (shown(told), counted(told)) == (1000, 1300)
    told.restart()
    assert shown(told) == counted(told) == 1000
    back(told)
    told.after(2 * HOUR)
    assert reads(told, 9000) == 8000


def record(told: Story, transaction: str = "101") -> tuple[int | None, int | None]:
    """First and last reading of a running transaction, as people see it."""
    found = told.core.state.transactions.running[transaction]
    return found.meter_start_wh, found.meter_last_wh


def test_after_a_restart_a_running_transaction_has_the_last_reading_that_was_kept():
    told = at_home()
    begins(told, 1000)
    told.after(10 * MINUTE)
    reads(told, 3000)
    told.after(MINUTE)
    reads(told, 3200)
    told.after(1.0)
    reads(told, 3210)
    assert record(told) == (1000, 3210)
    told.restart()
    assert record(told) == (1000, 3200), "what the store knows: at most a minute old"
    told.charger.connects()
    reads(told, 3300)
    assert record(told) == (1000, 3300)


def test_after_a_restart_it_is_not_known_what_nobody_kept():
    told = at_home()
    begins(told, 1000)
    assert record(told) == (1000, 1000)
    told.restart()
    assert record(told) == (1000, None), "not 0 Wh"
    told = at_home()
    begins(told, 1000)
    told.after(10 * MINUTE)
    reads(told, 2000)
    ends(told, 2500)
    begins(told, 2500)
    told.restart()
    (running,) = told.core.state.transactions.running.values()
    assert (running.meter_start_wh, running.meter_last_wh) == (2500, None), (
        "the reading was of the one before"
    )


def test_after_a_restart_a_2x_transaction_has_its_first_and_its_last_reading():
    told = online(V201)
    told.cloud.is_polite = True
    place = {"evse": {"id": 1, "connectorId": 1}}
    told.charger.sends("TransactionEvent", event("Started", seq=0, **place))
    told.after(10 * MINUTE)
    told.charger.sends(
        "TransactionEvent", event("Updated", seq=1, meterValue=values(told, sample(7000)), **place)
    )
    told.after(10 * MINUTE)
    told.charger.sends(
        "TransactionEvent", event("Updated", seq=2, meterValue=values(told, sample(7500)), **place)
    )
    told.restart()
    assert record(told, "tx-1") == (7000, 7500)
    told.charger.connects()
    told.charger.sends(
        "TransactionEvent", event("Updated", seq=3, meterValue=values(told, sample(7600)), **place)
    )
    assert record(told, "tx-1") == (7000, 7600), "what it had before the restart is still its own"


def test_over_a_restart_a_jump_is_judged_by_the_wall_clock():
    told = at_home()
    begins(told, 1000)
    told.restart()
    back(told)
    told.after(MINUTE)
    assert reads(told, 9_000_000, said_s=30 * HOUR) == 0
    told.wall += 30 * HOUR
    told.restart()
    back(told)
    assert reads(told, 900_000) == 899_000


def test_a_session_without_a_clock_at_the_restart_goes_on():
    told = at_home()
    begins(told, 1000)
    told.restart()
    told.wall, told.clock_trusted = 100.0, False
    back(told)
    assert reads(told, 200_000, said_s=HOUR) == 199_000


def test_what_is_shown_never_falls():
    told = at_home()
    begins(told, 0)
    last = 0
    for step in range(200):
        told.after(17)
        reads(told, 100 * step)
        assert shown(told) >= last
        last = shown(told)
        if step % 9 == 0:
            told.restart()
            assert shown(told) == last
            back(told)


def test_a_document_of_another_edgegw_is_left_alone():
    told = at_home()
    told.store.write([SaveDocument(kind="energy", charger=IDENTITY, key="1", value=b'{"total": 5}')])
    told.store.write([SaveDocument(kind="energy", charger=IDENTITY, key="x", value=b"{}")])
    told.restart()
    assert told.core.state.energy.totals_wh == {}


# --- what it costs ------------------------------------------------------------------------------------


def test_a_connector_is_written_once_a_minute_and_when_a_transaction_ends():
    told = at_home()
    begins(told, 0)
    told.forget()
    for step in range(1, 61):
        told.after(10)
        reads(told, 60 * step)
    assert writes(told) == 10
    ends(told, 60 * 61)
    assert writes(told) == 11
    ends(told, 60 * 61)
    assert writes(told) == 11


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Registers that the odometer was given."""
    found: list[int] = []
    read = Odometer.read

    def noting(self: Odometer, reading: Reading, now: Instant) -> bool:
        found.append(reading.wh)
        return read(self, reading, now)

    monkeypatch.setattr(Odometer, "read", noting)
    return found


def test_readings_that_follow_one_another_are_judged_once_a_minute(judged: list[int]):
    told = at_home()
    begins(told, 0)
    for step in range(1, 61):
        told.after(10)
        says(told, sample(60 * step))
    assert len(judged) <= 2 + 10
    ends(told, 60 * 60)
    assert shown(told) == 60 * 60


def test_a_register_that_falls_finds_all_that_was_told_before_it(judged: list[int]):
    told = at_home()
    begins(told, 1000)
    told.after(10 * MINUTE)
    reads(told, 1100)
    for wh in (1150, 1200, 20, 60):
        told.after(MINUTE / 4)
        says(told, sample(wh))
    assert counted(told) == 200 + 60
    assert 1200 in judged


def test_a_jump_is_not_put_off():
    told = at_home()
    begins(told, 1000)
    told.after(MINUTE)
    reads(told, 1100)
    for wh in (10_002_000, 10_002_200, 10_002_400):
        told.after(MINUTE / 4)
        says(told, sample(wh))
    assert counted(told) == 100 + 400


def test_the_first_reading_of_another_session_is_not_put_off():
    told = at_home()
    begins(told, 0)
    told.after(10 * MINUTE)
    reads(told, 2000)
    for wh in (2010, 300, 2100):  # one of them wrong, and all of one session
        told.after(10 * MINUTE)
        says(told, sample(wh), transaction=102)
    assert counted(told) == 2100


def test_a_late_reading_takes_no_place_of_one_that_was_put_off():
    told = at_home()
    begins(told, 0)
    told.after(HOUR)
    ends(told, 9000)
    told.after(HOUR)
    begins(told, 0)
    told.after(10 * MINUTE)
    reads(told, 500, transaction=102)
    told.after(MINUTE / 4)
    says(told, sample(700), transaction=102)
    says(told, sample(900), transaction=None, said_s=40 * MINUTE)
    assert counted(told) == 9700


def test_the_last_reading_is_written_with_whatever_the_charger_says_next():
    told = at_home()
    reads(told, 0)
    told.after(30)
    reads(told, 500)
    told.after(10)
    told.charger.sends("StatusNotification", status())
    assert shown(told) == 0
    told.after(energy_book.WRITE_EVERY_S)
    told.charger.sends("StatusNotification", status(state="Charging"))
    assert shown(told) == 500


def test_a_charger_that_names_endless_transactions_takes_no_endless_memory():
    told = online(V201)
    told.cloud.is_polite = True
    for number in range(energy_book.CONNECTORS_MAX + 40):
        told.charger.sends("TransactionEvent", event("Updated", f"tx-{number}", evse={"id": number}))
    assert len(told.core.state.energy._evses) == energy_book.CONNECTORS_MAX
    assert len(told.core.state.energy._lines) == 0


def test_a_meter_value_without_energy_is_no_reason_to_write():
    told = at_home()
    told.charger.sends("MeterValues", meter(None, wh="x"))  # type: ignore[arg-type]
    assert writes(told) == 0
    assert told.version is V16
