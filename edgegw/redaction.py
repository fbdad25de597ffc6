"""What people may see of what peers said: no secrets, no control characters."""

from __future__ import annotations

import re

HIDDEN = "***"
_HEADER = re.compile(r"(?i)\b((?:proxy-)?authorization['\"]?\s*[:=]\s*['\"]?\w+\s+)[^\s'\",;]+")
_BASIC = re.compile(r"(?i)\b(basic\s+)[a-z0-9+/]{6,}={0,2}")
_URL_USER = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)[^\s/@?#\"']+@")
_SECRET_NAMES = re.compile(r"(?i)authorizationkey|basicauthpassword|password")
_SECRET_FIELD = re.compile(r'(?i)("(?:[a-z]*password|authorizationkey)"\s*:\s*)"(?:[^"\\]|\\.)*"')
_VALUE_FIELD = re.compile(r'(?i)("(?:value|attributeValue)"\s*:\s*)"(?:[^"\\]|\\.)*"')


def redact(text: str) -> str:
    """`text` without credentials: headers, URL users, passwords in OCPP payloads.

    In a payload that names a password key every value is hidden: which one belongs to it depends on
    the message, and one hidden too many does no harm.
    """
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    text = _BASIC.sub(rf"\1{HIDDEN}", text)
    text = _URL_USER.sub(rf"\1{HIDDEN}@", text)
    if _SECRET_NAMES.search(text):
        text = _SECRET_FIELD.sub(rf'\1"{HIDDEN}"', text)
        text = _VALUE_FIELD.sub(rf'\1"{HIDDEN}"', text)
    return text


def plain(text: str) -> str:
    """`text` without control characters, as a terminal may show it (fault 22)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)
