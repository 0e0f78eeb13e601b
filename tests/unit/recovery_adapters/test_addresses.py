"""Which addresses may be called."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstop_common.errors import ConfigurationError
from backstop_recovery.adapters.addresses import AllowedHosts, host_matches, is_public, parse_allowed_hosts
from backstop_recovery.adapters.guard import AddressGuard, AddressInfo, ForbiddenAddressError, GuardedResolver
from backstop_recovery.adapters.http_client import BadAddressError, follow_redirect, parse_url

DANGEROUS = [
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.1.2.3",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.170",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2606:4700::1111%eth0",
    "4000::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "198.17.0.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450:4001::200e",
    "2001:4860:4860::8888",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("text", DANGEROUS)
def test_a_dangerous_address_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@given(st.ip_addresses(v=4))
def test_nothing_the_standard_library_calls_private_is_public(address: IPv4Address) -> None:
    assert not (is_public(address) and (address.is_private or address.is_multicast or address.is_reserved))


@given(st.ip_addresses(v=6))
def test_nothing_private_is_public_in_the_new_protocol_either(address: IPv6Address) -> None:
    assert not (is_public(address) and (address.is_private or address.is_link_local) and address.ipv4_mapped is None)


def answering(*addresses: str) -> tuple[list[str], GuardedResolver, AddressGuard]:
    asked: list[str] = []

    async def lookup(host: str, port: int, _family: socket.AddressFamily) -> list[AddressInfo]:
        await asyncio.sleep(0)
        asked.append(host)
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [(f, socket.SOCK_STREAM, 6, "", (a, port)) for f, a in zip(families, addresses, strict=True)]

    guard = AddressGuard(parse_allowed_hosts("sandbox:8090"))
    return asked, GuardedResolver(guard, lookup), guard


async def test_one_bad_record_rejects_the_whole_name() -> None:
    _, resolver, _ = answering("93.184.216.34", "127.0.0.1")
    with pytest.raises(ForbiddenAddressError, match=r"files\.example resolves to 127\.0\.0\.1"):
        await resolver.resolve("files.example", 443)


async def test_a_public_name_is_asked_with_a_trailing_dot() -> None:
    asked, resolver, _ = answering("93.184.216.34", "2606:4700::1111")
    found = await resolver.resolve("files.example", 443)
    assert asked == ["files.example."]
    assert [record["host"] for record in found] == ["93.184.216.34", "2606:4700::1111"]


async def test_a_listed_name_is_asked_as_written_and_its_addresses_may_be_dialled_on_its_port_only() -> None:
    asked, resolver, guard = answering("10.0.0.7")
    await resolver.resolve("sandbox", 8090)
    assert asked == ["sandbox"]
    guard.open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", 8090))).close()
    with pytest.raises(ForbiddenAddressError):
        guard.open_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", 5432)))


async def test_a_listed_name_is_not_listed_on_another_port() -> None:
    _, resolver, _ = answering("10.0.0.7")
    with pytest.raises(ForbiddenAddressError):
        await resolver.resolve("sandbox", 8091)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"])
def test_no_socket_is_opened_to_an_address_nobody_allowed(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with pytest.raises(ForbiddenAddressError):
        AddressGuard(AllowedHosts()).open_socket((family, socket.SOCK_STREAM, 6, "", (address, 80)))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "::1", "169.254.169.254"])
def test_a_literal_is_refused_before_anything_is_dialled(host: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        AddressGuard(AllowedHosts()).check_literal(host, 80)


def test_allowed_hosts_are_compared_in_one_spelling() -> None:
    allowed = parse_allowed_hosts(" Sandbox.:8090 , [::1]:80,127.0.0.1:9000,")
    assert allowed.admits("sandbox", 8090)
    assert allowed.admits("[0:0::1]", 80)
    assert not allowed.admits("127.0.0.1", 9001)


@pytest.mark.parametrize(
    "text", ["localhost", "localhost:http", "a:0", "a:70000", "http://a:1", "a:1/x", "u@a:1", ":80"]
)
def test_a_malformed_list_is_one_sentence_with_the_remedy(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^ALLOW_PRIVATE_HOSTS: '.*' is not host:port; write for example"):
        parse_allowed_hosts(text)


@pytest.mark.parametrize(
    ("host", "port", "pattern", "expected"),
    [
        ("api.bfl.ai", 443, "api.bfl.ai", True),
        ("API.bfl.ai.", 443, "api.bfl.ai", True),
        ("eu.bfl.ai", 443, "*.bfl.ai", True),
        ("bfl.ai", 443, "*.bfl.ai", False),
        ("evilbfl.ai", 443, "*.bfl.ai", False),
        ("bfl.ai.evil.example", 443, "*.bfl.ai", False),
        ("127.0.0.1", 8090, "127.0.0.1:8090", True),
        ("127.0.0.1", 8091, "127.0.0.1:8090", False),
        ("::1", 80, "[::1]:80", True),
    ],
)
def test_a_host_list_matches_whole_names(host: str, port: int, pattern: str, expected: bool) -> None:
    assert host_matches(host, port, (pattern,)) is expected


@pytest.mark.parametrize(
    "text",
    [
        "ftp://h/x",
        "file:///etc/passwd",
        "https:///x",
        "https://user:pass@h/x",
        "https://good.example\\@evil.example/",
        "https://h/\r\nX: y",
        "https://h:99999/",
        "h/x",
        "",
        "javascript:alert(1)",
        "https://" + "a" * 9000,
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadAddressError):
        parse_url(text)


def test_a_signed_address_keeps_its_spelling() -> None:
    text = "https://h.example/a%2Fb%20c/d+e?X-Amz-Signature=ab%2Fcd%3D&x=%7E~&path=a/b"
    assert str(parse_url(text)) == text


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/other?x=1", "https://h.example/other?x=1"),
        ("//cdn.example/f", "https://cdn.example/f"),
        ("http://169.254.169.254/latest", "http://169.254.169.254/latest"),
    ],
)
def test_a_redirect_is_resolved_against_the_address_it_came_from(location: str, target: str) -> None:
    assert str(follow_redirect(parse_url("https://h.example/a/b"), 302, {"location": location})) == target


@pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://h/", "https://u:p@h/"])
def test_a_redirect_to_no_address_is_refused(location: str) -> None:
    with pytest.raises(BadAddressError):
        follow_redirect(parse_url("https://h.example/a"), 302, {"location": location})
