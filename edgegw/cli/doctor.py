"""`edgegw doctor`: what looks wrong at this box, the worst first; and one file for whoever is to help."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from edgegw import config as site_file
from edgegw.cli import doctor_bundle, doctor_local, doctor_network, doctor_running
from edgegw.cli.asking import DEFAULT_CONFIG, Asking
from edgegw.cli.doctor_findings import Check, Finding, run_all, worst_first, wrong
from edgegw.cli.doctor_running import Shown
from edgegw.cli.progress import Stages
from edgegw.cli.tables import fit, number
from edgegw.config import SiteConfig
from edgegw.config_text import SiteFileFault
from edgegw.control.faults import ControlFault

STORE_WITHIN_S = 120.0


@click.command()
@click.option(
    "--config", "file", type=click.Path(path_type=Path), help=f"The site file; default {DEFAULT_CONFIG}."
)
@click.option(
    "--socket", type=click.Path(path_type=Path), help="The control socket, when the site file names another."
)
@click.option("--url", help="The loopback port instead, such as http://127.0.0.1:9001.")
@click.option("--token-file", type=click.Path(path_type=Path), help="The token for --url.")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write all of it to this .tar.gz."
)
@click.option("--force", is_flag=True, help="Replace the file of --output when it is there.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
def doctor(
    file: Path | None,
    socket: Path | None,
    url: str | None,
    token_file: Path | None,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Look at everything around this gateway and say what looks wrong, with what to do.

    Works whether the gateway runs or not, and changes nothing. With --output the findings, the site file and
    all that the gateway shows of itself go into one file; passwords, keys and card ids do not.

    Exit code 0: nothing is wrong. 1: something is. 2: wrong arguments.
    """
    path = file or Path(os.environ.get("EDGEGW_CONFIG") or DEFAULT_CONFIG)
    if output is not None and output.exists() and not force:
        raise click.UsageError(f"{output} is there already: take another name, or --force")
    asking = Asking(socket=socket, config=path, url=url, token_file=token_file)
    try:
        config: SiteConfig | None = site_file.load(path)
    except SiteFileFault:
        config = None  # the check of the site file says why
    with Stages(as_json=False, quiet=as_json) as stages:
        shown, asked = _ask(asking, config, stages)
        found = run_all(list(_checks(path, config, shown)), partial(stages, "checking"))
    findings = list(worst_first([*asked, *found]))
    _tell(findings, as_json, config, path, token_file)
    if output is not None:
        _write(output, findings, path, config, shown, token_file, as_json)
    sys.exit(1 if any(finding.level == "wrong" for finding in findings) else 0)


def _ask(asking: Asking, config: SiteConfig | None, stages: Stages) -> tuple[Shown, list[Finding]]:
    """What the gateway shows, and what is wrong with asking it."""
    if config is None and asking.socket is None and asking.url is None:
        return Shown(), []
    try:
        with asking.client() as client:
            return doctor_running.collect(client, partial(stages, "asking the gateway")), []
    except ControlFault as fault:
        if config is not None and doctor_local.is_locked(config.store.directory):
            todo = "restart it: it runs with another site file, or hangs"
            return Shown(), [wrong("gateway", f"it runs, and cannot be asked: {fault}", todo)]
        todo = "systemctl start edgegw, or edgegw run; its log says why it ended"
        return Shown(), [wrong("gateway", f"it does not run: {fault}", todo)]


def _checks(path: Path, config: SiteConfig | None, shown: Shown) -> Iterator[Check]:
    yield Check("site file", partial(doctor_local.site, path))
    yield Check("machine", doctor_local.machine)
    yield Check("clock", doctor_local.clock)
    running = bool(shown.documents)
    if running:
        yield Check("gateway", partial(doctor_running.gateway, shown))
    if config is None:
        return
    yield Check("rights", partial(doctor_local.rights, config, path))
    yield Check("store", partial(doctor_local.store, config), STORE_WITHIN_S)
    locked = doctor_local.is_locked(config.store.directory)
    yield Check(
        "control socket", partial(doctor_running.control_socket, config.control.socket, running=locked)
    )
    yield Check("firmware cache", partial(doctor_local.cache, config))
    yield Check("ports", partial(doctor_network.ports, config, running=running or locked))
    if config.cloud is not None:
        yield Check("cloud", partial(doctor_network.cloud, config.cloud))
    for meter in config.meter:
        yield Check(
            f"meter {meter.name}", partial(doctor_network.meter, config, meter, running=running or locked)
        )
    if config.mqtt is not None:
        yield Check("mqtt", partial(doctor_network.broker, config.mqtt))


def _tell(
    findings: list[Finding], as_json: bool, config: SiteConfig | None, path: Path, token_file: Path | None
) -> None:
    scrubber = doctor_bundle.scrubber_for(path, config, token_file)
    bad = sum(finding.level == "wrong" for finding in findings)
    if as_json:
        told = {"ok": not bad, "site_file": str(path), "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(json.loads(scrubber.document(json.dumps(told).encode()))))
        return
    notes = sum(finding.level == "look" for finding in findings)
    head = f"{number(bad, 'thing')} wrong" if bad else "nothing is wrong"
    click.echo(f"{head}, {notes} to look at, {len(findings) - bad - notes} all right or left out\n")
    click.echo(fit(doctor_bundle.told(findings, scrubber).rstrip("\n")))


def _write(
    output: Path,
    findings: list[Finding],
    path: Path,
    config: SiteConfig | None,
    shown: Shown,
    token_file: Path | None,
    as_json: bool,
) -> None:
    scrubber = doctor_bundle.scrubber_for(path, config, token_file)
    try:
        doctor_bundle.write(output, doctor_bundle.members(findings, path, shown, scrubber))
    except OSError as error:
        click.echo(f"edgegw: {output}: {error.strerror or error}; nothing was written", err=True)
        sys.exit(1)
    if not as_json:
        click.echo(f"\nall of it is in {output}, without passwords, keys and card ids", err=True)
