"""The site file: what is read, and what a person is told about a wrong one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner

from edgegw import config
from edgegw.cli import edgegw
from edgegw.config import SiteConfig
from edgegw.config_text import SiteFileFault
from edgegw.config_values import Address
from edgegw.errors import ConfigFault

ROOT = Path(__file__).parent.parent
MINIMAL = """\
[site]
id = "depot-1"

[chargers]
listen = "127.0.0.1:9000"

[store]
directory = "store"
"""


def complaints(text: str) -> list[str]:
    with pytest.raises(ConfigFault) as caught:
        config.loads(text, Path("site.toml"))
    assert isinstance(caught.value, SiteFileFault)
    assert str(caught.value).splitlines() == [str(c) for c in caught.value.complaints]
    return [str(c) for c in caught.value.complaints]


def complaint(text: str) -> str:
    (only,) = complaints(text)
    return only


def with_line(table: str, line: str) -> str:
    """MINIMAL with one line more at the top of a table, which is made when it is missing."""
    if f"[{table}]\n" in MINIMAL:
        return MINIMAL.replace(f"[{table}]\n", f"[{table}]\n{line}\n")
    return f"{MINIMAL}[{table}]\n{line}\n"


# --- a good file ----------------------------------------------------------------------------------


def test_the_smallest_file_has_every_default(tmp_path: Path):
    file = tmp_path / "site.toml"
    file.write_text(MINIMAL)
    site = config.load(file)
    assert site.cloud is None
    assert site.chargers.listen == Address("127.0.0.1", 9000)
    assert (site.chargers.path, site.chargers.unknown, site.chargers.known) == (
        "/ocpp",
        "refuse",
        frozenset(),
    )
    assert site.chargers.max_message_bytes == 4 * 1024 * 1024
    assert site.chargers.answer_timeout_s == 30.0
    assert site.authorization.mode == "cloud_first"
    assert site.authorization.cache_lifetime_s == 14 * 86_400
    assert site.store.directory == tmp_path / "store"
    assert site.store.retention_s == 400 * 86_400
    assert site.control.socket == tmp_path / "store" / "edgegw.sock"
    assert site.log.level == "info"
    assert config.warnings(site) == []


def test_values_with_units_reach_attributes_with_units():
    text = MINIMAL + (
        '[cloud]\nurl = "wss://csms.example:443/ocpp/"\nanswer_timeout = "1500 ms"\nreplay_rate = 5\n'
        'max_message = "128 KiB"\nretry_random_range = "0 s"\n'
    )
    cloud = config.loads(text).cloud
    assert cloud is not None
    assert cloud.url == "wss://csms.example:443/ocpp"  # "/" and the identity follow
    assert (cloud.answer_timeout_s, cloud.replay_rate_per_s) == (1.5, 5.0)
    assert (cloud.max_message_bytes, cloud.retry_random_range_s) == (128 * 1024, 0.0)


def test_a_site_is_frozen():
    site = config.loads(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        site.site.id = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("0.0.0.0:9000", Address("0.0.0.0", 9000)),
        ("[::1]:0", Address("::1", 0)),
        ("box.example:65535", Address("box.example", 65535)),
    ],
)
def test_an_address_is_read_and_written(listen: str, address: Address):
    site = config.loads(MINIMAL.replace("127.0.0.1:9000", listen))
    assert site.chargers.listen == address
    assert str(site.chargers.listen) == listen


@pytest.mark.parametrize(("path", "kept"), [("/", ""), ("/ocpp/", "/ocpp"), ("/a/b-c", "/a/b-c")])
def test_a_path_is_kept_without_its_closing_slash(path: str, kept: str):
    assert config.loads(with_line("chargers", f'path = "{path}"')).chargers.path == kept


def test_relative_paths_start_at_the_folder_of_the_file(tmp_path: Path):
    (tmp_path / "tls").mkdir()
    for name in ("a.crt", "a.key"):
        (tmp_path / "tls" / name).write_text("pem")
    file = tmp_path / "site.toml"
    file.write_text(with_line("chargers", 'tls_certificate = "tls/a.crt"\ntls_key = "./tls/../tls/a.key"'))
    site = config.load(os.path.relpath(file))
    assert site.chargers.tls_certificate == tmp_path / "tls" / "a.crt"
    assert site.chargers.tls_key == tmp_path / "tls" / "a.key"


def test_a_byte_order_mark_and_windows_lines_do_no_harm(tmp_path: Path):
    file = tmp_path / "site.toml"
    file.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert config.load(file).site.id == "depot-1"


# --- complaints -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "line", "words"),
    [
        # unknown keys
        ("chargers", "lisen = 1", '[chargers] lisen = 1: unknown key; did you mean "listen"?'),
        ("site", 'retention = "1 day"', "unknown key here; it belongs in [store]"),
        ("site", 'answer_timeout = "5 s"', "unknown key here; it belongs in [chargers] or [cloud]"),
        ("log", "zzz = 1", "unknown key; allowed are level, format"),
        ("chargers", 'answer_timeout_s = "5 s"', 'unknown key; did you mean "answer_timeout"?'),
        # kinds of values
        ("chargers", 'unknown = "maybe"', '"maybe": must be "accept" or "refuse"'),
        ("chargers", 'missing_subprotocol = "ocpp2.0"', '"ocpp1.6", "ocpp2.0.1" or "ocpp2.1"'),
        ("chargers", "max_connections = 0", "must be at least 1"),
        ("chargers", "max_connections = true", "must be a whole number"),
        ("authorization", 'site_cache = "yes"', "must be true or false"),
        ("site", "name = 5", "must be text in quotes"),
        ("chargers", "answer_timeout = 30", "must be a duration such as"),
        ("chargers", 'answer_timeout = "30"', "a unit is missing"),
        ("chargers", 'answer_timeout = "30 sec"', 'unknown unit "sec"; known are ms, s'),
        ("chargers", 'answer_timeout = "0 s"', 'must be between "1 s" and "10 min"'),
        ("chargers", 'max_message = "4 mb"', 'unknown unit "mb"'),
        ("chargers", 'max_message = "1 KiB"', 'must be between "64 KiB" and "64 MiB"'),
        ("chargers", 'path = "ocpp"', 'must begin with "/"'),
        ("chargers", 'path = "/o?x"', 'must begin with "/"'),
        # identities
        ("chargers", 'known = ["A", "B", "A"]', "names A more than once"),
        ("chargers", 'known = ["A:1"]', 'must not contain ":"'),
        ("chargers", 'known = [" A"]', "must be 1 to 48 of"),
        ("chargers", 'known = [""]', "must be 1 to 48 of"),
        ("chargers", f'known = ["{"A" * 49}"]', "must be 1 to 48 of"),
        ("chargers", 'known = ["Ä"]', "must be 1 to 48 of"),
        ("chargers", 'known = "A"', "must be a list of identities"),
        ("chargers", "known = [1]", "must be a list of identities"),
        # the cloud
        ("cloud", 'url = "https://x/y"', 'must be "ws://host[:port]/path"'),
        ("cloud", 'url = "ws:///y"', 'must be "ws://host[:port]/path"'),
        ("cloud", 'url = "ws://x:99999/y"', "is not a URL: Port out of range"),
        ("cloud", 'url = "ws://x/y?token=1"', "must have no query"),
        ("cloud", 'url = "ws://x/y#z"', "no fragment"),
        ("cloud", 'url = "ws://x/a b"', "without spaces"),
        ("cloud", 'url = "wss://x/y"\nreplay_rate = -1', "must be at least 0"),
        ("cloud", 'url = "wss://x/y"\nreplay_rate = inf', "must be a finite number"),
        ("cloud", 'on_loss = "serve_locally"', "[cloud] url: is required: the CSMS without the identity"),
        # tags
        ("authorization.tags", 'AB = "accepted"', '[authorization] tags.AB = "accepted": must be "Accepted"'),
        ("authorization.tags", 'AB = "Accepted"\nab = "Blocked"', 'the tags "AB" and "ab" are the same one'),
        # the control API
        (
            "control",
            'listen = "0.0.0.0:9001"',
            '[control] listen = "0.0.0.0:9001": must be a loopback address',
        ),
        ("control", 'listen = "127.0.0.1:9001"', "[control] token_file: is required when listen is set"),
        ("control", 'token_file = "nowhere"', "cannot be read: No such file or directory"),
        ("control", f'socket = "{"x" * 108}"', "a Unix socket allows 107"),
        # TLS
        (
            "chargers",
            'tls_key = "/proc/self/status"',
            "[chargers] tls_certificate: is required when tls_key is set",
        ),
        (
            "chargers",
            'tls_key = "/proc"\ntls_certificate = "/proc/version"',
            "cannot be read: Is a directory",
        ),
    ],
)
def test_a_complaint_says_line_key_value_and_what_is_allowed(table: str, line: str, words: str):
    said = complaint(with_line(table, line))
    assert words in said
    assert re.match(r"site\.toml:\d+: \[\w+\]", said)


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        (":9000", 'such as "0.0.0.0:9000" for every address'),
        ("*:9000", 'such as "0.0.0.0:9000" for every address'),
        ("127.0.0.1", 'must be "host:port"'),
        ("127.0.0.1:70000", "the port must be between 0 and 65535"),
        ("::1:9000", 'must be "host:port"'),
        ("[::z]:9000", 'must be "host:port"'),
        ("bad_host!:9000", 'must be "host:port"'),
        ("[1:2]:9000", "At least 3 parts expected"),
    ],
)
def test_a_wrong_listen_is_refused(listen: str, words: str):
    said = complaint(MINIMAL.replace("127.0.0.1:9000", listen))
    assert said.startswith(f'site.toml:5: [chargers] listen = "{listen}": ')
    assert words in said


def test_everything_wrong_is_told_at_once_in_order_of_lines():
    text = '[site]\nid = "a b"\n[chargers]\nlisten = "x"\nport = 1\n[stor]\ndirectory = "x"\n'
    told = complaints(text)
    assert [t.split(": ")[:2] for t in told] == [
        ["site.toml", "[store]"],
        ["site.toml:2", '[site] id = "a b"'],
        ["site.toml:4", '[chargers] listen = "x"'],
        ["site.toml:5", "[chargers] port = 1"],
        ["site.toml:6", "[stor]"],
    ]
    assert 'unknown table; did you mean "store"?' in told[-1]


def test_an_empty_file_names_the_three_tables_it_needs():
    assert [c.split(": ")[1] for c in complaints("")] == ["[chargers]", "[site]", "[store]"]


def test_a_list_item_is_found_on_its_own_line():
    text = with_line("chargers", 'known = [\n  "A", # "B:2" comes later\n  "B",\n  \'C:3\',\n]')
    assert complaint(text).startswith('site.toml:8: [chargers] known = "C:3"')


def test_lines_are_right_behind_multi_line_text_dotted_keys_and_inline_tables():
    text = 'site.id = "a"\nsite.name = """\n[chargers]\nlisten = 5\n"""\n\n'
    text += 'chargers = { listen = "127.0.0.1:1", unknown = "x" }\n[store]\n"directory" = 5\n'
    told = complaints(text)
    assert [re.split(r"[: ]", t)[1] for t in told] == ["7", "9"]


def test_a_password_in_a_url_is_not_shown():
    said = complaint(with_line("cloud", 'url = "wss://user:secret@x/y"'))
    assert "secret" not in said
    assert "wss://***@x/y" in said
    assert "must carry no user name or password" in said


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[site]\nid = "x\n', "site.toml:2:8: is not TOML: Illegal character"),
        ("[site]\nid = 1\nid = 2\n", "site.toml:3:7: is not TOML: Cannot overwrite a value"),
        ("[site\n", "site.toml:1:6: is not TOML: Expected ']'"),
        ('[site]\nid = """x\n', "site.toml:3: is not TOML: Unterminated string"),
    ],
)
def test_a_syntax_error_has_line_and_column(text: str, place: str):
    assert complaint(text).startswith(place)


