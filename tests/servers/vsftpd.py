"""vsftpd as origin and as upload target.

As root it serves USER in a cage, so that `/` is its folder. An ordinary user can run it for the name
"anonymous" only, which needs the same password here, and without the cage: only relative paths work then.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from tests.servers.shared import BLOCK_PORTS, PASSWORD, USER, Entry, Server, own_user

_SETTINGS = """
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
ftpd_banner={token}
pasv_address=127.0.0.1
pasv_min_port={passive_first}
pasv_max_port={passive_last}
secure_chroot_dir={folder}/empty
allow_writeable_chroot=YES
write_enable=YES
file_open_mode=0600
anon_max_rate={rate}
local_max_rate={rate}
data_connection_timeout=60
delay_failed_login=0
xferlog_enable=YES
xferlog_std_format=NO
vsftpd_log_file={folder}/transfers.log
seccomp_sandbox=NO
"""
# The sandbox is off: it kills a process whose C library makes calls that this version did not foresee.
_AS_ROOT = """
anonymous_enable=NO
local_enable=YES
pam_service_name=other
check_shell=NO
chroot_local_user=YES
local_root={folder}/files
"""
_AS_ANYBODY = """
run_as_launching_user=YES
local_enable=NO
anonymous_enable=YES
anon_root={folder}/files
secure_email_list_enable=YES
email_password_file={folder}/password
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_world_readable_only=NO
"""
_TRANSFER = re.compile(
    r'(?P<outcome>OK|FAIL) (?P<what>DOWNLOAD|UPLOAD): Client "[^"]*", "(?P<path>.*)"'
    r"(?:, (?P<bytes>\d+) bytes)?"
)


class Vsftpd(Server):
    """rate_bytes_per_s: for each transfer, 0 unlimited."""

    program = "vsftpd"

    def __init__(self, folder: Path, *, rate_bytes_per_s: int = 0) -> None:
        super().__init__(folder)
        self.user = USER if os.getuid() == 0 else "anonymous"
        self.passive_ports = range(self.port + 1, self.port + BLOCK_PORTS)
        self._root = "" if os.getuid() == 0 else str(self.files)
        self._rate_bytes_per_s = rate_bytes_per_s
        self._users: dict[str, str] = {}

    def url(self, path: str) -> str:
        """With user and password. The path begins with "/", which means where the login leads (RFC 1738)."""
        return f"ftp://{self.user}:{quote(PASSWORD)}@127.0.0.1:{self.port}{path}"

    def entries(self) -> list[Entry]:
        log = self.folder / "transfers.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [self._entry(found) for found in map(_TRANSFER.search, lines) if found]

    def _entry(self, found: re.Match[str]) -> Entry:
        direction = "down" if found["what"] == "DOWNLOAD" else "up"
        path = found["path"].removeprefix(self._root)
        return Entry(direction, path, int(found["bytes"] or 0), found["outcome"] == "OK")

    # --- how it is run -----------------------------------------------------------------------------

    def _prepare(self, program: str) -> None:
        self._program = program
        empty = self.folder / "empty"
        empty.mkdir(exist_ok=True)
        empty.chmod(0o555)  # it refuses to hide in a folder that it could write to
        (self.folder / "password").write_text(f"{PASSWORD}\n")
        if os.getuid() == 0:
            self._users = own_user(self.folder, self.files)
        (self.folder / "conf").write_text(
            (_SETTINGS + (_AS_ROOT if os.getuid() == 0 else _AS_ANYBODY)).format(
                folder=self.folder,
                port=self.port,
                token=self.token,
                passive_first=self.passive_ports[0],
                passive_last=self.passive_ports[-1],
                rate=self._rate_bytes_per_s,
            )
        )

    def _command(self) -> list[str]:
        return [self._program, str(self.folder / "conf")]

    def _environment(self) -> dict[str, str]:
        return self._users
