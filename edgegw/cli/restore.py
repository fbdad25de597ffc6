"""`edgegw restore`: a backup takes the place of the store of this box. Needs no gateway, and wants none."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import NoReturn

import click
import msgspec

from edgegw import config as site_file
from edgegw.cli.asking import REFUSED, USAGE
from edgegw.cli.progress import Stages
from edgegw.cli.site_option import site_option
from edgegw.cli.tables import minute, number
from edgegw.config import SiteConfig
from edgegw.config_text import SiteFileFault
from edgegw.errors import EdgegwError, StoreLocked, StoreNewer
from edgegw.new_files import new_file
from edgegw.redaction import plain
from edgegw.store import archive, copy_check, restoring
from edgegw.store.archive import ArchiveFault, Manifest
from edgegw.store.directory import StoreDirectory
from edgegw.store.reader import StoreCounts

MEANING = """\
What this means for charging and billing:
  - What happened after {made_at} is not in the backup. Transactions and messages of that time are no longer
    in this store; what had not reached the cloud by then is lost here. It stays in the old store beside it.
  - Messages that waited for the cloud at that time are sent again. The cloud may have had them: it sees the
    same message ids and transactions a second time and must sort them out.
  - Transactions that were running at that time count as running; chargers tell when they end.
  - Transaction ids that this box gives go on a million further: chargers may still hold later ones."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, readable=True))