def test_a_file_that_cannot_be_used_is_told_apart(tmp_path: Path):
    def said(file: Path) -> str:
        with pytest.raises(SiteFileFault) as caught:
            config.load(file)
        return str(caught.value).removeprefix(str(file))

    latin, long = tmp_path / "latin.toml", tmp_path / "long.toml"
    latin.write_bytes(b'[site]\n# caf\xe9\nid = "x"\n')
    long.write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    assert said(tmp_path / "none.toml") == ": does not exist"
    assert said(tmp_path) == ": cannot be read: Is a directory"
    assert said(latin) == ":2: is not UTF-8 text; save it as UTF-8"
    assert said(long) == ": is longer than 4 MiB; is it a site file?"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away and become someone else")
def test_a_file_of_someone_else_names_owner_and_user(tmp_path: Path):
    file = tmp_path / "site.toml"
    file.write_text(MINIMAL)
    file.chmod(0o600)
    tmp_path.chmod(0o755)
    code = (
        "import os\nfrom edgegw import config\nos.setuid(65534)\n"
        "try: config.load('site.toml')\nexcept config.SiteFileFault as fault: print(fault)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout == (
        "site.toml: cannot be read: it belongs to root (mode 0600) and edgegw runs as nobody\n"
    )


# --- warnings -------------------------------------------------------------------------------------


