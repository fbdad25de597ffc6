"""The real gateway as a child process, with a site file made for it and its local API.

Rules of this file:
- It is run as anybody would run it: `edgegw run --config FILE`; nothing of it is imported.
- It listens where the system chooses; after every start its line says where, so two may run at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from pathlib import Path
from typing import Any

import httpx

from edgegw.errors import EdgegwError

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 6.0
LOG_TOLD_CHARACTERS = 2000


class GatewayFault(EdgegwError):
    """The gateway did not start; the text holds the end of its log."""


class GatewayProcess:
    """config: its site file; socket: where its local API is; log: where its stderr goes."""

    def __init__(self, config: Path, socket: Path, log: Path) -> None:
        self._config = config
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self.ready = ""
        self._http = httpx.AsyncClient(
            base_url="http://edgegw", transport=httpx.AsyncHTTPTransport(uds=str(socket)), timeout=2.0
        )

    async def start(self) -> str:
        """Returns its line about being ready. Raises GatewayFault, TimeoutError."""
        arguments = ("-m", "edgegw", "run", "--config", str(self._config))
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=log, start_new_session=True
            )
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), READY_WITHIN_S)
        if not line:
            raise GatewayFault(f"the gateway did not start:\n{self._log.read_text()[-LOG_TOLD_CHARACTERS:]}")
        self.ready = line.decode().strip()
        return self.ready

    @property
    def url(self) -> str:
        """What chargers dial, without their identity."""
        found = re.search(r"chargers (\S+)", self.ready)
        assert found is not None, self.ready
        return found[1]

    async def kill(self) -> int:
        """SIGKILL, as a power cut or the OOM killer would. Returns the pid that was."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        return self._process.pid

    async def ask(self, path: str) -> Any | None:
        """JSON of its local API; None while it does not answer, or not with 200."""
        with contextlib.suppress(httpx.HTTPError):
            answer = await self._http.get(path)
            return answer.json() if answer.status_code == httpx.codes.OK else None
        return None

    async def stop(self) -> None:
        await self._http.aclose()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()
