"""The one way out for what callers name: addresses of webhooks, and of pictures to fetch.

A name is resolved here, and the connection goes to the very address that was checked: whoever answers for the name
cannot say one thing to the check and another to the connection. What is not part of the public internet is refused
unless the settings allow it, in the same words as a name that does not exist.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

import httpcore2
import httpx2

from darkroom.errors import InvalidRequest
from darkroom.security.names import Busy, Resolver

LONGEST: Final = 2048
MOST_ADDRESSES: Final = 4
"""Addresses of one name that are tried."""
CLOSED: Final = "cannot be reached from here, or may not be"
CROWDED: Final = "too many names are being looked up: it was not this one's turn"

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
_NAME: Final = re.compile(r"(?=.{1,253}\.?$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_PORTS: Final = range(1, 65536)
_NAT64 = ip_network("64:ff9b::/96")
_NOT_PUBLIC: Final = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "3fff::/20")))
"""What some versions of Python take for public: protocols' own addresses, relays, translators, examples."""
_INSIDE_A_CLOUD: Final = frozenset({ip_address("168.63.129.16")})
"""Public by its number, and a machine's own management (Azure) wherever it is asked."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be reached besides the public internet: networks, and names, whatever address these have."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    names: frozenset[str] = field(default_factory=frozenset)

    @staticmethod
    def of(entries: Iterable[str]) -> "Allowed":
        """From addresses, networks (`10.1.0.0/16`) and host names."""
        networks, names = [], set()
        for entry in entries:
            try:
                networks.append(ip_network(entry, strict=False))
            except ValueError:
                names.add(entry.lower().rstrip("."))
        return Allowed(tuple(networks), frozenset(names))

    def has_name(self, host: str) -> bool:
        """Whether a name may be reached wherever it leads."""
        return host.lower().rstrip(".") in self.names

    def has(self, address: Address) -> bool:
        """Whether an address may be reached."""
        plain = _plain(address)
        return _is_public(plain) or any(plain in network for network in self.networks)


def _plain(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved or address in _INSIDE_A_CLOUD:
        return False
    if any(address in network for network in _NOT_PUBLIC):
        return False
    if isinstance(address, IPv6Address):
        return address.sixtofour is None and address.teredo is None and not address.is_site_local
    return True


class _NotTried(httpcore2.ConnectError):
    """Whether an address can be reached is not known: its name had to wait for others for too long."""


def was_tried(error: Exception) -> bool:
    """Whether a request that failed says anything of whom it was for."""
    return not isinstance(error.__cause__, _NotTried)


class _GuardedBackend(httpcore2.AnyIOBackend):
    """Connects to addresses that may be reached, and to nothing else."""

    def __init__(self, allowed: Allowed, resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await self._reachable(host, port)
        for address in addresses[:-1]:
            try:
                patience = timeout and timeout / len(addresses)
                return await super().connect_tcp(address, port, patience, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await super().connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.ConnectError(CLOSED)

    async def _reachable(self, host: str, port: int) -> Sequence[str]:
        """The addresses of `host` that may be reached. Raises `ConnectError` if there is none, or nobody looked."""
        try:
            addresses = await self._resolve(host, port)
        except Busy as error:
            raise _NotTried(CROWDED) from error
        except (OSError, UnicodeError) as error:  # a TimeoutError is an OSError
            raise httpcore2.ConnectError(CLOSED) from error
        if not self._allowed.has_name(host):
            addresses = [address for address in addresses if self._allowed.has(ip_address(address))]
        if not addresses:
            raise httpcore2.ConnectError(CLOSED)
        return list(dict.fromkeys(addresses))[:MOST_ADDRESSES]


class _GuardedTransport(httpx2.AsyncHTTPTransport):
    """HTTP over such connections; no proxy of the environment is asked."""

    def __init__(self, allowed: Allowed, resolve: Resolve) -> None:
        trusted = httpx2.create_ssl_context()
        super().__init__(verify=trusted)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=trusted, network_backend=_GuardedBackend(allowed, resolve),
            max_connections=256, max_keepalive_connections=32, keepalive_expiry=5.0,
        )  # fmt: skip


class Egress:
    """Speaks HTTP with whatever callers name, if it may be reached. `allow`: see `Allowed.of`."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._allowed = Allowed.of(allow)
        self._resolve: Resolve = Resolver()
        self._client: httpx2.AsyncClient | None = None

    def check(self, url: str, *, field: str) -> httpx2.URL:
        """`url`, if it may be one to reach. What its name leads to is only known when it is asked.

        Raises `InvalidRequest`.
        """
        if len(url) > LONGEST:
            raise InvalidRequest(f"may have at most {LONGEST} characters", field=field)
        try:
            parsed = httpx2.URL(url)
        except (httpx2.InvalidURL, ValueError) as error:
            raise InvalidRequest("must be an https address", field=field) from error
        if (
            parsed.scheme not in ("http", "https")
            or not parsed.host
            or (parsed.port is not None and parsed.port not in _PORTS)
        ):
            raise InvalidRequest("must be an https address", field=field)
        if _literal(parsed.host) is None and not _NAME.fullmatch(parsed.raw_host.decode("ascii", "replace").lower()):
            raise InvalidRequest("the host of this address is no name", field=field)
        if parsed.userinfo:
            raise InvalidRequest("may not hold a user name or a password", field=field)
        self._check_host(parsed, field)
        return parsed

    def _check_host(self, url: httpx2.URL, field: str) -> None:
        if self._is_inside(url.host):
            return
        if url.scheme == "http":
            raise InvalidRequest(
                "must be an https address; http is for hosts that DARKROOM_EGRESS_ALLOW names", field=field
            )
        address = _literal(url.host)
        if url.host.lower().rstrip(".") == "localhost" or (address is not None and not self._allowed.has(address)):
            raise InvalidRequest(
                "may not be reached: it is not part of the public internet, and DARKROOM_EGRESS_ALLOW does not name it",
                field=field,
            )

    def _is_inside(self, host: str) -> bool:
        """Whether the settings name it."""
        address = _literal(host)
        if address is None:
            return self._allowed.has_name(host)
        return any(_plain(address) in network for network in self._allowed.networks)

    @property
    def client(self) -> httpx2.AsyncClient:
        """What all requests go through; follows no redirect."""
        if self._client is None:
            self._client = httpx2.AsyncClient(
                transport=_GuardedTransport(self._allowed, self._resolve),
                cookies=_forgetful(),
                trust_env=False,
                follow_redirects=False,
            )
        return self._client

    async def aclose(self) -> None:
        """Close the connections. May be called twice."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _forgetful() -> CookieJar:
    """A jar that keeps nothing: what one target sets would be sent on behalf of the next caller."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