def test_what_works_but_should_not_stay_is_warned_of(tmp_path: Path):
    (tmp_path / "token").write_text("x")
    (tmp_path / "token").chmod(0o644)
    text = MINIMAL.replace("127.0.0.1", "0.0.0.0") + (
        '[cloud]\nurl = "ws://csms.example/x"\n[control]\nlisten = "localhost:0"\ntoken_file = "token"\n'
    )
    text = text.replace("[chargers]", '[chargers]\nunknown = "accept"')
    told = config.warnings(config.loads(text, tmp_path / "site.toml"))
    starts = [
        "[chargers] listen",
        "[chargers] unknown",
        "[cloud] url",
        "[control] token_file",
    ]
    assert [t[: len(s)] for t, s in zip(told, starts, strict=True)] == starts


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_nothing_is_warned_of_on_loopback(host: str):
    text = MINIMAL.replace("127.0.0.1", host).replace("[chargers]", '[chargers]\nunknown = "accept"')
    assert config.warnings(config.loads(text + f'[cloud]\nurl = "ws://{host}:9/x"\n')) == []


# --- the files that ship --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["edgegw.toml", "demo.toml"])
def test_the_site_files_that_ship_are_right(name: str):
    assert config.load(ROOT / "config" / name).site.id


LISTED = {"meter", "circuit", "connector", "schedule"}  # [[tables]]


