"""How URLs are read and where they may lead: fault 75."""

from __future__ import annotations

import hashlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgegw.files.addresses import (
    NAME_CHARS_MAX,
    AddressGuard,
    AddressRefused,
    parse_location,
    safe_name,
)
from edgegw.files.lookup import CheckedLookup
from edgegw.files.source import Retry

# --- reading --------------------------------------------------------------------------------------


def test_a_url_is_taken_apart():
    url = "HTTPS://user:p%40ss@Firm.Example.:8443/a%20b/fw_1.2.bin?sig=a/b#part"
    location = parse_location(url)
    assert (location.scheme, location.host, location.port) == ("https", "firm.example", 8443)
    assert (location.username, location.password) == ("user", "p@ss")
    assert (location.path, location.name) == ("/a%20b/fw_1.2.bin?sig=a/b", "fw_1.2.bin")
    assert location.shown == "https://firm.example:8443/a%20b/fw_1.2.bin"
    assert location.bare == "https://firm.example:8443/a%20b/fw_1.2.bin?sig=a/b"
    assert location.key == hashlib.sha256(url.encode()).hexdigest()


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443), ("ftp", 21), ("sftp", 22)])
def test_each_scheme_has_its_port(scheme: str, port: int):
    location = parse_location(f"{scheme}://firm.example/fw.bin")
    assert (location.port, location.shown) == (port, f"{scheme}://firm.example/fw.bin")


def test_ipv6_hosts_are_read():
    location = parse_location("http://[2001:DB8::1]:81?x")
    assert (location.host, location.port, location.path) == ("2001:db8::1", 81, "/?x")
    assert location.shown == "http://[2001:db8::1]:81/"


def test_secrets_are_in_no_text_that_is_shown():
    location = parse_location("ftp://hans:geheim@firm.example/fw.bin?token=abc")
    assert all(secret not in f"{location!r}{location.shown}" for secret in ("hans", "geheim", "abc"))


REFUSED_SCHEMES = ["file:///etc/passwd", "gopher://x/1", "", "fw.bin", "http:/x/y", "//x/y", "dict://x:1/"]


@pytest.mark.parametrize(
    "url", [*REFUSED_SCHEMES, "javascript:alert(1)", "data:,x", " http://x/", "ht\ntp://x/"]
)
def test_fault_75_other_schemes_are_refused(url: str):
    with pytest.raises(AddressRefused) as caught:
        parse_location(url)
    assert caught.value.kind in ("scheme", "syntax")


def test_fault_75_a_caller_may_allow_fewer_schemes():
    with pytest.raises(AddressRefused, match="only http, https") as caught:
        parse_location("ftp://firm.example/x", frozenset({"http", "https"}))
    assert caught.value.kind == "scheme"


ODD = [
    "http:///fw.bin",  # no host
    "http://user@/fw.bin",
    "http://firm.example/fw.bin\r\nHost: evil",
    "http://firm.example/%0d%0aX:%20y",
    "ftp://firm.example/fw%00.bin",
    "ftp://us%0aer@firm.example/fw.bin",
    "http://firm.example\\@evil.example/",
    "http://a@b@evil.example/",
    "http://firm.example:80:80/",
    "http://firm.example:/",
    "http://firm.example:0/",
    "http://firm.example:65536/",
    "http://firm.example:0x50/",
    "http://firm.example:-1/",
    "http://firm.example:\uff18\uff10/",
    "http://2130706433/",  # 127.0.0.1, to some
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://127.1/",
    "http://0177.0.0.1/",
    "http://127.0.0.1.0/",
    "http://00000177.0x0.0.1/",
    "http://1.2.3.256/",
    "http://0x/",
    "http://%31%32%37.0.0.1/",
    "http://[::1/",
    "http://[::1]x/",
    "http://[fe80::1%25eth0]/",
    "http://[v1.x]/",
    "http://::1/",
    "http://-firm.example/",
    "http://firm..example/",
    "http://\uff4cocalhost/",
    "http://①②⑦.⓪.⓪.①/",
    f"http://{'a' * 64}.example/",
    "http://münchen\\@evil.example/",
    "http://firm.example/\u2028x",
    "http://127。0。0。1/",
    "http://\u0661\u0662\u0667.\u0660.\u0660.\u0661/",  # Arabic digits
    "ftps://2130706433/fw.bin",
    "ftps://firm.example/%0d%0a",
]


