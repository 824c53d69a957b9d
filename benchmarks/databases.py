"""A database of its own on a real PostgreSQL."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]

LOCAL = "postgresql://postgres@127.0.0.1:5432/postgres"


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
