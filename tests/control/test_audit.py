"""Who ordered what over the local API: one entry per order, nothing secret in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import pytest

from edgegw.control import audit_gate
from edgegw.control.audit_text import TEXT_MAX, shown_body
from edgegw.runtime.audit import AuditEntry
from tests.control.house import GARAGE, TAG, Api, House


class Book:
    """Keeps orders in memory."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []

    def write(self, entry: AuditEntry) -> None:
        self.entries.append(entry)

    async def audit_entries(self, limit: int, before: int | None) -> Sequence[tuple[int, AuditEntry]]:
        rows = list(enumerate(self.entries, start=1))
        return [(row, e) for row, e in reversed(rows) if before is None or row < before][:limit]

    @property
    def last(self) -> AuditEntry:
        return self.entries[-1]


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
async def house(tmp_path, book: Book) -> AsyncIterator[House]:
    house = House(tmp_path, known=frozenset({"CP-1", "CP-2"}), plan=GARAGE, audit=book)
    await house.start(tcp=True)
    yield house
    await house.stop()


# --- what is written ------------------------------------------------------------------------------


async def test_an_order_is_written_with_who_what_and_what_became_of_it(api: Api, book: Book):
    await api.post("/v1/limits", {"source": "janitor", "circuit": "garage", "limit_a": 16})
    entry = book.last
    assert (entry.door, entry.asker, entry.order) == ("api", "the control socket", "POST /v1/limits")
    assert (entry.target, entry.outcome) == ("garage", "ok")
    assert entry.text == '{"source":"janitor","circuit":"garage","limit_a":16}'
    assert entry.at > 1.7e9


async def test_a_refusal_is_written_under_its_code(api: Api, book: Book):
    await api.post("/v1/limits", {"circuit": "attic", "limit_a": 16}, status=422)
    await api.post("/v1/limits", {"limit_a": "many"}, status=422)
    await api.post("/v1/chargers/{identity}/call", {"action": "Reset"}, status=409, identity="CP-2")
    await api.post("/v1/queue/resend", {"charger": "CP-7"}, status=404)
    assert [e.outcome for e in book.entries] == ["invalid", "invalid", "not_connected", "no_such_charger"]
    assert [e.target for e in book.entries] == ["attic", "", "CP-2", "CP-7"]


def refusal(at: float = 0.0, outcome: str = audit_gate.READ_ONLY) -> AuditEntry:
    return AuditEntry(at=at, door="api", asker="x", order="POST /v1/limits", outcome=outcome, text="{}")


def test_who_may_only_look_cannot_push_orders_out_of_the_book():
    """A few refusals a minute are told; how many were not stands in the next one. Orders are never folded."""
    refusals = audit_gate._Refusals()
    told = [refusals.folded(refusal(), 10.0) for _ in range(1000)]
    assert [entry for entry in told if entry is not None] == told[: audit_gate.REFUSALS_TOLD_MAX]
    order = refusal(outcome="ok")
    assert refusals.folded(order, 10.0) is order
    after = refusals.folded(refusal(), 10.0 + audit_gate.REFUSALS_WITHIN_S)
    assert after is not None
    assert after.text == f"(and {1000 - audit_gate.REFUSALS_TOLD_MAX} more before) {{}}"
    assert refusals.folded(refusal(), 10.0 + audit_gate.REFUSALS_WITHIN_S) == refusal()


async def test_questions_are_no_orders(api: Api, book: Book):
    for route in ("/v1/site", "/v1/audit", "/v1/power", "/metrics", "/healthz"):
        await api.http.get(route)
    await api.http.head("/v1/site")
    assert book.entries == []


async def test_what_is_no_route_is_an_order_all_the_same(api: Api, book: Book):
    await api.http.put("/v1/limits", json={"limit_a": 1})
    await api.http.post("/v1/nothing%1B%5B2J")
    assert [e.outcome for e in book.entries] == ["method_not_allowed", "no_such_path"]
    assert all(e.order.isprintable() for e in book.entries)


async def test_a_query_is_what_was_asked_when_there_is_no_body(api: Api, book: Book):
    assert (await api.http.delete("/v1/limits", params={"circuit": "garage"})).status_code == 200
    assert (book.last.order, book.last.text) == ("DELETE /v1/limits", "circuit=garage")


async def test_a_charger_with_a_slash_in_its_name_stays_whole(api: Api, book: Book):
    await api.http.post("/v1/chargers/A%2FB/call", json={"action": "Reset"})
    assert book.last.target == "A/B"


async def test_over_the_port_the_asker_has_an_address_and_without_the_token_there_is_no_entry(
    house: House, book: Book
):
    async with house.tcp(None) as stranger:
        assert (await stranger.post("/v1/limits", json={"limit_a": 1})).status_code == 401
    assert book.entries == []
    async with house.tcp(house.token) as friend:
        await friend.post("/v1/limits", json={"limit_a": 1})
    assert book.last.asker.startswith("127.0.0.1:")


