"""Which addresses the box fetches from and sends to: how a URL is read, and what lies inward.

Rules of this file:
- A URL comes from the cloud and may be an attack (fault 75). What two readers could read differently is
  refused, never repaired: control characters, backslashes, several @, numbers that only some readers take
  for an IP address, hosts that pose as another.
- What has one meaning, but not for our reader (spaces, letters of other alphabets) or not for our protocols
  (ftps), is "foreign": a charger may well be able to use it, and is given it when its host may be used.
- A name says nothing about where it leads. The address it was looked up to is checked, at every hop, and
  exactly that address is connected to.
- `shown` is all that logs, the manifest and the API ever see: no user, no password, no query.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import unicodedata
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

import msgspec

from edgegw.errors import EdgegwError

SCHEMES: Final = frozenset({"http", "https", "ftp", "sftp"})
FOREIGN_SCHEMES: Final = frozenset({"ftps", "ftpes", "scp"})  # OCPP 2.x L01.FR.08 names ftps
DEFAULT_PORTS: Final = {
    **{"http": 80, "https": 443, "ftp": 21, "sftp": 22},
    **{"ftps": 990, "ftpes": 21, "scp": 22},
}
URL_CHARS_MAX: Final = 4096  # OCPP 2.1 allows 2,000; signed links of object stores are longer in 1.6
HOST_CHARS_MAX: Final = 253  # RFC 1035
NAME_CHARS_MAX: Final = 120  # leaves room for a token and a host in OCPP's 512

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_NOT_ONE_LINE = re.compile(r"[\x00-\x1f\x7f\x80-\x9f\u2028\u2029\\]")
_NOT_ONE_LINE_BYTES = re.compile(rb"[\x00-\x1f\x7f]")
_LABEL = re.compile(r"\w([\w-]{0,61}\w)?")
_NUMBER = re.compile(r"\d+|0[xX][0-9a-fA-F]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9._+~@,=()-]")
# What RFC 6052, 7526 and 4291 let an IPv6 address hide an IPv4 address in.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")  # the only part that is given out as global
_RELAY_6TO4 = ipaddress.IPv4Network("192.88.99.0/24")
# A host that is allowed by name may be here, and in no other place that is not global.
_SITE_NETWORKS: Final[tuple[IpNetwork, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "::1/128", "fc00::/7"
    )
)  # fmt: skip


class AddressRefused(EdgegwError):
    """An address that is not used. The text is for people and names no secret.

    foreign: not by this box; `AddressGuard.lets_pass` and `host` tell whether by a charger.
    """

    def __init__(
        self, kind: Literal["scheme", "syntax", "inward", "foreign"], text: str, host: str = ""
    ) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.host = host


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """One URL, read. Its repr shows neither credentials nor query."""

    scheme: str
    host: str  # lower case, no brackets, no dot at the end
    port: int
    path: str  # as sent, with query
    username: str
    password: str
    name: str  # of the file: the last segment of the path, decoded and made safe
    shown: str
    key: str  # sha256 of the whole URL: what look-ups and single flight go by

    def __repr__(self) -> str:
        return f"Location({self.shown})"

    @property
    def bare(self) -> str:
        """The URL without user and password; still a secret when it has a query."""
        return f"{_base(self.scheme, self.host, self.port)}{self.path}"


def parse_location(url: str, schemes: frozenset[str] = SCHEMES) -> Location:
    """Read a URL. Raises AddressRefused."""
    if _NOT_ONE_LINE.search(url):
        raise AddressRefused("syntax", "the address holds control characters or backslashes")
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in schemes | FOREIGN_SCHEMES:
        raise AddressRefused("scheme", f"only {', '.join(sorted(schemes))} addresses are used")
    authority, path = _split_path(rest)
    username, password, host_and_port = _credentials(authority)
    host, port = _host_and_port(host_and_port, scheme)
    if why := _foreign(url, scheme, schemes):
        raise AddressRefused("foreign", why, host)
    file_path = path.partition("?")[0]
    return Location(
        scheme=scheme,
        host=host,
        port=port,
        path=path,
        username=username,
        password=password,
        name=safe_name(decoded(file_path.rpartition("/")[2])),
        shown=f"{_base(scheme, host, port)}{file_path}",
        key=hashlib.sha256(url.encode()).hexdigest(),
    )


def _foreign(url: str, scheme: str, schemes: frozenset[str]) -> str:
    """Why the box cannot use an address that means one thing, "" when it can."""
    if scheme not in schemes:
        return f"{scheme} is not spoken by the box, only {', '.join(sorted(schemes))}"
    if len(url) > URL_CHARS_MAX:
        return f"the address is longer than {URL_CHARS_MAX} characters"
    return "" if url.isascii() and " " not in url else "the address holds spaces or non-ASCII characters"


def _split_path(rest: str) -> tuple[str, str]:
    end = re.search(r"[/?#]", rest)
    authority, path = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    path = path.partition("#")[0]
    decoded(path)  # refuse %0d%0a and %00 wherever they are
    return authority, path if path.startswith("/") else f"/{path}"


def _credentials(authority: str) -> tuple[str, str, str]:
    userinfo, at, host_and_port = authority.rpartition("@")
    if not at:
        return "", "", authority
    if "@" in userinfo:
        raise AddressRefused("syntax", "the address has more than one @ before its path")
    username, _, password = userinfo.partition(":")
    return decoded(username), decoded(password), host_and_port


def decoded(text: str) -> str:
    """Percent-decoded text of one line. Raises AddressRefused."""
    raw = unquote_to_bytes(text)
    if _NOT_ONE_LINE_BYTES.search(raw):
        raise AddressRefused("syntax", "the address hides control characters")
    return raw.decode("utf-8", "replace")


def _host_and_port(text: str, scheme: str) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, after = text[1:].partition("]")
        host = _ipv6_text(host)
    else:
        host, bracket, after = text, "]", ""
        if ":" in text:
            host, colon, port_text = text.partition(":")
            after = colon + port_text
        host = _name_or_ipv4(host)
    if not bracket or (after and not after.startswith(":")):
        raise AddressRefused("syntax", "the host of the address cannot be read")
    return host, _port(after[1:]) if after else DEFAULT_PORTS[scheme]


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65_535:
        raise AddressRefused("syntax", "the port of the address is not a number from 1 to 65535")
    return int(text)


def _ipv6_text(text: str) -> str:
    try:
        if "%" in text:
            raise ValueError("a zone is an interface of this box")
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise AddressRefused("syntax", "the IPv6 address in the address cannot be read") from None


def _name_or_ipv4(text: str) -> str:
    # As a reader of international names sees it: to him other digits and other dots are digits and dots.
    host = unicodedata.normalize("NFKC", text).replace("\u3002", ".").lower().removesuffix(".")
    labels = host.split(".")
    if host.isascii() and not text.isascii():
        raise AddressRefused("syntax", "the host of the address poses as another")
    if not host or len(host) > HOST_CHARS_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise AddressRefused("syntax", "the address has no host, or one that is not a host name")
    if _NUMBER.fullmatch(labels[-1]):
        # "2130706433", "0x7f.1" and "0177.0.0.1" are 127.0.0.1 to some readers.
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise AddressRefused("syntax", "the host is a number, but not an IPv4 address") from None
    return host


def _base(scheme: str, host: str, port: int) -> str:
    shown_host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown_host}" + ("" if port == DEFAULT_PORTS[scheme] else f":{port}")


def safe_name(text: str) -> str:
    """A file name that needs no quoting in any path or URL; its extension is kept when it is cut."""
    name = _UNSAFE_IN_NAME.sub("_", text.replace("\\", "/").rpartition("/")[2]).lstrip(".")
    if len(name) > NAME_CHARS_MAX:
        stem, dot, extension = name.rpartition(".")
        keep = f"{dot}{extension}" if stem and len(extension) <= 16 else ""
        name = name[: NAME_CHARS_MAX - len(keep)] + keep
    return name or "firmware.bin"


class AddressGuard:
    """Tells whether the box may connect to an address.

    `inward` are host names, addresses and networks that may be private or loopback. A host name opens
    the private networks for that name only; link-local, multicast and the like must be named as addresses.
    """

    def __init__(self, inward: tuple[str, ...] = ()) -> None:
        """Raises ValueError on a network that is not one."""
        self._hosts: set[str] = set()
        self._networks: list[IpNetwork] = []
        for entry in inward:
            if "/" in entry or _is_address(entry):
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            else:
                self._hosts.add(entry.lower().removesuffix("."))

    def check(self, host: str, address: str) -> None:
        """`address` is what `host` was looked up to. Raises AddressRefused("inward")."""
        try:
            found = _unwrapped(ipaddress.ip_address(address))
        except ValueError:
            raise AddressRefused("inward", f"{host}: not an address that can be judged") from None
        if _is_global(found) or any(_within(found, network) for network in self._networks):
            return
        by_name = host.lower().removesuffix(".") in self._hosts
        if by_name and any(_within(found, network) for network in _SITE_NETWORKS):
            return
        raise AddressRefused("inward", f"{host} leads to {address}, which is not on the internet")

    def lets_pass(self, refused: AddressRefused) -> bool:
        """Whether a charger may be given an address that only the box cannot use, as far as is told here.

        A name is not looked up: it is the charger that goes there, from where it stands.
        """
        if refused.kind != "foreign" or not _is_address(refused.host):
            return refused.kind == "foreign"
        try:
            self.check(refused.host, refused.host)
        except AddressRefused:
            return False
        return True


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _unwrapped(address: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_global(address: IpAddress) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_V6:
        return False
    if isinstance(address, ipaddress.IPv4Address) and address in _RELAY_6TO4:
        return False
    return address.is_global and not address.is_multicast


def _within(address: IpAddress, network: IpNetwork) -> bool:
    return address.version == network.version and address in network
