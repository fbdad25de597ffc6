"""What goes of a frame before it is kept: passwords, keys and whole card ids.

Rules of this file:
- It happens before anything is written: nobody reads a whole card id from a recording, so none is in it.
- A text is changed only where something has to go, and what was JSON still is. What cannot be told apart
  goes whole.
- The same card is masked in the same way everywhere, so that a recording can be replayed: decisions on a
  card compare its id and nothing else.
- Most frames hold nothing of the kind, and chargers repeat themselves: without digits and punctuation a frame
  is one that was seen before, and what was harmless once is harmless again. No hint has a character in it
  that is left out there.
"""

from __future__ import annotations

import re
from string import ascii_lowercase, ascii_uppercase

from edgegw import secret_words
from edgegw.redaction import HIDDEN, mask_tag, redact

FRAGMENT_BYTES_MAX = 256  # of what is no frame
WITHHELD = "(not kept: it may hold a password)"

_LOWER = bytes.maketrans(ascii_uppercase.encode(), ascii_lowercase.encode())
_LEFT_OUT = b"0123456789 ,:.+-{}[]\t\r\n"
_HINTS = (*secret_words.HINTS, secret_words.TOKEN_HINT, b"basic", b"//", b"idt", b"id_t", b'pn"', b"\\u")
_HARMLESS_MAX = 1000
_HARMLESS_BYTES_MAX = 2048  # of each
_harmless: set[bytes] = set()

_TAG_HINTS = (b"idtag", b"id_tag", b"idtoken")
_LINE_HINTS = (b'"vpn"', b'"apn"')

_ESCAPED_LETTER = re.compile(r"(?<!\\)((?:\\\\)*)\\u00([2-7][0-9a-fA-F])")
_LINE_KEY = re.compile(r'("(?:key|simPin)"\s*:\s*)("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*)')
_URL_QUERY = re.compile(r'(://[^\s"\\?#]*\?)[^\s"\\#]+')

_NAMES = r"(?:idTag|parentIdTag|idToken|id_tag)"
_TAG = re.compile(rf'(?i)("{_NAMES}"\s*:\s*")((?:[^"\\]|\\.)+)', re.DOTALL)
_TAG_NUMBER = re.compile(rf'(?i)("{_NAMES}"\s*:\s*)(\d+)')
_NESTED_TAG = re.compile(rf'(?i)((?<!\\)\\+"{_NAMES}\\+"\s*:\s*\\*"?)([^"\\,{{}}[\]\s][^"\\,}}]*)')


def redacted(data: bytes) -> str:
    """A whole frame, or other JSON, as text."""
    text = cleaned(data)
    return data.decode("utf-8", "backslashreplace") if text is None else text


def cleaned(data: bytes, skip: int = 0) -> str | None:
    """None for what can stay as it is. `skip`: bytes before which there is but a message id."""
    words = data[skip:].translate(_LOWER, _LEFT_OUT)
    if words in _harmless:
        return None
    if not _hinted(words):
        _remember(words)
        return None
    text = data.decode("utf-8", "backslashreplace")
    changed = _cleaned(text, words)
    return changed if changed != text else None


def _hinted(words: bytes) -> bool:
    for hint in _HINTS:  # noqa: SIM110 - a third of what `any` costs
        if hint in words:
            return True
    return False


def _remember(words: bytes) -> None:
    if len(words) > _HARMLESS_BYTES_MAX:
        return
    if len(_harmless) >= _HARMLESS_MAX:
        _harmless.clear()
    _harmless.add(words)


def _cleaned(text: str, words: bytes) -> str:
    if "\\u00" in text:  # "passwor\u0064" is a password too
        text = _ESCAPED_LETTER.sub(_letter, text)
        words = text.encode().translate(_LOWER, _LEFT_OUT)
    if b"basic" in words or b"//" in words or secret_words.hinted(words):
        text = _URL_QUERY.sub(rf"\1{HIDDEN}", redact(text))
    if any(hint in words for hint in _LINE_HINTS):
        text = _LINE_KEY.sub(rf'\1"{HIDDEN}"', text)
    if any(hint in words for hint in _TAG_HINTS):
        text = _without_cards(text)
    return text


def fragment(data: bytes) -> str:
    """The beginning of what is no frame, or too long to be kept whole."""
    text = _ESCAPED_LETTER.sub(_letter, data[:FRAGMENT_BYTES_MAX].decode("utf-8", "backslashreplace"))
    return WITHHELD if secret_words.mentions_secret(text) else _without_cards(text)


def _letter(found: re.Match[str]) -> str:
    letter = chr(int(found[2], 16))
    return found[1] + letter if letter not in '"\\\x7f' else found[0]


def _without_cards(text: str) -> str:
    text = _TAG.sub(lambda found: found[1] + _masked(found[2]), text)
    text = _TAG_NUMBER.sub(lambda found: found[1] + _masked_number(found[2]), text)
    return _NESTED_TAG.sub(lambda found: found[1] + masked(found[2]), text)


def masked(tag: str) -> str:
    """A card id; one that is masked already stays as it is, or the same card would have two names."""
    return tag if tag.startswith("****") else mask_tag(tag)


def _masked(tag: str) -> str:
    """Of a text as JSON has it: an escape must not be cut in two."""
    return masked(tag) if "\\" not in tag else "****"


def _masked_number(digits: str) -> str:
    """Still a number: a card id that is none is judged otherwise."""
    return str(int(mask_tag(digits).strip("*") or "0"))
