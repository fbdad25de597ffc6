"""What people may see of what peers said: no secrets, no control characters."""

from __future__ import annotations

import re

from edgegw.secret_words import HIDDEN as HIDDEN
from edgegw.secret_words import names_secret, without_values

TAG_SHOWN_MAX = 4  # characters of a card id, and never more than half of it
_HEADER = re.compile(r"(?i)\b((?:proxy-)?authorization['\"]?\s*[:=]\s*['\"]?[a-z][\w-]*\s+)[^\s'\",;{}[\]]+")
_BASIC = re.compile(r"(?i)\b(basic\s+)[a-z0-9+/]{6,}={0,2}")
_URL_USER = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^\s/@?#\"']+@")

# After these words follow a cloud's own, or those of a bug: they may name the card that was not liked.
_CLOUD_SAYS = ": the cloud refused stored "  # `core.replay`
_BUG_SAYS = ": session starts over: "  # `runtime.gateway`
_TAG_VALUE = re.compile(
    r"(?i)(\b(?:parent_?|group_?)?id_?(?:tag|token)\b['\"]?\s*[:= ]\s*['\"]?)[^\s'\",;{}]+"
)
# What a charger adds in its own words: short, no JSON, nothing that names a secret or a card, and no run of
# hex digits as long as the number of a card (4, 7 or 10 bytes).
_HARMLESS = re.compile(
    r"(?!.*(?:authoriz|token|id_?tag|\btag\b|card|rfid|\bu?id\b))"
    r"(?!.*\b[0-9a-f]{2}([: -]?)[0-9a-f]{2}(?:\1[0-9a-f]{2}){2,8}\b)"
    r'[^"{}]{1,80}',
    re.IGNORECASE | re.DOTALL,
)


def redact(text: str) -> str:
    """`text` without credentials: headers, users in URLs, what belongs to names of secrets.

    In a payload that names a password key every value is hidden: which one belongs to it depends on
    the message, and one hidden too many does no harm.
    """
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    text = _BASIC.sub(rf"\1{HIDDEN}", text)
    text = _URL_USER.sub(rf"\1{HIDDEN}@", text)
    return without_values(text)


def without_cards(text: str) -> str:
    """`text` of a log line or a notice without card ids: for others than the operator of the chargers."""
    text = text.partition(_BUG_SAYS)[0] + _BUG_SAYS.rstrip(": ") if _BUG_SAYS in text else text
    who, says, rest = text.partition(_CLOUD_SAYS)
    if says:  # which message it was and the error code stay
        message, _, error = rest.partition(": ")
        text = f"{who}{says}{message}: {error.partition(':')[0]}"
    return _TAG_VALUE.sub(rf"\1{HIDDEN}", text)


def mask_tag(tag: str) -> str:
    """ "04A1B2C3D4" as "****C3D4"; less of a very short one; "" stays ""."""
    shown = min(TAG_SHOWN_MAX, len(tag) // 2)
    return "****" + tag[len(tag) - shown :] if tag else ""


def is_harmless(text: str) -> bool:
    """Whether words of a charger can be shown to everybody: no secret and no card id is in them."""
    return _HARMLESS.fullmatch(text) is not None and not names_secret(text)


def plain(text: str) -> str:
    """`text` without control characters, as a terminal may show it (fault 22)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)
