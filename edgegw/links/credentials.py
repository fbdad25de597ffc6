"""What chargers prove themselves with: parse it, keep a salted hash of it, keep it out of the logs.

Rules of this file:
- A password is bytes, not text: the Basic header of a 1.6 charger carries raw key bytes (OCPP-J 1.6 6.2.2).
- The same key arrives as raw bytes or as its hexadecimal text, in either case, depending on the
  charger's maker. All forms are reduced to one before hashing.
- Only the hash is stored (OCPP 2.x A01.FR.08); nothing here logs (A01.FR.09).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

SCRYPT_N = 4096  # 4 MiB and about 10 ms: a gateway verifies a few per second, in one thread
SCRYPT_N_MAX = 1 << 15
SCRYPT_R = 8
SCRYPT_P = 1
SALT_BYTES = 16
HEADER_CHARS_MAX = 4096
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2})+")


@dataclass(frozen=True, slots=True, repr=False)
class BasicCredentials:
    """A parsed Basic header. `repr` does not show the password."""

    username: str  # decoded as UTF-8; bytes that are not are kept as surrogates
    password: bytes

    def __repr__(self) -> str:
        return f"BasicCredentials(username={self.username!r})"


def parse_basic(header: str | None) -> BasicCredentials | None:
    """The credentials in an Authorization header (RFC 7617), None when there are none in it."""
    if header is None or len(header) > HEADER_CHARS_MAX:
        return None
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    token = token.strip()
    try:
        decoded = base64.b64decode(token + "=" * (-len(token) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    username, colon, password = decoded.partition(b":")
    if not colon:
        return None
    return BasicCredentials(username.decode("utf-8", "surrogateescape"), password)


def _reduced(password: bytes) -> bytes:
    return bytes.fromhex(password.decode()) if _HEX.fullmatch(password) else password


def _material(header: str) -> bytes:
    """What is hashed: user and reduced password; of any other scheme the header as it is."""
    credentials = parse_basic(header)
    if credentials is None:
        return b"\x00" + header.encode("latin-1", "replace")
    username = credentials.username.encode("utf-8", "surrogateescape")
    return username + b":" + _reduced(credentials.password)


def _scrypt(material: bytes, salt: bytes, n: int) -> bytes:
    # Hashed first: HMAC, inside scrypt, pads short keys with zeros, so b"key" and b"key\0" would be one.
    password = hashlib.sha256(material).digest()
    return hashlib.scrypt(password, salt=salt, n=n, r=SCRYPT_R, p=SCRYPT_P, dklen=32, maxmem=64 * 1024 * 1024)


def _make(material: bytes) -> str:
    salt = os.urandom(SALT_BYTES)
    digest = _scrypt(material, salt, SCRYPT_N)
    return f"scrypt${SCRYPT_N}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _verify(material: bytes, stored: str) -> bool:
    try:
        name, n_text, salt_text, digest_text = stored.split("$")
        n, salt, digest = int(n_text), base64.b64decode(salt_text), base64.b64decode(digest_text)
    except ValueError:
        return False
    if name != "scrypt" or not 2 <= n <= SCRYPT_N_MAX or n & (n - 1):
        return False
    return hmac.compare_digest(_scrypt(material, salt, n), digest)


class Verifier:
    """Makes and checks verifiers (`scrypt$n$salt$hash`) in a thread of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="credentials")

    async def make(self, authorization_header: str) -> str:
        """A verifier of what a charger sent and the cloud accepted."""
        return await self._make(_material(authorization_header))

    async def make_password(self, username: str, password: bytes) -> str:
        """A verifier of a password that the cloud gave a charger (AuthorizationKey, BasicAuthPassword)."""
        user = username.encode("utf-8", "surrogateescape")
        return await self._make(user + b":" + _reduced(password))

    async def verify(self, authorization_header: str, stored: str) -> bool:
        """Whether the header proves what the verifier `stored` was made of. Constant time."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, _verify, _material(authorization_header), stored)

    async def _make(self, material: bytes) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _make, material)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)
