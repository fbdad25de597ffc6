"""Nothing secret leaves: what the doctor packs is told here what to hide.

Rules of this file:
- What the secret files of the site hold is hidden wherever it stands, in every spelling a program writes it.
- Of a site file comments go (people write passwords there) and so do the values of keys that sound secret,
  card ids, and logins in addresses; its lines stay where they were.
- Everything else goes through `edgegw.redaction` once more, whoever wrote it.
"""

from __future__ import annotations

import base64
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edgegw.redaction import HIDDEN, redact, without_cards
from edgegw.secret_words import names_secret

SECRET_CHARACTERS_MIN = 4  # a shorter one would blot out half of everything
FILE_BYTES_MAX = 64 * 1024
_REFERENCE = re.compile(r"(_file|_directory|tls_key)$")
_CHOICES = frozenset({"unknown_tags", "one_transaction_per_tag"})
_STRING = re.compile(r"""(?x) (?P<text> \"(?:[^"\\]|\\.)*\" | '[^']*' ) | (?P<comment> \#.*$ )""")
_LINE = re.compile(r"""^(\s*)((?:[\w-]+|"(?:[^"\\]|\\.)*"|'[^']*')(?:\s*\.\s*[\w"'-]+)*)(\s*=\s*)(.+)$""")
# In the words of anybody: a login and a query of an address. What is called a secret: `edgegw.secret_words`.
_ANYWHERE = (
    (re.compile(r"""(?i)(\b[a-z][a-z0-9+.-]*://)[^\s/"']+@"""), rf"\1{HIDDEN}@"),
    (re.compile(r"""(?i)(\b[a-z][a-z0-9+.-]*://[^\s?#"']*\?)[^\s#"']+"""), rf"\1{HIDDEN}"),
)


class Scrubber:
    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._pattern: re.Pattern[str] | None = None
        self._secrets: set[str] = set()
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        for secret in secrets:
            if len(secret.strip()) >= SECRET_CHARACTERS_MIN:
                self._secrets |= _spellings(secret.strip())
        longest_first = sorted(self._secrets, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def add_file(self, path: Path) -> None:
        """Each line of a secret file, and all of it."""
        try:
            with path.open("rb") as file:
                text = file.read(FILE_BYTES_MAX).decode("utf-8", "replace")
        except OSError:
            return
        self.add([text, *(line for line in text.splitlines() if not line.startswith("-----"))])

    def learn(self, site_file: str) -> None:
        """What a site file itself says that it must not."""
        self.add(_secrets_in(site_file))

    def text(self, text: str) -> str:
        """Words of anybody."""
        hidden = self._pattern.sub(HIDDEN, text) if self._pattern is not None else text
        for pattern, instead in _ANYWHERE:
            hidden = pattern.sub(instead, hidden)
        return redact(hidden)

    def line(self, text: str) -> str:
        """Of a log: cards go too."""
        return without_cards(self.text(text))

    def document(self, raw: bytes) -> bytes:
        """A JSON document, or one on each line: each text of it, and what belongs to names of secrets."""
        try:
            return _encoded(redact(json.dumps(self._value(json.loads(raw)), indent=1, ensure_ascii=False)))
        except ValueError:
            lines = (self._ndjson(line) for line in raw.decode("utf-8", "replace").splitlines())
            return _encoded("\n".join(lines) + "\n")

    def _ndjson(self, line: str) -> str:
        try:
            return redact(json.dumps(self._value(json.loads(line)), ensure_ascii=False))
        except ValueError:
            return self.line(line)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.line(value)
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if isinstance(value, dict):
            return {self.text(str(key)): self._value(item) for key, item in value.items()}
        return value

    # --- the site file ----------------------------------------------------------------------------

    def site_file(self, text: str) -> str:
        """Without comments, secrets and card ids. What is no TOML is treated the same, line by line."""
        self.learn(text)
        lines, in_tags = [], False
        for line in text.splitlines():
            bare = _without_comment(line)
            if bare.lstrip().startswith("["):
                in_tags = "authorization.tags" in bare.replace('"', "").replace(" ", "")
            lines.append(_hidden_value(bare, in_tags))
        return self.text("\n".join(lines) + "\n")


def _encoded(text: str) -> bytes:
    """Half a character, as a charger may write it, becomes the escape that JSON has for it."""
    return text.encode("utf-8", "backslashreplace")


def _spellings(secret: str) -> set[str]:
    raw = secret.encode()
    escaped = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
    return {secret, *escaped, quote(secret, safe=""), raw.hex(), *_base64_inside(raw)}


def _base64_inside(raw: bytes) -> Iterator[str]:
    """How it looks in base64 behind 0, 1 or 2 other bytes, such as the user of a Basic login."""
    for before, cut in ((0, 0), (1, 2), (2, 3)):
        whole = base64.b64encode(bytes(before) + raw).decode()[cut : (before + len(raw)) * 8 // 6]
        if len(whole) >= 2 * SECRET_CHARACTERS_MIN:
            yield whole


def _secrets_in(text: str) -> Iterator[str]:
    """Card ids, and the values of keys that sound secret, however they are written."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    authorization = tables.get("authorization")
    tags = authorization.get("tags") if isinstance(authorization, dict) else None
    yield from tags if isinstance(tags, dict) else ()
    yield from _secret_values("", tables)


def _secret_values(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _secret_values(name, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _secret_values(key, inner)
    elif isinstance(value, str) and _is_secret(key):
        yield from (value, *value.splitlines())


def _is_secret(key: str) -> bool:
    return names_secret(key) and not _REFERENCE.search(key) and key not in _CHOICES


def _without_comment(line: str) -> str:
    for found in _STRING.finditer(line):
        if found["comment"] is not None:
            return line[: found.start()].rstrip()
    return line.rstrip()


def _hidden_value(line: str, in_tags: bool) -> str:
    found = _LINE.match(line)
    if found is None:
        return line
    indent, key, equals, value = found.groups()
    if in_tags:
        return f'{indent}"{HIDDEN}"{equals}{value}'
    name = key.rpartition(".")[2].strip("\"' ")
    return f'{indent}{key}{equals}"{HIDDEN}"' if name == "tags" or _is_secret(name) else line