async def test_a_long_body_is_carried_out_and_not_quoted(api: Api, book: Book):
    body = {"source": "x", "limit_a": 10, "for_s": 60}
    padded = json.dumps(body) + " " * audit_gate.BODY_BYTES_MAX
    headers = {"content-type": "application/json"}
    assert (await api.http.post("/v1/limits", content=padded, headers=headers)).status_code == 200
    assert (book.last.outcome, book.last.text) == ("ok", "")


async def test_a_file_is_never_quoted(api: Api, book: Book):
    await api.http.post("/v1/firmware/files", content=b'{"looks": "like json"}')
    assert (book.last.order, book.last.text) == ("POST /v1/firmware/files", "")


async def test_a_bug_is_written_as_one(house: House, api: Api, book: Book, monkeypatch):
    def breaks(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(house.server.service.power, "set_limit", breaks)
    await api.http.post("/v1/limits", json={"limit_a": 1})
    assert book.last.outcome == "bug"


async def test_who_hangs_up_before_the_answer_is_in_the_book(house: House, api: Api, book: Book):
    charger = await house.boots("CP-1")
    asking = asyncio.create_task(
        api.http.post("/v1/chargers/CP-1/call", json={"action": "ClearCache", "payload": {}})
    )
    await charger.hears()  # the order is at the charger
    asking.cancel()
    await asyncio.wait([asking])
    await house.server.stop()
    assert [e.target for e in book.entries] == ["CP-1"]


# --- what must not be in it -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"action": "ChangeConfiguration", "payload": {"key": "AuthorizationKey", "value": "hunter2hunter2"}},
        {"d": [{"attributeValue": "hunter2hunter2", "variable": {"name": "BasicAuthPassword"}}]},
        {"payload": {"connectionData": {"basicAuthPassword": "hunter2hunter2"}}},
        {"payload": {"connectionData": {"apn": {"apnPassword": "hunter2hunter2", "simPin": 1}}}},
        {"payload": {"key": "WifiPSK", "value": "hunter2hunter2"}},
        {"payload": {"data": '{"password":"hunter2hunter2"}'}},
        {"payload": {"data": "login=x;passwd=hunter2hunter2"}},
        {"payload": {"location": "ftp://box:hunter2hunter2@files.test/log"}},
        {"payload": {"location": "https://files.test/log?token=hunter2hunter2"}},
        {"token": "hunter2hunter2"},
        {"payload": ["Authorization: Basic hunter2hunter2"]},
    ],
    ids=lambda body: json.dumps(body)[:40],
)  # fmt: skip
def test_no_password_is_in_the_book(body: dict):
    shown = shown_body(json.dumps(body).encode())
    assert shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    "payload",
    [
        {"idTag": TAG, "connectorId": 1},
        {"idToken": {"idToken": TAG, "type": "ISO14443"}},
        {"localAuthorizationList": [{"idTag": TAG, "idTagInfo": {"parentIdTag": TAG, "status": "Accepted"}}]},
        {"idToken": {"additionalInfo": [{"additionalIdToken": TAG, "type": "x"}]}},
        {"IDTAG": TAG},
        {"data": json.dumps({"idTag": TAG})},
    ],
    ids=str,
)
def test_no_whole_card_id_is_in_the_book(payload: dict):
    shown = shown_body(json.dumps({"action": "RemoteStartTransaction", "payload": payload}).encode())
    assert "RemoteStartTransaction" in shown
    assert TAG not in shown


def test_what_is_no_secret_stays_readable():
    order = {"action": "ChangeConfiguration", "payload": {"key": "HeartbeatInterval", "value": "300"}}
    assert json.loads(shown_body(json.dumps(order).encode())) == order


def test_a_text_is_short_and_printable():
    shown = shown_body(json.dumps({"source": "\x1b[2J\u202e" + "x" * 1000}).encode())
    assert len(shown) == TEXT_MAX
    assert shown.isprintable()
    assert shown_body(b"\xff{") == shown_body(b"not json") == ""
    assert "not shown" in shown_body(b"[" * 30 + b"]" * 30)
    assert shown_body(b"[" * 2000) == ""


# --- reading it -----------------------------------------------------------------------------------


async def test_the_book_is_read_in_pages_newest_first(api: Api):
    for amps in (10, 11, 12):
        await api.post("/v1/limits", {"limit_a": amps})
    page = await api.get("/v1/audit", params={"limit": 2})
    assert [json.loads(e["text"])["limit_a"] for e in page["entries"]] == [12, 11]
    await api.get("/v1/audit", params={"before": 2**63}, status=422)
    older = await api.get("/v1/audit", params={"limit": 2, "before": page["next_before"]})
    assert [json.loads(e["text"])["limit_a"] for e in older["entries"]] == [10]
    assert older["next_before"] is None
    await api.get("/v1/audit", params={"limit": 0}, status=422)


async def test_a_box_without_a_book_says_so(tmp_path):
    house = House(tmp_path)
    await house.start()
    async with house.http() as http:
        answer = await (await Api.of(http)).get("/v1/audit", status=409)
        assert answer["error"]["code"] == "no_audit"
    await house.stop()
