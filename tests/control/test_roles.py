"""Who may only read changes nothing, whatever the route, and cannot become more than that."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from edgegw.config import loads
from edgegw.config_text import SiteFileFault
from edgegw.control import doors
from edgegw.control.audit_gate import REFUSALS_TOLD_MAX
from edgegw.control.client import ControlClient, Refused
from edgegw.errors import ConfigFault
from tests.control.house import GARAGE, TAG, House
from tests.control.test_audit import Book

READ_ONLY = {"edgegw-role": "read-only"}
OPERATOR = {"edgegw-role": "operator"}


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
async def house(tmp_path, book: Book) -> AsyncIterator[House]:
    house = House(tmp_path, known=frozenset({"CP-1"}), plan=GARAGE, audit=book)
    await house.start(tcp=True)
    yield house
    await house.stop()


_document: dict = {}


async def _orders(http: httpx.AsyncClient) -> list[tuple[str, str]]:
    """Every route that is no question, with its parts filled in, from the document of the server itself."""
    if not _document:  # it takes half a second to make
        _document.update((await http.get("/openapi.json")).json())
    return [
        (method.upper(), re.sub(r"\{[^}]+\}", "CP-1", path))
        for path, methods in _document["paths"].items()
        for method in methods
        if method not in ("get", "head", "options", "parameters")
    ]


async def _all_refused(http: httpx.AsyncClient, book: Book, more: dict[str, str]) -> None:
    orders = await _orders(http)
    assert len(orders) > 10
    for method, path in [*orders, ("POST", "/v1/nothing"), ("DELETE", "/v1/site"), ("FETCH", "/v1/site")]:
        before = len(book.entries)
        answer = await http.request(method, path, headers=more, json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "read_only"), (method, path)
        assert "token_file" in answer.json()["error"]["text"]
        assert book.last.outcome == "read_only"
        assert len(book.entries) == min(before + 1, REFUSALS_TOLD_MAX)


async def test_a_reader_s_token_gives_no_order_whatever_the_route(house: House, book: Book):
    async with house.tcp(house.read_token) as http:
        await _all_refused(http, book, {})


async def test_a_reader_s_token_does_not_become_an_operator_s_by_a_header(house: House, book: Book):
    async with house.tcp(house.read_token) as http:
        await _all_refused(http, book, OPERATOR)
        assert (await http.get("/v1/me", headers=OPERATOR)).json() == {"role": "read-only"}


@pytest.mark.parametrize("word", ["read-only", "Read-Only", "admin", ""])
async def test_an_operator_can_be_less_and_a_word_nobody_knows_is_less(house: House, book: Book, word: str):
    async with house.http() as http:
        answer = await http.post("/v1/limits", headers={"edgegw-role": word}, json={"limit_a": 10})
        assert answer.json()["error"]["code"] == "read_only"
        assert (await http.get("/v1/me", headers={"edgegw-role": word})).json() == {"role": "read-only"}
    assert house.load.control.limits.revision == 0


async def test_who_shows_no_token_writes_nothing_into_the_book(house: House, book: Book):
    async with house.tcp(None) as http:
        assert (await http.get("/v1/health")).status_code == 200
        for path in ("/v1/health", "/healthz", "/readyz"):
            assert (await http.post(path, json={})).status_code == 401
    assert not book.entries


async def test_of_two_headers_the_lower_one_counts(house: House):
    async with house.http() as http:
        both = [("edgegw-role", "operator"), ("edgegw-role", "read-only")]
        assert (await http.get("/v1/me", headers=both)).json() == {"role": "read-only"}


async def test_every_route_is_refused_on_the_socket_too_to_who_wants_to_read_only(house: House, book: Book):
    async with house.http() as http:
        await _all_refused(http, book, READ_ONLY)


async def test_an_operator_orders_as_before(house: House):
    async with house.tcp(house.token) as http:
        assert (await http.get("/v1/me")).json() == {"role": "operator"}
        assert (await http.post("/v1/limits", headers=OPERATOR, json={"limit_a": 10})).status_code == 200
    async with house.http() as http:
        assert (await http.get("/v1/me")).json() == {"role": "operator"}


async def test_a_reader_sees_everything_but_whole_card_ids_and_what_chargers_wrote(house: House):
    charger = await house.boots("CP-1")
    house.cloud.goes_down()
    transaction_id = await house.starts(charger)
    async with house.tcp(house.read_token) as http:
        for route in ("/v1/site", "/v1/chargers", "/v1/power", "/v1/queue", "/v1/audit", "/v1/snapshot"):
            assert (await http.get(route)).status_code == 200, route
        masked = (await http.get(f"/v1/transactions/CP-1/{transaction_id}")).json()["id_tag"]
        assert masked.startswith("****")
        for route in ("/v1/diagnostics/x/file", f"/v1/backup/{'0' * 32}"):
            file = await http.get(route)
            assert (file.status_code, file.json()["error"]["code"]) == (403, "read_only"), file.text
    async with house.tcp(house.token) as http:
        assert (await http.get(f"/v1/transactions/CP-1/{transaction_id}")).json()["id_tag"] == TAG


async def test_the_client_that_only_reads(house: House):
    def ask() -> None:
        with ControlClient(house.socket, read_only=True) as client:
            assert client.me().role == "read-only"
            assert client.snapshot().role == "read-only"
            with pytest.raises(Refused, match="gives no orders") as refused:
                client.set_limit("garage", source="me", limit_a=10)
            assert (refused.value.status, refused.value.code) == (403, "read_only")

    await asyncio.to_thread(ask)


# --- the files of the tokens ----------------------------------------------------------------------


def _token(path, text: str, mode: int = 0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


def test_both_tokens_must_differ_and_be_private(tmp_path):
    operator = _token(tmp_path / "control.token", "0123456789abcdef-operator")
    assert doors.read_tokens(operator, None).reader is None
    same = _token(tmp_path / "same.token", "0123456789abcdef-operator\n")
    with pytest.raises(ConfigFault, match=r"read_token_file = .*same\.token: holds the same token"):
        doors.read_tokens(operator, same)
    public = _token(tmp_path / "public.token", "0123456789abcdef-reader", 0o644)
    with pytest.raises(ConfigFault, match=r"read_token_file = .*: other users can read it .*chmod 600"):
        doors.read_tokens(operator, public)
    short = _token(tmp_path / "short.token", "short")
    with pytest.raises(ConfigFault, match=r"read_token_file = .*at least 16 ASCII"):
        doors.read_tokens(operator, short)


SITE = """
[site]
id = "depot-1"
[chargers]
listen = "127.0.0.1:9000"
[store]
directory = "{folder}"
[control]
{control}
"""


def test_the_site_file_says_what_is_wrong_with_a_reader_s_token(tmp_path):
    token = _token(tmp_path / "control.token", "0123456789abcdef")
    reader = _token(tmp_path / "read.token", "0123456789abcdeg", 0o640)

    def load(control: str):
        return loads(SITE.format(folder=tmp_path, control=control), tmp_path / "site.toml")

    with pytest.raises(SiteFileFault, match="is required when read_token_file is set"):
        load(f'read_token_file = "{reader}"')
    with pytest.raises(SiteFileFault, match="must not be token_file"):
        load(f'token_file = "{token}"\nread_token_file = "{token}"')
    from edgegw.config import warnings

    found = warnings(load(f'token_file = "{token}"\nread_token_file = "{reader}"'))
    assert [text for text in found if "read_token_file" in text and "chmod 600" in text]