@site_option("path")
@click.option("--dry-run", is_flag=True, help="Only look at FILE and say what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--site-file",
    "extracted",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the site file of the backup here.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of text.")
def restore(file: Path, path: Path, dry_run: bool, yes: bool, extracted: Path | None, as_json: bool) -> None:
    """Put the store of a backup in the place of this box's store. The gateway must be stopped.

    The old store stays in the store directory as edgegw.db.before-restore-TIME; nothing is deleted. The site
    file is not touched. Exit code 0: done. 1: it was not; the reason is printed, the old store is in place.
    2: wrong arguments or site file.
    """
    try:
        config = site_file.load(path)
    except SiteFileFault as fault:
        _fail(as_json, USAGE, str(fault))
    try:
        if dry_run:
            _dry_run(file, config, as_json)
        else:
            _restore(file, config, yes=yes, extracted=extracted, as_json=as_json)
    except ArchiveFault as fault:
        _fail(as_json, REFUSED, f"{file} is not restored: {fault}")
    except StoreNewer as fault:
        _fail(as_json, REFUSED, f"{file} is not restored: {fault}")
    except EdgegwError as fault:
        _fail(as_json, REFUSED, str(fault))
    except OSError as fault:
        _fail(as_json, REFUSED, f"{fault.filename or file}: {fault.strerror or fault}; nothing was restored")


def _fail(as_json: bool, code: int, text: str) -> NoReturn:
    if as_json:
        click.echo(json.dumps({"error": {"code": "refused" if code == REFUSED else "usage", "text": text}}))
    else:
        click.echo(f"edgegw: {plain(text) if code == REFUSED else text}", err=True)
    sys.exit(code)


def _look_at(file: Path, folder: Path, stages: Stages) -> Manifest:
    """Raises ArchiveFault, StoreFault, OSError."""
    manifest = archive.unpack(file, folder, lambda done, total: stages("unpacking", done, total))
    asyncio.run(
        copy_check.check_journal(
            folder / archive.JOURNAL, manifest.counts, lambda done, total: stages("checking", done, total)
        )
    )
    if (folder / archive.TELEMETRY).exists():
        copy_check.check_file(folder / archive.TELEMETRY)
    return manifest


def _made_at(manifest: Manifest) -> str:
    return minute(plain(manifest.made_at))


def _about(file: Path, manifest: Manifest) -> str:
    held = number(manifest.counts.tables.get("journal", 0), "message")
    transactions = number(manifest.counts.tables.get("transaction_record", 0), "transaction")
    made = f"made {_made_at(manifest)} by edgegw {plain(manifest.edgegw)}"
    return f"{file}: site {plain(manifest.site)}, {made}; {held}, {transactions}; whole"


def _dry_run(file: Path, config: SiteConfig, as_json: bool) -> None:
    with Stages(as_json=as_json) as stages, restoring.work_folder(file.absolute().parent) as folder:
        manifest = _look_at(file, folder, stages)
    running = _is_locked(config)
    if as_json:
        told = {"dry_run": True, "gateway_running": running, "manifest": msgspec.to_builtins(manifest)}
        click.echo(json.dumps({"restore": told}))
        return
    click.echo(_about(file, manifest))
    click.echo(_other_site(config, manifest) + MEANING.format(made_at=_made_at(manifest)))
    click.echo(f"it would take the place of the store in {config.store.directory}; nothing was changed")
    if running:
        click.echo("edgegw: a gateway runs on that store: it must be stopped first", err=True)


def _is_locked(config: SiteConfig) -> bool:
    if not config.store.directory.exists():
        return False
    try:
        StoreDirectory(config.store.directory, 0).close()
    except StoreLocked:
        return True
    return False


def _restore(file: Path, config: SiteConfig, *, yes: bool, extracted: Path | None, as_json: bool) -> None:
    store = config.store
    place = StoreDirectory(store.directory, store.reserve_bytes)
    try:
        restoring.remove_leftovers(store.directory)
        with Stages(as_json=as_json) as stages, restoring.work_folder(store.directory) as folder:
            manifest = _look_at(file, folder, stages)
            stages.pause()
            if not yes:
                _ask(file, config, manifest, as_json)
            if extracted is not None:
                _extract(folder / archive.SITE_FILE, extracted)
            aside = restoring.put_in_place(place, folder, time.time())
    finally:
        place.close()
    counts = asyncio.run(
        restoring.open_once(store.directory, retention_s=store.retention_s, reserve_bytes=store.reserve_bytes)
    )
    _tell(config, manifest, counts, aside, as_json)


def _ask(file: Path, config: SiteConfig, manifest: Manifest, as_json: bool) -> None:
    click.echo(_about(file, manifest), err=True)
    click.echo(_other_site(config, manifest) + MEANING.format(made_at=_made_at(manifest)), err=True)
    if as_json or not sys.stdin.isatty():
        _fail(as_json, USAGE, "nobody is here to answer: give --yes when this is what you want")
    try:
        wanted = click.confirm("restore it?", err=True)
    except click.Abort:
        click.echo("\nedgegw: nothing was changed", err=True)
        raise
    if not wanted:
        _fail(as_json, REFUSED, "nothing was changed")


def _other_site(config: SiteConfig, manifest: Manifest) -> str:
    if manifest.site == config.site.id:
        return ""
    return f"This is the backup of another site: {plain(manifest.site)}, and this box is {config.site.id}.\n"


def _extract(source: Path, target: Path) -> None:
    """Raises OSError, ArchiveFault. Never replaces a file."""
    if not source.exists():
        raise ArchiveFault("it holds no site file: leave --site-file out")
    if target.exists() or target.is_symlink():
        raise ArchiveFault(f"{target} is there already and is not replaced: name another file")
    with new_file(target) as file:
        file.write(source.read_bytes())


def _tell(
    config: SiteConfig, manifest: Manifest, counts: StoreCounts, aside: tuple[Path, ...], as_json: bool
) -> None:
    if as_json:
        told = {
            "directory": str(config.store.directory),
            "aside": [str(path) for path in aside],
            "waiting": counts.stored,
            "parked": counts.parked,
            "manifest": msgspec.to_builtins(manifest),
        }
        click.echo(json.dumps({"restore": told}))
        return
    held = number(counts.stored + counts.parked + counts.settled, "message")
    click.echo(f"restored to {config.store.directory}: {held}, {counts.stored} of them wait for the cloud")
    for path in aside:
        click.echo(f"the old store is kept: {path}")
    if not aside:
        click.echo("there was no old store")
