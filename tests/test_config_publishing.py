"""The table `[publishing]`: who the gateway is to the cloud."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgegw.config_publishing import PASSWORD_BYTES_MAX, Publishing, read_password


def load(folder, **table) -> Publishing:
    return Publishing.model_validate(table, context={"folder": folder})


def test_defaults(tmp_path):
    table = load(tmp_path, identity="gateway-1")
    assert (table.identity, table.password_file, table.version) == ("gateway-1", None, "ocpp2.0.1")


@pytest.mark.parametrize("content", [b"correct horse", b"correct horse\n", b"correct horse\r\n"])
def test_the_password_is_the_line_in_the_file(tmp_path, content):
    (tmp_path / "password").write_bytes(content)
    table = load(tmp_path, identity="gateway-1", password_file="password", version="ocpp2.1")
    assert table.password_file == tmp_path / "password"
    assert read_password(table.password_file) == b"correct horse"


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"one\ntwo\n", b"tab\there", b"x" * (PASSWORD_BYTES_MAX + 1), b"nul\0"]
)
def test_a_file_that_holds_no_password(tmp_path, content):
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(ValidationError) as fault:
        load(tmp_path, identity="gateway-1", password_file="password")
    assert "x" * 20 not in str(fault.value)


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"identity": ""},
        {"identity": "a:b"},
        {"identity": "x" * 49},
        {"identity": "g", "version": "ocpp1.6"},
        {"identity": "g", "password_file": "missing"},
        {"identity": "g", "password": "in the clear"},
    ],
)
def test_what_is_refused(tmp_path, table):
    with pytest.raises(ValidationError):
        load(tmp_path, **table)
