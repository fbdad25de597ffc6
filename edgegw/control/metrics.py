"""The scrape, without the metrics library: it is loaded when somebody asks for the first time.

Rules of this file:
- Nothing is counted for Prometheus on the path of a message: what the gateway keeps anyway is looked at
  when a scrape comes.
- The loop only looks. Loading the library and writing the text, most of the work, are done in a thread, so
  that chargers do not wait for whoever watches them.
- A store that is broken or hangs costs a scrape its numbers, not its answer.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from edgegw.control.health import StoreWatch
from edgegw.control.metrics_sources import Scrape, Sources
from edgegw.runtime import clock


class Metrics:
    def __init__(self, sources: Sources, store: StoreWatch) -> None:
        self.sources = sources
        self._store = store
        self._exporter: Any = None
        self._one_at_a_time = asyncio.Lock()

    async def text(self, accept: str) -> tuple[bytes, str]:
        """(body, content type) as the Accept header of the asker wants it."""
        async with self._one_at_a_time:
            if self._exporter is None:
                module = await asyncio.to_thread(importlib.import_module, "edgegw.control.metrics_export")
                self._exporter = module.Exporter()
            counts = await self._store.counts()
            scrape = Scrape(sources=self.sources, now=clock.now(), counts=counts)
            families = await self._exporter.look(scrape)
            return await asyncio.to_thread(self._exporter.write, families, accept)
