"""Real brokers for tests: RabbitMQ and Redis, each test with queues of its own.

They are those that DARKROOM_TEST_RABBITMQ and DARKROOM_TEST_REDIS name, else those on this machine, else ones that
are started here; where there is no Redis, fakeredis plays one over TCP.
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from kombu import Connection

from darkroom.dispatch.celery import CeleryDispatcher
from darkroom.dispatch.queues import Queues
from darkroom.errors import DarkroomError, NotInstalled
from darkroom.stack.brokers import RabbitMQ, Redis
from services.needs import missing

LOCAL_RABBITMQ = "amqp://guest:guest@127.0.0.1:5672//"
LOCAL_REDIS = "redis://127.0.0.1:6379/9"


@dataclass(frozen=True, slots=True)
class Broker:
    """The queues of one test at a broker."""

    kind: str
    url: str
    prefix: str
    lanes: tuple[str, ...] = ("default", "gpu")
    quorum: bool = False

    @classmethod
    def new(cls, kind: str, url: str, *, quorum: bool = False) -> "Broker":
        """Queues that nobody else has."""
        return cls(kind, url, f"test-{uuid4().hex[:12]}", quorum=quorum)

    @property
    def queues(self) -> Queues:
        return Queues(self.url, self.lanes, prefix=self.prefix, quorum=self.quorum)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a Darkroom that uses them."""
        return {
            "broker_url": self.url,
            "broker_queue_prefix": self.prefix,
            "broker_quorum_queues": self.quorum,
        }

    @property
    def address(self) -> tuple[str, int]:
        """Its host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or {"rabbitmq": 5672, "redis": 6379}[self.kind]

    def through(self, port: int) -> str:
        """Its address by way of a proxy on `port`."""
        parts = urlsplit(self.url)
        credentials, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}").geturl()

    def depth(self, lane: str = "default") -> int:
        """How many tickets wait."""
        with Connection(self.url) as connection:
            return int(self.queues.queue(lane).queue_declare(channel=connection.default_channel).message_count)

    def empty(self, lane: str = "default") -> None:
        """Throw the tickets away."""
        with Connection(self.url) as connection:
            connection.default_channel.queue_purge(self.queues.name(lane))

    def delete(self, lane: str = "default") -> None:
        """Throw the queue away."""
        with Connection(self.url) as connection:
            if self.kind == "redis":
                connection.default_channel.queue_purge(self.queues.name(lane))
            else:
                connection.default_channel.queue_delete(self.queues.name(lane))

    def clear(self) -> None:
        """Leave nothing behind."""
        for lane in self.lanes:
            self.delete(lane)


def dispatcher_on(broker: Broker) -> CeleryDispatcher:
    """What sends tickets to the queues of `broker`."""
    return CeleryDispatcher(broker.queues, counted=lambda lane, fate, tickets: None)


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def rabbitmq_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a RabbitMQ."""
    named = os.environ.get("DARKROOM_TEST_RABBITMQ") or (LOCAL_RABBITMQ if _listens(LOCAL_RABBITMQ) else None)
    if named is not None:
        yield named
        return
    try:
        server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
        server.start()
    except DarkroomError as error:
        missing(f"no RabbitMQ here: {error}")
    yield server.url
    server.kill()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Redis."""
    named = os.environ.get("DARKROOM_TEST_REDIS") or (LOCAL_REDIS if _listens(LOCAL_REDIS) else None)
    if named is not None:
        yield named
        return
    with _own_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@contextmanager
def _own_redis(folder: Path) -> Iterator[str]:
    try:
        server = Redis(folder)
    except NotInstalled:
        from fakeredis import TcpFakeServer

        fake = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
        threading.Thread(target=fake.serve_forever, daemon=True).start()
        yield f"redis://127.0.0.1:{fake.server_address[1]}/0"
        fake.shutdown()
        return
    with server:
        yield server.url


@pytest.fixture(params=["rabbitmq", "redis"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Fresh queues: the test runs once on each kind of broker."""
    made = Broker.new(request.param, request.getfixturevalue(f"{request.param}_url"))
    yield made
    made.clear()


@pytest.fixture
def rabbitmq(rabbitmq_url: str) -> Iterator[Broker]:
    """Fresh queues on RabbitMQ, for what the kind of broker cannot change."""
    made = Broker.new("rabbitmq", rabbitmq_url)
    yield made
    made.clear()


@pytest.fixture
def quorum(rabbitmq_url: str) -> Iterator[Broker]:
    """Fresh quorum queues on RabbitMQ."""
    made = Broker.new("rabbitmq", rabbitmq_url, quorum=True)
    yield made
    made.clear()
