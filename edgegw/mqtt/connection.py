"""The connection to the building's broker: made, kept, made again; says in words why there is none.

Rules of this file:
- Never in anybody's way: dialling blocks nothing, nothing waits here for the broker, memory is bounded.
- What is handed over while the connection ends is lost here; the owner says it again after `on_up`.
- One line of the log per change. A password stands in its file and in CONNECT, nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from edgegw.config_mqtt import Mqtt
from edgegw.errors import ConfigFault
from edgegw.links.resolver import Resolver
from edgegw.links.tls import CertificateFiles, client_context
from edgegw.mqtt import refusal
from edgegw.mqtt.client import Settings, read_password
from edgegw.mqtt.endings import End
from edgegw.mqtt.line import DialFailed, dial
from edgegw.mqtt.message import Incoming, Message
from edgegw.mqtt.redial import Redial
from edgegw.mqtt.session import Done, Patience, Session
from edgegw.mqtt.topics import Tree, slug
from edgegw.runtime.tasks import Tasks

log = logging.getLogger(__name__)

NAME_CACHE_S = 5.0  # short: a broker that moved must be found where it is now
REFUSALS_LOGGED = 5  # per connection: an access list that forbids all would fill the log


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the broker is and who we are. Files are read at each connect, so that they can be renewed."""

    host: str
    port: int
    status_topic: str  # "online" is for the owner to publish; "offline" is our will and our good-bye
    client_id: str
    mqtt5: bool = True
    tls: bool = False
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None  # None: the system's
    certificate: CertificateFiles | None = None
    keep_alive_s: float = 30.0

    @property
    def where(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


def settings_from(config: Mqtt, site_id: str) -> BrokerSettings:
    tree = Tree(config.base, site_id)
    certificate = None
    if config.tls_certificate is not None and config.tls_key is not None:
        certificate = CertificateFiles(config.tls_certificate, config.tls_key)
    return BrokerSettings(
        host=config.host,
        port=config.port,
        status_topic=tree.topic("status"),
        client_id=config.client_id or f"edgegw-{slug(site_id)}",
        mqtt5=config.version == "5",
        tls=config.tls,
        username=config.username,
        password_file=config.password_file,
        ca_file=config.ca_file,
        certificate=certificate,
        keep_alive_s=config.keep_alive_s,
    )


class Listener(Protocol):
    """Called from the loop; must not raise and must not wait."""

    def on_up(self) -> None:
        """Connected, nothing said yet: say everything."""

    def on_down(self, text: str) -> None:
        """What was handed over and not done is lost."""

    def on_message(self, incoming: Incoming) -> None: ...

    def on_subscribed(self, filters: Sequence[str], refused: Sequence[str]) -> None: ...

    def on_room(self) -> None:
        """More may be handed over."""


class Connection:
    """`start` it, `await stop()` it. `listener` must be set before the start."""

    listener: Listener

    def __init__(
        self,
        settings: BrokerSettings,
        tasks: Tasks,
        *,
        subscriptions: Sequence[str] = (),
        patience: Patience | None = None,
        rand: Callable[[], float] = random.random,
    ) -> None:
        """`subscriptions`: QoS 1, with the retain flag as it was published (MQTT 5)."""
        self.settings = settings
        self.subscriptions = list(subscriptions)
        self.trouble = "not connected yet"  # why it is not up; "" while it is
        self.attempts = self.connects = 0
        self.complaint = ""  # the last that the broker refused: a topic, a subscription
        self._tasks = tasks
        self._patience = patience or Patience()
        self._rand = rand
        self._resolver = Resolver(cache_s=NAME_CACHE_S)
        self._redial = Redial()
        self._session: Session | None = None
        self._stopping = False
        self._run_task: asyncio.Task[None] | None = None
        self._context: tuple[tuple[int, ...], ssl.SSLContext] | None = None
        self._said: set[str] = set()  # of this outage, or of this connection
        self._mistake = ""  # the last, so that the same one is logged once
        self._published = self._refused = self._unread = 0  # of connections that are over

    # --- its life ---------------------------------------------------------------------------------

    def start(self) -> None:
        self._run_task = self._tasks.spawn(self._run(), "mqtt connection")

    async def stop(self) -> None:
        """Says "offline" and good-bye when the broker listens. Safe to call twice."""
        self._stopping = True
        task, self._run_task = self._run_task, None
        if self._session is not None and self._session.up:
            await self._session.farewell(self._offline)
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        self.trouble = "stopped"
        self._resolver.close()

    async def _run(self) -> None:
        while True:
            self.attempts += 1
            try:
                end = await self._once()
            finally:
                lasted_s = self._let_go()
            if self._stopping:
                break
            wait_s = self._redial.ended(end.kind, lasted_s, self._rand())
            self._is_down(self._words(end), was_up=lasted_s > 0, wait_s=wait_s)
            await asyncio.sleep(wait_s)

    async def _once(self) -> End:
        """One attempt and the connection it leads to: how it ended."""
        try:
            self._session = await self._opened()
            return await self._session.run()
        except ConfigFault as fault:
            return End("refused", str(fault))
        except DialFailed as failed:
            return End("refused" if failed.lasting else "unreachable", str(failed))
        except Exception as mistake:  # the loop's edge: the next attempt may be a better one
            if self._mistake != repr(mistake):
                log.exception("mqtt: bug in the connection to the broker")
            self._mistake = repr(mistake)
            return End("lost", f"edgegw's own mistake: {mistake!r}")

    async def _opened(self) -> Session:
        """Raises ConfigFault, DialFailed."""
        context = self._tls()
        settings = self._connect_settings()
        line = await dial(settings.host, settings.port, context, self._resolver)
        try:
            return Session(settings, line, self, self._patience)
        except BaseException:
            line.close()
            raise

    def _let_go(self) -> float:
        """How long the connection lasted; 0 when there was none."""
        session, self._session = self._session, None
        if session is None:
            return 0.0
        self._published += session.published
        self._refused += session.refused
        self._unread += session.unread
        now = asyncio.get_running_loop().time()
        return 0.0 if session.accepted_at is None else now - session.accepted_at

    def _words(self, end: End) -> str:
        if end.kind == "closed" and self._redial.taken_over:
            return f"{end.text} again and again; {refusal.SAME_ID}"
        return end.text

    def _is_down(self, text: str, *, was_up: bool, wait_s: float) -> None:
        self.trouble = text
        if was_up:
            self._said.clear()
        if text not in self._said and len(self._said) < REFUSALS_LOGGED:
            self._said.add(text)
            how = "lost" if was_up else "cannot connect to"
            log.warning("mqtt: %s %s: %s; next attempt in %.1f s", how, self.settings.where, text, wait_s)
        if was_up:
            self.listener.on_down(text)

    # --- for its owner ----------------------------------------------------------------------------

    @property
    def up(self) -> bool:
        return self._session is not None and self._session.up

    @property
    def has_room(self) -> bool:
        return self._session is not None and self._session.has_room

    @property
    def under_way(self) -> tuple[int, int]:
        """Messages and bytes that were handed over and that the broker has not taken yet."""
        return (0, 0) if self._session is None else self._session.under_way

    @property
    def taken_over(self) -> bool:
        """Another client seems to use our id: each throws the other out (fault 71)."""
        if self._session is not None and self._session.accepted_at is not None:
            self._redial.lasted(asyncio.get_running_loop().time() - self._session.accepted_at)
        return self._redial.taken_over

    @property
    def refused(self) -> bool:
        """The broker does not let us in: somebody has to change something."""
        return self._redial.refused

    @property
    def published(self) -> int:
        """Messages that the broker took, since the start."""
        return self._published + (self._session.published if self._session else 0)

    @property
    def rejected(self) -> int:
        """Messages that it refused, since the start."""
        return self._refused + (self._session.refused if self._session else 0)

    @property
    def unread(self) -> int:
        """Messages to us that were too large to be read, since the start."""
        return self._unread + (self._session.unread if self._session else 0)

    def publish(self, message: Message, payload: bytes, done: Done | None = None) -> bool:
        """False: not up, or the hand is full; `on_room` comes when it is worth trying again.

        `done("")` when the broker has it (QoS 0: when it is written), `done(why)` when it was refused.
        """
        return self._session is not None and self._session.publish(message, payload, done)

    def subscribe(self, filters: Sequence[str]) -> None:
        """For this connection only, QoS 0, and not what we publish ourselves (MQTT 5)."""
        if self._session is not None:
            self._session.subscribe(filters, qos=0, echo=False)

    def unsubscribe(self, filters: Sequence[str]) -> None:
        if self._session is not None:
            self._session.unsubscribe(filters)

    # --- what the session tells -------------------------------------------------------------------

    def on_accepted(self) -> None:
        self.connects += 1
        self.trouble = self.complaint = ""
        self._said.clear()
        self._redial.connected()
        version = "5" if self.settings.mqtt5 else "3.1.1"
        log.info("mqtt: connected to %s as %s (%s)", self.settings.where, self.settings.client_id, version)
        if self._session is not None:
            self._session.subscribe(self.subscriptions)
        self.listener.on_up()

    def on_message(self, incoming: Incoming) -> None:
        self.listener.on_message(incoming)

    def on_subscribed(self, filters: Sequence[str], refused: Sequence[str]) -> None:
        self.listener.on_subscribed(filters, refused)

    def on_refused(self, text: str) -> None:
        self.complaint = text
        if text not in self._said and len(self._said) < REFUSALS_LOGGED:
            self._said.add(text)
            log.warning("mqtt: %s", text)

    def on_unread(self, text: str) -> None:
        """Somebody else's doing: no complaint about the broker."""
        if text not in self._said:
            self._said.add(text)
            log.warning("mqtt: %s came and is not read, nor are more of them; they are counted", text)

    def on_room(self) -> None:
        self.listener.on_room()

    # --- what CONNECT says ------------------------------------------------------------------------

    @property
    def _offline(self) -> Message:
        return Message(topic=self.settings.status_topic, body=b"offline", qos=1, stamped=False)

    def _connect_settings(self) -> Settings:
        """Raises ConfigFault."""
        ours = self.settings
        return Settings(
            host=ours.host,
            port=ours.port,
            client_id=ours.client_id,
            mqtt5=ours.mqtt5,
            keep_alive_s=round(ours.keep_alive_s),
            username=ours.username,
            password=read_password(ours.password_file),
            will=self._offline,
        )

    def _tls(self) -> ssl.SSLContext | None:
        """Made again when one of its files was replaced. Raises ConfigFault."""
        ours = self.settings
        if not ours.tls:
            return None
        pair = (ours.certificate.certificate, ours.certificate.key) if ours.certificate else ()
        stamp = tuple(_changed_at(path) for path in (ours.ca_file, *pair) if path is not None)
        if self._context is None or self._context[0] != stamp:
            self._context = stamp, client_context(ours.ca_file, ours.certificate)
        return self._context[1]


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0  # whoever reads it says why it cannot
