"""`edgegw check`: read a site file, say everything that is wrong with it, change nothing."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import click

from edgegw import config, units
from edgegw.catalogue.alarms import load_alarms
from edgegw.catalogue.load import load_catalogue
from edgegw.cli.site_option import site_option
from edgegw.cli.tables import number
from edgegw.config_text import Complaint, SiteFileFault
from edgegw.control import doors
from edgegw.errors import ConfigFault
from edgegw.links import tls
from edgegw.quirks.load import load_quirks


@click.command()
@site_option("file")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
def check(file: Path, as_json: bool) -> None:
    """Read a site file and say what is wrong with it.

    Exit code 0: it can be used. 2: it cannot; file, line, key, value and what is allowed are printed.
    """
    try:
        site = config.load(file)
    except SiteFileFault as fault:
        _refuse(file, fault, as_json)
    try:
        open_files(site)
    except ConfigFault as fault:
        _refuse(file, SiteFileFault((Complaint(str(file), 0, "", "", str(fault)),)), as_json)
    warnings = config.warnings(site)
    if as_json:
        facts = {"ok": True, "file": str(file), "site": site.site.id, "complaints": [], "warnings": warnings}
        click.echo(json.dumps(facts))
        return
    for warning in warnings:
        click.echo(f"{file}: warning: {warning}", err=True)
    click.echo(f"{file}: ok: {summary(site)}")


def open_files(site: config.SiteConfig) -> None:
    """What `run` would refuse at its start: keys, certificates, the token, data files. Raises ConfigFault."""
    chargers, cloud, control = site.chargers, site.cloud, site.control
    if chargers.tls_certificate is not None and chargers.tls_key is not None:
        tls.server_context([tls.CertificateFiles(chargers.tls_certificate, chargers.tls_key)])
    if cloud is not None and cloud.ca_file is not None:
        tls.client_context(cloud.ca_file)
    if control.token_file is not None:
        doors.read_tokens(control.token_file, control.read_token_file)
    if site.connector or site.files:
        load_quirks(site.balancing.quirks_directory)
    load_catalogue(site.chargers.catalogue_directory)
    load_alarms(site.chargers.catalogue_directory)
    files = site.files
    if files is not None and files.tls_certificate is not None and files.tls_key is not None:
        tls.server_context([tls.CertificateFiles(files.tls_certificate, files.tls_key)])
    if files is not None and files.ca_file is not None:
        tls.client_context(files.ca_file)
    mqtt = site.mqtt
    if mqtt is not None and mqtt.tls:
        own = mqtt.tls_certificate, mqtt.tls_key
        pair = tls.CertificateFiles(own[0], own[1]) if own[0] is not None and own[1] is not None else None
        tls.client_context(mqtt.ca_file, pair)
    if site.meter:
        from edgegw.app_meters import check_meters

        check_meters(site)


def _refuse(file: Path, fault: SiteFileFault, as_json: bool) -> NoReturn:
    if as_json:
        complaints = [asdict(complaint) for complaint in fault.complaints]
        click.echo(json.dumps({"ok": False, "file": str(file), "complaints": complaints, "warnings": []}))
    else:
        click.echo(str(fault), err=True)
    sys.exit(2)


def summary(site: config.SiteConfig) -> str:
    """What the box would do, in one line: site, door, cloud, store."""
    scheme = "wss" if site.chargers.tls_certificate else "ws"
    cloud = f"cloud {site.cloud.url}" if site.cloud else "standalone, no cloud"
    kept = units.format_duration(site.store.retention_s)
    door = f"{scheme}://{site.chargers.listen}{site.chargers.path}/<identity>"
    words = (
        f"site {site.site.id}; chargers dial {door}; {cloud}; records in {site.store.directory}, kept {kept}"
    )
    if site.connector:
        meters = ", ".join(meter.name for meter in site.meter) or "no meter"
        words += f"; balanced: {number(len(site.connector), 'connector')} on"
        words += f" {number(len(site.circuit), 'circuit')} by {meters}"
    if site.files is not None:
        words += f"; files at {site.files.public_url or site.files.listen}, kept in {site.files.directory}"
    if site.mqtt is not None:
        takes = f"takes {', '.join(site.mqtt.commands)}" if site.mqtt.commands else "takes no commands"
        words += f"; published at {site.mqtt.broker} below {site.mqtt.base}/, {takes}"
    return words
