"""Reads quirk files: those of the package, then the operator's own folder.

Rules of this file:
- It knows what an entry may say; what an entry means is in `quirks.model` and whoever uses the flag.
- Order is meaning: package first, in order of file name, then the operator's. A later entry wins, flag by
  flag (`quirks.match`). An entry of the operator with the name of a shipped one takes its place.
- A file that is wrong stops the start, with file, line, key, value and what is allowed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from edgegw.config_text import Complaint, SiteFileFault, complaint_from, parse_toml, read_text
from edgegw.quirks.match import is_firmware_rule
from edgegw.quirks.model import Method, QuirkEntry

SHIPPED = Path(__file__).parent / "data"
_NAME = re.compile(r"[a-z0-9][a-z0-9 ._-]{0,63}")

Seconds = Annotated[float, Field(ge=0, le=3600)]
FileProtocol = Literal["HTTP", "HTTPS", "FTP", "FTPS", "SFTP"]  # OCPP 2.x FileTransferProtocols, 1.6 9.1
Amps = Annotated[float, Field(gt=0, le=1000)]


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError('must be 1 to 64 of a-z 0-9 space . _ - such as "abb terra ac"')
    return value


def _firmware(value: str) -> str:
    if not is_firmware_rule(value):
        raise ValueError('must be a pattern such as "5.*", or comparisons such as "<=1.8.21" or ">=4, <5"')
    return value


def _methods(value: tuple[Method, ...]) -> tuple[Method, ...]:
    if not value or len(set(value)) != len(value):
        raise ValueError('must name "tx", "tx_default" and "max" at most once each, and at least one')
    return value


def _steps(value: tuple[float, ...]) -> tuple[float, ...]:
    if list(value) != sorted(set(value)):
        raise ValueError("must be rising amps, such as [6, 8, 10, 13, 16]")
    return value


class Flags(BaseModel):
    """What an entry may change; each has the meaning and unit of its namesake in `Quirks`."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    methods: Annotated[tuple[Method, ...], AfterValidator(_methods), BeforeValidator(_as_tuple)] | None = None
    rate_unit: Literal["A", "W", "auto"] | None = None
    stack_level: Literal["max", "zero"] | Annotated[int, Field(ge=0, le=99)] | None = None
    profile_kind: Literal["absolute", "relative"] | None = None
    default_connector: Literal["zero", "each"] | None = None
    start_in_past_s: Seconds | None = None
    min_limit_a: Amps | None = None
    min_power_w: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    limit_steps_a: Annotated[tuple[Amps, ...], AfterValidator(_steps), BeforeValidator(_as_tuple)] | None = (
        None
    )
    zero_pauses: bool | None = None
    expires: bool | None = None
    flash_safe: bool | None = None
    interval_min_s: Seconds | None = None
    settle_s: Seconds | None = None
    reads_configuration: bool | None = None
    smart_charging: bool | None = None
    file_protocols: Annotated[tuple[FileProtocol, ...], BeforeValidator(_as_tuple)] | None = None
    local_firmware: bool | None = None
    note: str | None = None


class Entry(Flags):
    """`[[quirk]]`"""

    name: Annotated[str, AfterValidator(_name)] = Field(description='what it is called, such as "acme one"')
    vendor: str = "*"
    model: str = "*"
    firmware: Annotated[str, AfterValidator(_firmware)] = ""
    why: Annotated[str, Field(min_length=1)] = Field(description="one line: what the charger does")
    source: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ()


class File(BaseModel):
    """One quirk file."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    quirk: Annotated[tuple[Entry, ...], BeforeValidator(_as_tuple)] = ()


def load_quirks(own: Path | None) -> tuple[QuirkEntry, ...]:
    """All entries in the order in which they are matched. `own`: the operator's folder, None for none.

    Raises SiteFileFault (a ConfigFault) with all that is wrong with the first bad file.
    """
    own_entries = _read_folder(own) if own is not None else []
    replaced = {entry.name for entry in own_entries}
    shipped = [entry for entry in _read_folder(SHIPPED) if entry.name not in replaced]
    return (*shipped, *own_entries)


def _read_folder(folder: Path) -> list[QuirkEntry]:
    if not folder.is_dir():
        text = "is not a folder; it must hold quirk files (*.toml)"
        raise SiteFileFault((Complaint(str(folder), 0, "", "", text),))
    entries: list[QuirkEntry] = []
    for file in sorted(folder.glob("*.toml")):
        entries += read_file(file)
        _check_names(entries, file)
    return entries


def read_file(file: Path) -> list[QuirkEntry]:
    """The entries of one file. Raises SiteFileFault."""
    text = read_text(file)
    try:
        parsed = File.model_validate(parse_toml(text, file))
    except ValidationError as wrong:
        complaints = [complaint_from(e, file=file, text=text, root=File) for e in wrong.errors()]
        raise SiteFileFault(tuple(dict.fromkeys(complaints))) from None
    return [_entry(item) for item in parsed.quirk]


def _entry(item: Entry) -> QuirkEntry:
    given: dict[str, Any] = item.model_dump(exclude_unset=True)
    flags = {key: value for key, value in given.items() if key in Flags.model_fields}
    return QuirkEntry(
        name=item.name,
        vendor=item.vendor,
        model=item.model,
        firmware=item.firmware,
        why=item.why,
        source=item.source,
        flags=flags,
    )


def _check_names(entries: list[QuirkEntry], file: Path) -> None:
    names = [entry.name for entry in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        text = f"the name {twice[0]!r} is there more than once in this folder"
        raise SiteFileFault((Complaint(str(file), 0, "[[quirk]] name", "", text),))
