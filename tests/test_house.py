"""The rules of the house itself: locks, image, tracked files, tests, and who may import whom."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import edgegw

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.lock", "requirements-dev.lock")
# Put together here so that this file does not contain what it looks for.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs"),
        ("npmmirror", "com"),
        ("deb", "debian"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
    )
]
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:work|root|tmp|home)/[\w.]")


def tracked_files() -> list[Path]:
    """What git tracks or would track; without git everything but hidden and generated folders."""
    try:
        done = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        paths = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        paths = [p for p in ROOT.rglob("*") if not {".venv", "node_modules"} & set(p.parts)]
    return [path for path in paths if path.is_file()]


def readable(path: Path) -> str:
    data = path.read_bytes()
    return "" if b"\0" in data else data.decode("utf-8", "replace")


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", (ROOT / lock).read_text(), re.MULTILINE))


# --- locks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_pins_and_hashes_and_nothing_else(lock: str):
    text = (ROOT / lock).read_text()
    pin = re.compile(r"[a-z0-9-]+==\S+( ; .+)? \\")
    hashed = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    odd = [line for line in text.splitlines() if not pin.fullmatch(line) and not hashed.fullmatch(line)]
    assert odd == []
    for block in re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block


def test_the_locks_hold_every_direct_dependency():
    names = [re.split(r"[<>=\[]", d)[0] for d in PYPROJECT["project"]["dependencies"]]
    assert set(names) <= set(pins("requirements.lock"))
    dev = [re.split(r"[<>=\[]", d)[0] for d in PYPROJECT["project"]["optional-dependencies"]["dev"]]
    assert set(names) | set(dev) <= set(pins("requirements-dev.lock"))


def test_what_is_tested_is_what_is_shipped():
    """The run-time pins are the same in both locks."""
    assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


def test_a_broker_that_pulls_websockets_back_is_never_a_dependency():
    assert "amqtt" not in pins("requirements-dev.lock")
    assert pins("requirements.lock")["websockets"].startswith("17.")


# --- tracked files --------------------------------------------------------------------------------


def test_no_tracked_file_names_a_registry_or_a_place_on_one_machine():
    found = []
    for path in tracked_files():
        for number, line in enumerate(readable(path).splitlines(), start=1):
            if MACHINE_PATH.search(line) or any(host in line for host in REGISTRIES):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []


def test_nothing_that_is_made_here_is_tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[:5] == []


def test_what_the_search_looks_for_it_finds():
    assert MACHINE_PATH.search("see " + "/work" + "/main/x")
    assert MACHINE_PATH.search('"' + "/tmp" + '/x"')
    assert not MACHINE_PATH.search("a/work/b https://x/root/y /workers/x")


def test_the_version_has_one_home():
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    done = subprocess.run(
        [sys.executable, "-m", "edgegw", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"edgegw {edgegw.__version__}\n"
    assert f"## {edgegw.__version__}" in (ROOT / "CHANGELOG.md").read_text()


# --- tests ----------------------------------------------------------------------------------------

MAY_TIME = {"benchmarks", "torture", "simulation"}
STOP_WATCHES = {"perf_counter", "perf_counter_ns", "process_time", "process_time_ns", "thread_time"}
CLOCKS = {"monotonic", "time", "loop_time"}
# Most files have none, and need not be parsed.
HAS_CLOCK = re.compile(r"perf_counter|process_time|thread_time|(monotonic|\btime|loop_time)\(\)|\.mono\b")


def is_clock(node: ast.expr) -> bool:
    """`time.monotonic()`, `loop.time()`, `clock.now().mono`."""
    if isinstance(node, ast.Attribute) and node.attr == "mono":
        return isinstance(node.value, ast.Call)
    if not isinstance(node, ast.Call) or node.args:
        return False
    return (getattr(node.func, "attr", "") or getattr(node.func, "id", "")) in CLOCKS


def is_duration(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in names
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and is_clock(node.left)


def timing(source: str) -> list[int]:
    """The lines with a stop watch, and those that assert that something took less than so long."""
    if not HAS_CLOCK.search(source):
        return []
    nodes, names, lines = list(ast.walk(ast.parse(source))), set[str](), []
    for node in nodes:
        if isinstance(node, ast.Assign) and is_duration(node.value, set()):
            names |= {one.id for one in node.targets if isinstance(one, ast.Name)}
    for node in nodes:
        named = {getattr(node, "attr", ""), getattr(node, "id", ""), getattr(node, "name", "")}
        if named & STOP_WATCHES:
            lines.append(node.lineno)
        if not isinstance(node, ast.Assert) or not isinstance(node.test, ast.Compare):
            continue
        sides = [node.test.left, *node.test.comparators]
        for left, sign, right in zip(sides, node.test.ops, sides[1:], strict=False):
            small = left if isinstance(sign, ast.Lt | ast.LtE) else right
            if isinstance(sign, ast.Lt | ast.LtE | ast.Gt | ast.GtE) and is_duration(small, names):
                lines.append(node.lineno)
    return lines


def test_no_test_fails_because_the_machine_is_slow():
    found = []
    for path in tracked_files():
        room = path.relative_to(ROOT).parts
        if path.suffix == ".py" and room[0] == "tests" and room[1] not in MAY_TIME:
            found += [f"{path.relative_to(ROOT)}:{line}" for line in timing(path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    "bad",
    [
        "assert time.monotonic() - began < 5",
        "assert 5 >= loop.time() - began",
        "assert 1 < clock.now().mono - began <= 5",
        "took_s = time.time() - began\nassert took_s < 5",
        "from time import perf_counter",
        "began = time.process_time()",
    ],
)
def test_what_times_the_machine_is_found(bad: str):
    assert timing(bad)


def test_what_waits_or_says_at_least_is_not_found():
    good = (
        "assert time.monotonic() - began >= 0.2",
        "assert time.monotonic() < deadline",
        "assert clock.now - clock.began < 0.2",
        "wait_s = deadline - time.monotonic()",
    )
    assert not timing("\n".join(good))


# --- the image ------------------------------------------------------------------------------------


def test_the_image_is_pinned_by_the_lock_and_runs_as_nobody_special():
    text = (ROOT / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert stages == ["python:3.11-slim-bookworm"] * 2
    last = text[text.rindex("\nFROM ") :]
    assert "--require-hashes" in text
    assert "-r requirements.lock" in text
    assert "pip install" not in last
    assert re.search(r"^USER edgegw$", last, re.MULTILINE)
    assert last.index("USER edgegw") < last.index("ENTRYPOINT")
    assert 'VOLUME ["/var/lib/edgegw", "/opt/edgegw/firmware_cache"]' in last
    assert "EXPOSE 9000" in last
    assert re.search(r'HEALTHCHECK [^\n]*\\\n\s+CMD \["edgegw", "status"', last)


def test_the_image_gets_every_file_it_copies():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert copied
    for path in copied:
        assert (ROOT / path).exists(), path
        assert path.split("/")[0] in allowed, path


# --- make -----------------------------------------------------------------------------------------


def test_make_help_lists_the_targets():
    done = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("setup", "check", "test", "demo", "bench", "simulate", "lock", "clean"):
        assert f"make {target} " in done.stdout


def system_packages(*pairs: str, path: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(ROOT / "tests" / "system_packages.sh"), "test", *pairs],
        env={"PATH": path, **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder of commands that is all a fresh machine has; apt-get notes what it was asked."""
    for name in ("sh", "env", "grep", "head", "ln", "mktemp", "rm"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    (tmp_path / "apt-get").write_text(
        '#!/bin/sh\necho "$@" >>"$0.log"\n'
        'case "$*" in *update*) : >"$0.updated"; exit 0 ;; esac\n'
        '[ -e "$0.updated" ] || { echo "E: old lists"; exit 100; }\n'
    )
    (tmp_path / "id").write_text("#!/bin/sh\necho ${FAKE_UID:-0}\n")
    (tmp_path / "sudo").write_text("#!/bin/sh\nexit 1\n")
    for name in ("apt-get", "id", "sudo"):
        (tmp_path / name).chmod(0o755)
    return tmp_path


def test_a_package_that_is_there_is_not_installed(machine: Path):
    done = system_packages("sh=dash", path=str(machine), env={})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (machine / "apt-get.log").exists()


def test_what_is_missing_is_installed_after_one_update(machine: Path):
    done = system_packages("sh=dash", "no-such-node=nodejs", "=python3-venv", path=str(machine), env={})
    assert (done.returncode, done.stdout) == (0, "make test: installing nodejs python3-venv\n")
    first, update, second = (machine / "apt-get.log").read_text().splitlines()
    assert "update" in update
    assert first == second
    assert first.endswith("install --no-install-recommends nodejs python3-venv")


def test_what_is_installed_is_not_started(machine: Path):
    """With the PATH that the packages' own scripts get, what starts and enables services does nothing."""
    (machine / "apt-get").write_text(
        '#!/bin/sh\nfor word in "$@"; do case $word in DPkg::Path=*) PATH=${word#*=} ;; esac; done\n'
        'echo "$PATH" >"$0.path"\n'
        "for name in deb-systemd-helper deb-systemd-invoke invoke-rc.d update-rc.d; do\n"
        '    "$name" no-such-service start || exit 1\ndone\n'
    )
    done = system_packages("no-such-server=nginx", path=str(machine), env={})
    assert (done.returncode, done.stderr) == (0, "")
    stubs, system = (machine / "apt-get.path").read_text().strip().split(":", 1)
    assert system == "/usr/sbin:/usr/bin:/sbin:/bin"
    assert not Path(stubs).exists()


def test_who_may_not_install_is_told_what_to_run_in_one_line(machine: Path):
    done = system_packages("no-such-node=nodejs", path=str(machine), env={"FAKE_UID": "1000"})
    assert done.returncode == 1
    assert done.stderr == (
        "make test: needs nodejs: run apt-get install nodejs (neither root nor sudo without a password)\n"
    )


# --- rooms ----------------------------------------------------------------------------------------


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    script = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [script, "--no-cache", "--config", str(ROOT / "pyproject.toml")],
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_rooms_keep_their_contracts():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout


def test_every_contract_catches_what_it_forbids(tmp_path: Path):
    """The same contracts on a copy of the package into which one breach of each was built."""
    shutil.copytree(ROOT / "edgegw", tmp_path / "edgegw", ignore=shutil.ignore_patterns("__pycache__"))
    breaches = {
        "store/upwards.py": "import edgegw.control\n",
        "core/hurried.py": "import time\n",
        "sim/cheat.py": "import edgegw.core.records\n",
        "tui/nosy.py": "import edgegw.store\n",
        "commissioning/nosy.py": "import edgegw.store\n",
        "tui/__init__.py": "",
        "balance/hurried.py": "import random\n",
        "balance/__init__.py": "",
    }
    for name, code in breaches.items():
        (tmp_path / "edgegw" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "edgegw" / name).write_text(code)
    done = lint_imports(tmp_path)
    assert done.returncode == 1
    for contract in PYPROJECT["tool"]["importlinter"]["contracts"]:
        assert re.search(rf"{contract['name']}\s+BROKEN", done.stdout), done.stdout
    for name in ("core.hurried -> time", "balance.hurried -> random"):
        assert f"edgegw.{name}" in done.stdout


def test_a_new_room_must_take_its_place(tmp_path: Path):
    shutil.copytree(ROOT / "edgegw", tmp_path / "edgegw", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "edgegw" / "shed.py").write_text("")
    done = lint_imports(tmp_path)
    assert done.returncode == 1
    assert "shed" in done.stdout + done.stderr
