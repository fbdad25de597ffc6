"""Complaints about a site file: where in the file, in which words.

Rules of this file:
- It knows TOML text and pydantic's errors, no key of the site file. What is allowed comes from the models.
- A complaint always has file, key, value (where there is one) and what is allowed; the line where it can
  be found, else the line of the nearest table.
- Nothing of a URL's user name and password is ever shown.
"""

from __future__ import annotations

import difflib
import json
import os
import pwd
import re
import stat
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from edgegw.errors import ConfigFault

KeyPath = tuple[str | int, ...]

FILE_BYTES_MAX = 4 * 1024 * 1024  # 20,000 identities and as many tags are 1 MiB
VALUE_SHOWN_MAX = 60  # characters; a line of a terminal has to hold the rest too

_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_LIST_HEADER = re.compile(r"\s*\[\[\s*([^\[\]]+?)\s*\]\]\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")
_TOML_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")
_TOML_END = re.compile(r" \(at end of document\)$")
_USER_INFO = re.compile(r"://[^/@\s]*@")

_TYPE_TEXT = {
    "string_type": "must be text in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "list_type": 'must be a list, such as [] or ["a", "b"]',
    "tuple_type": 'must be a list, such as [] or ["a", "b"]',
    "dict_type": "must be a table of key = value",
    "model_type": "must be a table of key = value",
}
_LIMIT_TEXT = {"greater_than_equal": "at least {ge}", "less_than_equal": "at most {le}"}


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong. `line` counts from 1, 0 when it has none; `value` is TOML text or ""."""

    file: str
    line: int
    key: str  # "[chargers] listen", "[cloud]", or "" for the file as a whole
    value: str
    text: str  # what is wrong and what is allowed
    column: int = 0

    def __str__(self) -> str:
        place = self.file + "".join(f":{number}" for number in (self.line, self.column) if number)
        what = f"{self.key} = {self.value}" if self.key and self.value else self.key
        return ": ".join(part for part in (place, what, self.text) if part)


class SiteFileFault(ConfigFault):
    """A site file that cannot be used; `complaints` has all that is wrong with it, not only the first."""

    def __init__(self, complaints: tuple[Complaint, ...]) -> None:
        super().__init__("\n".join(str(complaint) for complaint in complaints))
        self.complaints = complaints


# --- in --------------------------------------------------------------------------------------------


def read_text(file: Path) -> str:
    """The text of a site file. Raises SiteFileFault when it cannot be read, is too long or is not UTF-8."""
    try:
        with file.open("rb") as opened:
            data = opened.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise _about_file(file, "does not exist") from None
    except PermissionError:
        raise _about_file(file, f"cannot be read: {_whose(file)}") from None
    except OSError as error:
        raise _about_file(file, f"cannot be read: {error.strerror}") from None
    if len(data) > FILE_BYTES_MAX:
        raise _about_file(file, f"is longer than {FILE_BYTES_MAX // 1024 // 1024} MiB; is it a site file?")
    try:
        return data.decode("utf-8-sig")  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _about_file(file, "is not UTF-8 text; save it as UTF-8", line=line) from None


def parse_toml(text: str, file: Path) -> dict[str, Any]:
    """TOML text as a dict. Raises SiteFileFault with line and column of the first syntax error."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        words, line, column = str(error), text.count("\n") + 1, 0
        if place := _TOML_PLACE.search(words):
            words, line, column = words[: place.start()], int(place[1]), int(place[2])
        raise _about_file(
            file, f"is not TOML: {_TOML_END.sub('', words)}", line=line, column=column
        ) from None


def _about_file(file: Path, text: str, *, line: int = 0, column: int = 0) -> SiteFileFault:
    return SiteFileFault((Complaint(str(file), line, "", "", text, column),))


def _whose(file: Path) -> str:
    """Why this user may not read it, in words: "it belongs to root (mode 0600) and edgegw runs as box"."""
    runs_as = _user_name(os.geteuid())
    try:
        facts = file.stat()
    except OSError:
        return f"{runs_as} may not enter {file.absolute().parent}"
    owner = _user_name(facts.st_uid)
    return f"it belongs to {owner} (mode {stat.S_IMODE(facts.st_mode):04o}) and edgegw runs as {runs_as}"


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


# --- where ----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)  # every complaint about one file asks again
def key_lines(text: str) -> dict[KeyPath, int]:
    """Line of every table header and key: {("chargers",): 3, ("chargers", "listen"): 4, ...}.

    The second `[[circuit]]` is ("circuit", 1).
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    counts: Counter[KeyPath] = Counter()
    quotes = ""  # inside a multi-line string: what ends it
    for number, line in enumerate(text.splitlines(), start=1):
        if quotes:
            quotes = "" if quotes in line else quotes
            continue
        if header := _LIST_HEADER.match(line):
            name = _parts(header[1])
            table = (*name, counts[name])
            counts[name] += 1
            lines.setdefault(name, number)
            lines.setdefault(table, number)
        elif header := _HEADER.match(line):
            table = _parts(header[1])
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            lines.setdefault(table + _parts(key[1]), number)
            quotes = next((q for q in ('"""', "'''") if line.count(q) % 2), "")
    return lines


