"""TOML tables into msgspec structs, with complaints in the words of whoever wrote the file.

Rules of this file: it knows no meter. What is allowed comes from the types of the struct.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import msgspec.inspect as inspect

from edgegw.config_text import Complaint, KeyPath, SiteFileFault, line_of, show_value

S = TypeVar("S", bound=msgspec.Struct)

_PLACE = re.compile(r" - at `\$([^`]*)`$")
_PART = re.compile(r"\.(\w+)|\[(\d+)\]")
_NAMED = re.compile(r"`(\w+)`$")


class TomlTable:
    """One file while it is checked; `complaints` grows, `fail` raises them all."""

    def __init__(self, text: str, file: Path) -> None:
        self.text, self.file = text, file
        self.complaints: list[Complaint] = []

    def complain(self, path: KeyPath, value: object, words: str) -> None:
        name = ".".join(str(part) for part in path if isinstance(part, str))
        line = line_of(self.text, path)
        shown = "" if value is None else show_value(value)
        self.complaints.append(Complaint(str(self.file), line, name, shown, words))

    def fail(self) -> None:
        """Raises SiteFileFault when there is anything to complain about."""
        if self.complaints:
            raise SiteFileFault(tuple(self.complaints))

    def convert(self, table: object, kind: type[S], path: KeyPath = ()) -> S | None:
        """`table` as a struct; None after a complaint."""
        try:
            return msgspec.convert(table, kind)
        except msgspec.ValidationError as error:
            self._explain(str(error), table, kind, path)
            return None

    def _explain(self, message: str, table: object, kind: type[S], path: KeyPath) -> None:
        place = _PLACE.search(message)
        inner = tuple(name or int(index) for name, index in _PART.findall(place[1])) if place else ()
        info = _type_at(inspect.type_info(kind), inner)
        named = _NAMED.search(message[: place.start()] if place else message)
        if named and message.startswith("Object contains unknown"):
            self.complain((*path, *inner, named[1]), None, unknown("key", named[1], _fields(info)))
        elif named and message.startswith("Object missing"):
            field = _field_type(info, named[1])
            self.complain((*path, *inner, named[1]), None, f"is required: {allowed(field)}")
        else:
            self.complain((*path, *inner), _value_at(table, inner), f"must be {allowed(info)}")


def unknown(noun: str, wrong: str, valid: Sequence[str]) -> str:
    """'unknown key; did you mean "address"?'"""
    if near := difflib.get_close_matches(wrong, valid, n=1):
        return f'unknown {noun}; did you mean "{near[0]}"?'
    return f"unknown {noun}; allowed are {', '.join(valid)}"


def allowed(info: inspect.Type) -> str:
    """What may stand there, such as 'a whole number from 0 to 65535' or '"big" or "little"'."""
    if isinstance(info, inspect.UnionType):
        return " or ".join(allowed(one) for one in info.types if not isinstance(one, inspect.NoneType))
    if isinstance(info, inspect.LiteralType):
        words = [show_value(value) for value in info.values]
        return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    if isinstance(info, inspect.IntType):
        return "a whole number" + _limits(info.ge, info.le)
    if isinstance(info, inspect.FloatType):
        return "a number" + _limits(info.ge, info.le)
    if isinstance(info, inspect.VarTupleType):
        return f"a list, each item {allowed(info.item_type)}"
    if isinstance(info, inspect.TupleType):
        return f"a list of {len(info.item_types)}, each item {allowed(info.item_types[0])}"
    plain = {inspect.BoolType: "true or false", inspect.StrType: "text in quotes"}
    return plain.get(type(info), "a table of key = value")


def _limits(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    return f" from {low} to {high}" if low is not None and high is not None else f" of at least {low}"


def _fields(info: inspect.Type) -> tuple[str, ...]:
    return tuple(field.name for field in info.fields) if isinstance(info, inspect.StructType) else ()


def _field_type(info: inspect.Type, name: str) -> inspect.Type:
    found = (field.type for field in info.fields if field.name == name) if _fields(info) else iter(())  # type: ignore[attr-defined]
    return next(found, inspect.AnyType())


def _type_at(info: inspect.Type, path: KeyPath) -> inspect.Type:
    for part in path:
        if isinstance(info, inspect.UnionType):
            structs = (one for one in info.types if isinstance(one, inspect.StructType))
            info = next(structs, info)
        if isinstance(part, int):
            info = info.item_type if isinstance(info, inspect.VarTupleType) else inspect.AnyType()
        else:
            info = _field_type(info, part)
    if isinstance(info, inspect.UnionType):  # a table or nothing: its keys are what is meant
        structs = (one for one in info.types if isinstance(one, inspect.StructType))
        return next(structs, info)
    return info


def _value_at(table: Any, path: KeyPath) -> object:
    for part in path:
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            return None
    return None if isinstance(table, dict) else table
