"""What may be reached for callers, address by address."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from threading import Event
from typing import Any

import httpx2
import pytest

from darkroom.errors import InvalidRequest
from darkroom.security import names
from darkroom.security.egress import Allowed, Egress, was_tried
from darkroom.security.names import AT_ONCE, FOR_STRANGERS, Busy, Resolver

PUBLIC = ["1.1.1.1", "8.8.8.8", "192.0.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
INSIDE = [
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.168.0.1", "198.18.0.1", "192.0.2.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "168.63.129.16", "192.0.0.1", "192.0.0.9", "192.0.0.192", "192.88.99.1", "::ffff:192.0.0.192",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1",
    "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1",
    "ff02::1", "3fff::1", "3fff:fff::1",
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


# Names that take their time


class Names:
    """Looks names up: those of `hang.test` are not found before `release` is set, the others lead here."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.release = Event()

    def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked.append(host)
        if host.endswith(".hang.test"):
            self.release.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """Whom names are asked of."""
    found = Names()
    monkeypatch.setattr(socket, "getaddrinfo", found)
    monkeypatch.setattr(names, "TURN", 0.1)
    monkeypatch.setattr(names, "PATIENCE", 0.2)
    yield found
    found.release.set()


async def hanging(resolve: Resolver, many: int) -> list[BaseException]:
    """What comes of looking up so many names that hang, at once."""
    asked = (resolve(f"h{number}.hang.test", 443) for number in range(many))
    return [error for error in await asyncio.gather(*asked, return_exceptions=True) if isinstance(error, BaseException)]


@pytest.mark.anyio
async def test_an_address_is_not_looked_up(looked_up: Names) -> None:
    resolve = Resolver()
    assert await resolve("127.0.0.1", 443) == ["127.0.0.1"]
    assert await resolve("::1", 443) == ["::1"]
    assert looked_up.asked == []


@pytest.mark.anyio
async def test_names_that_hang_leave_places_to_those_that_were_found(looked_up: Names) -> None:
    resolve = Resolver()
    assert await resolve("a.example.com", 443) == ["192.0.2.1"]
    errors = await hanging(resolve, 2 * AT_ONCE)
    assert sum(isinstance(error, Busy) for error in errors) == 2 * AT_ONCE - FOR_STRANGERS
    assert await resolve("a.example.com", 443) == ["192.0.2.1"]
    with pytest.raises(Busy):
        await resolve("b.example.com", 443)
    looked_up.release.set()
    async with asyncio.timeout(10):
        while True:
            try:
                assert await resolve("b.example.com", 443) == ["192.0.2.1"]
            except Busy:
                continue
            break


@pytest.mark.anyio
async def test_a_name_is_looked_up_once_for_all_who_ask_at_once(looked_up: Names) -> None:
    resolve = Resolver()
    assert await asyncio.gather(*(resolve("a.example.com", 443) for _ in range(100))) == [["192.0.2.1"]] * 100
    assert looked_up.asked == ["a.example.com"]


@pytest.mark.anyio
async def test_one_that_is_not_found_any_more_has_no_claim_to_a_place(looked_up: Names) -> None:
    resolve = Resolver()
    looked_up.release.set()
    await resolve("known.hang.test", 443)
    looked_up.release.clear()
    with pytest.raises(TimeoutError):
        await resolve("known.hang.test", 443)
    await hanging(resolve, FOR_STRANGERS)
    with pytest.raises(Busy):
        await resolve("known.hang.test", 443)


@pytest.mark.anyio
async def test_a_name_whose_turn_did_not_come_was_not_tried(looked_up: Names) -> None:
    egress = Egress()
    await hanging(egress._resolve, FOR_STRANGERS)  # type: ignore[arg-type]
    for url, tried in (("https://b.example.com/", False), ("https://127.0.0.2/", True)):
        with pytest.raises(httpx2.ConnectError) as failed:
            await egress.client.get(url)
        assert was_tried(failed.value) is tried
    await egress.aclose()


async def test_a_thread_that_cannot_start_costs_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver = Resolver()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        for number in range(2 * AT_ONCE):
            with pytest.raises(Busy):
                await resolver(f"{number}.example.com", 443)
    assert await resolver("localhost", 443)
