"""What the command palette (`:` or ctrl+p) offers: screens, chargers by their name, actions here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider

from edgegw.redaction import plain

if TYPE_CHECKING:
    from edgegw.tui.app import Console

CHARGERS_OFFERED_MAX = 50


class ConsoleCommands(Provider):
    @property
    def _console(self) -> Console:
        from edgegw.tui.app import Console

        app = self.app
        assert isinstance(app, Console)
        return app

    def _commands(self) -> Iterator[tuple[str, Any, str]]:
        from edgegw.tui.app import SCREENS

        for key, name, _ in SCREENS:
            yield name, partial(self._console.action_go, name), f"screen, also key {key}"
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if active.enabled and binding.show and binding.description:
                yield binding.description, partial(self._run, active.node, binding.action), "here"

    async def _run(self, node: Any, action: str) -> None:
        await self.app.run_action(action, node)

    async def discover(self) -> Hits:
        for name, run, what in self._commands():
            yield DiscoveryHit(name, run, help=what)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, run, what in self._commands():
            if (score := matcher.match(name)) > 0:
                yield Hit(score, matcher.highlight(name), run, help=what)
        snapshot = self._console.snapshot
        offered = 0
        for row in snapshot.chargers if snapshot is not None else ():
            name = plain(row.identity)
            if (score := matcher.match(name)) > 0 and offered < CHARGERS_OFFERED_MAX:
                offered += 1
                open_it = partial(self._console.open_charger, row.identity)
                yield Hit(score, Text(f"charger {name}"), open_it, help=plain(row.verdict))
