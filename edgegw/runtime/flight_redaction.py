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

from edgegw.redaction import HIDDEN, mask_tag, redact

FRAGMENT_BYTES_MAX = 256  # of what is no frame
WITHHELD = "(not kept: it may hold a password)"

_LOWER = bytes.maketrans(ascii_uppercase.encode(), ascii_lowercase.encode())
_LEFT_OUT = b"0123456789 ,:.+-{}[]\t\r\n"
_HINTS = (b"idt", b"authori", b"passw", b"basic", b"//", b"secret", b"id_t", b'pn"', b"\\u")
_HARMLESS_MAX = 1000
_HARMLESS_BYTES_MAX = 2048  # of each
_harmless: set[bytes] = set()

_SECRET_HINTS = (b"authori", b"passw", b"basic", b"://", b"secret")
_TAG_HINTS = (b"idtag", b"id_tag", b"idtoken")
_LINE_HINTS = (b'"vpn"', b'"apn"')

_ESCAPED_LETTER = re.compile(r"(?<!\\)((?:\\\\)*)\\u00([2-7][0-9a-fA-F])")
_SECRET = re.compile(r"(?i)passw|authorization|secret")
# In an object that stands in a string the quotes have backslashes; such a value ends at the next of them.
_FIELD = re.compile(
    r'(?i)("(?:[a-z]*password|authorizationkey|[a-z]*secret)"\s*:\s*)("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*)'
)
_NESTED_FIELD = re.compile(
    r'(?i)(\\+"(?:[a-z]*password|authorizationkey|[a-z]*secret)\\+"\s*:\s*\\*"?)([^"\\,{}[\]\s][^"\\,}]*)'
)
_NESTED_VALUE = re.compile(r'(?i)(\\+"(?:value|attributeValue)\\+"\s*:\s*\\*"?)([^"\\,{}[\]\s][^"\\,}]*)')
_VALUE = re.compile(r'(?i)("(?:value|attributeValue)"\s*:\s*)("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*)')
_KEY_NAME = re.compile(r"(?i)authorizationkey|basicauthpassword|password")
_LINE_KEY = re.compile(r'("(?:key|simPin)"\s*:\s*)("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*)')
_URL_QUERY = re.compile(r'(://[^\s"\\?#]*\?)[^\s"\\#]+')

_NAMES = r"(?:idTag|parentIdTag|idToken|id_tag)"
_TAG = re.compile(rf'(?i)("{_NAMES}"\s*:\s*")((?:[^"\\]|\\.)+)', re.DOTALL)
_TAG_NUMBER = re.compile(rf'(?i)("{_NAMES}"\s*:\s*)(\d+)')
_NESTED_TAG = re.compile(rf'(?i)(\\+"{_NAMES}\\+"\s*:\s*\\*"?)([^"\\,{{}}[\]\s][^"\\,}}]*)')


def redacted(data: bytes) -> str:
    """A whole frame, or other JSON, as text."""
    text = cleaned(data)
    return data.decode("utf-8", "backslashreplace") if text is None else text


def cleaned(data: bytes, skip: int = 0) -> str | None:
    """None for what can stay as it is. `skip`: bytes before which there is but a message id."""
    words = data[skip:].translate(_LOWER, _LEFT_OUT)
    if words in _harmless:
        return None
    if not any(hint in words for hint in _HINTS):
        _remember(words)
        return None
    text = data.decode("utf-8", "backslashreplace")
    changed = _cleaned(text, data.lower())
    return changed if changed != text else None


def _remember(words: bytes) -> None:
    if len(words) > _HARMLESS_BYTES_MAX:
        return
    if len(_harmless) >= _HARMLESS_MAX:
        _harmless.clear()
    _harmless.add(words)


def _cleaned(text: str, low: bytes) -> str:
    if b"\\u00" in low:  # "passwor\u0064" is a password too
        text = _ESCAPED_LETTER.sub(_letter, text)
        low = text.lower().encode()
    if any(hint in low for hint in _SECRET_HINTS):
        text = _without_secrets(text)
    if any(hint in low for hint in _LINE_HINTS):
        text = _LINE_KEY.sub(rf'\1"{HIDDEN}"', text)
    if any(hint in low for hint in _TAG_HINTS):
        text = _without_cards(text)
    return text


def fragment(data: bytes) -> str:
    """The beginning of what is no frame, or too long to be kept whole."""
    text = _ESCAPED_LETTER.sub(_letter, data[:FRAGMENT_BYTES_MAX].decode("utf-8", "backslashreplace"))
    return WITHHELD if _SECRET.search(text) else _without_cards(text)


def _letter(found: re.Match[str]) -> str:
    letter = chr(int(found[2], 16))
    return found[1] + letter if letter not in '"\\\x7f' else found[0]


def _without_secrets(text: str) -> str:
    text = redact(text)
    text = _URL_QUERY.sub(rf"\1{HIDDEN}", text)
    text = _FIELD.sub(rf'\1"{HIDDEN}"', text)
    if _KEY_NAME.search(text):
        text = _NESTED_VALUE.sub(rf"\1{HIDDEN}", _VALUE.sub(rf'\1"{HIDDEN}"', text))
    return _NESTED_FIELD.sub(rf"\1{HIDDEN}", text)


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
