"""Who may open the console in a browser: a token, the right host name, the page of this server and no other.

Rules of this file:
- Without the token nothing but the words how to get it; it comes once in the address and stays in a cookie
  that no script and no other site can use.
- A name that this server was not told is refused (DNS rebinding), and so is a WebSocket of another page.
- Nothing is loaded from elsewhere, and nobody may frame it.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

COOKIE = "edgegw-console"
NONCE = web.RequestKey("nonce", str)
HOW_TO_ENTER = (
    "This is the console of edgegw. Open the address that `edgegw console --web` printed: it ends in\n"
    "?token=..., with the token that it made or that --web-token-file holds.\n"
)


def guard(token: str, names: frozenset[str]) -> Middleware:
    """A middleware. `names`: host names beside the loopback ones; addresses are taken as they are."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_ours(request.host, names):
            raise web.HTTPForbidden(text=f"the console does not answer to the name {request.host[:100]!r}\n")
        if request.path == "/" and "token" in request.query:
            raise _with_cookie(request, token)
        if not _admits(token, request.cookies.get(COOKIE, "")):
            raise web.HTTPUnauthorized(text=HOW_TO_ENTER)
        if request.path == "/ws" and not _is_own_page(request):
            raise web.HTTPForbidden(text="another page may not open the console\n")
        request[NONCE] = secrets.token_urlsafe(16)
        return await handler(request)

    return guarded


def _admits(token: str, shown: str) -> bool:
    return hmac.compare_digest(token.encode(), shown.encode("utf-8", "replace"))


def _with_cookie(request: web.Request, token: str) -> web.HTTPException:
    """The token leaves the address line, so that no history and no shoulder keeps it."""
    if not _admits(token, request.query["token"]):
        raise web.HTTPUnauthorized(text="this is not the token of this console\n" + HOW_TO_ENTER)
    answer = web.HTTPSeeOther("/")
    answer.set_cookie(COOKIE, token, httponly=True, samesite="Strict", secure=request.secure, path="/")
    return answer


def _is_ours(host: str, names: frozenset[str]) -> bool:
    try:
        name = (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:  # no address in brackets
        return False
    if name == "localhost" or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True  # an address cannot be made to point elsewhere


def _is_own_page(request: web.Request) -> bool:
    try:
        origin = urlsplit(request.headers.get("origin", ""))
    except ValueError:
        return False
    return origin.scheme in ("http", "https") and origin.netloc == request.host


async def harden(request: web.Request, answer: web.StreamResponse) -> None:
    """A signal handler (`on_response_prepare`): what every answer tells the browser."""
    nonce = request.get(NONCE, "")
    answer.headers["content-security-policy"] = (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; "
        "font-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    answer.headers["x-content-type-options"] = "nosniff"
    answer.headers["referrer-policy"] = "no-referrer"
    answer.headers["cache-control"] = "no-store"
