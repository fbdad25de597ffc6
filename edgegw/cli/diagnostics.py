"""`edgegw diagnostics`: what chargers uploaded, and fetching the log of one for the site."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path

import click

from edgegw.cli.asking import OK, Asking, asks_gateway
from edgegw.cli.completing import charger_names
from edgegw.cli.progress import moving, waiting
from edgegw.cli.tables import minute, size, span, table
from edgegw.control.client import ControlClient, Refused, Silent
from edgegw.control.firmware_models import UploadView
from edgegw.redaction import plain
from edgegw.units import parse_duration

POLL_S = 1.0
_DONE = ("kept", "forwarded", "failed")
NAME_CHARACTERS_MAX = 120
COLUMNS = ("=ORDER", "CHARGER", "FOR", "STATE", ">SIZE", "ASKED", "FILE")

_output = click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it there; what is there is replaced.",
)


@click.group(invoke_without_command=True)
@asks_gateway
def diagnostics(client: ControlClient, asking: Asking) -> int:
    """What chargers uploaded, newest first, and what became of it."""
    found = client.uploads().uploads
    asking.tell(client, table(COLUMNS, (_line(upload) for upload in found)) if found else "no uploads")
    return OK


def _line(upload: UploadView) -> tuple[str, ...]:
    """As few columns as will do: orders and identities are long, and terminals are not."""
    size_text = size(upload.size_bytes) if upload.size_bytes else ""
    whose = upload.asked_by if upload.kind == "diagnostics" else f"{upload.asked_by}, {upload.kind}"
    why = upload.error or (f"to {upload.target}" if upload.target else "")
    state = f"{upload.state}: {why}" if why else upload.state
    asked = minute(upload.created_at)
    return (upload.order, upload.charger, whose, state, size_text, asked, upload.file_name)


@diagnostics.command()
@click.argument("charger", shell_complete=charger_names)
@click.option("--security", is_flag=True, help="The security log instead.")
@click.option("--timeout", default="30 min", show_default=True, help="How long to wait for the charger.")
@_output
@asks_gateway
def get(
    client: ControlClient, asking: Asking, charger: str, security: bool, timeout: str, output: Path | None
) -> int:
    """Fetch the log of CHARGER and write it to a file; its cloud hears nothing of it.

    Exit code 0: the file is here. 1: the charger cannot be asked now, or failed. 4: it did not come in time;
    it may still come: see "edgegw diagnostics".
    """
    try:
        timeout_s = parse_duration(timeout)
    except ValueError as error:
        raise click.UsageError(f"--timeout {timeout}: {error}") from error
    asked = client.ask_diagnostics(charger, "security" if security else "diagnostics")
    upload = _await(client, asking, asked, timeout_s)
    if upload.state == "failed":
        raise Refused(0, "upload_failed", f"{charger} gave no log: {upload.error or upload.status}")
    return _save(client, asking, upload, output)


def _await(client: ControlClient, asking: Asking, upload: UploadView, timeout_s: float) -> UploadView:
    ends = time.monotonic() + timeout_s
    with waiting(f"{upload.charger} is asked for its log", quiet=asking.as_json) as tell:
        while upload.state not in _DONE:
            if time.monotonic() > ends:
                if upload.available:  # it came, and the charger forgets to say so
                    return upload
                raise Silent(f"{upload.charger} sent no log within {span(timeout_s)}: {upload.order}")
            tell(f"{upload.charger}: {upload.state} {upload.status}".rstrip())
            time.sleep(POLL_S)
            upload = client.upload(upload.order)
    return upload


@diagnostics.command()
@click.argument("order")
@_output
@asks_gateway
def save(client: ControlClient, asking: Asking, order: str, output: Path | None) -> int:
    """Write the file of the upload ORDER to this machine."""
    return _save(client, asking, client.upload(order), output)


def _save(client: ControlClient, asking: Asking, upload: UploadView, output: Path | None) -> int:
    target = output or free_name(upload)
    told = client.last
    try:
        with moving(target.name, upload.size_bytes, quiet=asking.as_json) as moved:
            size_bytes = client.save_upload(upload.order, target, moved=moved)
    except OSError as error:
        raise Refused(0, "no_file", f"cannot write {target}: {error.strerror}") from error
    client.last = {**told, "saved_as": str(target)}
    asking.tell(client, f"{target}: {size(size_bytes)}, sha256 {upload.sha256}")
    return OK


def free_name(upload: UploadView) -> Path:
    """A name in this folder that is not taken. The charger chose a part of it: letters, digits, .-_ stay."""
    name = upload.file_name or f"{upload.kind}.log"
    wanted = "".join(c if c.isalnum() or c in ".-_" else "_" for c in plain(f"{upload.charger}-{name}"))
    path = Path(wanted[-NAME_CHARACTERS_MAX:].lstrip("."))
    names = (path if n == 1 else path.with_stem(f"{path.stem}-{n}") for n in count(1))
    return next(name for name in names if not name.exists())
