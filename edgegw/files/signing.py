"""Signatures that a person brings with a firmware file, for chargers that take signed updates only."""

from __future__ import annotations

from edgegw.errors import EdgegwError
from edgegw.files.cache import FirmwareCache
from edgegw.files.manifest import CachedFile


class SignatureRefused(EdgegwError):
    """A signature that chargers would refuse; the text says why."""


async def keep_signature(
    cache: FirmwareCache, sha256: str, certificate: str, signature: str, now: float | None
) -> CachedFile:
    """Check it and keep it with its file. `now` None: the clock cannot be trusted, dates are not looked at.

    Raises SignatureRefused, CacheFault.
    """
    from edgegw.files.signature import Verdict, check_certificate, check_signature

    path = await cache.open_verified(sha256)
    why = await cache.disk.run(check_certificate, certificate, now)
    if why:
        raise SignatureRefused(f"the signing certificate is {why}")
    if await cache.disk.run(check_signature, path, certificate, signature) is not Verdict.VERIFIED:
        raise SignatureRefused("the signature is not one of this file by this certificate")
    return cache.update(sha256, certificate=certificate, signed=signature, signature="verified")
