"""`[mqtt]` of the site file: what is refused, in which words, and what is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgegw import config
from edgegw.config_mqtt import VERBS, Mqtt
from edgegw.config_text import SiteFileFault
from tests.test_config import MINIMAL

BROKER = 'broker = "mqtt://10.0.0.9"\n'
TLS = 'broker = "mqtts://broker.lan"\n'
LOOPBACK = 'broker = "mqtt://127.0.0.1:1884"\n'


def loaded(lines: str = "", *, head: str = BROKER, file: Path = Path("site.toml")) -> Mqtt:
    mqtt = config.loads(f"{MINIMAL}[mqtt]\n{head}{lines}", file).mqtt
    assert mqtt is not None
    return mqtt


def refused(lines: str = "", *, head: str = BROKER, file: Path = Path("site.toml")) -> str:
    with pytest.raises(SiteFileFault) as fault:
        loaded(lines, head=head, file=file)
    return str(fault.value)


def warned(lines: str = "", *, head: str = BROKER) -> str:
    site = config.loads(f"{MINIMAL}[mqtt]\n{head}{lines}")
    return "\n".join(line for line in config.warnings(site) if "[mqtt]" in line)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A site file's folder with files for every key that names one; the path of the site file."""
    for name in ("password", "ca.pem", "own.pem", "own.key"):
        (tmp_path / name).write_text("something\n")
    return tmp_path / "site.toml"


def test_a_broker_is_all_it_needs():
    mqtt = loaded()
    assert (mqtt.host, mqtt.port, mqtt.tls) == ("10.0.0.9", 1883, False)
    assert (mqtt.version, mqtt.base, mqtt.interval_s, mqtt.card_ids) == ("5", "edgegw", 1.0, "hashed")
    assert (mqtt.commands, mqtt.homeassistant, mqtt.flat, mqtt.log) == ((), False, False, "off")


def test_without_the_table_nothing_is_published():
    assert config.loads(MINIMAL).mqtt is None


@pytest.mark.parametrize(
    ("broker", "host", "port"),
    [
        ("mqtt://broker.lan:1884/", "broker.lan", 1884),
        ("mqtts://broker.lan", "broker.lan", 8883),
        ("mqtts://[fd00::1]:8884", "fd00::1", 8884),
    ],
)
def test_addresses_of_brokers(broker: str, host: str, port: int):
    mqtt = loaded(head=f'broker = "{broker}"\n')
    assert (mqtt.host, mqtt.port) == (host, port)
    assert mqtt.tls is broker.startswith("mqtts")


@pytest.mark.parametrize(
    "broker",
    [
        "10.0.0.9",
        "tcp://10.0.0.9",
        "mqtt://",
        "mqtt://me:secret@10.0.0.9",
        "mqtt://10.0.0.9/edgegw",
        "mqtt://10.0.0.9?x=1",
        "mqtt://10.0.0.9#x",
        "mqtt://10.0.0.9:0",
        "mqtt://br\u00f6ker.lan",
    ],
)
def test_what_is_no_broker(broker: str):
    text = refused(head=f'broker = "{broker}"\n')
    assert 'must be "mqtt://host[:port]" or "mqtts://host[:port]"; the user goes into username' in text
    assert "[mqtt] broker" in text


def test_a_port_that_is_no_number():
    assert "is not a URL" in refused(head='broker = "mqtt://10.0.0.9:x"\n')
    assert "is not a URL" in refused(head='broker = "mqtt://10.0.0.9:70000"\n')


