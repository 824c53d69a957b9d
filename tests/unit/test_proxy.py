"""The proxy between the parts does to connections what networks do."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from services.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()


def _serve(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _echo(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        while chunk := connection.recv(65536):
            connection.sendall(chunk)


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=20)


def said(connection: socket.socket, words: bytes) -> bytes:
    connection.sendall(words)
    return connection.recv(65536)


def is_dead(connection: socket.socket) -> bool:
    try:
        return said(connection, b"hello") == b""
    except ConnectionError:
        return True


def test_in_good_weather_bytes_pass(echo: tuple[str, int]) -> None:
    with Proxy(echo) as proxy, connect(proxy) as connection:
        assert said(connection, b"hello") == b"hello"


def test_a_cut_breaks_connections_and_refuses_new_ones(echo: tuple[str, int]) -> None:
    with Proxy(echo) as proxy, connect(proxy) as connection:
        assert said(connection, b"hello") == b"hello"
        proxy.cut()
        assert is_dead(connection)
        with pytest.raises(ConnectionError):
            connect(proxy)
        proxy.heal()
        with connect(proxy) as another:
            assert said(another, b"hello") == b"hello"


def test_a_stalled_connection_is_silent_and_then_goes_on_where_it_was(echo: tuple[str, int]) -> None:
    with Proxy(echo) as proxy, connect(proxy) as connection:
        assert said(connection, b"before") == b"before"
        proxy.stall()
        connection.sendall(b"meanwhile")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(65536)
        connection.settimeout(20)
        proxy.heal()
        assert connection.recv(65536) == b"meanwhile"


def test_a_delay_holds_bytes_back_both_ways(echo: tuple[str, int]) -> None:
    with Proxy(echo) as proxy, connect(proxy) as connection:
        proxy.delay(0.1)
        began = time.monotonic()
        assert said(connection, b"hello") == b"hello"
        assert time.monotonic() - began >= 0.2


def test_a_target_that_is_not_there_ends_one_connection_and_not_the_proxy(echo: tuple[str, int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        target = nobody.getsockname()
    with Proxy(target) as proxy:
        for _ in range(2):
            with connect(proxy) as connection:
                assert is_dead(connection)
