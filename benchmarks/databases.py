"""The servers that a benchmark finds: a PostgreSQL, on which it makes a database of its own, and a broker."""

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]

BROKER = "amqp://guest:guest@127.0.0.1:5672//"
LOCAL = "postgresql://postgres@127.0.0.1:5432/postgres"


def add_options(options: argparse.ArgumentParser) -> None:
    """Which servers to use: by default those of this machine."""
    options.add_argument("--database-url", default=LOCAL, help="a PostgreSQL where a database may be made")
    options.add_argument("--broker-url", default=BROKER, help="a RabbitMQ or a Redis")


def kind_of(broker_url: str) -> str:
    """What a broker is."""
    return "Redis" if broker_url.startswith("redis") else "RabbitMQ"


def local_postgres() -> str | None:
    """The address of the PostgreSQL on this machine, if one answers without a password."""
    try:
        _execute(LOCAL, "SELECT 1")
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return None
    return LOCAL


@contextmanager
def fresh_postgres(server: str) -> Iterator[str]:
    """The address of a database that is made on `server`, and dropped at the end."""
    name = f"darkroom_benchmark_{uuid4().hex[:12]}"
    _execute(server, f"CREATE DATABASE {name}")
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url, timeout=5)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
