"""Everything about one charger that stands on its overview, in words. Pure.

Rules of this file: what is wrong has a sign and a colour; each line begins with what it is about; what to do
stands with what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from rich.text import Text

from edgegw.control.detail_models import ChargerDetail, ConnectorOrderView
from edgegw.control.event_models import EventView
from edgegw.control.live_models import ChargerRow
from edgegw.control.models import ChargerView, ConnectorView, TransactionView
from edgegw.control.power_models import ConnectorPowerView
from edgegw.redaction import plain
from edgegw.tui.words import SEVERITY_SIGNS, SEVERITY_STYLES, age, amps, clock, energy, number, phases, span

HEAD = 14
CLOCK_FINE_S, CLOCK_BAD_S = 5.0, 60.0
BAD, WARN, GOOD, DIM = "bold red", "yellow", "green", "dim"
REFUSALS_MAX, COMPLAINTS_MAX = 5, 5
EVENTS_MAX, ANSWERS_MAX = 8, 8

Line = tuple[str, str, str]  # what it is about, words, style


def overview(detail: ChargerDetail, row: ChargerRow | None, now: str, width: int = 80) -> Text:
    text = Text()
    for head, words, style in _lines(detail, row, now):
        text.append(f"{head:<{HEAD}}", "bold")
        margin = "  " if words.startswith("  ") else ""
        room = max(20, width - HEAD)
        lines = wrap(plain(words.strip()), room, initial_indent=margin, subsequent_indent=margin)
        text.append(f"\n{' ' * HEAD}".join(lines) + "\n", style)
    text.rstrip()
    return text


def _lines(detail: ChargerDetail, row: ChargerRow | None, now: str) -> Iterator[Line]:
    charger = detail.charger
    yield _link(charger, now)
    if not charger.connected:
        yield from _refusals(detail, now)
    for words in held_words(detail.power):
        yield "Held", f"! {words}: it cannot be lowered now", WARN
    yield _cloud(charger, row, now)
    yield from _orders(detail.orders)
    for connector in charger.connectors:
        yield from _connector(connector, detail, now)
    for one in charger.transactions:
        yield "Charging", charging(one, now), GOOD
    for alarm in detail.alarms:
        sign = SEVERITY_SIGNS[alarm.severity]
        yield "Alarm", f"{sign} {alarm.text} ({age(alarm.since, now)})", SEVERITY_STYLES[alarm.severity]
        if alarm.todo:
            yield "", f"  do: {alarm.todo}", ""
    yield _clock(detail.clock_offset_s)
    yield _boot(detail, now)
    yield _queue(charger, now)
    if charger.connected:
        yield from _refusals(detail, now)
    for complaint in charger.complaints[:COMPLAINTS_MAX]:
        yield "Schema", f"! {complaint.rule}: {number(complaint.count, 'time')}", WARN


def held_words(power: Sequence[ConnectorPowerView]) -> list[str]:
    """What is kept free for connectors that nobody can lower now."""
    return [
        f"{amps(one.held_a)} A of {plain(one.circuit)} are kept for connector {one.connector}"
        for one in power
        if one.held_a
    ]


def _link(charger: ChargerView, now: str) -> Line:
    seen = f"last message {age(charger.last_seen, now)} ago" if charger.last_seen else "no message yet"
    if not charger.connected:
        return "Link", f"o not connected, {seen}", "magenta"
    since = f" since {clock(charger.since)[:5]}Z ({age(charger.since, now)})" if charger.since else ""
    return "Link", f"connected{since} from {charger.peer_ip}, {seen}, {charger.version}", ""


def _refusals(detail: ChargerDetail, now: str) -> Iterator[Line]:
    for place, failure in enumerate(detail.handshake_failures[:REFUSALS_MAX]):
        style = WARN if not detail.charger.connected else DIM
        yield "Refused" if not place else "", f"! {age(failure.at, now)} ago: {failure.text}", style


def _cloud(charger: ChargerView, row: ChargerRow | None, now: str) -> Line:
    if row is not None and row.cloud == "none":
        return "Cloud", "none: this box decides alone", ""
    word = {
        "never": "the cloud has not said whether it takes it",
        "accepted": "accepted by the cloud",
        "pending": "! the cloud lets it wait (Pending): it may not charge yet",
        "rejected": "! the cloud rejects it: register this charger there",
    }[charger.registration]
    style = WARN if charger.registration in ("pending", "rejected") else ""
    since = f" for {age(charger.cloud.since, now)}" if charger.cloud.since else ""
    if charger.cloud.up:
        return "Cloud", f"through{since}; {word}", style
    if not charger.connected:
        return "Cloud", f"only while the charger is connected; {word}", style or DIM
    why = f": {charger.cloud.error}" if charger.cloud.error else ""
    return "Cloud", f"! not reached{since}{why}; cars charge on; {word}", WARN


def _orders(orders: Sequence[ConnectorOrderView]) -> Iterator[Line]:
    for order in orders:
        left = f"for another {span(order.left_s)}, until {clock(order.until)[:5]}Z"
        where = f"connector {order.connector}"
        if order.kind == "bypass":
            yield "Left out", f"! {where} is left out of balancing {left}", WARN
        else:
            yield "Limited", f"! {where} has at most {amps(order.limit_a)} A {left}", WARN


def _connector(connector: ConnectorView, detail: ChargerDetail, now: str) -> Iterator[Line]:
    power = next((one for one in detail.power if str(one.connector) == connector.id.partition(".")[0]), None)
    is_bad = connector.status == "Faulted" or connector.error_code not in ("", "NoError")
    words = [connector.status or "nothing said yet"]
    if connector.at:
        words.append(f"for {age(connector.at, now)}")
    if power is not None:
        words.append(connector_power(power))
    sign = "x " if is_bad else ""
    yield f"Connector {connector.id}", sign + ", ".join(words), BAD if is_bad else ""
    if is_bad:
        yield from _fault(connector, detail.events)


def _fault(connector: ConnectorView, events: Sequence[EventView]) -> Iterator[Line]:
    info = f" ({connector.info})" if connector.info else ""
    known = next(
        (one for one in events if one.connector == connector.id and not one.cleared and one.kind == "status"),
        None,
    )
    if known is None:
        yield "", f"  {connector.error_code}{info}", BAD
        return
    vendor = f" {known.vendor_code}" if known.vendor_code else ""
    yield "", f"  {known.code}{vendor}{info}: {known.text}", BAD
    if known.todo:
        yield "", f"  do: {known.todo}", ""


def connector_power(power: ConnectorPowerView) -> str:
    """ "5.9 of 6 A: why"."""
    if power.control in ("refuses", "disobeys", "silent"):
        return f"! {power.control}: {power.fault or power.why}"
    drawn = [one for one in power.drawn_a or () if one is not None]
    words = f"{amps(max(drawn))} of {amps(power.limit_a)} A" if drawn else f"limit {amps(power.limit_a)} A"
    return f"{words}: {power.why}" if power.why else words


def charging(one: TransactionView, now: str) -> str:
    connector = one.evse or one.connector or "-"
    card = f", card {one.id_tag}" if one.id_tag else ""
    began = f" for {age(one.received_at, now)}" if one.received_at else ""
    offline = ", began while the cloud was away" if one.offline else ""
    return f"transaction {one.id} on connector {connector}{began}, {energy(one.energy_wh)}{card}{offline}"


def _clock(offset_s: float | None) -> Line:
    if offset_s is None:
        return "Clock", "not known: it has not written a time yet", DIM
    off = abs(offset_s)
    if off < CLOCK_FINE_S:
        return "Clock", "right", ""
    side = "ahead" if offset_s > 0 else "behind"
    words = f"{span(off)} {side}"
    if off < CLOCK_BAD_S:
        return "Clock", words, ""
    return "Clock", f"! {words}: its times are wrong; set its time zone and NTP, or reset it", WARN


def _boot(detail: ChargerDetail, now: str) -> Line:
    boot = detail.boot
    if boot is None:
        return "Boot", "it has not booted since this box knows it", DIM
    when = f"{age(boot.at, now)} ago" if boot.at else "before this box kept the time"
    facts = [when, boot.reason, f"{boot.vendor} {boot.model}".strip()]
    facts += [
        f"serial {boot.serial}" if boot.serial else "",
        f"firmware {boot.firmware}" if boot.firmware else "",
    ]
    return "Boot", ", ".join(fact for fact in facts if fact), ""


def _queue(charger: ChargerView, now: str) -> Line:
    queue = charger.queue
    waits = queue.stored + queue.in_flight
    if not waits and not queue.parked:
        return "Queue", "nothing waits for the cloud", DIM
    oldest = f", the oldest {age(queue.oldest_unsent_at, now)} old" if queue.oldest_unsent_at else ""
    parked = f"; ! {queue.parked} refused by the cloud: key 5" if queue.parked else ""
    return "Queue", f"{number(waits, 'message')} for the cloud here{oldest}{parked}", WARN if parked else ""


def beside(detail: ChargerDetail, now: str) -> Text:
    """What stands to the right of the overview where there is room: its limits, and what it reported last."""
    text = Text("Limits\n", "bold cyan")
    if detail.power:
        text.append_text(power_lines(detail.power))
    else:
        text.append("not balanced: no circuit is said for its connectors\n", DIM)
    text.append("\nReported last\n", "bold cyan")
    for one in detail.events[:EVENTS_MAX]:
        sign = "v" if one.cleared else SEVERITY_SIGNS[one.severity]
        what = f"over: {plain(one.text)}" if one.cleared else plain(one.text)
        code = " ".join(plain(word) for word in (one.code, one.vendor_code) if word)
        where = f" connector {plain(one.connector)}" if one.connector else ""
        style = DIM if one.cleared else SEVERITY_STYLES[one.severity]
        text.append(f"{age(one.at, now):>4} ago{where}  {sign} {code}: {what}\n", f"not bold {style}")
    if not detail.events:
        text.append("nothing\n", f"not bold {DIM}")
    text.append("\nIts answers to limits\n", "bold cyan")
    for answer in detail.profile_answers[:ANSWERS_MAX]:
        limit = f"{amps(answer.limit_a)} A" if answer.limit_a is not None else "no limit"
        words = f"{age(answer.at, now):>4} ago connector {answer.connector}  {limit} by {answer.method}: "
        text.append(f"{words}{plain(answer.answer)}\n", "not bold")
    if not detail.profile_answers:
        text.append("none\n", f"not bold {DIM}")
    text.rstrip()
    return text


def power_lines(power: Sequence[ConnectorPowerView]) -> Text:
    """What the balancer and the charger say of each connector."""
    text = Text()
    for one in power:
        is_bad = one.control in ("refuses", "disobeys", "silent")
        text.append(f"Connector {one.connector}", "bold")
        text.append(f" on {plain(one.circuit)}: limit {amps(one.limit_a)} A, has {amps(one.accepted_a)} A")
        if one.drawn_a is not None:
            text.append(f", draws {phases(one.drawn_a)} A")
        cloud = f"{amps(one.cloud_a)} A" if one.cloud_a is not None else "no limit"
        text.append(f"; cloud: {cloud}; safe value {amps(one.safe_a)} A\n")
        words = (
            f"{'! ' if is_bad else ''}{one.control}: {plain(one.fault or one.why) or 'nothing holds it down'}"
        )
        text.append(f"  {words}\n", BAD if is_bad else "")
        text.append(f"  {_method(one)}\n", DIM)
    return text


def _method(one: ConnectorPowerView) -> str:
    words = [f"told by {one.method}" if one.method else "not told yet", f"{one.writes_today} profiles today"]
    if one.expires_in_s is not None:
        words.append(f"without news back to {amps(one.safe_a)} A in {span(one.expires_in_s)}")
    words += [f"quirk {plain(name)}" for name in one.quirks]
    return ", ".join(words)