def test_a_broker_must_be_named():
    assert 'broker = "mqtt://10.0.0.9"' in refused(head="")  # it says what to write


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('version = "3.1"', '"5"'),
        (f'client_id = "{"x" * 66}"', "at most 65"),
        ('username = ""', "at least 1"),
        ('password = "in the clear"', "unknown key"),
        ('keep_alive = "4 s"', 'between "5 s" and "1 h"'),
        ("keep_alive = 30", "in quotes"),
        ('base = "/edgegw"', "begin and end with none"),
        ('base = "edgegw/"', "begin and end with none"),
        ('base = "edge gw"', "A-Z a-z 0-9"),
        ('base = "edgegw/+"', "A-Z a-z 0-9"),
        ('base = "edgegw/#"', "A-Z a-z 0-9"),
        ('base = ""', "A-Z a-z 0-9"),
        ('interval = "100 ms"', 'between "200 ms" and "1 min"'),
        ('interval = "2 min"', "between"),
        ('flat = "yes"', "true or false"),
        ('log = "debug"', '"warning"'),
        ('card_ids = "none"', '"hashed"'),
        ("events_kept = 99", "at least 100"),
        ("events_kept = 1000001", "at most 1000000"),
        ('commands = ["limit/set", "limit/set"]', "names a verb more than once"),
        ('commands = ["gateway/restart"]', "limit/set"),
        ('commands = "limit/set"', "must be a list"),
        ('limit_expiry = "5 s"', '"10 s"'),
        ('limit_expiry = "2 days"', '"1 day"'),
        ("limit_fallback = -1.0", "at least 0"),
        ("limit_fallback = 10001.0", "at most 10000"),
        ('discovery_prefix = "home/"', "begin and end with none"),
        ('password_file = "no-such-file"', "cannot be read"),
    ],
)
def test_what_is_refused(lines: str, words: str):
    text = refused(lines + "\n")
    assert words in text
    assert "[mqtt]" in text


def test_a_password_needs_a_user(files: Path):
    assert "[mqtt] username" in (text := refused('password_file = "password"\n', file=files))
    assert "is required when password_file is set" in text
    mqtt = loaded('username = "edgegw"\npassword_file = "password"\n', file=files)
    assert mqtt.password_file == files.parent / "password"


@pytest.mark.parametrize(
    ("given", "missing"), [("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")]
)
def test_certificate_and_key_go_together(files: Path, given: str, missing: str):
    text = refused(f'{given} = "own.pem"\n', head=TLS, file=files)
    assert f"[mqtt] {missing}" in text
    assert f"is required when {given} is set (set both or none)" in text


def test_files_of_tls_need_tls(files: Path):
    own = 'tls_certificate = "own.pem"\ntls_key = "own.key"\n'
    for lines in ('ca_file = "ca.pem"\n', own):
        assert 'is for TLS: write broker = "mqtts://..."' in refused(lines, file=files)
        assert loaded(lines, head=TLS, file=files).tls


def test_our_topics_stay_out_of_home_assistants():
    both = 'homeassistant = true\nbase = "homeassistant/edgegw"\n'
    text = refused(both)
    assert "[mqtt] base" in text
    assert "Home Assistant would read it as discovery" in text
    assert loaded(both.replace("true", "false"))
    assert loaded('homeassistant = true\nbase = "homeassistant"\ndiscovery_prefix = "ha"\n')


def test_every_verb_can_be_switched_on():
    commands = ", ".join(f'"{verb}"' for verb in VERBS)
    assert loaded(f"commands = [{commands}]\n").commands == VERBS


def test_what_crosses_the_network_in_the_clear_is_warned_of():
    assert warned() == (
        "[mqtt] broker = mqtt://10.0.0.9 is not encrypted: everyone on that network can read it"
    )
    assert "can read it and send commands" in warned('username = "edgegw"\ncommands = ["alarm/ack"]\n')
    assert warned(head=LOOPBACK) == warned(head=TLS) == ""


def test_commands_from_anybody_are_warned_of():
    commands = 'commands = ["alarm/ack"]\n'
    assert "without username or tls_certificate: whoever reaches the broker may command" in warned(
        commands, head=LOOPBACK
    )
    assert warned(f'username = "edgegw"\n{commands}', head=LOOPBACK) == ""


def test_limits_that_just_end_are_warned_of():
    lines = 'username = "edgegw"\ncommands = ["limit/set"]\n'
    assert "just ends when the building goes silent: set limit_fallback" in warned(lines, head=LOOPBACK)
    assert warned(f"{lines}limit_fallback = 16.0\n", head=LOOPBACK) == ""


def test_card_ids_are_warned_of():
    assert "card ids are personal data" in warned('card_ids = "plain"\n', head=LOOPBACK)
