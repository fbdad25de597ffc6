"""What the core asks of the box's file service, and what it hears back: data only.

Files move outside the core: firmware is fetched once for all chargers and served to them on the site's
network, diagnostics are received there and sent on. An order has an id that both sides keep over a restart.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from edgegw.quirks.model import QuirkEntry


class FilesPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the site file decides about files. Without `[files]` everything is relayed untouched."""

    works: bool = False
    patience_s: float = 5.0  # the cloud's CALL is held that long while a file is fetched
    relay_forbidden: bool = False  # an address that must not be fetched: pass it on all the same
    quirks: tuple[QuirkEntry, ...] = ()


NO_FILES = FilesPolicy()

# --- firmware -------------------------------------------------------------------------------------


class FetchOutcome(StrEnum):
    READY = "ready"  # verified and in the cache; `urls` are the links to it
    UNREACHABLE = "unreachable"  # the origin gave no whole file, or there is no room for it
    FORBIDDEN = "forbidden"  # the address leads somewhere it must not (fault 75)
    BAD_CERTIFICATE = "bad_certificate"  # the signing certificate is unreadable, expired or not yet valid
    BAD_SIGNATURE = "bad_signature"  # the file is not what was signed


class FetchFirmware(msgspec.Struct, frozen=True, kw_only=True):
    """Effect: have this file in the cache, then answer with `FirmwareFetched`. Repeating it is harmless."""

    order: str
    url: str  # as the cloud wrote it, with user and password if it has them: a secret
    certificate: str = ""  # PEM, as in the CALL
    signature: str = ""  # base64
    needed_until: float = 0.0  # wall clock: the link must live at least that long
    failures: int = 0  # times the charger could not load it from here: whose doing was that?


class FirmwareFetched(msgspec.Struct, frozen=True, kw_only=True):
    """Event: what became of a `FetchFirmware`."""

    order: str
    outcome: FetchOutcome
    urls: tuple[str, ...] = ()  # one per protocol that is served, for this charger only
    why: str = ""  # in words


class FirmwareNews(msgspec.Struct, frozen=True, kw_only=True):
    """Effect: how an order is getting on at the charger.

    `status` is the charger's FirmwareStatus, or "Sent" (the charger accepted the command) or "Refused" (it
    did not, or never answered; `why` says how), "Original" (it was given the origin's own address) or
    "Replaced" (another update took its place). `ended`: nothing more follows, the link may be taken back.
    """

    order: str
    status: str
    why: str = ""
    ended: bool = False


class UpdateOrdered(msgspec.Struct, frozen=True, kw_only=True):
    """Event: the site itself wants this charger updated from a file that is in the cache already.

    The cloud hears nothing of it. `FirmwareNews` with the same order follow.
    """

    order: str
    url: str  # the local link
    request_id: int  # 2.x and signed 1.6: told in every status; far from the cloud's
    certificate: str = ""
    signature: str = ""
    retries: int = 2
    retry_interval_s: int = 60


# --- diagnostics ----------------------------------------------------------------------------------


class OpenUpload(msgspec.Struct, frozen=True, kw_only=True):
    """Effect: prepare a place for one upload, then answer with `UploadOpened`."""

    order: str
    url: str  # where the cloud wants it: a secret; "" for an upload that stays on site
    kind: str = "diagnostics"  # or "security"


class UploadOutcome(StrEnum):
    READY = "ready"  # `urls` are the addresses it may be sent to
    UNABLE = "unable"  # the box cannot take it in the charger's place: no room
    FORBIDDEN = "forbidden"  # the cloud's address is not one that diagnostics may go to (fault 82)


class UploadOpened(msgspec.Struct, frozen=True, kw_only=True):
    """Event: what became of an `OpenUpload`."""

    order: str
    outcome: UploadOutcome
    urls: tuple[str, ...] = ()  # one per protocol that is served, for this charger only
    why: str = ""


class UploadNews(msgspec.Struct, frozen=True, kw_only=True):
    """Effect: what the charger says of an upload.

    `status`: its DiagnosticsStatus or UploadLogStatus, or "Sent", "Refused", "Replaced", "Original".
    `file_name` is set with "Sent" when the charger's answer named one. `ended` with "Uploaded": the file
    should be here whole; send it on when the cloud wants it, then answer with `UploadForwarded`.
    """

    order: str
    status: str
    file_name: str = ""
    why: str = ""
    ended: bool = False


class UploadForwarded(msgspec.Struct, frozen=True, kw_only=True):
    """Event: the file has reached the cloud's address, or never will."""

    order: str
    ok: bool
    why: str = ""


class FilesOpened(msgspec.Struct, frozen=True):
    """Event: the file service has started; what is owed to the cloud can go on, charger or no charger."""


class LogOrdered(msgspec.Struct, frozen=True, kw_only=True):
    """Event: somebody on site wants this charger's log. `UploadNews` with the same order follow."""

    order: str
    request_id: int  # 2.x, 1.6 GetLog
    url: str  # the local link, from an `OpenUpload` with url ""
    kind: str = "diagnostics"


FileEffect = FetchFirmware | FirmwareNews | OpenUpload | UploadNews
FileEvent = FirmwareFetched | UpdateOrdered | UploadOpened | UploadForwarded | LogOrdered | FilesOpened
