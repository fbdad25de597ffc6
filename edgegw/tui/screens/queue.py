"""Queue: what each charger said that the cloud has not taken yet, and what it refused for good."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType

from edgegw.control.live_models import Snapshot
from edgegw.control.models import ChargerQueue
from edgegw.tui.listing import ListScreen
from edgegw.tui.queue_words import COLUMNS, about_queue, row_of, site_words
from edgegw.tui.screens.queue_rows import QueueRowsScreen, resend_all


class QueueScreen(ListScreen):
    NAME = "Queue"
    ABOUT = """
Messages that this box took from chargers and that wait for the
cloud. They are on disk and go up by themselves, in order, when the
cloud is there.

STORED waits, SENT is on its way and not answered yet, PARKED was
refused by the cloud for good: it is kept, and can be sent once more
when the cloud is mended. Enter shows the messages of a charger.
"""
    HAS_FILTER = True
    HAS_FAULTS_ONLY = True
    COLUMNS = COLUMNS
    EMPTY = "nothing waits for the cloud"
    ORDERS: ClassVar[frozenset[str]] = frozenset(("resend",))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "resend", "Re-send parked"),
        Binding("c", "open_charger", "Charger"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._queues: dict[str, ChargerQueue] = {}
        self._empty = self.EMPTY

    def show(self, snapshot: Snapshot) -> None:
        queue = snapshot.queue
        self._empty = site_words(queue, snapshot.site.cloud.mode)
        self._queues = {one.charger: one for one in queue.chargers}
        wanted = (one for one in queue.chargers if one.parked or not self.faults_only)
        self.list_rows([row_of(one, snapshot.at) for one in wanted])

    def why_empty(self) -> str:
        return self._empty

    def about(self, key: str) -> Text:
        snapshot, queue = self.console.snapshot, self._queues.get(key)
        return about_queue(queue, snapshot.at) if queue is not None and snapshot is not None else Text()

    def opened(self, key: str) -> None:
        self.app.push_screen(QueueRowsScreen(key))

    def action_open_charger(self) -> None:
        if self.table.key is not None:
            self.console.open_charger(self.table.key)

    def action_resend(self) -> None:
        queue = self._queues.get(self.table.key or "")
        if queue is not None:
            resend_all(self, queue.charger, queue.parked)
