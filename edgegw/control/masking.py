"""Frames and card ids as the local API shows them: a card id shows its end, a password nothing.

Rules of this file:
- A text is changed only where something has to go; the rest stays as the charger wrote it.
- When in doubt, it goes: a fragment that names a secret is withheld whole, because a value that was cut
  off cannot be told from what follows it.
"""

from __future__ import annotations

import re

from edgegw.redaction import mask_tag as mask_tag
from edgegw.redaction import redact
from edgegw.secret_words import mentions_secret

WITHHELD = "(not shown: it may hold a password)"

# In 2.x the id is a string `idToken` inside an object `idToken`, which this pattern passes over.
_TAG = re.compile(r'("(?:idTag|parentIdTag|idToken)"\s*:\s*")((?:[^"\\]|\\.)*)', re.DOTALL)


def shown_frame(raw: bytes) -> str:
    """The text of a whole frame."""
    return _mask_tags(redact(raw.decode("utf-8", "backslashreplace")))


def shown_fragment(text: str) -> str:
    """A text that may be cut off or broken."""
    return WITHHELD if mentions_secret(text) else _mask_tags(text)


def _mask_tags(text: str) -> str:
    return _TAG.sub(lambda found: found[1] + mask_tag(found[2]), text)
