"""Certificates that end. The rules of `alarms.conditions` hold here too.

Files are read in a thread, once an hour: a file that was renewed is noticed, though it is in use only after
a restart. Of a chain the first to end counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from edgegw.catalogue.model import Severity
from edgegw.core.alarms import Condition
from edgegw.core.events import Instant
from edgegw.runtime.tasks import Tasks
from edgegw.wire.timestamps import format_timestamp

READ_EVERY_S = 3600.0
DAY_S = 86_400.0
WARNING_DAYS, ERROR_DAYS = 30, 7
FILE_BYTES_MAX = 1024 * 1024  # a chain has a few KiB


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says. `ends_at` is wall clock."""

    ends_at: float | None = None  # of the first that ends
    of: int = 1  # certificates in the file
    trouble: str = ""  # why it cannot be read, in words


def read(file: Path) -> Certificate:
    """Blocks: for a thread."""
    from cryptography import x509

    try:
        with file.open("rb") as opened:
            chain = x509.load_pem_x509_certificates(opened.read(FILE_BYTES_MAX))
    except OSError as error:
        return Certificate(trouble=error.strerror or "cannot be read")
    except ValueError:
        return Certificate(trouble="no PEM certificate in it")
    ends_at = min(one.not_valid_after_utc.timestamp() for one in chain)
    return Certificate(ends_at=ends_at, of=len(chain))


class CertificateEyes:
    """`files` by what they are for: "chargers", "mqtt", "mqtt-ca"."""

    def __init__(self, files: Mapping[str, Path], tasks: Tasks) -> None:
        self._files = dict(files)
        self._tasks = tasks
        self._read_at = float("-inf")
        self.read: dict[str, Certificate] = {}
        self.all_read = asyncio.Event()

    def look(self, now: Instant) -> Iterator[Condition]:
        if self._files and now.mono - self._read_at >= READ_EVERY_S:
            self._read_at = now.mono
            self._tasks.spawn(self._read_all(), "certificates")
        for purpose, certificate in self.read.items():
            yield from certificate_of(purpose, self._files[purpose], certificate, now)

    async def _read_all(self) -> None:
        for purpose, file in self._files.items():
            self.read[purpose] = await asyncio.to_thread(read, file)
        self.all_read.set()


def certificate_of(purpose: str, file: Path, certificate: Certificate, now: Instant) -> Iterator[Condition]:
    """Nothing can be said while the clock is not set."""
    target = f"certificate {purpose}"
    if certificate.ends_at is None:
        text = f"{file}: {certificate.trouble}"
        yield Condition(code="certificate_unreadable", target=target, text=text)
    elif now.trusted and (severity := _severity(certificate.ends_at - now.wall)) is not None:
        word = "has ended on" if certificate.ends_at <= now.wall else "ends on"
        which = f"one of the {certificate.of} in {file}" if certificate.of > 1 else f"{file}"
        text = f"{which} {word} {format_timestamp(certificate.ends_at)[:10]}"
        yield Condition(code="certificate_ends", target=target, text=text, severity=severity)


def _severity(left_s: float) -> Severity | None:
    if left_s <= 0:
        return "critical"
    if left_s <= ERROR_DAYS * DAY_S:
        return "error"
    return "warning" if left_s <= WARNING_DAYS * DAY_S else None
