"""`edgegw init`: a few questions, and a site file that can be used.

Rules of this file:
- Every answer is held at once against the rules of the site file, and asked again, in their words, until it
  fits.
- Every question has an option; with --yes nothing is asked, and a wrong option ends it.
- The file is written whole or not at all, and never over another one unless told so.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket as net
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from edgegw import config as site_file
from edgegw.cli.asking import DEFAULT_CONFIG, REFUSED
from edgegw.cli.check import open_files, summary
from edgegw.cli.init_text import NONE, Answers, site_text
from edgegw.cli.tables import fit
from edgegw.config_text import Complaint, SiteFileFault
from edgegw.errors import ConfigFault
from edgegw.store.directory import sync_directory

RESERVE_SHARE = 0.3  # of the main fuse, for the building while no meter says what it draws
TRIAL_FUSE_A = 1000.0
ANY_TEMPLATE = "eastron_sdm630"  # while nobody has said which


class Question(NamedTuple):
    """`read`: from what was typed to what `Answers` holds. Raises ValueError in words."""

    name: str
    text: str
    read: Callable[[str], Any] = str
    asked: Callable[[Answers], bool] = lambda answers: True


def _amps(text: str) -> float:
    try:
        return float(text.strip().removesuffix("A"))
    except ValueError:
        raise ValueError(f'"{text}" is no number of amps') from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip() and part.strip() != NONE)


QUESTIONS = (
    Question("site_id", "A short name for this site"),
    Question("fuse", "Main fuse, amps per phase (0: do not balance)", _amps),
    Question("phases", "Phases of the chargers", asked=lambda a: bool(a.fuse)),
    Question(
        "meter",
        'Modbus meter at the main fuse, such as tcp://10.0.0.7, or "none"',
        asked=lambda a: bool(a.fuse),
    ),
    Question(
        "meter_template", "Which meter it is (edgegw meter probe finds out)", asked=lambda a: a.meter != NONE
    ),
    Question(
        "reserve", "Amps to keep for everything else while no meter answers", _amps, lambda a: bool(a.fuse)
    ),
    Question("cloud", 'Cloud, such as wss://csms.example/ocpp, or "none"'),
    Question("listen", "Where chargers dial in"),
    Question("chargers", 'Identities of the chargers, with commas, or "none"', _names),
    Question("unknown", "Chargers that are not named: accept or refuse"),
    Question("store", "Folder for records"),
    Question("socket", "Control socket (empty: in that folder)"),
    Question("mqtt", 'MQTT broker of the building, such as mqtt://10.0.0.9, or "none"'),
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=DEFAULT_CONFIG)
@click.option("--site-id", help="A short name for this site.")
@click.option("--fuse", help="Main fuse, amps per phase; 0: nothing is balanced.")
@click.option("--phases", help='Phases of the chargers, such as "L1 L2 L3".')
@click.option("--meter", help='Modbus meter, such as tcp://10.0.0.7, or "none".')
@click.option("--meter-template", help="Which meter it is; without it the address is probed.")
@click.option("--reserve", help="Amps for everything else while no meter answers.")
@click.option("--cloud", help='The CSMS, such as wss://csms.example/ocpp, or "none".')
@click.option("--listen", help='Where chargers dial in, such as "0.0.0.0:9000".')
@click.option("--charger", "chargers", multiple=True, help="Identity of a charger; more than once.")
@click.option("--unknown", help="Chargers that are not named: accept or refuse.")
@click.option("--store", help="Folder for records.")
@click.option("--socket", help="Control socket.")
@click.option("--mqtt", help='Broker of the building, or "none".')
@click.option("--yes", is_flag=True, help="Ask nothing: options, and defaults for the rest.")
@click.option("--force", is_flag=True, help="Replace FILE when it is there.")
def init(file: Path, yes: bool, force: bool, chargers: tuple[str, ...], **given: str | None) -> None:
    """Ask a few questions and write a commented site file that `edgegw check` finds nothing wrong with.

    Exit code 0: written. 1: not written. 2: wrong options.

    \b
    edgegw init
    edgegw init site.toml --yes --site-id depot-1 --fuse 63 \\
        --cloud wss://csms.example/ocpp
    """
    if file.exists() and not force:
        raise click.UsageError(f"{file} is there already: name another file, or --force")
    told = {name: text for name, text in given.items() if text is not None}
    if chargers:
        told["chargers"] = ", ".join(chargers)
    answers = Interview(file, told, asks=not yes).all()
    config = _checked(file, answers)
    try:
        _write(file, site_text(answers), force=force)
    except OSError as error:
        click.echo(f"edgegw: {file}: {error.strerror or error}; nothing was written", err=True)
        sys.exit(REFUSED)
    for warning in site_file.warnings(config):
        click.echo(fit(f"edgegw: warning: {warning}", err=True), err=True)
    click.echo(fit(f"{file}: {summary(config)}"))
    click.echo(f"next: edgegw check --config {file}; edgegw run --config {file}")


class Interview:
    def __init__(self, file: Path, told: dict[str, str], *, asks: bool) -> None:
        self._file = file
        self._told = told
        self._asks = asks
        self._answers = Answers(site_id=_default_site_id(), store=_default_store())

    def all(self) -> Answers:
        """Raises click.UsageError for an option that does not fit."""
        for question in QUESTIONS:
            if question.asked(self._answers):
                self._answers = self._one(question)
            elif question.name in self._told:
                raise click.UsageError(
                    f"--{question.name.replace('_', '-')} does not go with the other answers"
                )
        return self._answers

    def _one(self, question: Question) -> Answers:
        if question.name == "meter_template" and question.name not in self._told:
            self._probe()
        text = self._told.get(question.name)
        if text is None and not self._asks:
            return self._with(question, self._default(question))
        while True:
            typed = (
                text if text is not None else click.prompt(question.text, self._default(question), err=True)
            )
            try:
                return self._fitting(question, str(typed))
            except (ValueError, ConfigFault) as fault:
                words = _words(fault)
                if text is not None:
                    option = question.name.replace("_", "-").replace("chargers", "charger")
                    raise click.UsageError(f"--{option}: {words}") from None
                click.echo(fit(f"  {words}", err=True), err=True)

    def _with(self, question: Question, text: str) -> Answers:
        try:
            return self._fitting(question, text)
        except (ValueError, ConfigFault) as fault:
            raise click.UsageError(_words(fault)) from None

    def _fitting(self, question: Question, typed: str) -> Answers:
        """Raises ValueError, ConfigFault."""
        value = question.read("" if typed == '""' else typed.strip())
        answers = replace(self._answers, **{question.name: value})
        if question.name == "meter" and answers.meter != NONE:
            site_file.loads(site_text(replace(answers, meter_template=ANY_TEMPLATE)), self._file)
            return answers
        if question.name == "phases":  # no charger is named yet, and only a connector has phases
            trial = replace(answers, chargers=("CP-1",), fuse=TRIAL_FUSE_A, reserve=0.0)
            site_file.loads(site_text(trial), self._file)
        open_files(site_file.loads(site_text(answers), self._file))
        return answers

    def _default(self, question: Question) -> str:
        a = self._answers
        if question.name == "reserve":
            return f"{round(a.fuse * RESERVE_SHARE):g}"
        if question.name == "unknown":
            return "refuse" if a.chargers else "accept"
        if question.name == "chargers":
            return NONE
        if question.name == "meter_template":
            return a.meter_template or ANY_TEMPLATE
        value = getattr(a, question.name)
        return f"{value:g}" if isinstance(value, float) else str(value)

    def _probe(self) -> None:
        """Find out which meter it is, when there is somebody to ask or nobody has said."""
        address = self._answers.meter
        if self._asks and not click.confirm(
            f"Look now which meter answers at {address}?", default=True, err=True
        ):
            return
        from edgegw.cli.meter import best_at  # Modbus: only for a site with a meter

        best = asyncio.run(best_at(address))
        if best is None:
            click.echo(f"  no meter that is known answers at {address}", err=True)
            if not self._asks:
                raise click.UsageError(f"no known meter answers at {address}: give --meter-template")
            return
        click.echo(f"  {best.name}: template {best.template}, unit {best.unit}", err=True)
        self._answers = replace(self._answers, meter_template=best.template, meter_unit=best.unit)


def _words(fault: Exception) -> str:
    if not isinstance(fault, SiteFileFault):
        return str(fault)
    return "; ".join(_complaint(complaint) for complaint in fault.complaints)


def _complaint(complaint: Complaint) -> str:
    what = f"{complaint.key} = {complaint.value}" if complaint.value else complaint.key
    return f"{what}: {complaint.text}" if what else complaint.text


def _default_site_id() -> str:
    name = re.sub(r"[^A-Za-z0-9_-]", "-", net.gethostname().split(".")[0])[:48]
    return name.strip("-") or "site-1"


def _default_store() -> str:
    return "/var/lib/edgegw" if os.access("/var/lib", os.W_OK) else "store"


def _checked(file: Path, answers: Answers) -> site_file.SiteConfig:
    """Raises click.UsageError: what `edgegw check` would say."""
    try:
        config = site_file.loads(site_text(answers), file)
        open_files(config)
    except ConfigFault as fault:
        raise click.UsageError(str(fault)) from None
    return config


def _write(file: Path, text: str, *, force: bool) -> None:
    """Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    try:
        with part.open("x", encoding="utf-8") as opened:  # no link that waits there is followed
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        if force:
            part.replace(file)
        else:
            os.link(part, file)  # unlike a rename it never replaces
        sync_directory(file.absolute().parent)
    finally:
        part.unlink(missing_ok=True)
