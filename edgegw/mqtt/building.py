"""The building's side of a running gateway: states and events out, commands in, over one connection.

Rules of this file:
- It watches. What is published changes no decision; a command goes the way of an order through the API.
- One look at the site makes both the states and the events. It is taken once per interval, and less often
  while the broker is away: then nobody waits for states, but what happens must not be missed.
- Nothing that is told to it may raise into who tells.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress

from edgegw.config_mqtt import Mqtt
from edgegw.control import models
from edgegw.control.service import Service
from edgegw.core.alarms import AlarmChange
from edgegw.core.events import Instant
from edgegw.core.records import TransactionRecord
from edgegw.errors import StoreFault
from edgegw.mqtt import events, homeassistant
from edgegw.mqtt.commands import CommandDesk
from edgegw.mqtt.connection import Connection, settings_from
from edgegw.mqtt.event_changes import changes
from edgegw.mqtt.event_queue import EventQueue
from edgegw.mqtt.log_lines import LogLines
from edgegw.mqtt.message import Incoming, State
from edgegw.mqtt.publisher import Publisher
from edgegw.mqtt.snapshot import Snapshots
from edgegw.mqtt.snapshot_sessions import shown_token
from edgegw.mqtt.snapshot_sources import SiteFacts, Sources
from edgegw.mqtt.state import StateMaker
from edgegw.mqtt.sweep import Sweep
from edgegw.mqtt.topics import Tree
from edgegw.mqtt.verbs import AlarmDesk, Verbs
from edgegw.mqtt.view import View
from edgegw.runtime import clock
from edgegw.runtime.audit import AuditBook, AuditEntry
from edgegw.runtime.entrance import Notice
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.histogram import Histogram
from edgegw.runtime.loop_guard import LoopGuard
from edgegw.runtime.tasks import Tasks

log = logging.getLogger(__name__)

HEALTH_EVERY_S = 5.0
BIRTH_GAP_MIN_S = 10.0  # anybody may say that Home Assistant was born
REMEMBERED_MAX = 4096  # entries of the audit; as many commands as are remembered while it runs
LOOK_EVERY_MIN_S = 5.0  # while the broker is away


class Building:
    """`start` it when the gateway runs; `await stop()` before the gateway stops. Fulfils `MqttSource`."""

    def __init__(
        self,
        settings: Mqtt,
        site: SiteFacts,
        gateway: Gateway,
        service: Service,
        sources: Sources,
        *,
        queue: EventQueue | None,
        audit: AuditBook,
        alarms: AlarmDesk | None,
        told: Iterable[TransactionRecord] = (),
    ) -> None:
        """`queue` None: events live as long as the process. `told`: transactions known before a restart."""
        self._settings = settings
        self._service = service
        self._audit = audit
        self._birth: asyncio.TimerHandle | None = None  # of Home Assistant, not acted upon yet
        self._told_again_at = float("-inf")  # mono: Home Assistant, its devices
        self._tasks = Tasks()
        self._guard = LoopGuard(log, "looking at the site for mqtt")
        self._health: models.Health | None = None
        self._view: View | None = None
        self._looked_at = float("-inf")  # mono
        tree = Tree(settings.base, site.id)
        sources = sources._replace(health=lambda: self._health, events_dropped=self._events_dropped)
        self._snapshots = Snapshots(gateway, site, sources, settings)
        self._states = StateMaker(tree, settings.flat)
        self._discovery = homeassistant.Discovery(tree, settings)
        self._sessions = events.Sessions(shown_token(settings.card_ids, site.salt), told)
        self.connection = Connection(
            settings_from(settings, site.id), self._tasks, subscriptions=_subscriptions(tree, settings)
        )
        self._publisher = Publisher(
            self.connection,
            tree,
            queue,
            self._state,
            interval_s=settings.interval_s,
            now=clock.now,
            tasks=self._tasks,
            sweep=_sweep(tree, settings),
        )
        self._commands: CommandDesk | None = None
        if settings.commands:
            verbs = Verbs(service, gateway, settings, alarms)
            self._commands = CommandDesk(settings, tree, verbs, self._publisher.send, audit)
            self._publisher.receivers.append(self._commands.on_message)
        if settings.homeassistant:
            self._publisher.receivers.append(self._on_birth)
        self._lines = LogLines(settings.log, tree, self._publisher.send) if settings.log != "off" else None
        gateway.notice_listeners.append(self._on_notice)
        gateway.transaction_listeners.append(self._on_transaction)

    # --- its life ---------------------------------------------------------------------------------

    def start(self) -> None:
        self._tasks.spawn(self._watch(), "mqtt watch")
        self._tasks.spawn(self._ask_health(), "mqtt health")
        if self._lines is not None:
            self._lines.start()
        self._publisher.start()
        self._tasks.spawn(self._connect(), "mqtt start")

    async def _connect(self) -> None:
        """Commands are taken when it is known which ones the process before this one took."""
        if self._commands is not None:
            with self._guard, suppress(StoreFault, OSError):
                found = await self._audit.audit_entries(REMEMBERED_MAX, None)
                self._commands.remember(entry for _, entry in found)
        self.connection.start()

    async def stop(self) -> None:
        """The broker hears "offline"; commands under way are answered that the box stops."""
        if self._birth is not None:
            self._birth.cancel()
        if self._commands is not None:
            await self._commands.stop()
        if self._lines is not None:
            self._lines.stop()
        await self._publisher.stop()
        await self.connection.stop()
        await self._tasks.cancel()

    async def _ask_health(self) -> None:
        while True:
            with self._guard, suppress(StoreFault, OSError):
                self._health = await self._service.health()
            await asyncio.sleep(HEALTH_EVERY_S)

    async def _watch(self) -> None:
        """Looks while the publisher has no reason to."""
        every_s = max(self._settings.interval_s, LOOK_EVERY_MIN_S)
        while True:
            now = clock.now()
            if now.mono - self._looked_at >= every_s:
                with self._guard:
                    self._look(now)
            await asyncio.sleep(every_s)

    # --- what is seen -----------------------------------------------------------------------------

    def _look(self, now: Instant) -> View:
        before, self._view = self._view, self._snapshots.view(now)
        self._looked_at = now.mono
        for happening in changes(before, self._view, now.wall):
            self._tell(happening)
        return self._view

    def _state(self) -> State:
        view = self._look(clock.now())
        return {**self._states.messages(view), **self._discovery.messages(view)}

    def _tell(self, happening: events.Happening | None) -> None:
        if happening is not None:
            self._publisher.event(happening.event("", 0))  # the publisher numbers it

    def _on_notice(self, notice: Notice) -> None:
        self._tell(events.of_notice(notice))

    def _on_transaction(self, record: TransactionRecord) -> None:
        self._tell(self._sessions.of_record(record, clock.now().wall))

    def on_alarm(self, change: AlarmChange) -> None:
        self._tell(events.of_alarm(change))
        self._publisher.soon()

    def on_order(self, entry: AuditEntry) -> None:
        self._tell(events.of_order(entry))

    def _on_birth(self, incoming: Incoming) -> None:
        if homeassistant.is_birth(incoming, self._settings):
            wait_s = BIRTH_GAP_MIN_S - (clock.now().mono - self._told_again_at)
            if wait_s > 0 and self._birth is None:
                self._birth = asyncio.get_running_loop().call_later(wait_s, self._tell_devices_again)
            elif wait_s <= 0:
                self._tell_devices_again()

    def _tell_devices_again(self) -> None:
        self._birth, self._told_again_at = None, clock.now().mono
        log.info("mqtt: Home Assistant has started; it is told its devices again")
        self._publisher.again(self._settings.discovery_prefix)

    # --- numbers ----------------------------------------------------------------------------------

    def _events_dropped(self) -> int:
        return self._publisher.health().events_dropped

    @property
    def up(self) -> bool:
        return self.connection.up

    @property
    def counters(self) -> Mapping[str, int]:
        """Since the start, by kind."""
        health = self._publisher.health()
        found: Counter[str] = Counter(
            connects=health.connects,
            published=health.published,
            rejected=health.rejected,
            unread=health.unread,
            events_dropped=health.events_dropped,
            responses_dropped=health.responses_dropped,
            log_lines_dropped=health.log_lines_dropped,
        )
        if self._commands is not None:
            found["commands"] = sum(self._commands.counts.values())
        return found

    @property
    def command_seconds(self) -> Histogram | None:
        return self._commands.seconds if self._commands is not None else None


def _subscriptions(tree: Tree, settings: Mqtt) -> list[str]:
    """Nothing at all for a gateway that only publishes."""
    found = [f"{tree.root}/request/#"] if settings.commands else []
    if settings.homeassistant:
        found.append(homeassistant.birth_topic(settings))
    return found


def _sweep(tree: Tree, settings: Mqtt) -> Sweep:
    if not settings.homeassistant:
        return Sweep(tree)
    return Sweep(
        tree,
        [homeassistant.discovery_filter(settings)],
        lambda topic: homeassistant.is_ours(topic, tree, settings),
    )
