"""nginx as origin and as upload target, over http and https.

Every path below the root can be fetched (GET, HEAD, Range) and, with PUT, be written. `/private/` wants USER
and PASSWORD. A POST goes to `/post/`; its body is kept as it came.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
from pathlib import Path
from typing import Any

from tests.e2e.children import DEADLINE_S
from tests.servers.certificates import make_authority
from tests.servers.shared import LOGIN, PASSWORD, USER, Entry, Server, ask

# Every request is one JSON object on a line, written when its last byte has gone out.
_FACTS = {
    "method": "$request_method",
    "path": "$uri",
    "target": "$request_uri",
    "protocol": "$server_protocol",
    "scheme": "$scheme",
    "status": "$status",
    "sent_bytes": "$body_bytes_sent",
    "received_bytes": "$content_length",
    "range": "$http_range",
    "if_range": "$http_if_range",
    "content_type": "$content_type",
    "user": "$remote_user",
    "body_file": "$request_body_file",
    "completed": "$request_completion",
}
_SETTINGS = """
daemon off;
{user}
worker_processes 1;  # one: so the log is in order
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    default_type application/octet-stream;
    log_format facts escape=json '{facts}';
    access_log {folder}/access.log facts;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/unused; fastcgi_temp_path {folder}/unused;
    uwsgi_temp_path {folder}/unused; scgi_temp_path {folder}/unused;
    client_max_body_size 0;
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.key;
        root {folder}/files;
        dav_methods PUT;
        create_full_put_path on;
        limit_rate {rate};
        {more}
        location = /.token {{ access_log off; return 200 {token}; }}
        location ^~ /.taken {{ access_log off; return 201; }}
        location /private/ {{ auth_basic site; auth_basic_user_file {folder}/users; }}
        location /post/ {{
            client_body_in_file_only on;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_method GET;
            proxy_pass http://127.0.0.1:{port}/.taken;
        }}
    }}
}}
"""


class Nginx(Server):
    """rate_bytes_per_s: for each connection, 0 unlimited. settings: lines of its own for the server block."""

    program = "nginx"

    def __init__(self, folder: Path, *, rate_bytes_per_s: int = 0, settings: str = "") -> None:
        super().__init__(folder)
        self.tls_port = self.port + 1
        self.authority = folder / "authority.pem"  # who trusts it trusts the https side
        self._rate_bytes_per_s = rate_bytes_per_s
        self._settings = settings

    def url(self, path: str, *, login: bool = False) -> str:
        """http, with user and password when `login`. The path begins with "/"."""
        return f"http://{f'{LOGIN}@' if login else ''}127.0.0.1:{self.port}{path}"

    def tls_url(self, path: str, *, login: bool = False) -> str:
        return f"https://{f'{LOGIN}@' if login else ''}127.0.0.1:{self.tls_port}{path}"

    def tls_context(self) -> ssl.SSLContext:
        """For a client that trusts this server."""
        return ssl.create_default_context(cafile=str(self.authority))

    async def pace(self, rate_bytes_per_s: int) -> None:
        """From the next connection on. Those that are open must end by themselves."""
        assert self._child is not None
        workers = self.pids() - {self._child.pid}
        self._rate_bytes_per_s = rate_bytes_per_s
        self._configure()
        os.kill(self._child.pid, signal.SIGHUP)
        async with asyncio.timeout(DEADLINE_S):
            while workers & self.pids() or not self.pids() - {self._child.pid}:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    # --- its log -----------------------------------------------------------------------------------

    def requests(self, method: str = "", path: str = "") -> list[dict[str, Any]]:
        """The requests that have ended, with all facts of the log."""
        log = self.folder / "access.log"
        lines = log.read_text().splitlines() if log.exists() else []
        found = [{**one, "status": int(one["status"])} for one in map(json.loads, lines)]
        return [one for one in found if method in ("", one["method"]) and path in ("", one["path"])]

    def entries(self) -> list[Entry]:
        """GETs answered with 200 or 206, PUTs and POSTs that were taken."""
        return [entry for one in self.requests() if (entry := _entry(one))]

    def posted(self, path: str) -> list[bytes]:
        """The bodies that were sent here with POST, multipart frames and all."""
        return [Path(one["body_file"]).read_bytes() for one in self.requests("POST", path)]

    async def settled(self) -> None:
        """Until the log holds every request whose answer somebody has read to its end."""
        # One worker, one thing after the other: when it answers, it has logged what was before.
        await self._heard()

    # --- how it is run -----------------------------------------------------------------------------

    def _prepare(self, program: str) -> None:
        self._program = program
        make_authority(self.folder)
        (self.folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        self._configure()

    def _configure(self) -> None:
        (self.folder / "conf").write_text(
            _SETTINGS.format(
                user="user root;" if os.getuid() == 0 else "",  # or it could not read the test's folder
                folder=self.folder,
                facts=json.dumps(_FACTS),
                port=self.port,
                tls_port=self.tls_port,
                rate=self._rate_bytes_per_s,
                more=self._settings,
                token=self.token,
            )
        )

    def _command(self) -> list[str]:
        return [self._program, "-p", str(self.folder), "-c", "conf", "-e", "stderr"]

    async def _heard(self) -> str:
        return await ask(self.port, b"GET /.token HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n")


def _entry(request: dict[str, Any]) -> Entry | None:
    done = request["completed"] == "OK"
    if request["method"] == "GET" and request["status"] in (200, 206):
        return Entry("down", request["path"], int(request["sent_bytes"]), done)
    if request["method"] in ("PUT", "POST") and request["status"] in (200, 201, 204):
        return Entry("up", request["path"], int(request["received_bytes"] or 0), done)
    return None