def test_the_commented_example_shows_every_key_with_its_default():
    text = (ROOT / "config" / "edgegw.toml").read_text()
    uncommented = re.sub(r"^# (\[{1,2}\w+\]{1,2}$|\w+ = )", r"\1", text, flags=re.MULTILINE)
    shown, plain = tomllib.loads(uncommented), tomllib.loads(text)
    heads = {
        "cloud": 'url = "ws://x"\n',
        "files": 'listen = "10.0.0.5:9080"\n',
        "publishing": 'identity = "gateway-1"\n',
        "mqtt": 'broker = "mqtt://10.0.0.9"\n',
    }
    needed = "".join(f"[{table}]\n{head}" for table, head in heads.items())
    default = config.loads(MINIMAL + needed)
    of_this_site = {
        ("chargers", "public_url"), ("chargers", "tls_certificate"), ("chargers", "tls_key"),
        ("cloud", "ca_file"), ("control", "socket"), ("control", "listen"), ("control", "token_file"),
        ("control", "read_token_file"),
        ("balancing", "meters_directory"), ("balancing", "quirks_directory"),
        ("chargers", "catalogue_directory"), ("files", "listen"), ("files", "public_url"),
        ("files", "tls_certificate"), ("files", "tls_key"), ("files", "ca_file"), ("files", "known_hosts"),
        ("files", "ftp_listen"), ("files", "ftp_public_host"), ("publishing", "identity"),
        ("publishing", "password_file"), ("mqtt", "broker"), ("mqtt", "username"), ("mqtt", "password_file"),
        ("mqtt", "ca_file"), ("mqtt", "tls_certificate"), ("mqtt", "tls_key"), ("mqtt", "limit_fallback"),
    }  # fmt: skip
    compared = 0
    for table, values in shown.items():
        if table in LISTED:
            continue
        theirs = getattr(default, table)
        names = {field.alias or name: name for name, field in type(theirs).model_fields.items()}
        assert set(values) == set(names), table
        for key in set(values) - set(plain.get(table, {})):
            if (table, key) not in of_this_site:
                line = f"{key} = {json.dumps(values[key])}"
                others = "".join(f"[{t}]\n{h}" for t, h in heads.items() if t != table)
                ours = getattr(config.loads(others + with_line(table, heads.get(table, "") + line)), table)
                assert getattr(ours, names[key]) == getattr(theirs, names[key]), f"[{table}] {key}"
                compared += 1
    assert compared > 25
    assert set(shown) == set(SiteConfig.model_fields)


