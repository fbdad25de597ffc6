"""Steering a simulated cloud that runs as its own process: one line in, one JSON line out.

    cut | restore | slow 2 | late 2 | silence [ACTION] | speak | refuse ACTION [CODE] [TIMES]
    handshake 503 [RETRY_AFTER] | handshake ok | registration IDENTITY|* STATUS [INTERVAL]
    close_before_answer [TIMES] [BYTES] [ACTION] | drop IDENTITY | tag TAG STATUS | assign FIRST_ID
    call IDENTITY ACTION {JSON} | status | quit
    update IDENTITY URL [REQUEST_ID] | log IDENTITY URL [REQUEST_ID] | statuses [IDENTITY]

Lines come from stdin and, with --control, from any connection to a loopback port. SIGUSR1 cuts, SIGUSR2
restores, SIGTERM and SIGINT end it. End of stdin ends it too (--no-stdin: stdin is not read).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shlex
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import uvloop

from edgegw.sim.cloud import SimCloud
from edgegw.sim.cloud_faults import EVERY_ACTION
from edgegw.sim.desk import CallRefused, Desk
from edgegw.sim.lines import open_stdin, say
from edgegw.sim.orders import Order, log_order, update_order

Answer = dict[str, Any]


async def obey(cloud: SimCloud, line: str) -> Answer:
    """Carry one command out. {"ok": true, ...} or {"ok": false, "error": text}."""
    name, _, rest = line.strip().partition(" ")
    try:
        if name == "call":
            identity, action, payload = rest.split(" ", 2)
            return {"ok": True, "answer": await cloud.call(identity, action, json.loads(payload))}
        command = _COMMANDS[name]
        answer = command(cloud, *shlex.split(rest))
        if isinstance(answer, Awaitable):
            answer = await answer
        return {"ok": True, **(answer or {})}
    except KeyError:
        return {"ok": False, "error": f"unknown command {name!r}; known: call {' '.join(_COMMANDS)}"}
    except (CallRefused, ValueError, TypeError, TimeoutError) as error:
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}


def _handshake(cloud: SimCloud, status: str, retry_after_s: str | None = None) -> None:
    wait = None if retry_after_s is None else float(retry_after_s)
    cloud.refuse_handshake(None if status == "ok" else int(status), wait)


def _refuse(cloud: SimCloud, action: str, code: str = "InternalError", times: str = "-1") -> None:
    cloud.refuse(action, code, int(times))


def _close(cloud: SimCloud, times: str = "1", answer_bytes: str = "0", action: str = EVERY_ACTION) -> None:
    cloud.close_before_answer(int(times), answer_bytes=int(answer_bytes), action=action)


def _registration(cloud: SimCloud, identity: str, status: str, interval: str = "300") -> None:
    cloud.registration(None if identity == "*" else identity, status, int(interval))


def _tag(cloud: SimCloud, tag: str, status: str) -> None:
    cloud.desk.tags[tag] = status


def _status(cloud: SimCloud) -> Answer:
    return {
        "cut": cloud.is_cut,
        "connected": sorted(cloud.connections),
        "connections": len(cloud.history),
        "ledger_lines": cloud.ledger.last_n if cloud.ledger else 0,
    }


async def _order(
    cloud: SimCloud, make: Callable[..., Order], identity: str, url: str, request_id: str | None = None
) -> Answer:
    if identity not in cloud.connections:
        raise ValueError(f"{identity} is not connected")
    version = str(cloud.connections[identity].subprotocol)
    action, payload = make(version, url, None if request_id is None else int(request_id))
    return {"answer": await cloud.call(identity, action, payload)}


def _statuses(cloud: SimCloud, identity: str | None = None) -> Answer:
    heard = cloud.heard.everything() if identity is None else {identity: cloud.heard.of(identity)}
    return {"statuses": heard}


_COMMANDS: dict[str, Callable[..., Any]] = {
    "cut": SimCloud.cut,
    "restore": SimCloud.restore,
    "slow": lambda cloud, seconds: cloud.slow(float(seconds)),
    "late": lambda cloud, seconds: cloud.late(float(seconds)),
    "silence": SimCloud.silence,
    "speak": SimCloud.speak,
    "refuse": _refuse,
    "handshake": _handshake,
    "registration": _registration,
    "close_before_answer": _close,
    "drop": SimCloud.drop,
    "tag": _tag,
    "assign": lambda cloud, first: cloud.desk.assign_from(int(first)),
    "status": _status,
    "update": lambda cloud, *words: _order(cloud, update_order, *words),
    "log": lambda cloud, *words: _order(cloud, log_order, *words),
    "statuses": _statuses,
}


async def _run(options: argparse.Namespace) -> None:
    host, _, port = options.listen.rpartition(":")
    desk = Desk(first_transaction_id=options.first_transaction_id, deduplicate=not options.naive)
    async with SimCloud(
        host=host, port=int(port), path=options.path, ledger=options.ledger, desk=desk, keep=False
    ) as cloud:
        stop = asyncio.Event()
        control = await _open_control(cloud, options.control, stop)
        _on_signals(cloud, stop)
        ready = {"listening": cloud.url, "control": control.sockets[0].getsockname()[1] if control else None}
        say(ready)
        reading = None if options.no_stdin else asyncio.ensure_future(_read_stdin(cloud, stop))
        await stop.wait()
        if reading:
            reading.cancel()
        if control:
            control.close()


def _on_signals(cloud: SimCloud, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[Answer]] = set()

    def later(command: str) -> None:
        task = loop.create_task(obey(cloud, command))
        running.add(task)
        task.add_done_callback(running.discard)

    loop.add_signal_handler(signal.SIGUSR1, later, "cut")
    loop.add_signal_handler(signal.SIGUSR2, later, "restore")
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)


async def _read_stdin(cloud: SimCloud, stop: asyncio.Event) -> None:
    reader = await open_stdin()
    while (line := await reader.readline()) and line.strip() != b"quit":
        say(await obey(cloud, line.decode()))
    stop.set()


async def _open_control(cloud: SimCloud, port: int | None, stop: asyncio.Event) -> asyncio.Server | None:
    if port is None:
        return None

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                if line.strip() == b"quit":
                    stop.set()
                    return
                writer.write(json.dumps(await obey(cloud, line.decode())).encode() + b"\n")
                await writer.drain()

    return await asyncio.start_server(talk, "127.0.0.1", port)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="edgegw.sim.cloud", description="a simulated cloud CSMS")
    parser.add_argument("--listen", default="127.0.0.1:0", help="host:port, port 0 = any free one")
    parser.add_argument("--path", default="/csms")
    parser.add_argument("--ledger", help="file to append to")
    parser.add_argument("--control", type=int, help="loopback TCP port for commands, 0 = any free one")
    parser.add_argument("--no-stdin", action="store_true")
    parser.add_argument("--naive", action="store_true", help="take a message that comes twice for two")
    parser.add_argument("--first-transaction-id", type=int, default=1)
    uvloop.run(_run(parser.parse_args(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