def line_of(text: str, path: KeyPath) -> int:
    """Line of a key, or of the nearest thing around it that has a line; 0 if there is none.

    A list item (`path` ends in its index) that stands on a line of its own has that line.
    """
    lines = key_lines(text)
    for length in range(len(path), 0, -1):
        if number := lines.get(path[:length], 0):
            return number
    return 0


def line_of_item(text: str, path: KeyPath, item: str) -> int:
    """Line of a quoted list item or, if it cannot be found, of its key."""
    start = line_of(text, path)
    following = [number for number in key_lines(text).values() if number > start]
    rows = text.splitlines()
    for number in range(start, min(following, default=len(rows) + 1)):
        if number and any(quoted in rows[number - 1] for quoted in (f'"{item}"', f"'{item}'")):
            return number
    return start


def key_name(path: KeyPath) -> str:
    """("authorization", "tags", "A") -> "[authorization] tags.A".

    Of a list of tables: ("circuit", 1, "fuse") -> "[[circuit]] fuse".
    """
    names = [str(part) for part in path if isinstance(part, str)]
    if not names:
        return ""
    if len(path) > 1 and isinstance(path[1], int):
        return " ".join(filter(None, (f"[[{names[0]}]]", ".".join(names[1:]))))
    return " ".join(filter(None, (f"[{names[0]}]", ".".join(names[1:]))))


def show_value(value: object) -> str:
    """A value as TOML would write it, shortened, without passwords of URLs."""
    shown = _USER_INFO.sub("://***@", json.dumps(value, ensure_ascii=False, default=str))
    return shown if len(shown) <= VALUE_SHOWN_MAX else shown[: VALUE_SHOWN_MAX - 3] + "..."


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


# --- what -----------------------------------------------------------------------------------------


def complaint_from(error: ErrorDetails, *, file: Path, text: str, root: type[BaseModel]) -> Complaint:
    """One error of pydantic in the words of whoever wrote the site file."""
    path: KeyPath = error["loc"]
    kind, context = error["type"], error.get("ctx", {})
    if "key" in context:  # a model's own check names the key it is about
        key = context["key"]
        path = (*path, *((key,) if isinstance(key, str) else key))
    if kind == "missing":
        return Complaint(str(file), line_of(text, path), key_name(path), "", _missing(root, path))
    if kind == "extra_forbidden":
        words = _unknown(root, path)
    else:
        words = _words(error)
    value = error["input"]
    if "key" in context and isinstance(value, Mapping):
        value = _value_at(value, path[len(error["loc"]) :])
    shown = "" if isinstance(value, Mapping) else show_value(value)
    item = path and isinstance(path[-1], int) and isinstance(value, str)
    line = line_of_item(text, path, str(value)) if item else line_of(text, path)
    return Complaint(str(file), line, key_name(path), shown, words)


def words_of(error: ErrorDetails) -> str:
    """What is wrong, without place and value."""
    return _words(error)


def _value_at(value: Any, path: KeyPath) -> Any:
    """What stands at `path` in the file; an empty table where nothing does."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return {}
    return value


def _words(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return "must be " + str(context["expected"]).replace("'", '"')
    if kind in _LIMIT_TEXT:
        return "must be " + _LIMIT_TEXT[kind].format(**context)
    return _TYPE_TEXT.get(kind, error["msg"])


def _missing(root: type[BaseModel], path: KeyPath) -> str:
    parent = _model_at(root, path[:-1])
    field = _keys(parent)[str(path[-1])] if parent else None
    description = field.description if field else None
    return f"is required: {description}" if description else "is required"


def _unknown(root: type[BaseModel], path: KeyPath) -> str:
    parent, wrong = _model_at(root, path[:-1]), str(path[-1])
    valid = list(_keys(parent)) if parent else []
    noun = "table" if len(path) == 1 else "key"
    if near := difflib.get_close_matches(wrong, valid, n=1):
        return f'unknown {noun}; did you mean "{near[0]}"?'
    if homes := [f"[{name}]" for name in _keys(root) if wrong in _keys(_model_at(root, (name,)))]:
        return f"unknown {noun} here; it belongs in {' or '.join(homes)}"
    return f"unknown {noun}; allowed are {', '.join(valid)}"


def _model_at(root: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """The model of a table, through optional ones; None when the path leads elsewhere."""
    model = root
    for part in path:
        if isinstance(part, int):
            continue  # a list has the model of its items
        field = _keys(model).get(str(part))
        inner = field.annotation if field else None
        options = [inner, *getattr(inner, "__args__", ())]
        found = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
        if found is None:
            return None
        model = found
    return model


def _keys(model: type[BaseModel] | None) -> dict[str, Any]:
    """TOML key -> field."""
    return {field.alias or name: field for name, field in model.model_fields.items()} if model else {}