@pytest.mark.parametrize("table", sorted(LISTED))
def test_the_commented_example_shows_every_key_of_a_listed_table(table: str):
    text = (ROOT / "config" / "edgegw.toml").read_text()
    uncommented = re.sub(r"^# (\[{1,2}\w+\]{1,2}$|\w+ = )", r"\1", text, flags=re.MULTILINE)
    (shown,) = tomllib.loads(uncommented)[table]
    fields = _item(table).model_fields
    assert set(shown) == {field.alias or name for name, field in fields.items()}


def _item(table: str) -> Any:
    (item, _) = get_args(SiteConfig.model_fields[table].annotation)
    return item


# --- the command ----------------------------------------------------------------------------------


def test_check_says_ok_in_one_line(tmp_path: Path):
    file = tmp_path / "site.toml"
    file.write_text(MINIMAL)
    done = CliRunner().invoke(edgegw, ["check", "--config", str(file)])
    assert done.exit_code == 0
    assert done.stdout == (
        f"{file}: ok: site depot-1; chargers dial ws://127.0.0.1:9000/ocpp/<identity>; standalone, no cloud; "
        f"records in {tmp_path}/store, kept 400 days\n"
    )


def test_check_exits_2_with_every_complaint(tmp_path: Path):
    file = tmp_path / "site.toml"
    file.write_text(MINIMAL.replace("depot-1", "depot 1").replace("listen", "lissen"))
    done = CliRunner().invoke(edgegw, ["check", "--config", str(file)])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 3
    assert f'{file}:2: [site] id = "depot 1": must be' in done.stderr


def test_check_speaks_json(tmp_path: Path):
    file = tmp_path / "site.toml"
    file.write_text(MINIMAL.replace("depot-1", "depot 1"))
    done = CliRunner().invoke(edgegw, ["check", "--json", "--config", str(file)])
    assert done.exit_code == 2
    said = json.loads(done.stdout)
    assert said["ok"] is False
    (one,) = said["complaints"]
    assert (one["line"], one["key"], one["value"]) == (2, "[site] id", '"depot 1"')
    file.write_text(MINIMAL)
    done = CliRunner().invoke(edgegw, ["check", "--json", "--config", str(file)])
    assert json.loads(done.stdout) == {
        "ok": True,
        "file": str(file),
        "site": "depot-1",
        "complaints": [],
        "warnings": [],
    }


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["check", "--config", "config/demo.toml"]])
def test_the_small_commands_do_not_pay_for_the_web_framework(arguments: list[str]):
    code = (
        "import sys\nfrom edgegw.__main__ import main\n"
        f"sys.argv = ['edgegw', *{arguments!r}]\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'fastapi', 'starlette', 'uvicorn', 'uvloop', 'websockets', 'httpx'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_adopting_other_clouds_needs_the_address_of_this_box():
    cloud = '[cloud]\nurl = "ws://127.0.0.1:9/x"\nmoves = "adopt"\n'
    with pytest.raises(SiteFileFault, match=r"\[chargers\] public_url: is required when \[cloud\] moves"):
        config.loads(MINIMAL + cloud)


def test_check_opens_the_files_that_run_would_open(tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123")
    token.chmod(0o644)
    file = tmp_path / "site.toml"
    file.write_text(MINIMAL + f'[control]\nlisten = "127.0.0.1:0"\ntoken_file = "{token}"\n')
    done = CliRunner().invoke(edgegw, ["check", "--config", str(file)])
    assert done.exit_code == 2
    assert f"chmod 600 {token}" in done.stderr
