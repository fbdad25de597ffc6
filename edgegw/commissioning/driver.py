"""Carries a commissioning out: asks the gateway once a second, does what the walk orders, tells who watches.

Rules of this file:
- One thread of its own; whoever shows it reads `state`, which is replaced and never changed.
- A gateway that cannot be asked for a moment is asked again; an order that is refused is told to the walk,
  which says what that means.
- However it ends, also by a bug, a limit of its own is taken back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from edgegw.commissioning import report, sight
from edgegw.commissioning.plan import Plan
from edgegw.commissioning.wizard import Commissioning
from edgegw.commissioning.words import (
    Accept,
    EndFall,
    LetFall,
    Observation,
    Order,
    Progress,
    Restore,
    SetLimit,
    Told,
    Wire,
)
from edgegw.control.client import ControlClient, ControlFault, NotReachable, Refused, Silent
from edgegw.control.detail_models import ConnectorOrderView
from edgegw.control.models import ChargerView
from edgegw.control.wiring_models import WiringOrder

log = logging.getLogger("edgegw.commissioning")

LOOK_S = 1.0
GIVE_UP_S = 120.0  # the gateway cannot be reached for so long

Watch = Callable[[Progress], None]


class CommissioningRun:
    """One walk. See the package for how a screen uses it."""

    def __init__(
        self,
        connect: Callable[[], ControlClient],
        plan: Plan,
        *,
        by: str = "",
        watch: Watch | None = None,
        look_s: float = LOOK_S,
    ) -> None:
        self._walk = Commissioning(plan)
        self.state = self._walk.progress()
        self._connect = connect
        self._plan = plan
        self._by = by
        self._watch = watch
        self._look_s = look_s
        self._lock = threading.Lock()  # the walk is pure and single; people answer from other threads
        self._wake = threading.Event()
        self._over = threading.Event()
        self._seen = Observation()
        self._site = ""
        self._earlier: ConnectorOrderView | None = None
        self._remembered_at: float | None = None  # mono; None: not asked yet
        self._began = self._ended = 0.0
        self._thread = threading.Thread(target=self._run, name="commissioning", daemon=True)

    # --- for whoever shows it -----------------------------------------------------------------------

    def start(self) -> None:
        self._began = self._ended = time.time()
        self._thread.start()

    def answer(self, key: str) -> bool:
        """False: nobody asked that."""
        with self._lock:
            taken = self._walk.answer(key)
        self._wake.set()
        return taken

    def skip(self, reason: str) -> None:
        """Ends the step under way. ValueError without a reason."""
        with self._lock:
            self._walk.skip(reason)
        self._wake.set()

    def abort(self) -> None:
        with self._lock:
            self._walk.abort()
        self._wake.set()

    def join(self, timeout_s: float | None = None) -> bool:
        """Whether it is over. Not by `Thread.join`: Ctrl-C in that makes a thread count as ended (3.11)."""
        return self._over.wait(timeout_s)

    def report(self) -> report.Report:
        """Of what is known so far."""
        with self._lock:
            return report.make(
                records=self._walk.records,
                result=self._walk.result,
                seen=self._seen,
                charger=self._plan.charger,
                connector=self._plan.connector,
                phases_before=self._walk.notes.phases_before,
                by=self._by,
                site=self._site,
                began_at=self._began,
                ended_at=self._ended,
            )

    # --- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with self._connect() as client:
                self._go(client)
        except ControlFault as fault:
            self._fail(str(fault))
        except Exception as bug:  # the edge of the thread: whoever watches must hear of it
            log.exception("bug while a charger was commissioned")
            self._fail(f"a bug in edgegw: {bug}")
        finally:
            self._over.set()

    def _fail(self, text: str) -> None:
        self._ended = time.time()
        with self._lock:
            self._walk.abort()
            step = self._walk.next(self._seen, time.monotonic(), self._ended)
        try:
            with self._connect() as client:
                for order in step.orders:
                    self._carry_out(client, order)
        except ControlFault as fault:  # then they end by themselves
            log.warning("limits of a commissioning could not be taken back: %s", fault)
        self._show(replace(step.progress, fault=text))

    def _go(self, client: ControlClient) -> None:
        told: tuple[Told, ...] = ()
        lost_at: float | None = None
        while not self.state.finished:
            self._wake.wait(0.0 if told else self._look_s)
            self._wake.clear()
            try:
                told = self._once(client, told)
                lost_at = None
            except (NotReachable, Silent) as fault:
                now = time.monotonic()
                lost_at = lost_at if lost_at is not None else now
                self._show(replace(self.state, fault=str(fault)))
                if self._walk.is_aborted or now - lost_at > GIVE_UP_S:
                    raise

    def _once(self, client: ControlClient, told: tuple[Told, ...]) -> tuple[Told, ...]:
        """Look, decide, do. What became of the orders."""
        seen = self._look(client, told)
        self._ended = time.time()
        with self._lock:
            self._seen = seen
            step = self._walk.next(seen, time.monotonic(), self._ended)
        outcomes = tuple(self._carry_out(client, order) for order in step.orders)
        self._show(step.progress)
        return outcomes

    def _show(self, progress: Progress) -> None:
        changed, self.state = progress != self.state, progress
        if changed and self._watch is not None:
            self._watch(progress)

    # --- looking --------------------------------------------------------------------------------------

    def _look(self, client: ControlClient, told: tuple[Told, ...]) -> Observation:
        plan = self._plan
        if not self._site:
            site = client.site()
            self._site = site.name or site.id
        return sight.observation(
            plan.charger,
            plan.connector,
            strangers=client.strangers(),
            charger=self._charger(client),
            power=client.power(),
            wiring=client.wiring(),
            told=told,
        )

    def _charger(self, client: ControlClient) -> ChargerView | None:
        try:
            return client.charger(self._plan.charger)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    # --- doing ----------------------------------------------------------------------------------------

    def _carry_out(self, client: ControlClient, order: Order) -> Told:
        try:
            self._do(client, order)
        except Refused as refused:
            return Told(order, ok=False, text=refused.text)
        return Told(order, ok=True)

    def _do(self, client: ControlClient, order: Order) -> None:
        charger, connector = self._plan.charger, self._plan.connector
        match order:
            case Accept():
                client.accept(charger)
            case Wire(circuit, phases, min_a, max_a, safe_a):
                wiring = WiringOrder(circuit=circuit, phases=phases, min_a=min_a, max_a=max_a, safe_a=safe_a)
                client.wire(charger, connector, wiring)
            case SetLimit(limit_a, for_s):
                self._remember(client)
                client.limit_connector(charger, limit_a, connector, for_s)
            case Restore():
                self._restore(client)
            case LetFall():
                client.let_fall(charger, connector)
            case EndFall():
                client.end_fall(charger, connector)

    def _remember(self, client: ControlClient) -> None:
        """What somebody had ordered for this connector before our first limit."""
        if self._remembered_at is not None:
            return
        orders = client.detail(self._plan.charger).orders
        mine = (one for one in orders if one.connector == self._plan.connector and one.kind == "limit")
        self._earlier, self._remembered_at = next(mine, None), time.monotonic()

    def _restore(self, client: ControlClient) -> None:
        charger, connector, earlier = self._plan.charger, self._plan.connector, self._earlier
        if earlier is not None and earlier.limit_a is not None and self._remembered_at is not None:
            left_s = earlier.left_s - (time.monotonic() - self._remembered_at)
            if left_s > 1.0:
                client.limit_connector(charger, earlier.limit_a, connector, left_s)
                return
        client.end_connector_limit(charger, connector)
