"""The transactions of one charger: who charges on it and who did, with why each ended in words."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from edgegw.control.models import TransactionList, TransactionView
from edgegw.tui import transaction_words
from edgegw.tui.screens.charger_panel import ListPanel, Seen
from edgegw.tui.table import Row

SHOWN = 50


class TransactionsPanel(ListPanel):
    KEY, NAME = "t", "Transactions"
    ABOUT = f"Its last {SHOWN} transactions, those that run first. Key 4 has all of the site."
    EMPTY = "nobody has charged here yet"
    COLUMNS = transaction_words.COLUMNS

    def __init__(self) -> None:
        super().__init__()
        self._held: dict[str, TransactionView] = {}
        self._asked_of: object = None  # what ran when it was asked last
        self._now = ""

    def opened(self) -> None:
        identity = self.page.identity
        self.ask(lambda c: c.transactions(charger=identity, limit=SHOWN), self._got)

    def _got(self, answer: TransactionList) -> None:
        self._held = {transaction_words.key_of(one): one for one in answer.transactions}
        self.redraw()

    def rows(self, seen: Seen) -> Sequence[Row]:
        self._now = seen.now
        runs = (seen.row.transactions, seen.row.energy_wh) if seen.row is not None else None
        if self._asked_of is not None and runs != self._asked_of:
            self.opened()
        self._asked_of = runs
        return [
            transaction_words.row_of(one, seen.now) for one in transaction_words.in_order(self._held.values())
        ]

    def about(self, key: str) -> Text:
        one = self._held.get(key)
        return transaction_words.about(one, self._now) if one is not None else Text()
