"""How the site's connectors are wired: those of the site file, and those commissioned while it runs.

Rules of this file:
- A change is kept first, then in force, then answered; nothing stops for it. What the store cannot take
  changes nothing; what has become wrong while it was written is taken out of the store again.
- What was granted stays counted. A change that would make more of what stands now than a fuse carries is
  refused until the connector is lower; one that goes must be without a car.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from edgegw.balance.model import Plug
from edgegw.balance.tree import Tree
from edgegw.config import SiteConfig
from edgegw.core.effects import Noticed
from edgegw.core.load_control import LoadControl, PowerPlan
from edgegw.core.records import Document, SaveDocument
from edgegw.core.rewiring import is_empty, misfit
from edgegw.errors import EdgegwError
from edgegw.runtime import clock
from edgegw.runtime.commissioned import COMMISSIONED_MAX, KIND, Kept, Merged, NotWired, merge
from edgegw.runtime.gateway import Gateway
from edgegw.runtime.on_disk import on_disk, undone

Build = Callable[[SiteConfig], PowerPlan]


class NotNow(EdgegwError):
    """A change that is right and cannot be made at this moment; the text says what to do first."""


class SiteFiles(EdgegwError):
    """The site file wires it: it is changed there."""


class NotCommissioned(EdgegwError):
    """Nothing was commissioned there."""


class WiringBook:
    def __init__(self, site_file: SiteConfig, build: Build) -> None:
        self._site_file = site_file
        self._build = build
        self._kept: dict[str, Kept] = {}
        self._merged = merge(site_file, ())

    @property
    def config(self) -> SiteConfig:
        """The site file with what was commissioned."""
        return self._merged.config

    @property
    def kept(self) -> Mapping[str, Kept]:
        return self._kept

    @property
    def troubles(self) -> Mapping[str, str]:
        """Commissioned, not in force, and why."""
        return self._merged.troubles

    def recover(self, documents: Iterable[Document]) -> tuple[list[SaveDocument], list[Noticed]]:
        """Before anything is built: documents that can go, and what people must hear."""
        found, notices = list[Kept](), list[Noticed]()
        for document in documents:
            if document.kind != KIND:
                continue
            try:
                found.append(msgspec.json.decode(document.value, type=Kept))
            except msgspec.MsgspecError as error:
                text = f"the wiring that was commissioned for {document.key} cannot be read: {error}"
                notices.append(Noticed("wiring_unreadable", text))
        found.sort(key=_order)
        self._merged = merge(self._site_file, found)
        self._kept = {one.id: one for one in found if one.id not in self._merged.superseded}
        notices += [_superseded(name) for name in self._merged.superseded]
        notices += [_set_aside(name, why) for name, why in self._merged.troubles.items()]
        return [_document(name, None) for name in self._merged.superseded], notices

    # --- orders -----------------------------------------------------------------------------------

    async def put(self, gateway: Gateway, kept: Kept) -> None:
        """Wire a connector, or wire it otherwise. Raises NotWired, NotNow, SiteFiles, StoreFault."""
        self._not_the_site_files(kept.id)
        if len(self._kept) >= COMMISSIONED_MAX and kept.id not in self._kept:
            raise NotNow(f"{COMMISSIONED_MAX} connectors were commissioned: move them into the site file")
        others = [one for name, one in self._kept.items() if name != kept.id]
        merged = merge(self._site_file, [*sorted(others, key=_order), kept])
        if kept.id in merged.troubles:
            raise NotWired(merged.troubles[kept.id])
        await self._change(gateway, merged, kept.id, kept)

    async def take_out(self, gateway: Gateway, name: str) -> Kept:
        """Raises NotCommissioned, NotNow, SiteFiles, StoreFault."""
        self._not_the_site_files(name)
        kept = self._kept.get(name)
        if kept is None:
            raise NotCommissioned(f"no wiring of {name} was commissioned")
        others = [one for other, one in self._kept.items() if other != name]
        await self._change(gateway, merge(self._site_file, sorted(others, key=_order)), name, None)
        return kept

    async def _change(self, gateway: Gateway, merged: Merged, name: str, kept: Kept | None) -> None:
        """Keep it, then put it in force; None: nothing is commissioned there. One at a time, please."""
        before, plan = self._kept.get(name), self._build(merged.config)
        self._check_now(gateway, plan, name)
        await on_disk(gateway.commit_site([_document(name, kept)]))
        try:
            self._check_now(gateway, plan, name)  # a car may have come meanwhile
        except NotNow:
            await undone(gateway.commit_site([_document(name, before)]))
            raise
        gateway.rewire(plan)
        self._merged = merged
        if kept is None:
            del self._kept[name]
        else:
            self._kept[name] = kept

    def _not_the_site_files(self, name: str) -> None:
        if any(connector.id == name for connector in self._site_file.connector):
            raise SiteFiles(
                f"{name} is wired by the site file: change its [[connector]] there and start edgegw again"
            )

    def _check_now(self, gateway: Gateway, plan: PowerPlan, name: str) -> None:
        """Raises NotNow."""
        load = gateway.load
        assert load is not None, "check_power wants a circuit first, and with one the site is balanced"
        states = {identity: session.charger.state for identity, session in gateway.sessions.items()}
        plugs = load.control.plugs(states, clock.now())
        state = states.get(name.rpartition("/")[0])
        wishes = state is not None and bool(state.power.wishes)
        if why := _not_now(load.control, plan, plugs, name, wishes=wishes):
            raise NotNow(why)


def _not_now(
    control: LoadControl, plan: PowerPlan, plugs: Mapping[str, Plug], name: str, *, wishes: bool
) -> str:
    """Why it cannot be changed at this moment; "" when it can. `wishes`: the cloud waits for a profile."""
    before = {connector.id: connector for connector in control.plan.connectors}
    after = {connector.id: connector for connector in plan.connectors}
    plug, was, will = plugs.get(name), before.get(name), after.get(name)
    if plug is None or was is None:
        return ""
    if wishes:
        return f"{name}: a charging profile of the cloud is being carried out; try again in a few seconds"
    charges = not is_empty(plug)
    if will is None and charges:
        return f"{name}: a car is connected; unplug it, or stop it, before the connector leaves balancing"
    if will is None:
        return ""
    if charges and (will.dc != was.dc or plug.standing_a > will.max_a + 0.05):
        return (
            f"{name}: a car is connected and may draw {plug.standing_a:g} A, more than the new max of "
            f"{will.max_a:g} A; lower it first (a limit for this connector), or unplug the car"
            if will.dc == was.dc
            else f"{name}: a car is connected; unplug it before the connector changes between AC and DC"
        )
    left = [connector for connector in control.counted if connector.id not in before]
    trees = Tree(control.plan.circuits, control.counted), Tree(plan.circuits, [*after.values(), *left])
    return misfit(*trees, plugs, control.allocation)


def _order(kept: Kept) -> tuple[float, str]:
    return kept.at, kept.id


def _document(name: str, kept: Kept | None) -> SaveDocument:
    value = msgspec.json.encode(kept) if kept is not None else None
    return SaveDocument(kind=KIND, charger="", key=name, value=value)


def _superseded(name: str) -> Noticed:
    text = f"{name} is wired by the site file now; what was commissioned for it is not needed any more"
    return Noticed("wiring_superseded", text, warning=False)


def _set_aside(name: str, why: str) -> Noticed:
    text = f"{name}: the wiring that was commissioned is not in force, nobody balances it: {why}"
    return Noticed("wiring_not_in_force", text)
