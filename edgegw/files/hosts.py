"""Whether a host is one of those that a site names. Pure."""

from __future__ import annotations

import ipaddress


def host_fits(host: str, pattern: str) -> bool:
    """`pattern`: a host name, "*.example.com" for all below it, an address or a network."""
    host, pattern = host.casefold().removesuffix("."), pattern.casefold().removesuffix(".")
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return host == pattern


def is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
