"""Which words name a secret, and how what belongs to such a name is hidden in the words of anybody.

Rules of this file:
- There is no second list: answers, the audit, settings, recordings, logs and bundles all ask here, and each
  reacts in its own way (hides a value, withholds a text, refuses an order).
- The id of a card is no secret in this sense, although it is called a token: it is masked (`redaction`).
- When in doubt, it goes. JSON stays JSON; beside `password: ` a handful of words of a sentence stay, for
  "wrong password: the cloud answered 401" is to be read.
- `hinted` is for where every message passes: what it says no to holds none of these names.
"""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"

_ANYWHERE = (
    r"passw|passphrase|passcode|pwd|secret|credential|psk"
    r"|(?:private|api|wpa|encryption|shared|access)[\s_.-]?key"
    r"|sim[\s_.-]?pin|pin[\s_.-]?code"
)
# "AuthorizationKey" and the header, not "AuthorizationCacheEnabled"; no "idToken", which is a card, but an
# "invalid token".
_AT_THE_END = (
    r"authori[sz]ation(?:[\s_.-]?(?:key|header|code|password)s?)?(?![a-z_])"
    r"|(?:(?<!id)(?<!id[\s_.-])|(?<=valid)|(?<=valid[\s_.-]))token(?:s|[\s_.-]?(?:value|key))?(?![a-z])"
    r"|(?-i:(?<![A-Za-z])[Pp][Ii][Nn]|(?<=[a-z])P(?:in|IN))(?![a-z])"
)
_NAME = rf"(?:{_ANYWHERE}|{_AT_THE_END})"
_NAMED = re.compile(rf"{_NAME}|private", re.IGNORECASE)
# In prose "the token has expired" gives nothing away; a name in quotes, or before a value, may.
_MENTIONED = re.compile(
    rf"{_ANYWHERE}|authori[sz]ation(?![a-z_])|(?:{_AT_THE_END})(?:[\"']|\s*\\*[\"':=])", re.IGNORECASE
)

# --- what stands behind a name; every pattern is tried where one of STEMS is, never searched for ---
# Texts can be long and hostile: a search for any of these words costs a microsecond per character.
STEMS: Final = (
    *("passw", "passphrase", "passcode", "pwd", "secret", "credential", "psk", "private", "api", "wpa"),
    *("encryption", "shared", "access", "sim", "pin", "token", "authori"),
)
_HERE = re.compile(  # a name, and then a value or at least the end of a string
    rf"(?:{_NAME}(?:[a-z0-9]{{0,16}}+'?\s*+[:=]|[^\"\\]{{0,64}}+[\"\\])|private\")", re.IGNORECASE
)
_STRING_OR_NUMBER = r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*'
_LIST = r'\[(?:[\s,]++|"(?:[^"\\]|\\.)*+"|-?\d[\d.eE+-]*+)++\]'  # of those alone
_MEMBER = re.compile(
    rf'((?:{_NAME}[^"\\]{{0,64}}+|private)"\s*:\s*)({_STRING_OR_NUMBER}|{_LIST})', re.IGNORECASE
)
# JSON inside a string: its quotes have backslashes, and a value ends at the next of them.
_NESTED = r'\\+"\s*:\s*\\*"?)([^"\\,{}[\]\s][^"\\,}]*)'
_NESTED_MEMBER = re.compile(rf'({_NAME}[^"\\]{{0,64}}+{_NESTED}', re.IGNORECASE)
# The words of anybody: `password=x`, `pwd: x`, `Authorization: Basic x`.
_SENTENCE = (
    r"(?:the|an?|it|no|not|is|must|may|was|wrong|failed|failure|invalid|missing|required|rejected|accepted"
    r"|check|set|give|use|see|too|unknown|none|null|true|false|ok)(?=[\s,;\"'\\]|[.!?]?$|[.!?][\s\"'\\])"
)
_ASSIGNED = re.compile(
    rf"({_NAME}[a-z0-9]{{0,16}}+'?\s*+[:=]\s*+(?:(?:basic|bearer|digest)\s++)?(?:\\*[\"'])?)"
    rf"(?!{_SENTENCE})(?![{{\[}}\]),;:])"
    r"((?:(?<=[\"'])[^\"'\\]+|[^\s\"'\\,;&]|[,;&](?![\s\"'\\]|$|[\w.-]{1,40}+\s*+[:=])|\\[^\"nrt\s])+)",
    re.IGNORECASE,
)
_ENDS_QUOTED = re.compile(rf'{_NAME}[^"\\=:]{{0,64}}+\\*"', re.IGNORECASE)  # a name, and no prose
_VALUE = re.compile(rf'("(?:value|attributeValue|actualValue)"\s*:\s*)({_STRING_OR_NUMBER})', re.IGNORECASE)
_NESTED_VALUE = re.compile(rf'((?<!\\)\\+"(?:value|attributeValue|actualValue){_NESTED}', re.IGNORECASE)

# As `hinted` looks for them: of a name without digits, blanks, dots and dashes, in lower case.
HINTS: Final = (
    *(b"pass", b"pwd", b"secret", b"credential", b"psk", b"pin", b"key", b"privat"),
    *(b"authorization", b"authorisation"),
)
TOKEN_HINT: Final = b"token"
_CARD_NAMES = (b'idtoken"', b'id_token"', b'idtokeninfo"')  # to their end: "bad id, token=" is none


def names_secret(name: str) -> bool:
    """Whether what is called so (a setting, a member, a key of a file) is a secret."""
    return any(_NAMED.match(name, spot) for spot in _spots(name))


def mentions_secret(text: str) -> bool:
    """Whether a text that cannot be taken apart, cut off or of an unknown kind, may hold one."""
    return any(_MENTIONED.match(text, spot) for spot in _spots(text))


def hinted(words: bytes) -> bool:
    """Whether a name of a secret may be in it. `words`: lower case, without digits, blanks, dots, dashes."""
    for hint in HINTS:  # a third of what `any` costs
        if hint in words:
            return True
    tokens = words.count(TOKEN_HINT)
    if not tokens or b"validtoken" in words:
        return tokens > 0
    return tokens > sum([words.count(name) for name in _CARD_NAMES])


def without_values(text: str) -> str:
    """`text`, JSON or not, without what belongs to names of secrets.

    Where a string names one, every "value" is hidden: which one belongs to it depends on the message.
    """
    parts, done, hides_values = [], 0, False
    for spot in _spots(text):
        if spot < done or _HERE.match(text, spot) is None:
            continue
        hides_values = hides_values or _ENDS_QUOTED.match(text, spot) is not None
        found = _MEMBER.match(text, spot)
        instead = f'"{HIDDEN}"' if found else HIDDEN
        found = found or _NESTED_MEMBER.match(text, spot) or _ASSIGNED.match(text, spot)
        if found is not None:
            parts += [text[done : found.start(2)], instead]
            done = found.end(2)
    text = "".join([*parts, text[done:]]) if parts else text
    return _NESTED_VALUE.sub(rf"\1{HIDDEN}", _VALUE.sub(rf'\1"{HIDDEN}"', text)) if hides_values else text


def _spots(text: str) -> list[int]:
    """Where a name may begin, in order."""
    low = text.lower()
    if len(low) != len(text):  # of a few letters of the world
        low = "".join(letter.lower() if letter.isascii() else letter for letter in text)
    found = []
    for stem in STEMS:
        spot = low.find(stem)
        while spot >= 0:
            found.append(spot)
            spot = low.find(stem, spot + 1)
    return sorted(found) if len(found) > 1 else found
