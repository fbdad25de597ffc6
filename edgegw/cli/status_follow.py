"""`edgegw status --follow`: a line whenever something on it changed, and when the gateway goes or comes back.

Rules of this file:
- What flows (amps, ages) is not in a line: a line is news. With --json a line is the picture itself.
- A gateway that goes ends nothing: it is told once, and asked again every AGAIN_S. What it refuses does.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from datetime import UTC, datetime

import click

from edgegw.cli.alarms import in_short
from edgegw.cli.asking import Asking
from edgegw.cli.tables import number, second
from edgegw.control.faults import NotReachable, Silent
from edgegw.control.live_models import Snapshot
from edgegw.redaction import plain

AGAIN_S = 1.0
PARTS = ("health", "site", "power", "alarms")


def follow(asking: Asking, charger: str | None) -> None:
    """Until Ctrl-C, the usual end of it. Raises ControlFault for what coming back would not mend."""
    try:
        asyncio.run(_Followed(asking, charger).run())
    except KeyboardInterrupt:
        return


class _Followed:
    def __init__(self, asking: Asking, charger: str | None) -> None:
        self._asking = asking
        self._charger = charger
        self._shown: object = None  # the newest picture, as far as it is looked at here
        self._gone = False

    async def run(self) -> None:
        async with self._asking.live() as live:
            while True:
                try:
                    async with aclosing(live.snapshots()) as snapshots:
                        async for snapshot in snapshots:
                            self._take(snapshot)
                except (NotReachable, Silent) as fault:
                    self._lose(str(fault))
                await asyncio.sleep(AGAIN_S)

    def _take(self, snapshot: Snapshot) -> None:
        if self._gone:
            self._gone, self._shown = False, None
            self._tell(snapshot.at, {"gateway": "back"}, "the gateway is back")
        picture = self._picture(snapshot) if self._asking.as_json else self._words(snapshot)
        if picture == self._shown:
            return
        self._shown = picture
        if isinstance(picture, str):
            self._tell(snapshot.at, {}, picture)
        else:
            self._tell(snapshot.at, picture, "")

    def _lose(self, why: str) -> None:
        if self._gone:
            return
        self._gone = True
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._tell(now, {"gateway": "gone", "text": why}, f"the gateway is gone: {plain(why)}")

    def _tell(self, at: str, document: dict[str, object], words: str) -> None:
        click.echo(json.dumps({"at": at, **document}) if self._asking.as_json else f"{second(at)} {words}")

    # --- what is looked at --------------------------------------------------------------------------

    def _picture(self, snapshot: Snapshot) -> dict[str, object]:
        whole = snapshot.model_dump()
        if self._charger is None:
            return {name: whole[name] for name in PARTS}
        return {"charger": next((row for row in whole["chargers"] if row["identity"] == self._charger), None)}

    def _words(self, snapshot: Snapshot) -> str:
        if self._charger is None:
            return _line(snapshot)
        row = next((row for row in snapshot.chargers if row.identity == self._charger), None)
        return f"{self._charger}: {plain(row.verdict) if row else 'it is not known any more'}"


def _line(snapshot: Snapshot) -> str:
    health, site = snapshot.health, snapshot.site
    chargers, queue = site.chargers, site.queue
    cloud = {"standalone": "no cloud", "away": "cloud away"}.get(health.cloud.mode, "cloud reached")
    parts = [
        f"{health.status}: {'; '.join(health.reasons)}" if health.reasons else health.status,
        cloud,
        f"{chargers.connected} of {number(chargers.known, 'charger')} connected",
        f"{number(site.running_transactions, 'transaction')} running",
        f"{queue.stored} stored" if queue.stored else "",
        f"{queue.parked} parked" if queue.parked else "",
        in_short(snapshot.alarms),
    ]
    return plain(", ".join(filter(None, parts)))
