"""What may be reached for callers, address by address."""

from ipaddress import ip_address

import pytest

from darkroom.errors import InvalidRequest
from darkroom.security.egress import Allowed, Egress

PUBLIC = ["1.1.1.1", "8.8.8.8", "192.0.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
INSIDE = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.168.0.1", "198.18.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "168.63.129.16",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1",
    "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1",
    "ff02::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_may_be_reached(address: str) -> None:
    assert Allowed().has(ip_address(address))


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_public_may_not(address: str) -> None:
    assert not Allowed().has(ip_address(address))


def test_the_settings_allow_more() -> None:
    allowed = Allowed.of(["10.1.0.0/16", "192.168.0.7", "fd00::/8", "Hooks.Internal."])
    assert allowed.has(ip_address("10.1.2.3"))
    assert allowed.has(ip_address("::ffff:10.1.2.3"))
    assert allowed.has(ip_address("192.168.0.7"))
    assert allowed.has(ip_address("fd12::1"))
    assert not allowed.has(ip_address("10.2.0.1"))
    assert allowed.has_name("hooks.internal")
    assert allowed.has_name("HOOKS.internal.")
    assert not allowed.has_name("other.hooks.internal")


@pytest.mark.parametrize(
    "url", ["https://example.com/a?b=c", "https://example.com:8443/", "https://1.1.1.1/", "https://ü.de/"]
)
def test_an_https_address_is_taken(url: str) -> None:
    assert Egress().check(url, field="webhook").scheme == "https"


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://example.com/", "DARKROOM_EGRESS_ALLOW"),
        ("file:///etc/passwd", "https address"),
        ("gopher://example.com/", "https address"),
        ("//example.com/", "https address"),
        ("https:///path", "https address"),
        ("https://exa\x00mple.com/", "https address"),
        ("https://example.com:0/", "https address"),
        ("https://example.com:70000/", "https address"),
        ("https://a:b@example.com/", "user name"),
        ("https://example.com\\@10.0.0.1/", "user name"),
        ("https://10.0.0.1/", "public internet"),
        ("https://[::1]:443/", "public internet"),
        ("https://LOCALHOST/", "public internet"),
        (f"https://example.com/{'a' * 2048}", "2048"),
    ],
)
def test_another_address_is_refused_with_the_reason(url: str, what: str) -> None:
    with pytest.raises(InvalidRequest, match=what) as refused:
        Egress().check(url, field="webhook")
    assert refused.value.field == "webhook"


def test_what_the_settings_name_may_be_plain_http() -> None:
    egress = Egress(["127.0.0.1", "hooks.internal"])
    for url in ("http://127.0.0.1:3000/", "http://hooks.internal/", "https://hooks.internal/"):
        egress.check(url, field="webhook")
    with pytest.raises(InvalidRequest):
        egress.check("http://127.0.0.2/", field="webhook")
