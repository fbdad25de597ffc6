"""Who is at the door, who is let in, and how connectors are wired, without the web around it.

Rules of this file:
- An order is kept, then in force, then answered; it leaves one line in the log and one notice. What the store
  cannot take changes nothing.
- One order at a time: what one has checked no other changes while it is written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

from edgegw.config_power import PHASE_NAMES, Circuit, Connector, ancestors
from edgegw.control import wiring_models as models
from edgegw.control.durable import not_stored
from edgegw.control.power_models import PhaseAmps
from edgegw.control.problem import Problem
from edgegw.control.view import utc
from edgegw.core import admission
from edgegw.core.effects import Noticed
from edgegw.core.state import Registration
from edgegw.errors import StoreFault
from edgegw.redaction import plain
from edgegw.runtime import clock
from edgegw.runtime.acceptance import Acceptance, TooMany, Word
from edgegw.runtime.commissioned import Kept, NotWired, phase_words
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.on_disk import on_disk, undone
from edgegw.runtime.strangers import Knock
from edgegw.runtime.wiring_book import NotCommissioned, NotNow, SiteFiles, WiringBook

log = logging.getLogger("edgegw.control")

CONNECTOR_MAX = 100  # as in the site file
Wait = Callable[[asyncio.Future[None]], Awaitable[None]]


class WiringDesk:
    def __init__(self, gateway: Gateway, book: WiringBook | None) -> None:
        """`book` None: nothing can be wired here."""
        self._gateway = gateway
        self._book = book
        self._one_at_a_time = asyncio.Lock()

    # --- at the door ------------------------------------------------------------------------------

    @property
    def _acceptance(self) -> Acceptance:
        return self._gateway.entrance.acceptance

    def strangers(self) -> models.StrangerList:
        knocks = self._gateway.entrance.strangers.newest()
        words = self._acceptance.words()
        return models.StrangerList(
            strangers=tuple(_stranger(knock) for knock in knocks),
            accepted=tuple(_accepted(name, word) for name, word in words if word.welcome),
        )

    async def accept(self, identity: str, asker: str) -> models.AcceptedCharger:
        """Raises Problem: no identity (422), let in already, too many (409), not stored (503)."""
        _check_identity(identity)
        async with self._one_at_a_time:
            self._check_unknown(identity)
            if (word := self._acceptance.word(identity)) is not None and word.welcome:
                return _accepted(identity, word)
            self._take(identity, await self._kept_word(identity, welcome=True))
            self._gateway.session(identity)  # it is on the list of chargers before it comes
            notice = Noticed("charger_accepted", f"{identity} is let in from now on", warning=False)
            self._told(notice, asker)
            return self._answer(identity)

    def _check_unknown(self, identity: str) -> None:
        gateway = self._gateway
        if identity in gateway.settings.known:
            raise Problem(409, "known", f"{identity} is in [chargers] known: it is let in already")
        if gateway.site.policy.accept_unknown_chargers:
            text = f'[chargers] unknown = "accept": every charger is let in, {identity} too'
            raise Problem(409, "known", text)

    async def take_back(self, identity: str, asker: str) -> models.AcceptedCharger:
        """Raises Problem: it was not accepted here (404), it charges or is wired (409), not stored (503)."""
        async with self._one_at_a_time:
            before = self._acceptance.word(identity)
            if before is None or not before.welcome:
                text = f"{plain(identity)[:60]} was not accepted by a person: there is nothing to take back"
                raise Problem(404, "not_accepted", text)
            self._check_unused(identity)
            word = await self._kept_word(identity, welcome=False)
            try:
                self._check_unused(identity)  # a transaction may have begun meanwhile
            except Problem:
                await self._kept_word(identity, welcome=True, wait=undone)
                raise
            self._take(identity, word)
            self._turn_out(identity)
            notice = Noticed("charger_turned_away", f"{identity} is not let in any more", warning=False)
            self._told(notice, asker)
            return self._answer(identity)

    def _check_unused(self, identity: str) -> None:
        session = self._gateway.sessions.get(identity)
        if session is not None and session.charger.state.transactions.running:
            text = f"a transaction is running on {identity}: stop it first"
            raise Problem(409, "charging", text)
        wired = [name for name, kept in self._kept.items() if kept.charger == identity]
        if wired:
            text = f"{', '.join(wired)} is wired here: take that back first (DELETE /v1/wiring)"
            raise Problem(409, "wired", text)

    def _turn_out(self, identity: str) -> None:
        gateway = self._gateway
        session = gateway.sessions.get(identity)
        if session is None:
            return
        if session.charger_leg is not None:
            session.charger_leg.close(1008, "this charger is not accepted here any more")
        elif session.charger.state.profile.registration is Registration.NEVER and not session.raw_segment:
            del gateway.sessions[identity]  # it never was here, and no handshake of it is under way

    async def _kept_word(self, identity: str, *, welcome: bool, wait: Wait = on_disk) -> Word:
        """On the disk, and not in force yet."""
        try:
            word, saved = self._acceptance.say(identity, welcome=welcome, wall=clock.now().wall)
        except TooMany as fault:
            raise Problem(409, "too_many", str(fault)) from fault
        try:
            await wait(self._gateway.commit_site([saved]))
        except StoreFault as fault:
            raise not_stored(fault) from fault
        return word

    def _take(self, identity: str, word: Word) -> None:
        self._acceptance.take(identity, word)
        self._gateway.entrance.strangers.forget(identity)

    def _answer(self, identity: str) -> models.AcceptedCharger:
        word = self._acceptance.word(identity)
        assert word is not None
        return _accepted(identity, word)

    # --- wiring -----------------------------------------------------------------------------------

    @property
    def _kept(self) -> dict[str, Kept]:
        return dict(self._book.kept) if self._book is not None else {}

    def _the_book(self) -> WiringBook:
        if self._book is None:
            raise Problem(409, "not_balanced", "nothing can be wired here: there is no site file")
        return self._book

    def wiring(self) -> models.WiringList:
        if self._book is None:
            return models.WiringList(wiring=(), circuits=())
        config = self._book.config
        found = [*self._in_force(), *self._set_aside()]
        return models.WiringList(
            wiring=tuple(sorted(found, key=lambda one: (one.charger, one.connector))),
            circuits=tuple(_choice(circuit, self._safe_left(circuit)) for circuit in config.circuit),
        )

    def _in_force(self) -> Iterator[models.WiringView]:
        book = self._the_book()
        for connector in book.config.connector:
            kept = book.kept.get(connector.id)
            if kept is None:
                yield _from_site_file(connector)
            else:
                yield _commissioned(kept, "")

    def _set_aside(self) -> Iterator[models.WiringView]:
        book = self._the_book()
        for name, why in book.troubles.items():
            yield _commissioned(book.kept[name], why)

    def _safe_left(self, circuit: Circuit) -> PhaseAmps:
        config = self._the_book().config
        parents = {one.name: one.parent for one in config.circuit}
        left = [circuit.fuse_a - circuit.reserve_a] * len(PHASE_NAMES)
        for connector in config.connector:
            if circuit.name in (connector.circuit, *ancestors(connector.circuit, parents)):
                for phase in connector.phases:
                    left[phase] -= connector.limits_a(config.balancing.nominal_voltage_v)[2]
        first, second, third = (round(max(0.0, amps), 1) for amps in left)
        return first, second, third

    async def wire(
        self, identity: str, connector: int, order: models.WiringOrder, asker: str
    ) -> models.WiringView:
        """Raises Problem: what the site file would be refused for (422), the site file's, not now (409), not
        stored (503)."""
        _check_identity(identity)
        _check_connector(connector)
        async with self._one_at_a_time:
            kept = Kept(charger=identity, connector=connector, at=clock.now().wall, **order.model_dump())
            try:
                await self._the_book().put(self._gateway, kept)
            except NotWired as fault:
                raise Problem(422, "invalid", str(fault)) from fault
            except (NotNow, SiteFiles) as fault:
                raise _conflict(fault) from fault
            except StoreFault as fault:
                raise not_stored(fault) from fault
            text = f"{kept.id} is wired to {order.circuit} on {order.phases}"
            self._told(Noticed("connector_wired", text, warning=False), asker)
            return _commissioned(kept, "")

    async def unwire(self, identity: str, connector: int, asker: str) -> models.WiringView:
        """Raises Problem: nothing was commissioned there (404), the site file's, a car is there (409), not
        stored (503)."""
        async with self._one_at_a_time:
            try:
                kept = await self._the_book().take_out(self._gateway, f"{identity}/{connector}")
            except NotCommissioned as fault:
                raise Problem(404, "not_commissioned", plain(str(fault))) from fault
            except (NotNow, SiteFiles) as fault:
                raise _conflict(fault) from fault
            except StoreFault as fault:
                raise not_stored(fault) from fault
            text = f"{kept.id} is not balanced any more: its safe limit stays in the charger"
            self._told(Noticed("connector_unwired", text, warning=False), asker)
            return _commissioned(kept, "")

    def _told(self, notice: Noticed, asker: str) -> None:
        self._gateway.note(notice)
        log.info("%s: %s", asker, notice.text)


# --- words and checks -------------------------------------------------------------------------------


def _conflict(fault: NotNow | SiteFiles) -> Problem:
    return Problem(409, "site_file" if isinstance(fault, SiteFiles) else "not_now", str(fault))


def _check_identity(identity: str) -> None:
    """What could never be the identity of a charger is not let in. Raises Problem."""
    if not admission.is_identity(identity):
        text = (
            f"an identity has 1 to {admission.IDENTITY_MAX} of A-Z a-z 0-9 * - _ = + | @ . and inner spaces"
        )
        raise Problem(422, "invalid", text)


def _check_connector(connector: int) -> None:
    if not 1 <= connector <= CONNECTOR_MAX:
        raise Problem(422, "invalid", f"connector must be between 1 and {CONNECTOR_MAX}")


# --- views ------------------------------------------------------------------------------------------


def _stranger(knock: Knock) -> models.Stranger:
    first_at, last_at = utc(knock.first_at), utc(knock.last_at)
    assert first_at is not None
    assert last_at is not None
    return models.Stranger(
        identity=knock.identity,
        peer=knock.peer,
        first_at=first_at,
        last_at=last_at,
        times=knock.times,
        offered=knock.offered,
    )


def _accepted(identity: str, word: Word) -> models.AcceptedCharger:
    source: models.Welcome = "accepted" if word.welcome else "taken back"
    return models.AcceptedCharger(identity=identity, at=utc(word.at), source=source)


def _commissioned(kept: Kept, trouble: str) -> models.WiringView:
    return models.WiringView(
        charger=kept.charger,
        connector=kept.connector,
        circuit=kept.circuit,
        phases=kept.phases,
        min_a=kept.min_a,
        max_a=kept.max_a,
        safe_a=kept.safe_a,
        dc=kept.dc,
        min_kw=kept.min_kw,
        max_kw=kept.max_kw,
        safe_kw=kept.safe_kw,
        source="commissioned",
        at=utc(kept.at),
        trouble=trouble,
    )


def _from_site_file(connector: Connector) -> models.WiringView:
    return models.WiringView(
        charger=connector.charger,
        connector=connector.connector,
        circuit=connector.circuit,
        phases=phase_words(connector.phases),
        min_a=connector.min_a,
        max_a=connector.max_a,
        safe_a=connector.safe_a,
        dc=connector.dc,
        min_kw=connector.min_kw,
        max_kw=connector.max_kw,
        safe_kw=connector.safe_kw,
        source="site file",
        at=None,
        trouble="",
    )


def _choice(circuit: Circuit, safe_left_a: PhaseAmps) -> models.CircuitChoice:
    return models.CircuitChoice(
        name=circuit.name,
        parent=circuit.parent or "",
        fuse_a=circuit.fuse_a,
        reserve_a=circuit.reserve_a,
        meter=circuit.meter or "",
        safe_left_a=safe_left_a,
    )
