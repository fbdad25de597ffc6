"""OpenSSH's sshd with its sftp server as origin and as upload target.

USER may log in with PASSWORD or with the one authorised key, for sftp only. USER is known to this server
alone and is whoever runs the test, so no user of the system is made or touched. Paths are the machine's: a
cage would have to belong to root all the way up from `/`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import asyncssh
import pytest

from tests.servers.shared import LOGIN, USER, Entry, Server, own_user

SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")
# Debian's own start makes it too; sshd of root wants it, empty, and takes no other.
PRIVILEGE_SEPARATION = Path("/run/sshd")
# The password is checked against the server's own list, not by PAM. The sftp server is a program and not
# "internal-sftp", because that one can log to nothing but the system's log.
_SETTINGS = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
VersionAddendum {token}
LogLevel VERBOSE
UsePAM no
UseDNS no
PasswordAuthentication yes
KbdInteractiveAuthentication no
PubkeyAuthentication yes
PermitRootLogin yes
StrictModes no
AllowUsers {user}
MaxStartups 200
DisableForwarding yes
PermitTTY no
SetEnv {environment}
Subsystem sftp {sftp} -e -l INFO -d {folder}/files 2>>{folder}/sftp.log
ForceCommand {sftp} -e -l INFO -d {folder}/files 2>>{folder}/sftp.log
"""
_CLOSED = re.compile(
    r'(?P<forced>forced )?close "(?P<path>.*)" bytes read (?P<read>\d+) written (?P<written>\d+)'
)


class OpenSsh(Server):
    program = "sshd"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.known_hosts = folder / "known_hosts"
        self.client_key = folder / "client_key"  # private, OpenSSH format: the authorised one
        self._users: dict[str, str] = {}

    def path(self, path: str) -> str:
        """What a client asks for to get this path below `files`."""
        return f"{self.files}{path}"

    def url(self, path: str, *, password: bool = True) -> str:
        """With user, and password unless a key shall do. The path begins with "/"."""
        login = LOGIN if password else USER
        return f"sftp://{login}@127.0.0.1:{self.port}{self.path(path)}"

    def new_host_key(self) -> None:
        """From its next start on it is somebody else; `known_hosts` still tells the old one."""
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(self.folder / "host_key")
        (self.folder / "host_key").chmod(0o600)

    def entries(self) -> list[Entry]:
        log = self.folder / "sftp.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [self._entry(found) for found in map(_CLOSED.match, lines) if found]

    def _entry(self, found: re.Match[str]) -> Entry:
        path = found["path"].removeprefix(str(self.files))
        read_bytes, written_bytes = int(found["read"]), int(found["written"])
        direction = "up" if written_bytes else "down"
        return Entry(direction, path, read_bytes + written_bytes, not found["forced"])

    # --- how it is run -----------------------------------------------------------------------------

    def _prepare(self, program: str) -> None:
        if not SFTP_SERVER.exists():
            pytest.skip("needs openssh-sftp-server: make test installs it")
        if os.getuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        self._program = program
        self._users = own_user(self.folder, self.files)
        self._make_keys()
        (self.folder / "conf").write_text(
            _SETTINGS.format(
                folder=self.folder,
                port=self.port,
                token=self.token,
                user=USER,
                sftp=SFTP_SERVER,
                environment=" ".join(f"{name}={value}" for name, value in self._users.items()),
            )
        )

    def _make_keys(self) -> None:
        self.new_host_key()
        host = asyncssh.read_private_key(self.folder / "host_key").export_public_key().decode()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {host}")
        client = asyncssh.generate_private_key("ssh-ed25519")
        client.write_private_key(self.client_key)
        self.client_key.chmod(0o600)
        client.write_public_key(self.folder / "authorized_keys")

    def _command(self) -> list[str]:
        return [self._program, "-D", "-e", "-f", str(self.folder / "conf")]

    def _environment(self) -> dict[str, str]:
        return self._users
