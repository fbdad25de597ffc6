"""Who is at the door: from a request target to an identity, and which OCPP version to speak.

Rules: the connection URL is the endpoint URL, "/", and the percent-encoded identity (OCPP-J 3.1.1); it is
decoded exactly once, compared case-sensitively, and dialled onward as it was written. A version in the
path never decides the version (OCPP 2.1 Part 4 3.1.2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

import msgspec

from edgegw.wire.versions import SUPPORTED, Version

IDENTITY_MAX = 48  # identifierString(48), OCPP 2.x; 1.6 gives no limit
_IDENTITY = re.compile(r"[A-Za-z0-9*\-_=+|@. ]{1,48}\Z")  # identifierString, and the space 1.6 chargers use
_SEGMENT = re.compile(r"(?:[A-Za-z0-9*\-_=+|@.!$&'(),;~:]|%[0-9A-Fa-f]{2})+\Z")


class Target(msgspec.Struct, frozen=True):
    identity: str  # decoded
    raw_segment: str  # as the charger wrote it


class TargetRefused(msgspec.Struct, frozen=True):
    status: int
    reason: str  # for the log and the technician, never for the peer


def parse_target(target: str, path: str) -> Target | TargetRefused:
    """`target` is the request target, `path` the configured endpoint path ("/ocpp")."""
    prefix = path.rstrip("/") + "/"
    if not target.startswith(prefix):
        return TargetRefused(404, f"path is not below {prefix}")
    segment = target.removeprefix(prefix)
    if not segment:
        return TargetRefused(404, "no identity in the path")
    if not _SEGMENT.match(segment):
        return TargetRefused(400, "identity has characters that a path may not have")
    try:
        identity = unquote_to_bytes(segment).decode("ascii")
    except UnicodeDecodeError:
        return TargetRefused(400, "identity is not ASCII")
    if not is_identity(identity):
        return TargetRefused(
            400, f"identity may have 1 to {IDENTITY_MAX} of A-Z a-z 0-9 * - _ = + | @ . and spaces"
        )
    return Target(identity, segment)


def is_identity(text: str) -> bool:
    """Could a charger be called that?"""
    return bool(_IDENTITY.match(text)) and text == text.strip() and not set(text) <= {"."}


def local_version(offered: Sequence[str], last: Version | None, assumed: Version | None) -> Version | None:
    """The version to speak when the cloud is not there to choose. None: no common version.

    The one this charger spoke last if it still offers it (both legs must be equal when the cloud is
    back), else its first wish that we know, else the one assumed for chargers that offer nothing.
    """
    if not offered:
        return assumed
    if last is not None and last in offered:
        return last
    return next((Version(name) for name in offered if name in SUPPORTED), None)


def version_of(subprotocol: str | None, assumed: Version | None) -> Version | None:
    """The version a negotiated subprotocol means; None when it is none of ours."""
    if subprotocol is None:
        return assumed
    return Version(subprotocol) if subprotocol in SUPPORTED else None
