"""`edgegw firmware rollout` and what can be done with a rollout; commands of the `firmware` group."""

from __future__ import annotations

import time

import click

from edgegw.cli.asking import OK, REFUSED, Asking, asks_gateway
from edgegw.cli.completing import charger_names
from edgegw.cli.firmware_names import named
from edgegw.cli.tables import minute, number, table
from edgegw.control.client import ControlClient
from edgegw.control.firmware_models import RolloutOrder, RolloutSummary, RolloutView
from edgegw.core.rollout_state import is_window
from edgegw.redaction import plain

POLL_S = 1.0
_OVER = ("installed", "failed", "skipped")


def _window(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not is_window(value):
        raise click.BadParameter('must be a time of the day such as "22:00-05:00"')
    return value


@click.command()
@click.argument("file", metavar="FILE-OR-SHA")
@click.option(
    "--charger",
    "chargers",
    multiple=True,
    shell_complete=charger_names,
    help="Only this one; more than once.",
)
@click.option("--vendor", help="Which chargers; otherwise what was said when the file was added.")
@click.option("--model", help="Which model; otherwise what was said when the file was added.")
@click.option("--version", help="What a charger says that runs it; otherwise as above.")
@click.option(
    "--at-once", type=click.IntRange(1, 1000), default=1, show_default=True, help="Chargers down together."
)
@click.option("--only-idle/--any-time", default=True, show_default=True, help="Never one in use.")
@click.option("--window", default="", callback=_window, help='Only then, such as "22:00-05:00" of the site.')
@click.option(
    "--stop-after-failures", "failures_max", type=click.IntRange(1, 10_000), default=1, show_default=True
)
@click.option("--follow", is_flag=True, help="Stay and tell how it goes on.")
@asks_gateway
def rollout(
    client: ControlClient,
    asking: Asking,
    file: str,
    chargers: tuple[str, ...],
    vendor: str | None,
    model: str | None,
    version: str | None,
    at_once: int,
    only_idle: bool,
    window: str,
    failures_max: int,
    follow: bool,
) -> int:
    """Bring a file that is kept here to the chargers it is for.

    With --follow the exit code is 0 when it is over and none failed, else 1; without, it runs on its own.

    \b
    edgegw firmware rollout wall-2.4.1.bin --at-once 2 --window 22:00-05:00
    """
    order = RolloutOrder(
        sha256=named(client, file).sha256,
        vendor=vendor,
        model=model,
        version=version,
        chargers=list(chargers) or None,
        at_once=at_once,
        only_idle=only_idle,
        window=window,
        failures_max=failures_max,
    )
    begun = client.begin_rollout(order)
    if follow:
        return _follow(client, asking, begun)
    told = f"rollout {begun.id} of {begun.name}: {number(len(begun.chargers), 'charger')}"
    asking.tell(client, f"{told}; see: edgegw firmware rollouts {begun.id}")
    return OK


def _follow(client: ControlClient, asking: Asking, seen: RolloutView) -> int:
    """A line for every charger that comes further, until nothing more happens by itself."""
    shown: dict[str, str] = {}
    while True:
        if not asking.as_json:
            _tell_news(seen, shown)
        if seen.state != "running" and not any(
            _is_under_way(seen, charger.stage) for charger in seen.chargers
        ):
            break
        time.sleep(POLL_S)
        seen = client.rollout(seen.id)
    asking.tell(client, f"rollout {seen.id}: {_state(seen)}")
    return OK if seen.state == "ended" and not seen.counts.get("failed") else REFUSED


def _is_under_way(seen: RolloutView, stage: str) -> bool:
    return stage != "waiting" and stage not in _OVER


def _tell_news(seen: RolloutView, shown: dict[str, str]) -> None:
    over = sum(seen.counts.get(stage, 0) for stage in _OVER)  # type: ignore[call-overload]
    for charger in seen.chargers:
        words = f"{charger.stage}: {charger.why}" if charger.why else charger.stage
        if shown.get(charger.charger, "waiting") != words and charger.stage != "waiting":
            click.echo(plain(f"{over}/{len(seen.chargers)} {charger.charger} {words}"))
        shown[charger.charger] = words if charger.stage != "waiting" else "waiting"


# --- what runs, and what people do to it ----------------------------------------------------------------


@click.command()
@click.argument("rollout_id", metavar="[ID]", required=False)
@asks_gateway
def rollouts(client: ControlClient, asking: Asking, rollout_id: str | None) -> int:
    """All rollouts, newest first; or one, charger by charger."""
    if rollout_id is not None:
        asking.tell(client, _detail(client.rollout(rollout_id)))
        return OK
    found = client.rollouts().rollouts
    columns = (">ID", "FILE", "VERSION", "STATE", ">DOWN", "CHARGERS", "BEGUN")
    lines = (
        (one.id, one.name, one.version, _state(one), one.down, _counts(one), minute(one.created_at))
        for one in found
    )
    asking.tell(client, table(columns, lines) if found else "no rollouts")
    return OK


def _detail(seen: RolloutView) -> str:
    when = f", {seen.window}" if seen.window else ""
    idle = ", only idle ones" if seen.only_idle else ", in use or not"
    head = f"rollout {seen.id} of {seen.name} {seen.version}: {_state(seen)}"
    how = f"{seen.at_once} at once{when}{idle}, stops after {number(seen.failures_max, 'failure')}"
    lines = (
        (c.charger, c.stage, "down" if c.down else "", _percent(c.percent), c.why) for c in seen.chargers
    )
    return "\n".join((plain(head), how, "", table(("CHARGER", "STAGE", "", ">LOADED", "WHY"), lines)))


def _percent(percent: float | None) -> str:
    return "" if percent is None else f"{percent:.0f} %"


def _state(one: RolloutSummary) -> str:
    return plain(f"{one.state}: {one.why}" if one.why else one.state)


def _counts(one: RolloutSummary) -> str:
    return ", ".join(f"{count} {stage}" for stage, count in one.counts.items())


@click.command()
@click.argument("rollout_id", metavar="ID")
@asks_gateway
def pause(client: ControlClient, asking: Asking, rollout_id: str) -> int:
    """Send it to no further charger for now; those that have it go on."""
    seen = client.pause_rollout(rollout_id)
    asking.tell(client, f"rollout {seen.id} is paused; {number(seen.down, 'charger')} still at it")
    return OK


@click.command()
@click.argument("rollout_id", metavar="ID")
@asks_gateway
def resume(client: ControlClient, asking: Asking, rollout_id: str) -> int:
    """Let it go on, also after failures: as many more stop it again."""
    seen = client.resume_rollout(rollout_id)
    asking.tell(client, f"rollout {seen.id} goes on: {_counts(seen)}")
    return OK


@click.command()
@click.argument("rollout_id", metavar="ID")
@asks_gateway
def stop(client: ControlClient, asking: Asking, rollout_id: str) -> int:
    """End it for good. Those that have the update finish it, and count as down until they are back.

    Once more: those that failed and never came back no longer count as down for other rollouts.
    """
    seen = client.stop_rollout(rollout_id)
    asking.tell(client, f"rollout {seen.id} is over: {_counts(seen)}, {seen.down} down")
    return OK


COMMANDS = (rollout, rollouts, pause, resume, stop)