@pytest.mark.parametrize("url", ODD)
def test_fault_75_what_two_readers_may_read_differently_is_refused(url: str):
    with pytest.raises(AddressRefused) as caught:
        parse_location(url)
    assert caught.value.kind == "syntax"


FOREIGN = [
    ("ftps://user:pw@firm.example/in/", "firm.example"),
    ("FTPES://firm.example:990/x", "firm.example"),
    ("scp://[2001:db8::1]/x", "2001:db8::1"),
    ("https://firm.example/logs/Säule 1/", "firm.example"),
    ("http://firm.example/fw bin", "firm.example"),
    ("http://säule.example/fw.bin", "säule.example"),
    (f"http://firm.example/{'a' * 4096}", "firm.example"),
]


@pytest.mark.parametrize(("url", "host"), FOREIGN)
def test_what_only_the_box_cannot_use_is_told_apart(url: str, host: str):
    """OCPP 2.x L01.FR.08 names ftps: it is a charger's to use."""
    with pytest.raises(AddressRefused) as caught:
        parse_location(url)
    assert (caught.value.kind, caught.value.host) == ("foreign", host)
    assert "pw" not in caught.value.text
    assert AddressGuard(("2001:db8::/32",)).lets_pass(caught.value)


@pytest.mark.parametrize("host", ["10.0.0.1", "127.0.0.1", "[::1]", "[::ffff:10.0.0.1]"])
def test_fault_75_a_foreign_address_may_not_lead_inward_either(host: str):
    with pytest.raises(AddressRefused) as caught:
        parse_location(f"ftps://{host}/x")
    assert not AddressGuard(()).lets_pass(caught.value)
    assert AddressGuard(("10.0.0.0/8", "127.0.0.1", "::1")).lets_pass(caught.value)


@given(st.text(alphabet="htp:/@[]%.0x7f1#?\\ \r\nfaz-_é", max_size=30))
def test_fault_75_whatever_is_read_is_one_plain_line(text: str):
    try:
        location = parse_location(f"http://{text}")
    except AddressRefused:
        return
    assert all(c.isascii() and c.isprintable() and c != " " for c in location.bare)
    again = parse_location(location.bare)  # read the same by whoever gets it next
    assert (again.host, again.port, again.path) == (location.host, location.port, location.path)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b/fw-1.2+3.tar.gz", "fw-1.2+3.tar.gz"),
        ("a/", "firmware.bin"),
        ("", "firmware.bin"),
        ("a/..%2f..%2fetc%2fpasswd", "passwd"),
        ("a/..", "firmware.bin"),
        ("a/%2e%2e", "firmware.bin"),
        ("a/..%5c..%5cboot.ini", "boot.ini"),
        ("a/.hidden", "hidden"),
        ("a/b%20%22c.bin", "b__c.bin"),
        ("a/%c3%bc.bin", "_.bin"),
        ("a/fw.bin?name=other.bin", "fw.bin"),
    ],
)
def test_fault_80_a_file_name_is_safe(path: str, name: str):
    assert parse_location(f"http://firm.example/{path}").name == name


def test_fault_80_a_long_name_keeps_its_extension():
    name = safe_name("x" * 300 + ".tar")
    assert (len(name), name[-5:]) == (NAME_CHARS_MAX, "x.tar")
    assert len(safe_name("x." + "y" * 300)) == NAME_CHARS_MAX


