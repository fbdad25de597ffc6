"""`edgegw firmware`: the files of the cache, and bringing one of them to the chargers."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import click

from edgegw.cli.asking import OK, Asking, asks_gateway
from edgegw.cli.firmware_names import SHA_SHOWN, named
from edgegw.cli.progress import moving
from edgegw.cli.rollouts import COMMANDS as ROLLOUT_COMMANDS
from edgegw.cli.tables import size, table
from edgegw.control.client import ControlClient, Refused
from edgegw.control.firmware_client import DamagedOnTheWay
from edgegw.control.firmware_models import FetchView, FileView, FirmwareView, TransferView


@click.group(invoke_without_command=True)
@asks_gateway
def firmware(client: ControlClient, asking: Asking) -> int:
    """Firmware kept here, on its way here, and on its way to chargers."""
    found = client.firmware()
    asking.tell(client, "\n\n".join(_parts(found)))
    return OK


def _parts(found: FirmwareView) -> Iterator[str]:
    if found.files:
        columns = ("FILE", "VERSION", "FOR", ">SIZE", "=SHA256", "SIGNATURE", "FROM", "CHARGERS")
        yield table(columns, (_file(file) for file in found.files))
    else:
        yield "no firmware is kept here"
    if found.fetching:
        yield table(
            ("FETCHING", "FROM", "STATE", ">HERE", ">OF"), (_fetch(fetch) for fetch in found.fetching)
        )
    if running := [transfer for transfer in found.transfers if transfer.state == "running"]:
        yield table(
            ("CHARGER", "WAY", "FILE", ">MOVED", ">OF"), (_transfer(transfer) for transfer in running)
        )


def _file(file: FileView) -> tuple[str, ...]:
    made_for = f"{file.vendor} {file.model}".strip()
    signature = "" if file.signature == "none" else file.signature.replace("_", " ")
    sha = file.sha256[:SHA_SHOWN]
    return (file.name, file.version, made_for, size(file.size_bytes), sha, signature, file.origin, _on(file))


def _on(file: FileView) -> str:
    """How many chargers are how far with it."""
    counts: dict[str, int] = {}
    for holder in file.holders:
        counts[holder.status] = counts.get(holder.status, 0) + 1
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))


def _fetch(fetch: FetchView) -> tuple[str, ...]:
    total = size(fetch.total_bytes) if fetch.total_bytes is not None else "-"
    return (fetch.name, fetch.origin, fetch.state, size(fetch.received_bytes), total)


def _transfer(transfer: TransferView) -> tuple[str, ...]:
    way = "to it" if transfer.direction == "down" else "from it"
    total = size(transfer.total_bytes) if transfer.total_bytes is not None else "-"
    return (transfer.charger, way, transfer.name, size(transfer.moved_bytes), total)


# --- files ------------------------------------------------------------------------------------------


EXISTING = click.Path(path_type=Path, exists=True, dir_okay=False)


@firmware.command()
@click.argument("file", type=EXISTING)
@click.option("--vendor", required=True, help='Which chargers it is for, as they say; "*" fits all.')
@click.option("--model", required=True, help='Which model; "*" and "?" are wildcards.')
@click.option("--version", required=True, help="What a charger says that runs it.")
@click.option("--name", default="", help="What chargers see; otherwise the name of FILE.")
@click.option("--certificate", type=EXISTING, help="The maker's signing certificate, PEM.")
@click.option("--signature", type=EXISTING, help="The maker's signature of FILE, base64 or binary.")
@asks_gateway
def add(
    client: ControlClient,
    asking: Asking,
    file: Path,
    vendor: str,
    model: str,
    version: str,
    name: str,
    certificate: Path | None,
    signature: Path | None,
) -> int:
    """Keep FILE here, for a rollout.

    \b
    edgegw firmware add wall-2.4.1.bin \\
        --vendor Acme --model "Wall*" --version 2.4.1
    """
    if (certificate is None) != (signature is None):
        raise click.UsageError("--certificate and --signature go together")
    try:
        with moving(file.name, file.stat().st_size, quiet=asking.as_json) as moved:
            added = client.add_firmware(
                file, vendor=vendor, model=model, version=version, name=name, moved=moved
            )
    except OSError as error:
        raise Refused(0, "no_file", f"cannot read {file}: {error.strerror}") from error
    except DamagedOnTheWay as fault:
        raise Refused(0, "damaged", str(fault)) from fault
    signed = ""
    if certificate is not None and signature is not None:
        _sign(client, added.sha256, certificate, signature)
        signed = ", signed"
    asking.tell(client, f"{added.name}: {size(added.size_bytes)}, sha256 {added.sha256}{signed}")
    return OK


def _sign(client: ControlClient, sha256: str, certificate: Path, signature: Path) -> None:
    """A file whose signature does not fit is not kept: it is not the file that was meant."""
    try:
        pem, raw = certificate.read_text("ascii"), signature.read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        client.remove_firmware(sha256)
        raise Refused(0, "no_file", f"cannot read the certificate or the signature: {error}") from error
    try:
        client.sign_firmware(sha256, certificate=pem, signature=_base64(raw))
    except Refused:
        client.remove_firmware(sha256)
        raise


def _base64(raw: bytes) -> str:
    text = b"".join(raw.split())
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        return base64.b64encode(raw).decode()
    return text.decode()


@firmware.command()
@click.argument("sha")
@asks_gateway
def remove(client: ControlClient, asking: Asking, sha: str) -> int:
    """Remove the file with the hash SHA (its first 6 characters will do), or with that name."""
    file = named(client, sha)
    client.remove_firmware(file.sha256)
    asking.tell(client, f"{file.name} removed")
    return OK


for command in ROLLOUT_COMMANDS:
    firmware.add_command(command)
