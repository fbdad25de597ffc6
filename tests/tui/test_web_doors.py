"""The door of the web console: nobody enters without the token, from another page or under a foreign name."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from edgegw.tui.web import messages, server
from edgegw.tui.web.doors import COOKIE
from edgegw.tui.web.server import PAGES, VISITORS_MAX, WebConsole
from tests.links.house import eventually

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


@pytest.mark.parametrize("host", ["[::1", "[", "a]", ""])
async def test_a_name_that_is_none_is_refused(
    url: str, browser: aiohttp.ClientSession, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with browser.get(f"{url}/?token={TOKEN}", headers={"host": host}) as answer:
        assert answer.status in (400, 403)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("size", ["1000000000", "0", "-1", "1e3", "", "٣"])
async def test_no_console_is_started_for_a_terminal_without_end(
    url: str, browser: aiohttp.ClientSession, size: str
) -> None:
    async with browser.get(f"{url}/?token={TOKEN}"):
        pass
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await browser.ws_connect(f"{url}/ws", origin=url, params={"width": size})
    assert refused.value.status == 400


async def test_a_console_that_does_not_leave_is_ended(
    browser: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(server, "LEAVES_WITHIN_S", 0.1)
    door, stop = socket.create_server(("127.0.0.1", 0)), asyncio.Event()
    stuck = WebConsole(f"echo $$ > {tmp_path}/pid; exec sleep 600", TOKEN)
    serving = asyncio.create_task(stuck.serve_on(door, stop))
    url = f"http://127.0.0.1:{door.getsockname()[1]}"
    async with browser.get(f"{url}/?token={TOKEN}"):
        pass
    async with browser.ws_connect(f"{url}/ws", origin=url) as page:
        for said in ("{bad", "[]", "[" * 100_000, '["resize", {}]', '["stdin", 5]', '["stdin", "\\ud800"]'):
            await page.send_str(said)
        await page.send_str('["ping", "7"]')
        assert await page.receive_json(timeout=30.0) == ["pong", "7"], "it listens on"
        await eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    pid = (tmp_path / "pid").read_text().strip()
    await eventually(lambda: not Path(f"/proc/{pid}").exists())
    stop.set()
    await serving
    door.close()


async def test_no_console_outlives_its_server(browser: aiohttp.ClientSession, tmp_path: Path) -> None:
    door, stop = socket.create_server(("127.0.0.1", 0)), asyncio.Event()
    stuck = WebConsole(f"echo $$ >> {tmp_path}/pids; exec sleep 600", TOKEN)
    serving = asyncio.create_task(stuck.serve_on(door, stop))
    url = f"http://127.0.0.1:{door.getsockname()[1]}"
    async with browser.get(f"{url}/?token={TOKEN}"):
        pass
    left = await browser.ws_connect(f"{url}/ws", origin=url)
    stays = await browser.ws_connect(f"{url}/ws", origin=url)
    pids = tmp_path / "pids"
    await eventually(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    await left.close()
    stop.set()
    await serving
    assert not [pid for pid in pids.read_text().split() if _runs(pid)]
    await stays.close()
    door.close()


def _runs(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ('["stdin", "a\\ud800"]', messages.Typed(b"a")),
        (f'["stdin", "{"x" * 9_000}"]', messages.Typed(b"x" * 8_192)),
        ('["resize", {"width": 80, "height": 24}]', messages.Resized(80, 24)),
        ('["resize", {"width": 1000000000, "height": 24}]', None),
        ('["resize", {"width": -1, "height": 24}]', None),
        ('["resize", {"width": true, "height": 24}]', None),
        ('["resize", {"width": "80", "height": 24}]', None),
        ('["resize", {"width": NaN, "height": 1e308}]', None),
        ('["ping", {}]', messages.Ping("")),
        ('["blur"]', "blur"),
        ('{"a": 1}', None),
        ('["quit"]', None),
    ],
)
def test_what_a_page_may_say(raw: str, said: messages.Said) -> None:
    assert messages.read(raw) == said


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://[::1"])
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