# --- where it leads -------------------------------------------------------------------------------

INWARD = [
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.5.5", "192.168.1.1", "100.64.0.1", "169.254.169.254",
    "0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.2.1", "198.18.0.1", "192.88.99.1",
    "::", "::1", "fe80::1", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1", "2001::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::10.0.0.1", "2002:7f00:1::", "2002:c0a8:101::1",
    "100::1", "fe80::1%eth0", "not an address", "",
]  # fmt: skip


@pytest.mark.parametrize("address", INWARD)
def test_fault_75_what_is_not_on_the_internet_is_refused(address: str):
    with pytest.raises(AddressRefused) as caught:
        AddressGuard(()).check("firm.example", address)
    assert caught.value.kind == "inward"


OUTWARD = ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8", "2002:808:808::1"]


@pytest.mark.parametrize("address", OUTWARD)
def test_what_is_on_the_internet_is_not(address: str):
    AddressGuard(()).check("firm.example", address)


def test_the_site_may_name_inner_addresses_and_networks():
    guard = AddressGuard(("192.168.7.0/24", "10.1.2.3", "fd00::/64"))
    for address in ("192.168.7.9", "10.1.2.3", "fd00::9", "::ffff:10.1.2.3"):
        guard.check("any.example", address)
    for address in ("192.168.8.9", "10.1.2.4", "127.0.0.1"):
        with pytest.raises(AddressRefused):
            guard.check("any.example", address)


def test_an_inner_host_name_opens_the_site_for_that_name_only():
    guard = AddressGuard(("Updates.Site.Example.",))
    guard.check("updates.site.example", "192.168.1.1")
    guard.check("updates.site.example.", "127.0.0.1")
    for host, address in (
        ("evil.site.example", "192.168.1.1"),
        ("updates.site.example", "169.254.169.254"),
        ("updates.site.example", "224.0.0.1"),
    ):
        with pytest.raises(AddressRefused):
            guard.check(host, address)


def test_a_network_that_is_none_is_a_mistake():
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/40"):
        AddressGuard(("10.0.0.0/40",))


# --- look-ups -------------------------------------------------------------------------------------


async def test_fault_75_an_address_in_the_url_is_checked_without_a_look_up():
    def never(host: str) -> list[str]:
        raise AssertionError(host)

    looks = CheckedLookup(AddressGuard(()), never)
    assert await looks.addresses("1.1.1.1", 1.0) == ["1.1.1.1"]
    with pytest.raises(AddressRefused):
        await looks.addresses("::1", 1.0)


async def test_fault_75_inner_addresses_of_a_name_are_left_out():
    looks = CheckedLookup(AddressGuard(()), lambda host: ["10.0.0.1", "1.1.1.1", "::1", "1.1.1.1"])
    assert await looks.addresses("mixed.example", 1.0) == ["1.1.1.1"]


async def test_a_look_up_that_hangs_delays_nobody():
    """The resolver's threads are few: more hung look-ups than that time out, and come back afterwards."""
    hang = threading.Event()

    def hanging(host: str) -> list[str]:
        hang.wait()
        return ["1.1.1.1"]

    looks = CheckedLookup(AddressGuard(()), hanging)
    for _ in range(6):
        with pytest.raises(Retry, match="no answer for slow"):
            await looks.addresses("slow.example", 0.01)
    hang.set()
    assert await looks.addresses("slow.example", 60.0) == ["1.1.1.1"]


@pytest.mark.parametrize("found", [[], OSError(2, "Name not known"), UnicodeError("label too long")])
async def test_a_name_without_address_is_tried_again_later(found: list[str] | Exception):
    def lookup(host: str) -> list[str]:
        if isinstance(found, Exception):
            raise found
        return found

    with pytest.raises(Retry, match="gone"):
        await CheckedLookup(AddressGuard(()), lookup).addresses("gone.example", 60.0)
