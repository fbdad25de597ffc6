"""The OCPP versions edgegw speaks, by their WebSocket subprotocol name (OCPP-J 3.3 / IANA)."""

from __future__ import annotations

from enum import StrEnum


class Version(StrEnum):
    V16 = "ocpp1.6"
    V201 = "ocpp2.0.1"
    V21 = "ocpp2.1"

    @property
    def is_2x(self) -> bool:
        return self is not Version.V16


SUPPORTED: tuple[Version, ...] = (Version.V21, Version.V201, Version.V16)
