"""The ocpp-rpc peers of this folder as a test sees them: events to wait for and commands to give.

Rules of this file:
- An event is a dict with "event" and the facts of that kind; the programs say which kinds there are.
- A peer that saw anything against the specification ends the test as failed, unless the test expects it.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.children import DEADLINE_S, Child, Children
from tests.servers.shared import claim_ports

HERE = Path(__file__).parent
COMPLAINTS = frozenset({"violation", "bad_message", "answered_error", "crashed"})

Event = dict[str, Any]


class CommandFailed(Exception):
    """A command did not work out. `code`: RPC error code or name; `status`: HTTP status or None."""

    def __init__(self, event: Event) -> None:
        super().__init__(f"{event['code']}: {event['text']}")
        self.code: str = event["code"]
        self.status: int | None = event["status"] if isinstance(event["status"], int) else None


class Program:
    """One node program. `expected`: kinds of complaints that this test provokes."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self._refs = itertools.count(1)
        self._parsed: list[Event] = []
        self._judged = 0
        self.expected: set[str] = set()

    @property
    def events(self) -> list[Event]:
        lines = self._child.lines
        self._parsed += [json.loads(line) for line in lines[len(self._parsed) :]]
        return self._parsed

    def seen(self, event: str, **facts: Any) -> list[Event]:
        """Events of this kind with these facts, so far."""
        return [one for one in self.events if _is(one, event, facts)]

    async def wait(self, event: str, *, count: int = 1, timeout_s: float = DEADLINE_S, **facts: Any) -> Event:
        """The `count`-th event of this kind with these facts, when it has come."""

        def nth(_: list[str]) -> Event | None:
            found = self.seen(event, **facts)
            return found[count - 1] if len(found) >= count else None

        try:
            return await self._child.until(nth, timeout_s)
        except TimeoutError:
            tail = "\n".join(line[:300] for line in self._child.lines[-15:])
            raise AssertionError(f"{self._child.name} never said {event} {facts}; it said\n{tail}") from None

    async def do(self, command: str, **arguments: Any) -> Any:
        """Carry out a command and return its result. Raises CommandFailed."""
        ref = next(self._refs)
        self._child.write(json.dumps({"do": command, "ref": ref, **arguments}))
        done = await self._child.until(lambda _: self._outcome(ref))
        if done["event"] == "failed":
            raise CommandFailed(done)
        return done["result"]

    def _outcome(self, ref: int) -> Event | None:
        found = (one for one in reversed(self.events) if one["event"] in ("done", "failed"))
        return next((one for one in found if one["ref"] == ref), None)

    def take_complaints(self) -> list[Event]:
        """What it complained of since the last time, but for what was expected."""
        fresh = self.events[self._judged :]
        found = [one for one in fresh if one["event"] in COMPLAINTS - self.expected]
        self._judged += len(fresh)
        self.expected.clear()
        return found


class Cloud(Program):
    """cloud.js. url: what a gateway is given."""

    url: str

    def calls(self, identity: str, *actions: str) -> list[Event]:
        """What this charger asked, in order; all of it when no action is named."""
        return [
            one for one in self.seen("call", identity=identity) if not actions or one["action"] in actions
        ]

    async def call(self, identity: str, action: str, params: Mapping[str, Any]) -> Any:
        return await self.do("call", identity=identity, action=action, params=params)


class Charger:
    """One of charger.js."""

    def __init__(self, program: Program, identity: str) -> None:
        self._program = program
        self.identity = identity

    async def connect(self) -> str:
        """Dial and return the subprotocol that was agreed on."""
        protocol: str = (await self.do("connect"))["protocol"]
        return protocol

    async def call(self, action: str, params: Mapping[str, Any]) -> Any:
        return await self.do("call", action=action, params=params)

    async def do(self, command: str, **arguments: Any) -> Any:
        return await self._program.do(command, identity=self.identity, **arguments)

    async def wait(self, event: str, *, count: int = 1, **facts: Any) -> Event:
        return await self._program.wait(event, count=count, identity=self.identity, **facts)

    def seen(self, event: str, **facts: Any) -> list[Event]:
        return self._program.seen(event, identity=self.identity, **facts)


class Peers:
    """Starts the programs of a test or of several; at the end of each nobody may have a complaint."""

    def __init__(self, children: Children) -> None:
        self._children = children
        self._all: list[Program] = []
        self._chargers: Program | None = None

    async def cloud(self, *protocols: str) -> Cloud:
        """A strict CSMS; protocols in its order of preference, all when none is named."""
        port, claim = claim_ports()  # its own also while it is cut
        self._children.keep(claim)
        options = ["--port", str(port), *(["--protocols", ",".join(protocols)] if protocols else [])]
        cloud = Cloud(await self._start("cloud", options))
        cloud.url = f"ws://127.0.0.1:{(await cloud.wait('listening'))['port']}/csms"
        return self._keep(cloud)

    async def charger(
        self,
        url: str,
        identity: str,
        *protocols: str,
        password: str | None = None,
        reconnect: bool = False,
    ) -> Charger:
        """A strict charger that has not dialled yet. All chargers of a test are in one process."""
        if self._chargers is None:
            self._chargers = self._keep(Program(await self._start("charger", [])))
            await self._chargers.wait("started")
        charger = Charger(self._chargers, identity)
        await charger.do("add", url=url, protocols=protocols, password=password, reconnect=reconnect)
        return charger

    async def _start(self, program: str, options: Sequence[str]) -> Child:
        node = shutil.which("node")
        if node is None or not (HERE / "node_modules" / "ocpp-rpc").is_dir():
            pytest.skip("needs node and the packages of tests/interop: run make interop")
        name = f"{program}-{len(self._all) + 1}"
        return await self._children.start(name, node, str(HERE / f"{program}.js"), *options, stdin=True)

    def _keep(self, program: Any) -> Any:
        self._all.append(program)
        return program

    def assert_content(self) -> None:
        """Nobody has complained since the last time this was asked."""
        complaints = [one for program in self._all for one in program.take_complaints()]
        assert complaints == [], json.dumps(complaints, indent=1)[:4000]


def _is(one: Event, event: str, facts: Mapping[str, Any]) -> bool:
    return one["event"] == event and all(one.get(key) == value for key, value in facts.items())
