"""`[files]` and `[publishing]` of the site file: what is refused, in which words, and what is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegw import config
from edgegw.config_text import SiteFileFault
from tests.test_config import MINIMAL

LISTEN = 'listen = "10.0.0.5:9080"\n'


def loaded(lines: str = "", *, more: str = "", head: str = LISTEN) -> config.SiteConfig:
    return config.loads(f"{MINIMAL}{more}[files]\n{head}{lines}")


def refused(lines: str = "", **more: str) -> str:
    with pytest.raises(SiteFileFault) as fault:
        loaded(lines, **more)
    return str(fault.value)


def test_an_address_is_all_it_needs(tmp_path: Path):
    (tmp_path / "site.toml").write_text(f"{MINIMAL}[files]\n{LISTEN}")
    files = config.load(tmp_path / "site.toml").files
    assert files is not None
    assert files.directory == tmp_path / "firmware_cache"
    assert (files.inward, files.upload_hosts, files.known_hosts) == ((), (), None)
    assert files.forbidden == "refuse"


def test_without_the_table_there_are_no_files():
    assert config.loads(MINIMAL).files is None


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('inward = ["a b"]', "must be a host name"),
        ('inward = ["10.0.0.0/33"]', "must be a host name"),
        ('upload_hosts = ["https://x"]', "must be a host name"),
        ('public_url = "http://10.0.0.5:9080/fw"', "nothing behind it"),
        ('public_url = "ftp://10.0.0.5"', "nothing behind it"),
        ('public_url = "http://me:pw@10.0.0.5"', "nothing behind it"),
        ('ftp_ports = "20-10"', "two ports"),
        ('ftp_ports = "0-10"', "two ports"),
        ('cache = "1 GiB"', "must not be larger than cache"),
        ('largest_upload = "1 GiB"', "must not be larger than uploads_per_charger"),
        ('uploads_per_charger = "8 GiB"', "must not be larger than uploads_per_charger"),
        ('tls_key = "no-such-file"', "cannot be read"),
        ('cache_bytes = "1 GiB"', "unknown key"),
        ('fetch_rate = "9 kB"', 'at least "10 kB"'),
        ("downloads = 0", "must be at least 1"),
    ],
)
def test_what_is_refused(lines, words):
    text = refused(lines + "\n")
    assert words in text
    assert "[files]" in text


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_an_address_that_nobody_can_dial_needs_one_that_chargers_can(host):
    text = refused(head=f'listen = "{host}:9080"\n')
    assert "[files] public_url" in text
    assert "is required" in text
    assert loaded('public_url = "http://10.0.0.5:9080"\n', head=f'listen = "{host}:9080"\n').files


def test_the_same_for_ftp():
    assert "[files] ftp_public_host" in refused('ftp_listen = "0.0.0.0:2121"\n')


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('[publishing]\nidentity = "gw"\n', "needs [cloud] too"),
        ('[cloud]\nurl = "ws://x"\n[publishing]\nidentity = "CP-1"\n', "must not be one of [chargers] known"),
    ],
)
def test_publishing_needs_a_cloud_and_a_name_of_its_own(more, words):
    text = MINIMAL.replace("[chargers]\n", '[chargers]\nknown = ["CP-1"]\n')
    with pytest.raises(SiteFileFault) as fault:
        config.loads(f"{text}{more}[files]\n{LISTEN}")
    assert words in str(fault.value)


def test_publishing_needs_files():
    with pytest.raises(SiteFileFault) as fault:
        config.loads(MINIMAL + '[cloud]\nurl = "ws://x"\n[publishing]\nidentity = "gw"\n')
    assert "needs [files] too" in str(fault.value)


def test_what_is_warned_of():
    warnings = "\n".join(config.warnings(loaded()))
    assert "without tls_certificate: firmware that is not signed" in warnings
    assert "upload_hosts is empty" in warnings
    quiet = config.warnings(loaded('upload_hosts = ["csms.example"]\n', head='listen = "127.0.0.1:9080"\n'))
    assert not any("[files]" in warning for warning in quiet)
