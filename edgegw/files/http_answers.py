"""What is said to a web server and what its answer means: headers in, headers out.

Rules of this file:
- Nothing is decompressed: what came compressed although plain bytes were asked for is refused, because its
  bytes are not the file's (fault 76).
- A body without a length that ends with the connection may be half a file: refused.
- A part counts only when the answer says that it is exactly the one asked for (fault 77).
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from edgegw import __version__
from edgegw.files.source import FetchFailed, StartOver, Validators

COMPRESSED_NAMES: Final = (".gz", ".tgz", ".xz", ".bz2", ".zst", ".zip")
TAG_CHARS_MAX: Final = 256  # object stores need 70; two thousand of them are in the manifest
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)", re.ASCII)
_SECONDS = re.compile(r"\d{1,9}", re.ASCII)


def retry_after_s(header: str, now: float) -> float | None:
    """Seconds, from either form of RFC 9110 10.2.3; None when it says nothing that can be read."""
    if _SECONDS.fullmatch(header.strip()):
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None


def version_tag(header: str) -> str:
    """An ETag or a date as sent, "" when it is none that can be kept and said again."""
    usable = len(header) <= TAG_CHARS_MAX and header.isascii() and header.isprintable()
    return header if usable else ""


def request_headers(offset: int, known: Validators | None, revalidate: bool) -> dict[str, str]:
    headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": f"edgegw/{__version__}"}
    if known is None:
        return headers
    if revalidate:
        if known.etag:
            headers["If-None-Match"] = known.etag
        if known.last_modified:
            headers["If-Modified-Since"] = known.last_modified
    elif offset:
        headers["Range"] = f"bytes={offset}-"
        # RFC 9110 13.1.5: a weak tag must not be used here.
        strong = known.etag if not known.etag.startswith("W/") else ""
        if strong or known.last_modified:
            headers["If-Range"] = strong or known.last_modified
    return headers


def check_body(response: aiohttp.ClientResponse, name: str) -> None:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "") and not name.lower().endswith(COMPRESSED_NAMES):
        raise FetchFailed("refused", f"the origin compresses the file ({encoding!r}) although asked not to")
    if response.content_type == "text/html" and not name.lower().endswith((".html", ".htm")):
        raise FetchFailed("refused", "the origin sent a web page, not a file: a log-in page of the network?")
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    if response.content_length is None and not chunked:
        raise FetchFailed(
            "refused", "the origin does not say where the file ends, so it may be cut unnoticed"
        )


def extent(response: aiohttp.ClientResponse, offset: int) -> tuple[int, int | None]:
    """Where the body begins, and how long the whole file is. Raises StartOver, Retry."""
    length = response.content_length
    if response.status == 200:
        return 0, length
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if match is None:
        raise StartOver("the origin sent a part without saying which")
    first, last = int(match[1]), int(match[2])
    total = None if match[3] == "*" else int(match[3])
    if first != offset or last < first or (total is not None and last != total - 1):
        raise StartOver("the origin sent another part than the one asked for")
    if length is not None and length != last - first + 1:
        raise StartOver("the origin contradicts itself about the length of the part")
    return first, total
