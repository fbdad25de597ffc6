"""Firmware rollouts as they run: facts from the sessions in, updates to the chargers out, every change kept.

Rules of this file:
- First a link, then "sent" on disk, then the update: when one fails, the next does not happen.
- Meanwhile a charger may have become busy: it is looked at again, at last in the call that sends.
- A bug in a decision stops no charger and no other rollout: it is logged, and tried again at the next tick.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from typing import Protocol

from msgspec.structs import replace

from edgegw.core import rollout as rules
from edgegw.core import rollout_links as outcomes
from edgegw.core.charger import Charger
from edgegw.core.effects import Noticed
from edgegw.core.events import Event
from edgegw.core.files import FirmwareNews, UpdateOrdered, UploadNews
from edgegw.core.records import Document, SaveDocument, StoreOp
from edgegw.core.rollout_facts import facts_of
from edgegw.core.rollout_state import UNDER_WAY, ChargerFacts, MakeLink, Rollout, SendUpdate, listed
from edgegw.errors import EdgegwError, StoreFault
from edgegw.runtime import clock
from edgegw.runtime.on_disk import on_disk
from edgegw.runtime.sequencer import Done
from edgegw.runtime.tasks import Tasks

log = logging.getLogger("edgegw.rollouts")

TICK_S = 3.0
ENDED_KEPT_MAX = 20  # rollouts that people can look back at
OPEN_MAX = 10  # at the same time; more is nobody's plan
FAILURES_LOGGED_EVERY = 100

# Request ids of the box. Clouds count from 1 or take the time (seconds since 1970: here not before 2035), and
# transaction ids of the box start at 0x40000000. Positive and below 2**31: chargers keep them in an int.
REQUEST_ID_FIRST = 0x7C00_0000
REQUEST_IDS = 0x0200_0000


class NotForThisCharger(EdgegwError):
    """The file is here, and there is no link that this charger could use; the text says why."""


class LinkMaker(Protocol):
    async def link(self, identity: str, sha256: str, order: str) -> str:
        """The address at which this charger can fetch the file. The same order again is harmless.

        Raises NotForThisCharger, or another EdgegwError when the file cannot be handed out at all.
        """

    def signed(self, sha256: str) -> tuple[str, str]:
        """(certificate, signature) that go with the file; empty when nobody signed it."""


class SessionSeen(Protocol):
    """What is needed of a `runtime.session.Session`."""

    charger: Charger
    connected_mono: float

    def handle(self, event: Event) -> None: ...


def request_id(order: str, first: int = REQUEST_ID_FIRST) -> int:
    """Follows from the order alone: a restart changes nothing, and nothing has to be counted."""
    return first + zlib.crc32(order.encode()) % REQUEST_IDS


def _nobody(draft: Rollout, chargers: Mapping[str, ChargerFacts]) -> str:
    """Why a rollout would be for no charger, and what to do about it."""
    if not chargers:
        return "no charger was ever here: connect them first, then begin the rollout"
    makes = {f"{facts.vendor} {facts.model}".strip() for facts in chargers.values()} - {""}
    known = f"they are {listed(makes)}" if makes else "they have not said which make they are"
    wanted = f"no charger that was ever here is a {draft.vendor} {draft.model}"
    return f"{wanted}, {known}: give the vendor and model that they say, or name the chargers"


class Rollouts:
    def __init__(
        self,
        sessions: Mapping[str, SessionSeen],
        links: LinkMaker,
        commit: Callable[[list[StoreOp], Done], None],
        noticed: Callable[[Noticed], None],
        zone: tzinfo | None = None,
    ) -> None:
        """`commit` is `Gateway.commit`; `zone` is the site's."""
        self.known: dict[str, Rollout] = {}  # by id, oldest first
        self.failures = 0
        self._sessions = sessions
        self._links = links
        self._commit = commit
        self._noticed = noticed
        self._zone = zone
        self._tasks = Tasks()
        self._newest: asyncio.Future[None] | None = None  # what was handed to the store last
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._stopped = False

    # --- start and stop --------------------------------------------------------------------------

    def recover(self, documents: Iterable[Document]) -> None:
        """Of `Recovery.documents`; others are left alone."""
        now = clock.now()
        kept = [rules.recovered(d.value, now) for d in documents if d.kind == rules.KIND]
        self.known = {rollout.id: rollout for rollout in sorted(kept, key=lambda r: int(r.id))}

    def start(self) -> None:
        self._tick()

    async def stop(self) -> None:
        self._stopped = True
        for handle in (self._timer, self._soon):
            if handle is not None:
                handle.cancel()
        await self._tasks.cancel()

    def _tick(self) -> None:
        if self._stopped:
            return
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        self.step()

    def _step_soon(self) -> None:
        """Once for all that happens in this turn of the loop, and not inside a session's own decisions."""
        if self._soon is None and not self._stopped:
            self._soon = asyncio.get_running_loop().call_soon(self._step_now)

    def _step_now(self) -> None:
        self._soon = None
        self.step()

    # --- the loop --------------------------------------------------------------------------------

    def step(self) -> None:
        """Look at every rollout that may still do something."""
        for rollout in list(self.known.values()):
            if rollout.settled:
                continue
            try:
                self._step(rollout)
            except Exception:  # the loop's edge: the others go on
                self.failures += 1
                if self.failures % FAILURES_LOGGED_EVERY == 1:
                    log.exception("bug in rollout %s (%d times)", rollout.id, self.failures)

    def _step(self, rollout: Rollout) -> None:
        elsewhere = sum(other.places_taken for other in self.known.values() if other.id != rollout.id)
        facts = {identity: self.facts(identity) for identity in rollout.chargers if self._knows(identity)}
        self._apply(rules.step(rollout, facts, clock.now(), self._zone, taken_elsewhere=elsewhere))

    def _knows(self, identity: str) -> bool:
        return identity in self._sessions

    def facts(self, identity: str) -> ChargerFacts:
        """Raises KeyError for a charger that was never here."""
        session = self._sessions[identity]
        return facts_of(session.charger.state, session.connected_mono)

    def holds(self, rollout: Rollout, identity: str) -> str:
        """Why it is not sent the update now, apart from how many are down; "" when it may be."""
        if not self._knows(identity):
            return "has never connected"
        return rules.holds(rollout, self.facts(identity), clock.now(), self._zone)

    def _apply(self, outcome: rules.Outcome) -> None:
        """Keep what must be kept, then do the rest."""
        rollout, effects = outcome
        self.known[rollout.id] = rollout
        saves: list[StoreOp] = [effect for effect in effects if isinstance(effect, SaveDocument)]
        rest = [effect for effect in effects if not isinstance(effect, SaveDocument)]
        if not saves:
            self._kept(rest, None)
            return
        newest = self._newest = asyncio.get_running_loop().create_future()
        newest.add_done_callback(lambda kept: kept.exception())  # mostly nobody waits for it

        def done(error: BaseException | None) -> None:
            if error is None:
                newest.set_result(None)
            else:
                newest.set_exception(StoreFault(str(error)))
            self._kept(rest, error)

        self._commit(saves, done)

    def _kept(self, effects: list[Noticed | MakeLink | SendUpdate], error: BaseException | None) -> None:
        for effect in effects:
            if isinstance(effect, Noticed):
                self._noticed(effect)
            elif isinstance(effect, MakeLink):
                self._tasks.spawn(self._link(effect), f"link for {effect.charger}")
            elif error is None and not self._stopped:
                self._tasks.spawn(self._hand_over(effect), f"update {effect.link.charger}")
            else:
                self._not_kept(effect.link)
        if error is not None:
            log.error("a rollout could not be kept: %s", error)

    def _not_kept(self, order: MakeLink) -> None:
        """Not sent; whether the store has it as sent is not known, so it counts as down until it is."""
        rollout = self.known[order.rollout]
        self.known[order.rollout] = outcomes.withdrawn(rollout, replace(order, again=True))[0]

    # --- one update ------------------------------------------------------------------------------

    async def _link(self, order: MakeLink) -> None:
        try:
            url = await self._links.link(order.charger, order.sha256, order.order)
        except NotForThisCharger as refused:
            log.warning("rollout %s: %s is skipped: %s", order.rollout, order.charger, refused)
            rollout = self.known[order.rollout]
            self._apply(outcomes.no_link_for(rollout, order, str(refused), clock.now()))
            self._step_soon()  # its place is free
        except (EdgegwError, OSError) as fault:
            log.error("rollout %s: no link for %s: %s", order.rollout, order.charger, fault)
            self._apply(outcomes.cannot_be_served(self.known[order.rollout], order, str(fault)))
        else:
            facts = self.facts(order.charger)
            rollout = self.known[order.rollout]
            self._apply(outcomes.linked(rollout, order, url, facts, clock.now(), self._zone))

    async def _hand_over(self, send: SendUpdate) -> None:
        """Without an `await` between the last look at the charger and the event."""
        order = send.link
        rollout = self.known[order.rollout]
        if not outcomes.is_unheard(rollout.chargers[order.charger], order):
            return  # it was heard of meanwhile
        why = self.holds(rollout, order.charger)
        if why:
            log.info("rollout %s: %s not yet: %s", order.rollout, order.charger, why)
            self._apply(outcomes.withdrawn(rollout, order))
            return
        log.info("rollout %s: %s is sent the update", order.rollout, order.charger)
        self._sessions[order.charger].handle(self._update(send))

    def _update(self, send: SendUpdate) -> UpdateOrdered:
        certificate, signature = self._links.signed(send.link.sha256)
        return UpdateOrdered(
            order=send.link.order,
            url=send.url,
            request_id=request_id(send.link.order),
            certificate=certificate,
            signature=signature,
        )

    def on_news(self, identity: str, news: FirmwareNews | UploadNews) -> None:
        """A listener of the gateway: what a charger says of an update."""
        if not isinstance(news, FirmwareNews):
            return
        for rollout in self.known.values():
            after, effects = rules.heard(rollout, identity, news, clock.now())
            if after is not rollout:
                self._apply((after, effects))
                self._step_soon()
                return

    # --- what people order -----------------------------------------------------------------------

    def begin(self, draft: Rollout, named: tuple[str, ...] = ()) -> Rollout:
        """Start `draft`, which has no id yet; for the chargers `named`, or for all that the file fits.

        Raises ValueError: nobody to update, or too many rollouts at once.
        """
        open_ = [rollout for rollout in self.known.values() if not rollout.ended]
        if len(open_) >= OPEN_MAX:
            raise ValueError(f"{OPEN_MAX} rollouts are under way already; stop one first")
        now = clock.now()
        number = max((int(known) for known in self.known), default=0) + 1
        chargers = {identity: self.facts(identity) for identity in self._sessions}
        rollout = rules.begin(replace(draft, id=str(number), created_at=now.wall), chargers, named)
        if not rollout.chargers:
            raise ValueError(_nobody(draft, chargers))
        self._forget_old()
        self._apply((rollout, [rules.saved(rollout)]))
        self.step()
        return self.known[rollout.id]

    def _forget_old(self) -> None:
        settled = [rollout.id for rollout in self.known.values() if rollout.settled]
        for rollout_id in settled[: max(0, len(settled) - ENDED_KEPT_MAX + 1)]:
            del self.known[rollout_id]
            gone = SaveDocument(kind=rules.KIND, charger="", key=rollout_id, value=None)
            self._commit([gone], lambda error: None)

    def pause(self, rollout_id: str) -> Rollout:
        """Raises KeyError, as do the others."""
        return self._ordered(rollout_id, rules.pause(self.known[rollout_id]))

    def resume(self, rollout_id: str) -> Rollout:
        return self._ordered(rollout_id, rules.resume(self.known[rollout_id]))

    def end(self, rollout_id: str) -> Rollout:
        """Again: chargers that failed and never came back no longer count as down."""
        return self._ordered(rollout_id, rules.stop(self.known[rollout_id], clock.now()))

    async def on_disk(self) -> None:
        """Until what was ordered is on the disk. Raises StoreFault: it holds, and a restart would lose it."""
        if self._newest is not None:
            await on_disk(self._newest)

    def _ordered(self, rollout_id: str, outcome: rules.Outcome) -> Rollout:
        rollout, effects = outcome
        self._apply((rollout, effects or [rules.saved(rollout)]))  # the store may not have it from before
        self.step()
        return self.known[rollout_id]

    def uses(self, sha256: str) -> Rollout | None:
        """The rollout that still needs this file."""
        using = (r for r in self.known.values() if r.sha256 == sha256)
        return next((r for r in using if not r.ended or r.count(*UNDER_WAY)), None)
