"""What happened becomes an event once, in words anybody on the broker may read."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from msgspec.structs import replace

from edgegw.core.alarms import Alarm, AlarmChange, ChangeKind
from edgegw.core.records import TransactionRecord
from edgegw.mqtt import events, payloads
from edgegw.mqtt.event_changes import changes
from edgegw.mqtt.events import KINDS, TEXT_MAX, Happening, Sessions, of_alarm, of_notice, of_order, said
from edgegw.mqtt.tokens import hashed
from edgegw.mqtt.view import View
from edgegw.runtime.audit import AuditEntry
from edgegw.runtime.entrance import Notice
from tests.mqtt.homeassistant_site import site

AT = 1_795_000_000.0
CARD = "04A1B2C3D4"
SALT = b"sixteen bytes..." * 2


def told(happening: Happening | None) -> payloads.Event:
    """As it goes out, checked against its schema."""
    assert happening is not None
    event = happening.event("gw-7", 7)
    assert msgspec.json.decode(msgspec.json.encode(event), type=payloads.Event) == event
    assert event.text.isprintable()
    assert len(event.text) <= TEXT_MAX
    return event


# --- notices ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "event_kind", "severity"),
    [
        ("balancing_failed", "notice", "critical"),
        ("balancing_failed_over", "notice", "info"),
        ("meter_silent", "notice", "warning"),
        ("meter_ok", "notice", "info"),
        ("store_corrupt", "notice", "error"),
        ("charger_unsteerable", "notice", "error"),
        ("charger_unsteerable_over", "notice", "info"),
        ("firmware_bad_signature", "firmware", "warning"),
        ("firmware_ready", "firmware", "info"),
        ("of_a_newer_version", "notice", "warning"),
    ],
)
def test_a_notice_is_an_event_as_bad_as_the_table_says(kind, event_kind, severity):
    event = told(of_notice(Notice(AT, "CP-7", kind, "CP-7: something")))
    assert (event.kind, event.severity, event.target) == (event_kind, severity, "CP-7")
    assert event.data == {"notice": kind}
    assert event.at == "2026-11-18T11:06:40.000Z"


@pytest.mark.parametrize("kind", ["message_id_reused", "stored_refused", "cloud_silent"])
def test_a_notice_that_something_else_tells_is_no_event(kind):
    assert of_notice(Notice(AT, "CP-7", kind, "CP-7: something")) is None


def test_what_the_cloud_says_of_a_message_may_name_a_card_and_is_left_out():
    text = f"CP-7: the cloud refused stored StartTransaction 42: FormationViolation: card {CARD} unknown"
    event = told(of_notice(Notice(AT, "CP-7", "parked", f"{text}; parked after 3 attempts")))
    assert event.text == "CP-7: the cloud refused stored StartTransaction 42: FormationViolation"


def test_texts_are_one_printable_line_without_passwords_and_with_an_end():
    event = told(
        of_notice(Notice(AT, "CP-7", "move_refused", f"wss://u:secret@cloud/x\n\x1b[2J{'x' * 5000}"))
    )
    assert "secret" not in event.text
    assert event.text.endswith("...")
    assert "\\n\\x1b[2J" in event.text


def test_a_short_text_is_said_as_it_is():
    assert said("CP-7 connected") == "CP-7 connected"
    assert len(said("x" * TEXT_MAX)) == TEXT_MAX
    assert said("ä" * 70, 64) == "ä" * 61 + "..."


# --- transactions -----------------------------------------------------------------------------------

STARTED = TransactionRecord(
    charger="CP-7", id="4711", connector=1, id_tag=CARD, started_at="2026-11-20T08:00:00Z",
    meter_start_wh=1000,
)  # fmt: skip
ENDED = replace(
    STARTED,
    running=False,
    stopped_at="2026-11-20T09:00:00Z",
    meter_stop_wh=8400,
    stop_reason="EVDisconnected",
)


def tracker(*known: TransactionRecord) -> Sessions:
    return Sessions(lambda tag: hashed(SALT, tag), known)


def kinds(sessions: Sessions, *records: TransactionRecord) -> list[str]:
    found = [sessions.of_record(record, AT) for record in records]
    return [happening.kind for happening in found if happening is not None]


def test_a_transaction_starts_once_and_ends_once_however_often_it_is_saved():
    named = replace(STARTED, cloud_id="99")
    saves = (STARTED, STARTED, named, ENDED, replace(ENDED, cloud_id="99"))
    assert kinds(tracker(), *saves) == ["session_started", "session_ended"]


def test_after_a_restart_a_running_transaction_has_not_started_again():
    assert kinds(tracker(STARTED), STARTED, ENDED) == ["session_ended"]
    assert kinds(tracker(ENDED), ENDED) == []


def test_an_id_that_is_used_again_is_a_new_transaction():
    again = kinds(tracker(), STARTED, ENDED, replace(STARTED, started_at="2026-11-21T08:00:00Z"))
    assert again == ["session_started", "session_ended", "session_started"]


def test_two_chargers_may_have_the_same_id():
    assert kinds(tracker(), STARTED, replace(STARTED, charger="CP-8")) == ["session_started"] * 2


def test_an_end_nobody_saw_the_start_of_is_told():
    assert kinds(tracker(), ENDED) == ["session_ended"]


def test_the_end_tells_how_much_and_why_and_never_the_card():
    sessions = tracker()
    start, end = told(sessions.of_record(STARTED, AT)), told(sessions.of_record(ENDED, AT))
    assert end.text == "CP-7/1: transaction 4711 ended, 7.4 kWh (EVDisconnected)"
    assert (end.data["energy_wh"], end.data["ended_at"]) == (7400, "2026-11-20T09:00:00Z")
    assert start.target == end.target == "CP-7/1"
    assert start.data["token"] == hashed(SALT, CARD)
    for event in (start, end):
        assert CARD not in msgspec.json.encode(event).decode()


@pytest.mark.parametrize(("start_wh", "stop_wh"), [(None, 5), (10, 5), (5, None)])
def test_energy_is_not_told_when_the_readings_do_not_say_it(start_wh, stop_wh):
    record = replace(ENDED, meter_start_wh=start_wh, meter_stop_wh=stop_wh)
    event = told(tracker().of_record(record, AT))
    assert event.data["energy_wh"] is None
    assert "kWh" not in event.text


def test_of_2x_the_evse_is_the_connector_of_the_tree():
    event = told(tracker().of_record(replace(STARTED, evse=2, connector=1), AT))
    assert (event.target, event.data["connector"]) == ("CP-7/2", 2)


def test_what_is_remembered_of_transactions_has_an_end(monkeypatch):
    monkeypatch.setattr(events, "SESSIONS_KEPT", 3)
    sessions = tracker()
    assert kinds(sessions, *(replace(STARTED, id=str(n)) for n in range(9))) == ["session_started"] * 9
    assert len(sessions._running) == 3
    assert kinds(sessions, replace(ENDED, id="0"), replace(STARTED, id="8")) == ["session_ended"]


# --- alarms and orders ------------------------------------------------------------------------------

ALARM = Alarm(
    id="charger-silent-cp-7", code="charger_silent", target="CP-7", severity="error", title="Charger silent",
    text="nothing heard for 5 min", todo="look at its network", since=AT, last_at=AT + 1,
)  # fmt: skip
SEEN = replace(ALARM, acknowledged=True, acknowledged_by="Kim", acknowledged_at=AT + 2)
OVER = replace(SEEN, state="cleared", cleared_at=AT + 3)


@pytest.mark.parametrize(
    ("kind", "alarm", "event_kind", "severity", "at", "text"),
    [
        ("raised", ALARM, "alarm_raised", "error", AT + 1, "Charger silent: nothing heard for 5 min"),
        ("acknowledged", SEEN, "alarm_acknowledged", "info", AT + 2, "Charger silent: seen by Kim"),
        ("cleared", OVER, "alarm_cleared", "info", AT + 3, "Charger silent: over"),
    ],
)
def test_the_life_of_an_alarm_is_told(kind, alarm, event_kind, severity, at, text):
    happening = of_alarm(AlarmChange(kind=kind, alarm=alarm))
    assert happening is not None
    event = told(happening)
    assert (event.kind, event.severity, happening.at, event.text) == (event_kind, severity, at, text)
    assert event.data == {"alarm": ALARM.id, "code": "charger_silent", "alarm_severity": "error"}


def test_every_change_of_an_alarm_is_told_or_left_out_on_purpose():
    left_out = {kind for kind in get_args(ChangeKind) if of_alarm(AlarmChange(kind=kind, alarm=OVER)) is None}
    assert left_out == {"repeated", "gone"}


def test_an_order_is_told_with_who_gave_it_and_what_became_of_it():
    entry = AuditEntry(
        at=AT, door="mqtt", asker="bms", order="charger/reset", target="CP-7", outcome="ok", transaction="b-1"
    )
    done = told(of_order(entry))
    assert (done.kind, done.severity, done.text) == ("command", "info", "charger/reset CP-7 by bms: done")
    assert done.data["transaction"] == "b-1"
    refused = told(of_order(replace(entry, outcome="stale")))
    assert (refused.severity, refused.text) == ("warning", "charger/reset CP-7 by bms: refused, stale")


# --- between two views ------------------------------------------------------------------------------


def steady() -> View:
    """Two chargers that are well and online, the cloud serving, one limit."""
    view = site(3, 2)
    chargers = {
        identity: replace(
            facts,
            online=True,
            cloud=replace(facts.cloud, connected=True, last_error=""),
            connectors={1: CONNECTOR, 2: replace(CONNECTOR, connector=2)},
            firmware=payloads.FirmwareState(version="1.0", state="", file="", progress=None, error=""),
        )
        for identity, facts in view.chargers.items()
    }
    cloud = replace(view.cloud, mode="serving", queue_depth=0, last_error="", url_host="cloud.example")
    return replace(view, chargers=chargers, cloud=cloud, limits={"bms": limits(LIMIT)})


CONNECTOR = payloads.ConnectorState(
    connector=1, status="Available", error_code="NoError", info="", power_w=None,
    current_l_a=(None, None, None), energy_wh=0, limit_a=None, limit_reason="", phases=3, transaction=None,
)  # fmt: skip
LIMIT = payloads.LimitOnCircuit(
    circuit="main", limit_a=63.0, limit_l_a=(63.0, 63.0, 63.0), asked_w=None, chargers_only=False, priority=0,
    until="2026-11-20T23:45:01Z", fallback_a=32.0, state="holds",
)  # fmt: skip


def limits(*given: payloads.LimitOnCircuit) -> payloads.LimitState:
    return payloads.LimitState(source="bms", limits=given)


def with_charger(view: View, identity: str = "CP-0", **changed: Any) -> View:
    facts = replace(view.chargers[identity], **changed)
    return replace(view, chargers={**view.chargers, identity: facts})


def with_connector(view: View, **changed: Any) -> View:
    connectors = view.chargers["CP-0"].connectors
    return with_charger(view, connectors={**connectors, 2: replace(connectors[2], **changed)})


def seen(before: View, after: View) -> list[tuple[str, str, str]]:
    events_ = [told(happening) for happening in changes(before, after, AT)]
    return [(event.kind, event.target, event.severity) for event in events_]


def test_the_first_view_tells_that_the_gateway_started_and_nothing_else():
    (event,) = (told(happening) for happening in changes(None, steady(), AT))
    assert (event.kind, event.target, event.text) == ("boot", "", "edgegw 1.2.0 started")


def test_where_nothing_changed_nothing_happened():
    assert seen(steady(), steady()) == []


def test_a_charger_comes_and_goes():
    on, off = steady(), with_charger(steady(), online=False)
    assert seen(on, off) == [("disconnected", "CP-0", "warning")]
    assert seen(off, on) == [("connected", "CP-0", "info")]


def test_a_charger_nobody_knew_connects_and_one_that_is_removed_says_nothing():
    both = steady()
    fewer = replace(both, chargers={"CP-0": both.chargers["CP-0"]})
    assert seen(fewer, both) == [("connected", "wall box 1", "info")]
    assert seen(both, fewer) == []


@pytest.mark.parametrize(
    "broken",
    [{"status": "Faulted"}, {"error_code": "GroundFailure"}, {"status": "Faulted", "error_code": "X"}],
)
def test_a_fault_begins_and_ends(broken):
    well, faulted = steady(), with_connector(steady(), **broken)
    assert seen(well, faulted) == [("fault", "CP-0/2", "error")]
    assert seen(faulted, well) == [("fault_over", "CP-0/2", "info")]
    assert seen(faulted, with_connector(faulted, power_w=1.0)) == []


def test_a_fault_that_becomes_another_is_told():
    first, second = (with_connector(steady(), error_code=code) for code in ("GroundFailure", "OverVoltage"))
    (happening,) = changes(first, second, AT)
    assert happening.text == "CP-0/2 reports OverVoltage"


def test_a_charger_that_is_faulted_when_it_is_first_seen_has_a_fault():
    faulted = with_connector(steady(), status="Faulted", info="door open")
    alone = replace(faulted, chargers={"wall box 1": faulted.chargers["wall box 1"]})
    (_, fault) = changes(alone, faulted, AT)
    assert fault.text == "CP-0/2 reports Faulted (door open)"


def test_the_cloud_goes_away_once_for_the_whole_site():
    here = steady()
    cut = {k: replace(f, cloud=replace(f.cloud, connected=False)) for k, f in here.chargers.items()}
    away = replace(here, chargers=cut, cloud=replace(here.cloud, mode="away", last_error="timed out"))
    assert seen(here, away) == [("cloud_away", "", "warning")]
    assert seen(away, here) == [("cloud_back", "", "info")]
    assert changes(here, away, AT)[0].text == "the cloud is away: timed out"


def test_a_charger_that_loses_its_cloud_alone_is_told_but_not_when_it_left_itself():
    here = steady()
    cloud = replace(here.chargers["CP-0"].cloud, connected=False, last_error="401")
    assert seen(here, with_charger(here, cloud=cloud)) == [("cloud_away", "CP-0", "warning")]
    assert seen(with_charger(here, cloud=cloud), here) == [("cloud_back", "CP-0", "info")]
    assert seen(here, with_charger(here, cloud=cloud, online=False)) == [("disconnected", "CP-0", "warning")]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"state": "Downloading"}, [("firmware", "CP-0", "info")]),
        ({"state": "InstallationFailed"}, [("firmware", "CP-0", "error")]),
        ({"state": "InvalidSignature"}, [("firmware", "CP-0", "error")]),
        ({"version": "1.1"}, [("firmware", "CP-0", "info")]),
        ({"progress": 0.5}, []),
    ],
)
def test_the_firmware_of_a_charger_gets_on(changed, expected):
    here = steady()
    firmware = replace(here.chargers["CP-0"].firmware, **changed)
    assert seen(here, with_charger(here, firmware=firmware)) == expected


def test_a_version_that_becomes_known_is_no_update():
    here = steady()
    unknown = with_charger(here, firmware=replace(here.chargers["CP-0"].firmware, version=""))
    assert seen(unknown, here) == []


def limited(*given: payloads.LimitOnCircuit) -> View:
    return replace(steady(), limits={"bms": limits(*given)} if given else {})


def test_a_limit_is_set_falls_back_and_ends():
    fallen = replace(LIMIT, state="fallback", limit_a=32.0, limit_l_a=(32.0, 32.0, 32.0), until=None)
    assert seen(limited(), limited(LIMIT)) == [("limit_set", "bms", "info")]
    assert seen(limited(LIMIT), limited(fallen)) == [("limit_fallback", "bms", "warning")]
    assert seen(limited(fallen), limited(fallen)) == []
    assert seen(limited(fallen), limited(LIMIT)) == [("limit_set", "bms", "info")]
    assert seen(limited(LIMIT), limited()) == [("limit_ended", "bms", "info")]


def test_a_limit_that_is_renewed_is_no_event_and_one_that_changes_is():
    renewed = replace(LIMIT, until="2026-11-20T23:50:01Z")
    lower = replace(LIMIT, limit_a=40.0, limit_l_a=(40.0, 40.0, 40.0))
    assert seen(limited(LIMIT), limited(renewed)) == []
    assert seen(limited(LIMIT), limited(lower)) == [("limit_set", "bms", "info")]


def test_limits_on_two_circuits_are_told_apart():
    garage = replace(LIMIT, circuit="garage")
    (happening,) = changes(limited(LIMIT), limited(LIMIT, garage), AT)
    assert happening.text == "bms limits garage to 63 A"
    assert happening.data["circuit"] == "garage"


@pytest.mark.parametrize("seed", range(8))
def test_whatever_changes_every_event_keeps_to_its_schema(seed):
    for happening in changes(site(seed, 5), site(seed + 100, 7), AT):
        assert told(happening).kind in KINDS
