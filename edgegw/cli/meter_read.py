"""`edgegw meter read`: what a meter says now; and what the meter commands share."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec
from rich.live import Live
from rich.text import Text

from edgegw import config as site_file
from edgegw.cli.asking import DEFAULT_CONFIG
from edgegw.cli.tables import number, span, table
from edgegw.config_power import Meter
from edgegw.config_text import SiteFileFault
from edgegw.errors import ConfigFault
from edgegw.meter_address import parse_address
from edgegw.meters.connection import Lines
from edgegw.meters.plausible import MeterOptions, Plausibility
from edgegw.meters.poller import MeterPoller, PollerSettings, PollerStatus
from edgegw.meters.template import find, load_templates

NOT_READ = 1
REFRESH_S = 0.5
ALONE = (
    "only one may ask on a line: stop whatever else reads this meter, the gateway too; "
    "two masters get each other's answers"
)


def address_of(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    try:
        if text is not None:
            parse_address(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return text


def fail(as_json: bool, text: str, code: int) -> NoReturn:
    if as_json:
        click.echo(json.dumps({"error": {"code": code, "text": text}}))
    else:
        click.echo(f"edgegw: {text}", err=True)
    sys.exit(code)


def shown(value: float | None) -> str | None:
    return None if value is None else f"{value:,.2f}".replace(",", " ")


@click.command()
@click.argument("name", required=False)
@click.option(
    "--config", "file", type=click.Path(path_type=Path), help=f"Site file; default {DEFAULT_CONFIG}."
)
@click.option("--address", callback=address_of, help="A meter that is in no site file; with --template.")
@click.option("--template", help='What it is, such as "eastron_sdm630".')
@click.option("--unit", type=click.IntRange(0, 255), help="Its unit id; default: that of the template.")
@click.option("--once", is_flag=True, help="One reading, then end.")
@click.option("--json", "as_json", is_flag=True, help="One reading as one JSON document.")
def read(
    name: str | None,
    file: Path | None,
    address: str | None,
    template: str | None,
    unit: int | None,
    once: bool,
    as_json: bool,
) -> None:
    """Show what the meters of a site file say, or one of them, until Ctrl-C.

    Exit code 0: all could be read. 1: not all. 2: wrong arguments or site file.
    """
    if (address is None) != (template is None):
        raise click.UsageError("--address and --template go together")
    if address is not None and (file is not None or name is not None):
        raise click.UsageError("either --address and --template, or a meter of the site file")
    try:
        pollers = _pollers(name, file, address, template, unit)
    except ConfigFault as fault:
        fail(as_json, str(fault), 2)
    click.echo(f"edgegw: {ALONE}", err=True)
    try:
        all_well = asyncio.run(_read(pollers, once or as_json, as_json))
    except KeyboardInterrupt:
        all_well = True
    sys.exit(0 if all_well else NOT_READ)


def _pollers(
    name: str | None, file: Path | None, address: str | None, template: str | None, unit: int | None
) -> list[MeterPoller]:
    """Raises ConfigFault."""
    lines = Lines()
    if address is not None and template is not None:
        settings = PollerSettings(name="meter", address=address, unit=unit)
        return [_poller(settings, template, MeterOptions(), None, lines)]
    site = _site(file)
    meters = [one for one in site.meter if name in (None, one.name)]
    if not meters:
        known = ", ".join(one.name for one in site.meter) or "none"
        asked = f'no [[meter]] named "{name}"' if name else "no [[meter]]"
        raise ConfigFault(f"the site file has {asked}; it has: {known}")
    own, nominal_v = site.balancing.meters_directory, site.balancing.nominal_voltage_v
    return [
        _poller(_settings(one, unit), one.template, _options(one, nominal_v), own, lines) for one in meters
    ]


def _poller(
    settings: PollerSettings, template: str, options: MeterOptions, own: Path | None, lines: Lines
) -> MeterPoller:
    kind = find(load_templates(own), template)
    return MeterPoller(settings, kind, Plausibility(kind, options), lambda *_: None, lambda *_: None, lines)


def _settings(meter: Meter, unit: int | None) -> PollerSettings:
    return PollerSettings(
        name=meter.name,
        address=meter.address,
        unit=meter.unit if unit is None else unit,
        poll_interval_s=meter.poll_interval_s,
        timeout_s=meter.timeout_s,
    )


def _options(meter: Meter, nominal_v: float) -> MeterOptions:
    first, second, third = meter.phases
    return MeterOptions(
        invert=meter.invert,
        rotation=(first, second, third),
        nominal_v=nominal_v,
        frozen_after_s=meter.frozen_after_s,
    )


def _site(file: Path | None) -> site_file.SiteConfig:
    path = Path(file or os.environ.get("EDGEGW_CONFIG") or DEFAULT_CONFIG)
    if not path.exists():
        raise ConfigFault(f"{path} is not there: give --config FILE, or --address and --template")
    try:
        return site_file.load(path)
    except SiteFileFault as fault:
        raise ConfigFault(str(fault)) from fault


async def _read(pollers: Sequence[MeterPoller], once: bool, as_json: bool) -> bool:
    """Returns whether all meters were read in the end."""
    try:
        if once:
            for one in pollers:
                await one.poll()
            found = [one.status for one in pollers]
            click.echo(_json(found) if as_json else _readings(found))
            return all(status.reading is not None for status in found)
        for one in pollers:
            one.start()
        if sys.stdout.isatty():
            await _live(pollers)
        else:
            await _log(pollers)
    finally:
        for one in pollers:
            await one.stop()
    return True


async def _live(pollers: Sequence[MeterPoller]) -> None:
    with Live(Text("reading ..."), auto_refresh=False) as screen:
        while True:
            screen.update(Text.from_ansi(_readings([one.status for one in pollers])), refresh=True)
            await asyncio.sleep(REFRESH_S)


async def _log(pollers: Sequence[MeterPoller]) -> None:
    """One line for each poll."""
    told = dict.fromkeys((one.settings.name for one in pollers), 0)
    while True:
        for status in (one.status for one in pollers):
            if status.good + sum(status.errors.values()) > told[status.name]:
                told[status.name] = status.good + sum(status.errors.values())
                click.echo(_line(status))
        await asyncio.sleep(0.1)


def _line(status: PollerStatus) -> str:
    if status.trouble or status.reading is None:
        return f"{status.name}: NOT USABLE: {status.trouble}"
    amps = " ".join(f"L{at + 1} {_amps(value)}" for at, value in enumerate(status.reading.current_a))
    power = "" if status.reading.power_w is None else f" {status.reading.power_w:.0f} W"
    return f"{status.name}: {amps}{power}"


def _amps(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} A"


def _readings(found: Sequence[PollerStatus]) -> str:
    """Per meter: how it is, and every value as it was read; currents as the gateway takes them."""
    parts: list[str] = []
    for status in found:
        age = "never read" if status.reading_age_s is None else f"read {span(status.reading_age_s)} ago"
        parts.append(
            f"{status.name}: {status.template}, {age}, {number(status.polls, 'poll')}, {_faults(status)}"
        )
        if status.trouble:
            parts.append(f"NOT USABLE: {status.trouble}")
        if status.reading is not None:
            parts.append(_line(status) + "  (import positive, on the grid's phases)")
        if status.values:
            parts.append(table(("VALUE", ">READS"), ((name, shown(v)) for name, v in status.values.items())))
        parts.append("")
    return "\n".join(parts).rstrip()


def _faults(status: PollerStatus) -> str:
    if not status.errors:
        return "no faults"
    return ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in status.errors.items())


def _json(found: Sequence[PollerStatus]) -> str:
    return json.dumps({"meters": [_shown(status) for status in found]})


def _shown(status: PollerStatus) -> dict[str, Any]:
    """Without the histogram, which is for metrics."""
    shown: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(status, latencies=None))
    del shown["latencies"]
    return shown
