"""From one look at the gateway to Prometheus text, with `prometheus_client`. Import late.

Rules of this file:
- A registry of its own: what some library puts into the global one is not ours to show.
- `look` runs in the loop and reads the living gateway; `write` touches nothing of it and may run anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from edgegw.control import metrics_box, metrics_chargers, metrics_power
from edgegw.control.metrics_sources import Scrape
from edgegw.control.metrics_text import written


class Exporter:
    def __init__(self) -> None:
        self._gateway = _Live()
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(self._gateway)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    async def look(self, scrape: Scrape) -> list[Metric]:
        """Everything as it is now. Between two metrics others get their turn."""
        self._gateway.scrape = scrape
        found = []
        for family in self.registry.collect():
            found.append(family)
            await asyncio.sleep(0)
        return found

    def write(self, families: Iterable[Metric], accept: str) -> tuple[bytes, str]:
        """(body, content type): text 0.0.4, or OpenMetrics for who asks for it."""
        return written(families, accept)


class _Live(Collector):
    """The gateway, while a scrape looks at it."""

    scrape: Scrape | None = None

    def collect(self) -> Iterator[Metric]:
        if self.scrape is not None:  # asked while it is registered there is nothing to see
            yield from metrics_box.families(self.scrape)
            yield from metrics_chargers.families(self.scrape)
            yield from metrics_power.families(self.scrape)
