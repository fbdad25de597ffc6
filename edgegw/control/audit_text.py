"""What was asked, in one short line that holds no password and no whole card id.

Rules of this file:
- A body is read as JSON and masked by the names of its members; what cannot be read that way is not shown.
- When in doubt, it goes: a text that itself looks like a document and names a secret is withheld whole.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from edgegw.control.masking import WITHHELD, mask_tag
from edgegw.redaction import HIDDEN, plain, redact
from edgegw.secret_words import mentions_secret, names_secret

TEXT_MAX = 300
DEPTH_MAX = 16  # deeper is no order that this API knows

_TAG_NAMES = frozenset({"idtag", "parentidtag", "idtoken", "groupidtoken", "additionalidtoken", "id_tag"})
_TAG_WORDS = ("idtag", "idtoken", "id_tag", "id_token")
_VALUE_NAMES = frozenset({"value", "attributevalue", "actualvalue", "data"})


def shown_body(body: bytes) -> str:
    """Of a JSON body; "" for one that is none."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    hide_values = names_secret(body.decode("utf-8", "replace"))
    masked = _masked(document, "", hide_values, 0)
    return shortened(redact(json.dumps(masked, ensure_ascii=False, separators=(",", ":"))))


def shortened(text: str) -> str:
    """Printable, and no longer than an entry may be."""
    shown = plain(text)
    return shown if len(shown) <= TEXT_MAX else shown[: TEXT_MAX - 1] + "…"


def _masked(value: Any, name: str, hide_values: bool, depth: int) -> Any:
    """`hide_values`: some key of the document names a secret, and "value" beside it may be that secret."""
    if depth > DEPTH_MAX:
        return WITHHELD
    if isinstance(value, dict):
        return {key: _masked(inner, key, hide_values, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner, name, hide_values, depth + 1) for inner in value]
    folded = name.casefold()
    if names_secret(name) or (hide_values and folded in _VALUE_NAMES):
        return HIDDEN
    if isinstance(value, str):
        return mask_tag(value) if folded in _TAG_NAMES else _text(value)
    return mask_tag(str(value)) if folded in _TAG_NAMES and value is not None else value


def _text(value: str) -> str:
    """A document inside a text, such as the data of a DataTransfer, may hold anything."""
    folded = value.casefold()
    is_document = "{" in value or "=" in value or ":" in value
    if is_document and (mentions_secret(value) or any(tag in folded for tag in _TAG_WORDS)):
        return WITHHELD
    return redact(value)
