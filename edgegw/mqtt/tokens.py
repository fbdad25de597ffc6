"""Card ids as the building may see them: a salted hash that tells sessions of one card apart, and no card."""

from __future__ import annotations

import hmac
from hashlib import sha256

HASH_CHARS = 16  # 64 bits: no two cards of a site meet by chance
SALT_BYTES_MIN = 16  # a secret of the site; without it every card id could be tried


def hashed(salt: bytes, id_tag: str) -> str:
    """16 hex digits; "" for no card. Case does not count (OCPP 1.6 7.29: CiString)."""
    if len(salt) < SALT_BYTES_MIN:
        raise ValueError(f"a salt has at least {SALT_BYTES_MIN} bytes")
    if not id_tag:
        return ""
    text = id_tag.casefold().encode("utf-8", "surrogatepass")
    return hmac.new(salt, text, sha256).hexdigest()[:HASH_CHARS]
