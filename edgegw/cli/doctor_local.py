"""What the doctor sees on this machine alone: site file, folders and rights, store, disk, clock, load."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import platform
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from edgegw import __version__
from edgegw import config as site_file
from edgegw.cli.check import open_files
from edgegw.cli.doctor_findings import Finding, left_out, look, ok, wrong
from edgegw.cli.tables import number, size
from edgegw.config import SiteConfig
from edgegw.config_text import SiteFileFault
from edgegw.errors import ConfigFault, StoreFault
from edgegw.store import copy_check
from edgegw.store.directory import WAL

FREE_DISK_LOW_BYTES = 256 * 1024 * 1024
WAL_LONG_BYTES = 64 * 1024 * 1024
MEMORY_LOW_SHARE = 0.05
LOAD_PER_CPU_HIGH = 2.0
STORE_CHECKED_MAX_BYTES = 2 * 1024**3  # a longer one is not copied to be looked at
CLOCK_WITHIN_S = 3.0
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


def site(file: Path) -> Iterator[Finding]:
    """As `edgegw check`."""
    try:
        config = site_file.load(file)
        open_files(config)
    except SiteFileFault as fault:
        todo = "mend the site file; `edgegw check` looks again"
        yield from (wrong("site file", str(complaint), todo) for complaint in fault.complaints)
        return
    except ConfigFault as fault:
        yield wrong("site file", str(fault), "mend it; `edgegw check` looks again")
        return
    yield ok("site file", f"{file}: site {config.site.id}")
    yield from (look("site file", warning) for warning in site_file.warnings(config))


def secret_files(config: SiteConfig) -> dict[str, Path]:
    """Every file that only its owner may read, by the key that names it."""
    control, mqtt, publishing, files = config.control, config.mqtt, config.publishing, config.files
    named = {
        "[control] token_file": control.token_file,
        "[control] read_token_file": control.read_token_file,
        "[chargers] tls_key": config.chargers.tls_key,
        "[files] tls_key": files.tls_key if files else None,
        "[mqtt] password_file": mqtt.password_file if mqtt else None,
        "[mqtt] tls_key": mqtt.tls_key if mqtt else None,
        "[publishing] password_file": publishing.password_file if publishing else None,
    }
    return {key: path for key, path in named.items() if path is not None}


def rights(config: SiteConfig, file: Path) -> Iterator[Finding]:
    clean = True
    for key, path in secret_files(config).items():
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            clean = False
            yield wrong(
                "rights", f"{key} = {path} can be read by others (mode {mode:04o})", f"chmod 600 {path}"
            )
    if file.stat().st_mode & 0o022:
        clean = False
        yield wrong("rights", f"{file} can be written by others than its owner", f"chmod go-w {file}")
    if clean:
        count = len(secret_files(config))
        yield ok(
            "rights",
            f"{number(count, 'secret file')}, read by the owner only" if count else "no secret files",
        )


# --- the store ------------------------------------------------------------------------------------


def store(config: SiteConfig) -> Iterator[Finding]:
    folder = config.store.directory
    if not folder.is_dir():
        parent = "" if folder.parent.is_dir() else f"; {folder.parent} does not exist either"
        yield look("store", f"{folder} is not there yet{parent}", "edgegw makes it at its first start")
        return
    about = folder.stat()
    if about.st_uid != os.geteuid() and os.geteuid() != 0:
        yield left_out("store", f"{folder} belongs to user {about.st_uid}: run this as that user, or as root")
        return
    yield from _space(config)
    if is_locked(folder):
        yield left_out("store", "its rows are not looked at here: the running gateway watches over them")
    else:
        yield from _content(folder)


def _space(config: SiteConfig) -> Iterator[Finding]:
    folder = config.store.directory
    free = shutil.disk_usage(folder).free
    if free < FREE_DISK_LOW_BYTES:
        yield wrong("disk", f"only {size(free)} are free on the disk of {folder}", "free some space")
    else:
        yield ok("disk", f"{size(free)} are free on the disk of {folder}")
    files = os.statvfs(folder)
    if files.f_files and files.f_favail < 1000:
        yield wrong("disk", f"no file can be made on the disk of {folder} soon: it is out of inodes")
    if not os.access(folder, os.W_OK):
        yield wrong("disk", f"{folder} cannot be written", "is the disk mounted read-only? dmesg says why")
    if (
        (folder / "edgegw.db").exists()
        and config.store.reserve_bytes
        and not (folder / "edgegw.reserve").exists()
    ):
        yield wrong(
            "disk", "the space kept back for messages is in use", "the disk was full: free some space"
        )
    log_bytes = _size(folder / f"edgegw.db{WAL}")
    if log_bytes > WAL_LONG_BYTES:
        yield look(
            "store", f"its write-ahead log is {size(log_bytes)} long", "restart edgegw when it stays so"
        )
    for aside in sorted(folder.glob("*.corrupt-*[0-9]")):
        yield look("store", f"{aside.name} is what was damaged once", "keep it for the maker, or delete it")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def is_locked(folder: Path) -> bool:
    """A gateway, or a restore, works on that store."""
    try:
        handle = os.open(folder / "edgegw.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _content(folder: Path) -> Iterator[Finding]:
    """A copy is looked at: opening the store itself would change what its own recovery looks at."""
    database = folder / "edgegw.db"
    total = _size(database) + _size(folder / f"edgegw.db{WAL}")
    if not database.exists():
        yield look("store", f"{folder} holds no edgegw.db yet", "edgegw makes it at its first start")
        return
    if total > STORE_CHECKED_MAX_BYTES or total > shutil.disk_usage(tempfile.gettempdir()).free // 2:
        yield left_out("store", f"it is {size(total)} long: start edgegw, it looks at it itself")
        return
    with tempfile.TemporaryDirectory(prefix="edgegw-doctor-") as name:
        copy = Path(name) / database.name
        for suffix in ("", WAL):
            if (source := database.with_name(database.name + suffix)).exists():
                shutil.copyfile(source, copy.with_name(copy.name + suffix))
        yield from _copied(copy)


def _copied(copy: Path) -> Iterator[Finding]:
    try:
        copy_check.fold(copy)
        counts = asyncio.run(copy_check.check_journal(copy))
    except StoreFault as fault:
        yield wrong("store", str(fault), "edgegw saves what is whole when it starts; else `edgegw restore`")
        return
    yield ok(
        "store", f"whole: {number(counts.tables.get('journal', 0), 'message')}, every page and row looked at"
    )
    if damaged := counts.tables.get("quarantine", 0):
        yield look("store", f"{number(damaged, 'row')} were damaged once and are in its quarantine")
    if parked := counts.states.get("parked", 0):
        yield look(
            "store",
            f"{number(parked, 'message')} were refused by the cloud",
            "edgegw queue --rows --state parked",
        )


def cache(config: SiteConfig) -> Iterator[Finding]:
    """The folder of firmware and uploads."""
    if config.files is None:
        return
    folder = config.files.directory
    if not folder.is_dir():
        yield look("firmware cache", f"{folder} is not there yet", "edgegw makes it at its first start")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield wrong("firmware cache", f"{folder} cannot be written by this user", "check its owner and mode")
    else:
        free = shutil.disk_usage(folder).free
        low = free < FREE_DISK_LOW_BYTES
        words = f"{folder}: {size(free)} free"
        yield wrong("firmware cache", words, "free some space") if low else ok("firmware cache", words)


# --- the machine ----------------------------------------------------------------------------------


def machine() -> Iterator[Finding]:
    cpus, (load, *_) = os.cpu_count() or 1, os.getloadavg()
    if load > LOAD_PER_CPU_HIGH * cpus:
        yield look("machine", f"load {load:.1f} on {number(cpus, 'processor')}", "`top` says what is busy")
    memory = _memory_kib()
    total, free = memory.get("MemTotal", 0), memory.get("MemAvailable", 0)
    if total and free < MEMORY_LOW_SHARE * total:
        yield wrong(
            "machine",
            f"only {size(free * 1024)} of {size(total * 1024)} memory left",
            "`top` says who has it",
        )
    python = platform.python_version()
    yield ok(
        "machine",
        f"edgegw {__version__}, Python {python}, {platform.release()}, load {load:.1f}, "
        f"{size(free * 1024)} of {size(total * 1024)} memory free",
    )


def _memory_kib() -> dict[str, int]:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return {}
    return {
        name: int(rest.split()[0])
        for name, _, rest in (line.partition(":") for line in lines)
        if rest.split()
    }


def clock() -> Iterator[Finding]:
    """Does anybody keep it right? By systemd when it is there, else by the kernel."""
    now = time.time()
    if now < 1_577_836_800:
        words = f"it says {time.strftime('%Y-%m-%d', time.gmtime(now))}"
        yield wrong("clock", words, "set the clock: NTP, or a battery")
        return
    kept = _kept_by_systemd()
    if kept is None:
        kept = _kept_by_kernel()
    if kept is None:
        yield left_out("clock", "nobody here says whether it is kept right")
    elif kept:
        yield ok("clock", "it is kept right by NTP")
    else:
        yield look(
            "clock", "it is not kept right by NTP", "timedatectl set-ntp true, and let NTP (UDP 123) out"
        )


def _kept_by_systemd() -> bool | None:
    command = shutil.which("timedatectl")
    if command is None:
        return None
    try:
        asked = [command, "show", "-p", "NTPSynchronized", "--value"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=CLOCK_WITHIN_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return {"yes": True, "no": False}.get(done.stdout.strip())


def _kept_by_kernel() -> bool | None:
    try:
        asked = ctypes.create_string_buffer(512)  # struct timex with modes 0: only look
        state = int(ctypes.CDLL(None).adjtimex(asked))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != TIME_ERROR
