"""Reads the catalogue of the site's alarms: the one of the package, then the operator's own words for it.

Rules of this file:
- A code is made in `edgegw.alarms`; here it gets its words, how bad it is, and its hysteresis.
- A file of the operator (kind = "alarm" in [chargers] catalogue_directory) may change what stands here, key
  by key. It cannot make a code: nothing would ever raise it.
- A file that is wrong stops the start, with file, line, key, value and what is allowed.
- Reads files: for the start, not for the loop.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from msgspec.structs import replace
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from edgegw.catalogue.load import DO_MAX, SHIPPED, own_files
from edgegw.catalogue.model import AlarmRule, AlarmSubject, Severity
from edgegw.config_text import Complaint, SiteFileFault, complaint_from, parse_toml, read_text
from edgegw.config_values import AS_TUPLE, duration, matches

FILE = SHIPPED / "alarms.toml"
TITLE_MAX = 60  # one line of a table, with its target beside it

AlarmRules = dict[str, AlarmRule]  # by code
M = TypeVar("M", bound=BaseModel)


def _line(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be one line of printable text")
    return value


_CODE = re.compile(r"[a-z][a-z0-9_]{2,39}", re.ASCII)
Code = Annotated[str, matches(_CODE, "must be a code such as charger_silent")]
Title = Annotated[str, AfterValidator(_line), Field(max_length=TITLE_MAX)]
Todo = Annotated[str, AfterValidator(_line), Field(max_length=DO_MAX)]
Span = Annotated[float, duration("0 s", "1 day")]


class AlarmModel(BaseModel):
    """`[[alarm]]`: one that the package ships says everything."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    code: Code
    title: Title
    severity: Severity
    todo: Todo
    subject: AlarmSubject
    raise_after: Span = 0.0
    clear_after: Span = 0.0
    latched: bool = False


class OwnAlarmModel(BaseModel):
    """`[[alarm]]` of the operator: the code, and what is to be different."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    code: Code
    title: Title | None = None
    severity: Severity | None = None
    todo: Todo | None = None
    raise_after: Span | None = None
    clear_after: Span | None = None
    latched: bool | None = None


class AlarmFile(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    kind: Literal["alarm"]
    alarm: Annotated[tuple[AlarmModel, ...], AS_TUPLE] = ()


class OwnAlarmFile(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    kind: Literal["alarm"]
    alarm: Annotated[tuple[OwnAlarmModel, ...], AS_TUPLE] = ()


def load_alarms(own: Path | None = None) -> AlarmRules:
    """`own`: the operator's folder, None for none. Raises SiteFileFault (a ConfigFault)."""
    shipped = _read(FILE, AlarmFile)
    rules = {alarm.code: AlarmRule(**_named(alarm.model_dump())) for alarm in shipped.alarm}
    for file in own_files(own, of_alarms=True) if own is not None else ():
        for changed in _read(file, OwnAlarmFile).alarm:
            if changed.code not in rules:
                text = f"there is no alarm of that code; there are: {', '.join(sorted(rules))}"
                raise SiteFileFault((Complaint(str(file), 0, "[[alarm]] code", changed.code, text),))
            rules[changed.code] = replace(rules[changed.code], **_named(changed.model_dump()))
    return rules


def _named(given: dict[str, Any]) -> dict[str, Any]:
    """Only what is said; a key has no unit where the value carries it."""
    names = {"raise_after": "raise_after_s", "clear_after": "clear_after_s"}
    return {names.get(key, key): value for key, value in given.items() if value is not None}


def _read(file: Path, model: type[M]) -> M:
    text = read_text(file)
    try:
        return model.model_validate(parse_toml(text, file))
    except ValidationError as wrong:
        complaints = [complaint_from(e, file=file, text=text, root=model) for e in wrong.errors()]
        raise SiteFileFault(tuple(dict.fromkeys(complaints))) from None
