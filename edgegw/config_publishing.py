"""The table `[publishing]`: the gateway as a station of its own towards the cloud (OCPP 2.x L03, L04)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from edgegw.config_values import Identity, ReadableFile, Table, about

PASSWORD_BYTES_MAX = 256  # OCPP 2.1 allows 64 characters; a longer file is some other file


class Publishing(Table):
    """`[publishing]`. Without it the box has no identity of its own."""

    identity: Identity = Field(
        description='a name of its own for the gateway at the CSMS, such as identity = "gateway-1"'
    )
    password_file: ReadableFile | None = None
    version: Literal["ocpp2.0.1", "ocpp2.1"] = "ocpp2.0.1"

    @model_validator(mode="after")
    def _password_fits(self) -> Publishing:
        if self.password_file is not None:
            problem = _password_problem(read_password(self.password_file))
            if problem:
                raise about("password_file", f"{problem}; must be one line that holds the password only")
        return self


def read_password(file: Path) -> bytes:
    """What stands in the file, without the end of its line."""
    with file.open("rb") as opened:
        return opened.read(PASSWORD_BYTES_MAX + 3).rstrip(b"\r\n")


def _password_problem(password: bytes) -> str:
    if not password:
        return "holds no password"
    if len(password) > PASSWORD_BYTES_MAX:
        return f"is longer than {PASSWORD_BYTES_MAX} bytes"
    if any(byte < 0x20 or byte == 0x7F for byte in password):
        return "has more than one line, or characters that no password has"
    return ""
