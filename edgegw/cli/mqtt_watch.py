"""`edgegw mqtt watch`: what is published, as it comes, in words.

Rules of this file:
- What is retained comes first and in order: status, info, then by topic. After that changes as they come.
- What goes wrong goes to stderr: nothing there, gateway offline, connection lost and back.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

import click

from edgegw.cli.asking import OK, REFUSED
from edgegw.cli.mqtt_broker import Broker, BrokerFault, Lost
from edgegw.cli.mqtt_options import Given, Where, names_broker
from edgegw.cli.mqtt_show import Form, Show, Wish, terminal_width
from edgegw.mqtt.message import Incoming
from edgegw.mqtt.payloads import API
from edgegw.redaction import plain
from edgegw.units import parse_duration

RETAINED_WITHIN_S = 0.5  # what is retained comes at once: this long without a message and it was all
NOTHING_AFTER_S = 3.0  # a gateway publishes something every second
AGAIN_AFTER_S = 2.0
TURN_S = 0.5
_FIRST = ("status", "info")


@click.command()
@names_broker
@click.option("--charger", help="Only this one: its topics, its alarms and events.")
@click.option(
    "--filter", "topic_filter", default="#", help="Only these topics below the root, as MQTT has it."
)
@click.option("--all", "every", is_flag=True, help="Also states that did not change.")
@click.option("--raw", is_flag=True, help="Topic and payload as they are.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--for", "for_text", help='How long, such as "10 s"; without it until Ctrl-C.')
def watch(
    given: Given,
    charger: str | None,
    topic_filter: str,
    every: bool,
    raw: bool,
    as_json: bool,
    for_text: str | None,
) -> None:
    """Show what the gateway publishes, in words; what is retained first, then what changes.

    The broker, login and topics are those of the site file; with --broker they are given here.

    Exit code 0; 1 when nothing was published there, when the gateway was offline at the end of --for, or when
    the broker refuses the login; 3 when the broker cannot be reached, 4 when it does not answer.
    """
    if raw and as_json:
        raise click.UsageError("give --raw or --json")
    form: Form = "raw" if raw else "json" if as_json else "words"
    wish = Wish(charger=charger, filter=topic_filter, every=every, form=form)
    where, for_s = given.where(), _seconds(for_text)
    zone = datetime.now().astimezone().tzinfo
    assert zone is not None
    sys.exit(_carry_out(where, Show(where, wish, zone, terminal_width()), wish, for_s))


def _seconds(text: str | None) -> float:
    if text is None:
        return math.inf
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.UsageError(f"--for {text}: {error}") from error


def _carry_out(where: Where, show: Show, wish: Wish, for_s: float) -> int:
    try:
        watching = Watch(where, show, wish)
        try:
            watching.run(for_s)
        finally:
            watching.broker.close()
    except KeyboardInterrupt:
        return OK  # the usual end of it
    except BrokerFault as fault:
        complain(str(fault))
        return fault.exit_code
    return OK if show.seen and not show.offline else REFUSED


def complain(text: str) -> None:
    click.echo(f"edgegw: {plain(text)}", err=True)


class Watch:
    """One run of the command."""

    def __init__(self, where: Where, show: Show, wish: Wish) -> None:
        """Raises BrokerFault when a file of the login cannot be used."""
        self.show = show
        self.broker = Broker(where.settings, "watch")
        self._where = where
        self._wish = wish
        self._doubt_at = math.inf
        self._doubted = False
        self._offline: set[str] = set()  # what was complained about

    def run(self, for_s: float) -> None:
        """Until the time is up. Raises BrokerFault, KeyboardInterrupt."""
        ends = time.monotonic() + for_s
        try:
            self._begin()
        except Lost as lost:
            raise BrokerFault(f"the broker {self.broker.url} ended the connection: {lost}", REFUSED) from lost
        while (left_s := ends - time.monotonic()) > 0:
            try:
                self._go_on(min(left_s, TURN_S))
            except Lost as lost:
                self._reconnect(lost, ends)
        with suppress(Lost):
            self._doubt(now=True)

    def _go_on(self, wait_s: float) -> None:
        self._take(self.broker.turn(wait_s))
        self._doubt(now=time.monotonic() >= self._doubt_at)

    # --- the connection ----------------------------------------------------------------------------

    def _begin(self) -> None:
        """Connect, subscribe, show what is retained. Raises BrokerFault, Lost."""
        self.broker.open()
        root = self._where.root
        wanted = (f"{root}/{self._wish.filter}", f"{root}/status", f"{root}/info")
        self.broker.subscribe(dict.fromkeys(wanted))
        self._doubt_at = time.monotonic() + NOTHING_AFTER_S
        first: list[Incoming] = []
        while came := self.broker.turn(RETAINED_WITHIN_S):
            first += came
            if not any(message.retain for message in came):
                break
        self._take(sorted(first, key=self._order))
        self._say_who_is_missing()

    def _order(self, message: Incoming) -> tuple[bool, int, str]:
        """What is retained before what happened meanwhile; each topic stays in its own order."""
        tail = message.topic.split("/")[self._where.root.count("/") + 1 :]
        place = _FIRST.index(tail[0]) if len(tail) == 1 and tail[0] in _FIRST else len(_FIRST)
        return not message.retain, place, message.topic

    def _reconnect(self, lost: Lost, ends: float) -> None:
        complain(f"the connection to {self.broker.url} is lost: {lost}; trying again")
        while (left_s := ends - time.monotonic()) > 0:
            time.sleep(min(AGAIN_AFTER_S, left_s))
            try:
                self._begin()
            except (BrokerFault, Lost):
                continue
            complain("connected again")
            return

    # --- what is seen ------------------------------------------------------------------------------

    def _take(self, messages: Iterable[Incoming]) -> None:
        for message in messages:
            self.show.take(message)
        if self._wish.form == "words" and self._wish.filter == "#":
            return  # the line of its status says so
        for gateway in sorted(self.show.offline - self._offline):
            complain(f"{gateway} is offline: everything else is what it said last")
        for gateway in sorted(self._offline - self.show.offline):
            complain(f"{gateway} is online again")
        self._offline = set(self.show.offline)

    def _say_who_is_missing(self) -> None:
        charger, known = self._wish.charger, self.show.chargers
        if charger is not None and known and charger not in (*known, *known.values()):
            complain(f"no charger {charger} there; there are: {', '.join(sorted(known.values()))}")

    def _doubt(self, *, now: bool) -> None:
        """Once, when nothing was seen. Raises Lost."""
        if not now or self.show.seen or self._doubted:
            return
        self._doubted = True
        complain(
            f"nothing is published below {self._where.root} at {self.broker.url}: does the gateway run, with "
            "[mqtt] in its site file, and are broker, base and gateway the same there?"
        )
        if others := self._others():
            complain(f"there is: {', '.join(others)}")

    def _others(self) -> list[str]:
        """Trees of other gateways at this broker. Raises Lost."""
        with suppress(BrokerFault):  # it may not let us look
            self.broker.subscribe((f"+/{API}/+/status", f"+/+/{API}/+/status"))
        came = self.broker.turn(RETAINED_WITHIN_S)
        return sorted({message.topic.removesuffix("/status") for message in came if message.retain})
