"""Reads catalogue files: those of the package, then the operator's own folder.

Rules of this file:
- It knows what an entry may say; what becomes of a report is in `catalogue.explain`. Files of
  kind = "alarm" are read by `catalogue.alarms`.
- A file says with `kind` what its codes are; a vendor file also says whose (`vendor`). An entry of the
  operator takes the place of a shipped one of the same kind and code. Their vendor files are asked first.
- A file that is wrong stops the start, with file, line, key, value and what is allowed.
- Reads files: for the start, not for the loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from edgegw.catalogue.model import Catalogue, Entry, Kind, Severity, VendorCodes
from edgegw.config_text import Complaint, SiteFileFault, complaint_from, parse_toml, read_text

SHIPPED = Path(__file__).parent / "data"
ALARMS = "alarm"  # kind of the files that `catalogue.alarms` reads
CODE_MAX = 101  # characters: the longest component and variable of OCPP 2.x with the dot between
TEXT_MAX = 160  # two lines of a terminal
DO_MAX = 240  # three


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _line(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be one line of printable text")
    return value


def _code(value: str) -> str:
    if not value or value != value.strip() or not value.isprintable() or "," in value:
        raise ValueError("must be a code as the charger sends it, without spaces around it and commas")
    return value


Code = Annotated[str, AfterValidator(_code), Field(max_length=CODE_MAX)]


class EntryModel(BaseModel):
    """`[[entry]]`"""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    code: Code = Field(description='what the charger sends, such as "GroundFailure"')
    also: Annotated[tuple[Code, ...], BeforeValidator(_as_tuple)] = ()
    text: Annotated[str, AfterValidator(_line), Field(max_length=TEXT_MAX)] = Field(
        description="what it means, in one sentence"
    )
    severity: Severity = Field(description='"info", "warning", "error" or "critical"')
    do: Annotated[str, AfterValidator(_line), Field(max_length=DO_MAX)] = Field(
        description="what a technician should do about it"
    )
    critical: bool = False
    source: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ()


class FileModel(BaseModel):
    """One catalogue file."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    kind: Literal["error", "security", "component", "vendor"] = Field(
        description='what its codes are: "error", "security", "component", "vendor" or "alarm"'
    )
    vendor: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ()
    entry: Annotated[tuple[EntryModel, ...], BeforeValidator(_as_tuple)] = ()


class CatalogueFile(BaseModel):
    """What one file holds, as the rest of the room sees it."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    kind: Kind
    vendor: tuple[str, ...]
    entries: tuple[Entry, ...]


def load_catalogue(own: Path | None) -> Catalogue:
    """`own`: the operator's folder, None for none.

    Raises SiteFileFault (a ConfigFault) with all that is wrong with the first bad file.
    """
    shipped = _shipped()
    own_files = _read_folder(own) if own is not None else []
    in_order = [*shipped, *own_files]
    return Catalogue(
        errors=_merged(in_order, "error"),
        security=_merged(in_order, "security"),
        components=_merged(in_order, "component"),
        vendors=tuple(_vendor_codes([*own_files, *shipped])),
    )


@cache
def _shipped() -> tuple[CatalogueFile, ...]:
    """Read once: they do not change while we run."""
    return tuple(read_file(file) for file in shipped_files())


def shipped_files() -> list[Path]:
    found = [*SHIPPED.glob("*.toml"), *SHIPPED.glob("vendors/*.toml")]
    return sorted(file for file in found if file.name != "alarms.toml")


def _read_folder(folder: Path) -> list[CatalogueFile]:
    return [read_file(file) for file in own_files(folder, of_alarms=False)]


def own_files(folder: Path, *, of_alarms: bool) -> list[Path]:
    """The operator's files about alarms, or all the others. Raises SiteFileFault."""
    if not folder.is_dir():
        text = "is not a folder; it must hold catalogue files (*.toml)"
        raise SiteFileFault((Complaint(str(folder), 0, "", "", text),))
    files = sorted(folder.glob("*.toml"))
    return [file for file in files if _is_of_alarms(file) is of_alarms]


def _is_of_alarms(file: Path) -> bool:
    return parse_toml(read_text(file), file).get("kind") == ALARMS


def read_file(file: Path) -> CatalogueFile:
    """Raises SiteFileFault."""
    text = read_text(file)
    try:
        parsed = FileModel.model_validate(parse_toml(text, file))
    except ValidationError as wrong:
        complaints = [complaint_from(e, file=file, text=text, root=FileModel) for e in wrong.errors()]
        raise SiteFileFault(tuple(dict.fromkeys(complaints))) from None
    _check(parsed, file)
    entries = tuple(Entry(**item.model_dump()) for item in parsed.entry)
    return CatalogueFile(kind=parsed.kind, vendor=parsed.vendor, entries=entries)


def _check(parsed: FileModel, file: Path) -> None:
    """What the models cannot see. Raises SiteFileFault."""
    if (parsed.kind == "vendor") != bool(parsed.vendor):
        text = 'belongs to kind = "vendor", and only there: patterns of vendor names, such as ["Acme*"]'
        raise SiteFileFault((Complaint(str(file), 0, "vendor", "", text),))
    codes = [code.casefold() for item in parsed.entry for code in (item.code, *item.also)]
    if twice := sorted({code for code in codes if codes.count(code) > 1}):
        text = f"the code {twice[0]!r} is there more than once in this file"
        raise SiteFileFault((Complaint(str(file), 0, "[[entry]] code", "", text),))


def _merged(files: Iterable[CatalogueFile], kind: Kind) -> dict[str, Entry]:
    merged: dict[str, Entry] = {}
    for file in files:
        if file.kind == kind:
            merged |= _by_code(file.entries)
    return merged


def _vendor_codes(files: Iterable[CatalogueFile]) -> Iterable[VendorCodes]:
    return (VendorCodes(file.vendor, _by_code(file.entries)) for file in files if file.kind == "vendor")


def _by_code(entries: Iterable[Entry]) -> dict[str, Entry]:
    return {code.casefold(): entry for entry in entries for code in (entry.code, *entry.also)}
