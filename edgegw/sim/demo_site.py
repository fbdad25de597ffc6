"""The site file of the demo: the one that ships, with the addresses of what the demo has started."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from edgegw import config as site_file
from edgegw.config import SiteConfig
from edgegw.errors import EdgegwError


class DemoFault(EdgegwError):
    """The demo cannot go on; the text says why."""


def site_beside(
    site_path: Path, folder: Path, cloud_url: str, ready: dict[str, Any]
) -> tuple[Path, SiteConfig]:
    """The site file with its store in `folder`, our cloud, meter and broker, and without connectors of
    chargers that are not there: what is never seen would count as drawing all it can. `ready`: first line of
    the chargers, and perhaps "broker", its URL; without it nothing is published.

    Raises ConfigFault when the file is wrong, DemoFault when it has no cloud.
    """
    site = site_file.load(site_path)
    if site.cloud is None:
        raise DemoFault(
            f"{site_path}: the demo needs a [cloud] table; its url is replaced by the demo's own cloud"
        )
    text = site_path.read_text().replace(f'"{site.cloud.url}"', f'"{cloud_url}"')
    text = text.replace(f'"{site.chargers.listen}"', f'"{site.chargers.listen.host}:0"')
    text = _with_broker(text, site, ready.get("broker"))
    for meter in site.meter:
        text = text.replace(f'"{meter.address}"', f'"{ready["meter"]}"')
    store = next(line for line in text.splitlines() if line.strip().startswith("directory"))
    text = text.replace(store, f'directory = "{folder / "store"}"')
    path = folder / "site.toml"
    path.write_text(_without_absent(text, set(ready["chargers"])))
    path.chmod(0o600)
    return path, site_file.load(path)


def _with_broker(text: str, site: SiteConfig, url: str | None) -> str:
    if site.mqtt is None:
        return text
    if url is not None:
        return text.replace(f'"{site.mqtt.broker}"', f'"{url}"')
    return re.sub(r"(?ms)^\[mqtt\].*?(?=^\[|\Z)", "", text)


def _without_absent(text: str, present: set[str]) -> str:
    """[[connector]] tables stand last in the file."""
    head, *tables = re.split(r"(?m)^(?=\[\[connector\]\])", text)
    named = re.compile(r'(?m)^charger\s*=\s*"([^"]*)"')
    kept = [table for table in tables if (found := named.search(table)) and found[1] in present]
    return head + "".join(kept)


def default_site() -> Path:
    """config/demo.toml of the checkout, or of the folder we stand in."""
    for root in (Path(__file__).parents[2], Path.cwd()):
        path = root / "config" / "demo.toml"
        if path.is_file():
            return path
    raise DemoFault("config/demo.toml is not here; name a site file with --config")
