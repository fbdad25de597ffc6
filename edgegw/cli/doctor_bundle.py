"""One file for whoever is to help from afar: what was found and all it was found in, without secrets."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from edgegw.cli.doctor_findings import Finding
from edgegw.cli.doctor_local import secret_files
from edgegw.cli.doctor_running import Shown
from edgegw.cli.scrub import Scrubber
from edgegw.config import SiteConfig
from edgegw.config_text import SiteFileFault, read_text
from edgegw.new_files import new_file
from edgegw.redaction import plain

MEMBER_BYTES_MAX = 64 * 1024**2
ABOUT = """\
Made by `edgegw doctor`. findings.txt: what looks wrong, the worst first. site.toml: the site file without
comments, secrets and card ids. api/: what the running gateway said of itself; missing.json: what it did not
say, and why.
"""


def scrubber_for(file: Path, config: SiteConfig | None, token_file: Path | None) -> Scrubber:
    """Told every secret that the site file holds or leads to, and the token of who asks."""
    scrubber = Scrubber()
    with suppress(SiteFileFault):
        scrubber.learn(read_text(file))
    named = secret_files(config).values() if config is not None else ()
    for path in (*named, token_file):
        if path is not None:
            scrubber.add_file(path)
    return scrubber


def told(findings: Sequence[Finding], scrubber: Scrubber) -> str:
    return "\n".join(scrubber.line(line) for line in lines(findings)) + "\n"


def lines(findings: Sequence[Finding]) -> Iterator[str]:
    """For people, the worst first."""
    width = max((len(finding.level) for finding in findings), default=0)
    for finding in findings:
        yield f"{finding.level.upper():<{width}}  {plain(finding.about)}: {plain(finding.text)}"
        if finding.todo:
            yield f"{'':<{width}}  -> {plain(finding.todo)}"


def members(
    findings: Sequence[Finding], file: Path, shown: Shown, scrubber: Scrubber
) -> Iterator[tuple[str, bytes]]:
    try:
        site = scrubber.site_file(read_text(file)).encode()
    except SiteFileFault as fault:
        site = f"# {scrubber.line(str(fault))}\n".encode()
    yield "about.txt", ABOUT.encode()
    yield "findings.txt", told(findings, scrubber).encode()
    yield "findings.json", scrubber.document(json.dumps([asdict(finding) for finding in findings]).encode())
    yield "site.toml", site
    for name, raw in shown.documents.items():
        yield f"api/{name}", scrubber.document(raw[:MEMBER_BYTES_MAX])
    yield "missing.json", scrubber.document(json.dumps(shown.missing).encode())


def write(target: Path, packed: Iterator[tuple[str, bytes]]) -> None:
    """Whole or not at all, for its owner only. Raises OSError."""
    with (
        new_file(target, replace=True) as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb") as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name, content in packed:
            info = tarfile.TarInfo(f"edgegw-doctor/{name}")
            info.size, info.mtime, info.mode = len(content), int(time.time()), 0o600
            tar.addfile(info, io.BytesIO(content))
