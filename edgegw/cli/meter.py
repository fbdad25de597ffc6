"""`edgegw meter`: find a Modbus meter, and see what it says. Only reads; needs no running gateway."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import click
import msgspec

from edgegw.cli.meter_read import ALONE, NOT_READ, address_of, fail, read, shown
from edgegw.cli.tables import table
from edgegw.errors import ConfigFault
from edgegw.meter_address import MeterAddress, parse_address
from edgegw.meters.connection import MeterFault
from edgegw.meters.probe import Found, Progress, config_block, line_settings
from edgegw.meters.probe import probe as find_meters
from edgegw.meters.template import Template, load_templates
from edgegw.redaction import plain

NO_TEMPLATE = "no template fits: see the meter's manual, and write one into the meters directory"


@click.group()
def meter() -> None:
    """Find a Modbus meter, and see what it says."""


meter.add_command(read)


@meter.command()
@click.argument("address", callback=address_of)
@click.option(
    "--unit", "units", multiple=True, type=click.IntRange(0, 255), help="Only this one; more than once."
)
@click.option(
    "--templates", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder of own ones."
)
@click.option(
    "--write", "file", type=click.Path(path_type=Path, dir_okay=False), help="Add what was found to FILE."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
def probe(
    address: str, units: tuple[int, ...], templates: Path | None, file: Path | None, as_json: bool
) -> None:
    """Find out which meter answers at ADDRESS, show what it reads, and print its part of the site file.

    Only registers are read. Without "?baud=..." the usual settings of a serial line are tried in turn.
    Exit code 0: found. 1: nothing plausible, or not reachable. 2: wrong arguments.

    \b
    edgegw meter probe tcp://10.0.0.7
    edgegw meter probe rtu+tcp://10.0.0.9:4001 --unit 3
    edgegw meter probe rtu:///dev/ttyUSB0 --write config/edgegw.toml
    """
    click.echo(f"edgegw: {ALONE}", err=True)
    try:
        known = load_templates(templates)
        found = asyncio.run(_probe(address, units, known))
    except MeterFault as fault:
        fail(as_json, str(fault), NOT_READ)
    except ConfigFault as fault:
        fail(as_json, str(fault), 2)
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        sys.exit(130)
    if as_json:
        click.echo(json.dumps({"found": [msgspec.to_builtins(one) for one in found]}))
    else:
        _tell_found(found)
    best = _best(found)
    if file is not None and best:
        _write(file, best)
    sys.exit(0 if best else NOT_READ)


async def _probe(address: str, units: tuple[int, ...], templates: Mapping[str, Template]) -> list[Found]:
    found: list[Found] = []
    with _Progress() as tell:
        for line in _lines(address):
            settings = f" {line.baud} baud, parity {line.parity}:" if line.transport == "rtu" else ""
            found += await find_meters(line, units, partial(tell, settings), templates=templates)
            if any(one.reading for one in found):
                break
    return found


async def best_at(address: str) -> Found | None:
    """The first meter that answers plausibly. None: none does, or nobody is there."""
    try:
        best = _best(await _probe(address, (), load_templates(None)))
    except MeterFault:
        return None
    return best[0] if best else None


def _lines(address: str) -> Sequence[MeterAddress]:
    line = parse_address(address)
    return [line] if "?" in address else list(line_settings(line))


class _Progress:
    """What is tried now, on stderr: on a terminal a line that is written over, elsewhere a line a unit."""

    def __enter__(self) -> Callable[[str, Progress], None]:
        self._live = sys.stderr.isatty()
        self._last = ""
        return self._tell

    def _tell(self, settings: str, at: Progress) -> None:
        text = f"edgegw:{settings} {at.done + 1} of {at.of}: {at.text}"
        if self._live:
            click.echo(f"\r\x1b[K{text[:110]}", err=True, nl=False)
        elif (head := f"{settings}{at.done}") != self._last:
            self._last = head
            click.echo(text, err=True)

    def __exit__(self, *_: object) -> None:
        if self._live:
            click.echo("\r\x1b[K", err=True, nl=False)


def _best(found: Sequence[Found]) -> list[Found]:
    """The first plausible one of each unit; what a site file needs."""
    best: dict[int, Found] = {}
    for one in found:
        if one.reading is not None:
            best.setdefault(one.unit, one)
    return list(best.values())


def _tell_found(found: Sequence[Found]) -> None:
    if not found:
        click.echo(f"no meter found; {NO_TEMPLATE}")
    best = _best(found)
    for one in found:
        if one in best or one.reading is None:
            click.echo(_about(one))
            click.echo(_checks(one) + "\n")
    for one in best:
        others = [
            f"{two.template} ({two.confidence})" for two in found if two.unit == one.unit and two != one
        ]
        if others:
            click.echo(f"unit {one.unit}: these fit too: {', '.join(others)}; the type plate decides\n")
    for number_, one in enumerate(best):
        click.echo(config_block(one, _name(number_)))


def _about(one: Found) -> str:
    mark = "it says so itself" if one.identified else "known by its values"
    verdict = f"not usable: {one.reason}" if one.reason else "plausible"
    return (
        f"unit {one.unit}: {plain(one.name)}\n"
        f"template {one.template}, {one.confidence} ({mark}); function {one.function}, "
        f"{one.word_order} word order\n{verdict}\n"
    )


def _checks(one: Found) -> str:
    words = {True: "yes", False: "NO", None: "?"}
    return table(
        ("VALUE", ">READS", "", "PLAUSIBLE", "EXPECTED"),
        (
            (check.name, shown(check.value), check.unit, words[check.plausible], check.expected)
            for check in one.checks
        ),
    )


def _name(index: int) -> str:
    return "main" if index == 0 else f"meter-{index + 1}"


def _write(file: Path, best: Sequence[Found]) -> None:
    """Add a [[meter]] for each to a site file, or make one. What is in the file stays as it is."""
    text = file.read_text("utf-8") if file.exists() else ""
    try:
        there = tomllib.loads(text).get("meter", [])
    except tomllib.TOMLDecodeError as error:
        fail(False, f"{file}: {error}; nothing was written", 2)
    names = {str(one.get("name")) for one in there}
    for one in best:
        if any((two.get("address"), two.get("unit")) == (one.address, one.unit) for two in there):
            click.echo(f"edgegw: {file} has {one.address} unit {one.unit} already", err=True)
            continue
        name = next(name for name in map(_name, range(len(names) + 1)) if name not in names)
        names.add(name)
        text += ("\n" if text else "") + config_block(one, name)
        click.echo(f'edgegw: meter "{name}" added to {file}', err=True)
    _replace(file, text)


def _replace(file: Path, text: str) -> None:
    new = file.with_name(f".{file.name}.new")
    try:
        new.unlink(missing_ok=True)  # no link that waits there is followed
        with new.open("x", encoding="utf-8") as opened:
            opened.write(text)
        if file.exists():
            new.chmod(file.stat().st_mode)
        os.replace(new, file)
    except OSError as error:
        fail(False, f"{file}: {error.strerror}", 1)
