"""A headless Chromium that looks at the web console as a person would: keys in, the terminal's text out.

The terminal is drawn on a canvas, so its text is taken from where it comes in: what the server sent over the
WebSocket, without its colours. No request may leave the loopback; `strangers` says which tried.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

BROWSER, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
SEEN_WITHIN_S = 30.0
LOOPBACK = ("127.0.0.1", "localhost", "")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # the tests may run as root
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--window-size=1400,900",
)
# Keeps what the page's WebSocket brings, before the page's own scripts run.
LISTEN = """
window.brought = "";
const Plain = window.WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    const decoder = new TextDecoder();
    this.addEventListener("message", async (event) => {
      if (typeof event.data === "string") return;
      const bytes = event.data instanceof Blob ? await event.data.arrayBuffer() : event.data;
      window.brought += decoder.decode(bytes, {stream: true});
    });
  }
};
"""
T = TypeVar("T")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
NAMED = {
    "enter": Keys.ENTER,
    "escape": Keys.ESCAPE,
    "down": Keys.ARROW_DOWN,
    "up": Keys.ARROW_UP,
    "tab": Keys.TAB,
    "backspace": Keys.BACKSPACE,
}


class Browser:
    """All of it blocks: use it in a thread."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        for flag in FLAGS:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        self._driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
        self._driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LISTEN})
        self._asked: set[str] = set()

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._driver.quit()

    def open(self, url: str) -> None:
        self._driver.get(url)

    def press(self, *keys: str) -> None:
        """Names of `NAMED`, or characters."""
        for key in keys:
            ActionChains(self._driver).send_keys(NAMED.get(key, key)).perform()

    def type(self, text: str) -> None:
        ActionChains(self._driver).send_keys(text).perform()

    def text(self) -> str:
        """All that came since `forget`, without escapes; a cursor that jumps becomes a space."""
        return _ESCAPES.sub(" ", self._driver.execute_script("return window.brought"))

    def forget(self) -> None:
        self._driver.execute_script("window.brought = ''")

    def until(self, words: str, within_s: float = SEEN_WITHIN_S) -> str:
        """Wait until `words` (a regular expression) came; what it found. Raises AssertionError."""
        return self._wait(lambda: re.search(words, self.text()), f"{words!r} never came", within_s)[0]

    sees = until

    def until_closed(self) -> None:
        """Wait until the page says that the console ended."""
        script = "return document.body.classList.contains('-closed')"
        self._wait(lambda: self._driver.execute_script(script), "the console is still there", SEEN_WITHIN_S)

    def _wait(self, look: Callable[[], T | None], what: str, within_s: float) -> T:
        end = time.monotonic() + within_s
        while not (found := look()):
            assert time.monotonic() < end, f"{what}; the last of it: {self.text()[-3000:]}"
            time.sleep(0.1)
        return found

    def strangers(self) -> set[str]:
        """Hosts beyond the loopback that the page asked for something."""
        for entry in self._driver.get_log("performance"):
            message: dict[str, Any] = json.loads(entry["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                params = message["params"]
                url = params["request"]["url"] if "request" in params else params["url"]
                if not url.startswith(("data:", "chrome:")):
                    self._asked.add(urlsplit(url).hostname or "")
        return self._asked - set(LOOPBACK)

    def complaints(self) -> list[str]:
        """Errors of the page, a breach of its content policy among them."""
        return [entry["message"] for entry in self._driver.get_log("browser") if entry["level"] == "SEVERE"]
