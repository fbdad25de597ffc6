"""The console itself: its screens, the line to the gateway, questions and orders in the background.

Rules of this file:
- One screen for each thing that people look at, reached by a digit from everywhere; a charger's own screen is
  on top of them, and escape leads back.
- Orders run in threads with the sync client; what became of them is told in words, faults too.
- Whatever happens, nobody sees a traceback: a bug ends in one line that says where the rest is.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, ClassVar, TypeVar

from rich.text import Text
from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.worker import get_current_worker

from edgegw.control.client import ControlClient, ControlFault
from edgegw.control.live_client import LiveClient
from edgegw.control.live_models import Snapshot
from edgegw.redaction import plain
from edgegw.tui.bars import top_line
from edgegw.tui.dialogs import Confirm, Reading
from edgegw.tui.frame import ConsoleScreen
from edgegw.tui.link import Link, LinkState, Where
from edgegw.tui.palette import ConsoleCommands
from edgegw.tui.said import KEY, SaidBook, Severity

log = logging.getLogger("edgegw.tui")

T = TypeVar("T")

# key, name, "module:class"
SCREENS: tuple[tuple[str, str, str], ...] = (
    ("1", "Site", "edgegw.tui.screens.site:SiteScreen"),
    ("2", "Chargers", "edgegw.tui.screens.chargers:ChargersScreen"),
    ("3", "Messages", "edgegw.tui.screens.messages:MessagesScreen"),
    ("4", "Transactions", "edgegw.tui.screens.transactions:TransactionsScreen"),
    ("5", "Queue", "edgegw.tui.screens.queue:QueueScreen"),
    ("6", "Alarms", "edgegw.tui.screens.alarms:AlarmsScreen"),
    ("7", "Firmware", "edgegw.tui.screens.firmware:FirmwareScreen"),
    ("8", "Log", "edgegw.tui.screens.log:LogScreen"),
    ("9", "Commissioning", "edgegw.tui.screens.commissioning:CommissioningScreen"),
)
CHARGER_SCREEN = "edgegw.tui.screens.charger:ChargerScreen"
READ_ONLY = "this console only looks; start it with --operator to order something"
NO_ORDERS_HERE = "this console only looks: its token may not order; use an operator's (--token-file)"
KEYS_WAITING_MAX = 1_000  # a paste by mistake
KEY_DONE_WITHIN_S = 0.2


def made(where: str, *given: Any) -> ConsoleScreen:
    module, _, name = where.partition(":")
    screen = getattr(importlib.import_module(module), name)(*given)
    assert isinstance(screen, ConsoleScreen)
    return screen


class Console(App[int]):
    """`where`: which gateway, and whether orders may be given.

    `nobody_looks`: asked once a second; then it ends.
    """

    TITLE = "edgegw"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    COMMANDS: ClassVar[set[Any]] = {ConsoleCommands}
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"go('{name}')", name, show=False) for key, name, _ in SCREENS),
        Binding("colon", "command_palette", "Palette", key_display=":"),
        Binding("f1", "help", "Help"),
        Binding("question_mark", "keys", "Keys", key_display="?"),
        Binding(KEY, "said", "All messages of the console", show=False),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, where: Where, nobody_looks: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self.theme = "ansi-dark"  # the terminal's own 16 colours: works everywhere
        self.where = where
        self._nobody_looks = nobody_looks
        self.snapshot: Snapshot | None = None
        self.said = SaidBook()
        self.settings_asked: dict[str, float] = {}  # by charger: since when (monotonic) it is asked for them
        self.bug = ""  # what ended the console, if a bug did
        self.link = Link(where, self._on_snapshot, self._on_link)
        self._made: dict[str, ConsoleScreen] = {}
        self.keys_are_waiting = False  # typed, and what they do is not done yet
        self._typed: asyncio.Queue[events.Key] = asyncio.Queue(KEYS_WAITING_MAX)

    def on_mount(self) -> None:
        self.push_screen(self.screen_named("Site"))
        self.run_worker(self.link.run(), name="link", exclusive=True, exit_on_error=False)
        self.run_worker(self._take_keys(), name="keys", group="keys")
        self.set_interval(1.0, self._tick)

    # --- the picture -------------------------------------------------------------------------------

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        for screen in self.screen_stack:
            if isinstance(screen, ConsoleScreen) and screen.is_current:
                screen.redraw()

    def _on_link(self, state: LinkState) -> None:
        if state.state == "live" and state.losses:
            self.notify("the gateway is back")
        self._tick()

    def _tick(self) -> None:
        if self._nobody_looks():
            self.exit()
        for screen in self.screen_stack[-1:]:  # none while it ends
            if isinstance(screen, ConsoleScreen):
                screen.tell_line() if self.snapshot is not None else screen.redraw()

    def top_line(self) -> Text:
        return top_line(self.snapshot, self.link.state, time.time())

    # --- screens -----------------------------------------------------------------------------------

    def screen_named(self, name: str) -> ConsoleScreen:
        if name not in self._made:
            screen = made(next(where for _, known, where in SCREENS if known == name))
            self.install_screen(screen, name)  # it keeps its cursor and filter while another one is shown
            self._made[name] = screen
        return self._made[name]

    def action_go(self, name: str) -> None:
        """To one of the main screens, whatever is open."""
        self._leave_all()
        screen = self.screen_named(name)
        if self.screen is not screen:
            self.switch_screen(screen)

    def open_charger(self, identity: str) -> None:
        self.push_screen(made(CHARGER_SCREEN, identity))

    def go_back(self) -> None:
        """One screen back; from a main screen to the site."""
        if len(self.screen_stack) > 2:
            self.pop_screen()
        elif self.screen is not self.screen_named("Site"):
            self.switch_screen(self.screen_named("Site"))

    def _leave_all(self) -> None:
        while len(self.screen_stack) > 2:
            self.pop_screen()

    # --- what it tells -----------------------------------------------------------------------------

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: Severity = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """In the line above the footer, never in front of anything, and never as markup."""
        self.said.add(f"{title}: {message}" if title else message, severity, time.time())
        for screen in self.screen_stack:
            if isinstance(screen, ConsoleScreen):
                screen.tell_said()

    def said_lines(self) -> list[Text]:
        return self.said.lines(time.time(), self.size.width, self.size.height)

    def action_said(self) -> None:
        if isinstance(self.screen, ConsoleScreen):
            self.push_screen(Reading("Messages of this console, the newest first", self.said.whole()))

    # --- questions and orders ----------------------------------------------------------------------

    def ask(
        self,
        screen: ConsoleScreen,
        question: Callable[[ControlClient], T],
        then: Callable[[T], None],
        *,
        group: str,
        failed: Callable[[ControlFault], None] | None = None,
    ) -> None:
        """`failed` is told of a fault instead of everybody."""
        work = partial(self._ask, screen, question, then, failed)
        screen.run_worker(work, group=group, exclusive=True, thread=True, exit_on_error=False)

    def _ask(
        self,
        screen: ConsoleScreen,
        question: Callable[[ControlClient], T],
        then: Callable[[T], None],
        failed: Callable[[ControlFault], None] | None,
    ) -> None:
        """In a thread."""
        worker = get_current_worker()
        try:
            with self.where.client() as client:
                answer = question(client)
        except ControlFault as fault:
            if not worker.is_cancelled:
                self.call_from_thread(self._hand_over, screen, failed or self.tell_fault, fault)
            return
        if not worker.is_cancelled:
            self.call_from_thread(self._hand_over, screen, then, answer)

    async def _wait(
        self,
        screen: ConsoleScreen,
        question: Callable[[LiveClient], Awaitable[T]],
        then: Callable[[T], None],
        failed: Callable[[ControlFault], None],
    ) -> None:
        """In the loop: who leaves the screen stops waiting."""
        try:
            async with self.where.live() as client:
                answer = await question(client)
        except ControlFault as fault:
            self._hand_over(screen, failed, fault)
        else:
            self._hand_over(screen, then, answer)

    def wait(
        self,
        screen: ConsoleScreen,
        question: Callable[[LiveClient], Awaitable[T]],
        then: Callable[[T], None],
        failed: Callable[[ControlFault], None],
        *,
        group: str,
    ) -> None:
        """Ask what may take minutes; as `ask` otherwise."""
        work = self._wait(screen, question, then, failed)
        screen.run_worker(work, group=group, exclusive=True, exit_on_error=False)

    def _hand_over(self, screen: ConsoleScreen, then: Callable[[T], None], answer: T) -> None:
        if not screen.is_whole:
            return
        try:
            then(answer)
        except Exception:  # the edge of one screen, as in `ConsoleScreen.redraw`
            log.exception("bug while showing an answer on %s", screen.NAME)
            self.notify("a bug in the console; its log says where", severity="error")

    def tell_fault(self, fault: ControlFault) -> None:
        self.notify(plain(str(fault)), severity="error", markup=False)

    @property
    def why_no_orders(self) -> str:
        """ "" when it may order; the gateway decides, and this says it beforehand."""
        if not self.where.operator:
            return READ_ONLY
        is_refused = self.snapshot is not None and self.snapshot.role == "read-only"
        return NO_ORDERS_HERE if is_refused else ""

    def may_order(self) -> bool:
        """False, and said, when this console only looks."""
        why_not = self.why_no_orders
        if why_not:
            self.notify(why_not, severity="warning")
        return not why_not

    def order(
        self,
        what: str,
        carry_out: Callable[[ControlClient], T],
        then: Callable[[T], str | None] | None,
        *,
        confirm: str,
    ) -> None:
        if not self.may_order():
            return
        run = partial(self._start_order, what, carry_out, then)
        if not confirm:
            run()
            return
        self.push_screen(Confirm(f"{what}?", confirm), lambda yes: run() if yes else None)

    def _start_order(
        self, what: str, carry_out: Callable[[ControlClient], T], then: Callable[[T], str | None] | None
    ) -> None:
        self.notify(f"{plain(what)} ...", markup=False)
        work = partial(self._carry_out, what, carry_out, then)
        self.run_worker(work, group="orders", thread=True, exit_on_error=False)

    def _carry_out(
        self, what: str, carry_out: Callable[[ControlClient], T], then: Callable[[T], str | None] | None
    ) -> None:
        """In a thread."""
        try:
            with self.where.client() as client:
                answer = carry_out(client)
            words = (then(answer) if then is not None else None) or "done"
        except ControlFault as fault:
            self.call_from_thread(self.tell_fault, fault)
            return
        self.call_from_thread(self.notify, f"{plain(what)}: {plain(words)}", markup=False)

    # --- keys --------------------------------------------------------------------------------------

    async def on_event(self, event: events.Event) -> None:
        """A slow line delivers several keys at once: what one does to the focus is done before the next."""
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
        elif not self._typed.full():
            self._typed.put_nowait(event)
            self.keys_are_waiting = True

    async def _take_keys(self) -> None:
        while True:
            event = await self._typed.get()
            pumps = [pump for pump in (self.focused, self.screen, self) if pump is not None]
            await super().on_event(event)
            for pump in (*pumps, self.screen):
                await self._has_drained(pump)
            self.keys_are_waiting = not self._typed.empty()

    async def _has_drained(self, pump: MessagePump) -> None:
        """Until `pump` has done what it was told so far; one that hangs holds nobody up for long."""
        done = asyncio.Event()
        if pump.call_later(done.set):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), KEY_DONE_WITHIN_S)

    def action_help(self) -> None:
        if isinstance(self.screen, ConsoleScreen):
            self.screen.action_help()

    def action_keys(self) -> None:
        if isinstance(self.screen, ConsoleScreen):
            self.screen.action_keys()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Only what makes sense here; the screens and chargers are in `palette`."""
        yield SystemCommand("Quit", "Leave the console; the gateway runs on", self.action_quit)
        yield SystemCommand("Help", "About what has the focus, and this screen", self.action_help)
        yield SystemCommand("Keys", "All keys that work here", self.action_keys)

    def _handle_exception(self, error: Exception) -> None:
        """Textual prints a traceback over the terminal; here it goes to the log, and one line is left."""
        log.error("the console ended by a bug", exc_info=error)
        self.bug = f"{type(error).__name__}: {plain(str(error))}"
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._return_code = 70  # EX_SOFTWARE
        self._close_messages_no_wait()
