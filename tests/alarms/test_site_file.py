"""What of the site file the watch looks at: certificates, and who sets limits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edgegw import app_alarms, config
from edgegw.alarms.certificates import certificate_of, read
from edgegw.core.events import Instant
from tests.files.keys import certificate
from tests.test_config import MINIMAL

BROKER = '[mqtt]\nbroker = "mqtts://broker.lan"\n'


@pytest.fixture
def site_file(tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").write_text("something\n")
    return tmp_path / "site.toml"


def test_whose_word_is_taken_is_watched_like_our_own_certificates(site_file: Path):
    lines = (
        '[cloud]\nurl = "wss://cloud.example/ocpp"\nca_file = "ca.pem"\n'
        '[files]\nlisten = "127.0.0.1:9080"\nca_file = "ca.pem"\n'
        f'{BROKER}ca_file = "ca.pem"\n'
    )
    watched = app_alarms.certificates(config.loads(MINIMAL + lines, site_file))
    assert set(watched) == {"cloud-ca", "files-ca", "mqtt-ca"}
    assert set(watched.values()) == {site_file.parent / "ca.pem"}


def test_of_several_certificates_in_a_file_the_first_that_ends_counts(tmp_path: Path):
    def ends(days: float) -> str:
        end = datetime.now(UTC) + timedelta(days=days)
        return certificate(ec.generate_private_key(ec.SECP256R1()), end=end)

    file = tmp_path / "ca.pem"
    file.write_text(ends(400) + ends(5) + ends(90))
    now = Instant(5.0, datetime.now(UTC).timestamp(), True)
    (condition,) = certificate_of("mqtt-ca", file, read(file), now)
    assert (condition.target, condition.severity) == ("certificate mqtt-ca", "error")
    assert f"one of the 3 in {file} ends on" in condition.text


@pytest.mark.parametrize(
    ("lines", "sources"),
    [
        ("", set()),
        (BROKER, set()),
        (f'{BROKER}commands = ["alarm/ack"]\n', set()),
        (f'{BROKER}commands = ["limit/set"]\nlimit_sources = ["bms", "dso"]\n', {"bms", "dso"}),
    ],
)
def test_limits_must_be_renewed_by_those_who_set_them_over_mqtt(lines: str, sources: set[str]):
    assert app_alarms.limit_sources(config.loads(MINIMAL + lines)) == sources
