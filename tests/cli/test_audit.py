"""`edgegw audit`: who ordered what, from the file that keeps it."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator

import pytest

from edgegw.cli.audit import COLUMNS, _row
from edgegw.cli.tables import table
from edgegw.control.audit_models import AuditEntryView
from edgegw.runtime.audit import AuditEntry
from edgegw.store.telemetry import Telemetry
from tests.cli.conftest import Shell
from tests.control.house import GARAGE, House


@pytest.fixture
async def book(tmp_path) -> AsyncIterator[Telemetry]:
    (tmp_path / "telemetry").mkdir()
    book = await Telemetry.open(tmp_path / "telemetry", events_kept=100, wall=time.time)
    yield book
    await book.close()


@pytest.fixture
async def house(tmp_path, book: Telemetry) -> AsyncIterator[House]:
    house = House(tmp_path, plan=GARAGE, audit=book)
    await house.start()
    yield house
    await house.stop()


def by_the_building(**more: str) -> AuditEntry:
    entry = {
        "door": "mqtt", "asker": "bms", "order": "charger/reset", "target": "CP-7", "outcome": "not_allowed",
        "text": '{"type":"soft"}', "transaction": "bms-42",
    }  # fmt: skip
    return AuditEntry(at=1.8e9, **(entry | more))


async def test_no_orders_were_given(shell: Shell):
    assert (await shell("audit")).stdout == "no orders were given\n"


async def test_orders_of_people_and_of_the_building_newest_first(shell: Shell, book: Telemetry):
    book.write(by_the_building())
    await shell("limit", "set", "garage", "--amps", "16", "--source", "janitor")
    await shell("limit", "set", "attic", "--amps", "16", code=1)
    await book.flush()
    head, refused, obeyed, building = (await shell("audit")).stdout.splitlines()
    assert head.split() == ["WHEN", "WHO", "ORDER", "OUTCOME", "WHAT"]
    assert "POST /limits attic" in refused
    assert "  invalid  " in refused
    assert "api: the control socket  POST /limits garage  ok" in obeyed
    assert "source=janitor" in obeyed
    assert building.startswith("2027-01-15 08:00:00Z  mqtt: bms ")
    assert re.split(" {2,}", building)[-3:] == ["charger/reset CP-7", "not_allowed", "type=soft"]


async def test_json_and_pages(shell: Shell, book: Telemetry):
    for number in range(3):
        book.write(by_the_building(transaction=f"bms-{number}"))
    await book.flush()
    page = await shell.json("audit", "--limit", "2")
    assert [e["transaction"] for e in page["entries"]] == ["bms-2", "bms-1"]
    told = (await shell("audit", "--limit", "2")).stdout.splitlines()[-1]
    assert told == f"older ones: edgegw audit --before {page['next_before']}"
    rest = await shell.json("audit", "--before", str(page["next_before"]))
    assert [e["transaction"] for e in rest["entries"]] == ["bms-0"]
    assert "--limit" in (await shell("audit", "--limit", "0", code=2)).stderr


async def test_a_box_without_a_book_says_why(tmp_path):
    (tmp_path / "other").mkdir()
    house = House(tmp_path / "other", standalone=True)
    await house.start()
    told = await Shell(house)("audit", code=1)
    assert "keeps no book of orders" in told.stderr
    await house.stop()


def test_an_order_is_told_without_what_it_left_open():
    entry = AuditEntryView(
        row=1, at="2026-11-20T10:00:00Z", door="api", asker="the control socket",
        order="POST /v1/chargers/CP-7/limit", target="", text='{"connector":null,"limit_a":9.0,"why":"x y"}',
        outcome="ok", transaction="",
    )  # fmt: skip
    assert _row(entry)[2:] == ("POST /chargers/CP-7/limit", "ok", "limit_a=9.0 why=x y")
    assert _row(entry.model_copy(update={"text": '{"cut...'}))[4] == '{"cut...'


def test_the_table_fits_80_columns():
    entry = AuditEntryView(
        row=1, at="2026-11-20T10:00:00Z", door="mqtt", asker="building-management-system-of-the-north",
        order="POST /v1/chargers/DE*ABC*PARKHAUS-NORD-EBENE-2-LADEPUNKT-17/call", target="", text="t" * 300,
        outcome="no_such_transaction", transaction="",
    )  # fmt: skip
    text = table(COLUMNS, [_row(entry)], width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "2026-11-20 10:00:00Z" in text
    assert len(text.splitlines()) < 30
