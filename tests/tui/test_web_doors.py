"""The door of the web console: nobody enters without the token, from another page or under a foreign name."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from edgegw.tui.web.doors import COOKIE
from edgegw.tui.web.server import PAGES, VISITORS_MAX, WebConsole

TOKEN = "a-token-of-this-test-0123456789"
NOT_A_CONSOLE = "exec head -c 1 >/dev/null"  # ends with the first word of the server: to quit


@pytest.fixture
async def url() -> AsyncIterator[str]:
    door = socket.create_server(("127.0.0.1", 0))
    stop = asyncio.Event()
    console = WebConsole(NOT_A_CONSOLE, TOKEN, frozenset({"garage.lan"}))
    serving = asyncio.create_task(console.serve_on(door, stop))
    yield f"http://127.0.0.1:{door.getsockname()[1]}"
    stop.set()
    await serving
    door.close()


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


@pytest.mark.parametrize("path", ["/", "/ws", "/static/js/textual.js", "/download/x", "/nowhere"])
async def test_without_the_token_there_is_nothing(
    url: str, browser: aiohttp.ClientSession, path: str
) -> None:
    async with browser.get(url + path) as answer:
        assert answer.status == 401
        assert "?token=" in await answer.text()
        assert TOKEN not in await answer.text()


async def test_a_wrong_token_is_told(url: str, browser: aiohttp.ClientSession) -> None:
    async with browser.get(f"{url}/?token=wrong") as answer:
        assert answer.status == 401
        assert COOKIE not in answer.cookies


async def test_the_token_leaves_the_address_and_stays_in_a_cookie(
    url: str, browser: aiohttp.ClientSession
) -> None:
    async with browser.get(f"{url}/?token={TOKEN}", allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["location"] == "/"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
    async with browser.get(url) as answer:
        assert answer.status == 200
        page = await answer.text()
        policy = answer.headers["content-security-policy"]
    assert TOKEN not in page
    nonce = re.search(r"'nonce-([^']+)'", policy)
    assert nonce is not None
    assert f'nonce="{nonce[1]}"' in page
    assert "frame-ancestors 'none'" in policy


def test_the_page_loads_nothing_from_elsewhere() -> None:
    assert "//" not in re.sub(r"(ws|wss)://|// .*", "", (PAGES / "page.html").read_text())


async def test_a_foreign_name_is_refused(url: str, browser: aiohttp.ClientSession) -> None:
    async with browser.get(f"{url}/?token={TOKEN}", headers={"host": "evil.example"}) as answer:
        assert answer.status == 403
    known = {"host": "garage.lan:9002"}
    async with browser.get(f"{url}/?token={TOKEN}", headers=known, allow_redirects=False) as answer:
        assert answer.status == 303


@pytest.mark.parametrize("origin", ["http://evil.example", "null", ""])
async def test_another_page_cannot_open_the_console(
    url: str, browser: aiohttp.ClientSession, origin: str
) -> None:
    async with browser.get(f"{url}/?token={TOKEN}"):
        pass
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await browser.ws_connect(f"{url}/ws", origin=origin or None)
    assert refused.value.status == 403


async def test_there_is_an_end_to_how_many_visitors_there_can_be(
    url: str, browser: aiohttp.ClientSession
) -> None:
    async with browser.get(f"{url}/?token={TOKEN}"):
        pass
    sockets = [await browser.ws_connect(f"{url}/ws", origin=url) for _ in range(VISITORS_MAX)]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await browser.ws_connect(f"{url}/ws", origin=url)
    assert refused.value.status == 503
    for one in sockets:
        await one.close()


def test_pages_are_in_the_package() -> None:
    assert (Path(PAGES) / "page.html").is_file()
