"""The two lines on top of every screen: how the site is, and where in the console one stands."""

from __future__ import annotations

from rich.text import Text

from edgegw.control.live_models import Snapshot
from edgegw.redaction import plain
from edgegw.tui.link import LinkState
from edgegw.tui.still import Still
from edgegw.tui.words import SEVERITY_SIGNS, SEVERITY_STYLES, age, clock, number, span

ALARM = "bold white on red"
AWAY = "bold black on yellow"


def top_line(snapshot: Snapshot | None, link: LinkState, now: float) -> Text:
    """`now`: seconds since 1970, by this terminal's clock."""
    if link.state != "live":
        return _no_line(snapshot, link, now)
    assert snapshot is not None, "live means that there was a picture"
    site = snapshot.site
    line = Text(no_wrap=True, overflow="ellipsis")
    is_degraded = snapshot.health.status == "degraded"
    if is_degraded:
        line.append(" DEGRADED ", ALARM)
    if site.cloud.mode == "away":
        waits = snapshot.queue.stored + snapshot.queue.in_flight
        line.append(f" RUNNING WITHOUT CLOUD since {_since(site.cloud.since, snapshot.at)} ", AWAY)
        line.append(f" {number(waits, 'message')} kept ", AWAY)
    alarms = snapshot.alarms
    if alarms.active:
        style = SEVERITY_STYLES[alarms.worst]
        line.append(f" {SEVERITY_SIGNS[alarms.worst]} {number(alarms.active, 'alarm')} ", style)
    if is_degraded:
        line.append(f" {plain('; '.join(snapshot.health.reasons))} ", ALARM)
    line.append(f" {plain(site.id)} {plain(site.name)}".rstrip(), "bold")
    line.append(f"  {site.chargers.connected}/{site.chargers.known} chargers")
    line.append(f"  {number(site.running_transactions, 'session')}")
    line.append(f"  {clock(snapshot.at)}Z", "dim")
    return line


def _since(time: str | None, now: str) -> str:
    return f"{clock(time)[:5]}Z ({age(time, now)})" if time else "the start"


def _no_line(snapshot: Snapshot | None, link: LinkState, now: float) -> Text:
    if link.state == "connecting":
        return Text(" connecting to the gateway ...", "bold")
    text = f" NO GATEWAY for {span(max(0.0, now - link.since))}, trying again: {plain(link.error)}"
    if snapshot is not None:
        text += f" (what you see is of {clock(snapshot.at)}Z)"
    return Text(text, ALARM, no_wrap=True, overflow="ellipsis")


class TopLine(Still):
    DEFAULT_CSS = "TopLine { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }"


class Crumbs(Still):
    DEFAULT_CSS = "Crumbs { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }"

    def tell_trail(self, trail: tuple[str, ...], *marks: str) -> None:
        """Where one stands, and what narrows the view."""
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(" " + " > ".join(plain(step) for step in trail), "bold cyan")
        for mark in marks:
            line.append(f"  [{plain(mark)}]", "reverse")
        self.tell(line)
