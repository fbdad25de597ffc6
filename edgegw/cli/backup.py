"""`edgegw backup`: the store of the running gateway in one file, looked at before it gets its name."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import click
import msgspec

from edgegw.cli.asking import OK, Asking, asks_gateway
from edgegw.cli.progress import Stages
from edgegw.cli.tables import number, size
from edgegw.control.backup_models import BackupProgress, BackupReady
from edgegw.control.client import ControlClient, Refused
from edgegw.errors import StoreFault
from edgegw.store import archive, copy_check
from edgegw.store.archive import ArchiveFault, Manifest
from edgegw.store.directory import sync_directory
from edgegw.store.restoring import work_folder

COMPRESSED = frozenset({".gz", ".tgz"})
NAMES = (".tar", ".tar.gz", ".tgz")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--telemetry", is_flag=True, help="Orders, events and recorded frames too.")
@click.option("--force", is_flag=True, help="Replace FILE when it is there.")
@asks_gateway
def backup(client: ControlClient, asking: Asking, file: Path, telemetry: bool, force: bool) -> int:
    """Copy the store of the running gateway to FILE (.tar, or .tar.gz), while it goes on.

    What is in it: the journal of this moment, the site file, the list of the firmware kept here (not the
    files). What is not: passwords, keys and certificates; keep those elsewhere. FILE holds card ids: keep it
    as safe as the box itself.

    FILE is checked before it gets its name: every page, every row, every count. With --json one document per
    line: {"progress": ...}, and at the end {"backup": ...}.

    \b
    edgegw backup /mnt/usb/depot-1.tar.gz
    """
    if not file.name.endswith(NAMES):
        raise click.UsageError(f"{file}: name it FILE.tar, or FILE.tar.gz")
    if file.exists() and not force:
        raise Refused(0, "exists", f"{file} is there already: take another name, or --force")
    try:
        with _part_of(file) as part, Stages(as_json=asking.as_json) as stages:
            ready = _fetch(client, stages, part, telemetry=telemetry, compress=file.suffix in COMPRESSED)
            manifest = _look_at(part, stages)
            part.replace(file)
            sync_directory(file.absolute().parent)
    except OSError as error:
        raise Refused(
            0, "not_written", f"{error.filename or file}: {_words(error)}; no backup was made"
        ) from error
    except (ArchiveFault, StoreFault) as fault:
        raise Refused(0, "damaged", f"the backup was not whole and was removed: {fault}") from fault
    _tell(asking, file, ready, manifest)
    return OK


def _words(error: OSError) -> str:
    return error.strerror or str(error)


@contextmanager
def _part_of(file: Path) -> Iterator[Path]:
    """Where it is written until it is whole. Raises OSError when nothing can be written there."""
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _fetch(
    client: ControlClient, stages: Stages, part: Path, *, telemetry: bool, compress: bool
) -> BackupReady:
    def told(at: BackupProgress) -> None:
        stages(at.phase, at.done_bytes, at.total_bytes)

    ready = client.make_backup(telemetry=telemetry, told=told)
    with _written(part, compress=compress) as into:
        client.fetch_backup(ready, into, moved=lambda moved: stages("fetching", moved, ready.size_bytes))
    return ready


@contextmanager
def _written(part: Path, *, compress: bool) -> Iterator[BinaryIO]:
    """Whole and on disk when this ends."""
    with part.open("wb") as plain:
        if compress:
            with gzip.GzipFile(fileobj=plain, mode="wb", filename="", compresslevel=6) as packed:
                yield cast(BinaryIO, packed)
        else:
            yield plain
        plain.flush()
        os.fsync(plain.fileno())


def _look_at(part: Path, stages: Stages) -> Manifest:
    """Unpack what arrived and look at all of it. Raises ArchiveFault, StoreFault, OSError."""
    with work_folder(part.absolute().parent) as folder:
        manifest = archive.unpack(part, folder, lambda done, total: stages("unpacking", done, total))
        rows = asyncio.run(
            copy_check.check_journal(
                folder / archive.JOURNAL, manifest.counts, lambda done, total: stages("checking", done, total)
            )
        )
        assert rows == manifest.counts
        if (telemetry := folder / archive.TELEMETRY).exists():
            copy_check.check_file(telemetry)
    return manifest


def _tell(asking: Asking, file: Path, ready: BackupReady, manifest: Manifest) -> None:
    if asking.as_json:
        told = {
            "file": str(file),
            "size_bytes": file.stat().st_size,
            "manifest": msgspec.to_builtins(manifest),
        }
        click.echo(json.dumps({"backup": told}))
        return
    held = f"{number(ready.messages, 'message')} and {number(ready.transactions, 'transaction')}"
    click.echo(
        f"{file}: {size(file.stat().st_size)}, {held} of site {manifest.site}; checked, all of it is whole"
    )
    if manifest.site_file_newer:
        click.echo(
            "edgegw: the site file was changed after the gateway read it; the newer one is in it", err=True
        )
    if archive.SITE_FILE not in {member.name for member in manifest.members}:
        click.echo("edgegw: the site file could not be read by the gateway and is not in it", err=True)
