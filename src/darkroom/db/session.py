"""The way to the database, the same on SQLite and PostgreSQL.

What talks SQL is a plain function of a `Connection`. SQLite runs it in a thread, one hop for the whole
transaction; PostgreSQL runs it on the event loop, each statement awaited underneath. Such a function cannot
await anything, so no transaction stays open across a network call.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog
from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, make_url

from darkroom.db.clock import Now, ServerClock, measure, utc_now
from darkroom.db.writer import Operation, Writer
from darkroom.errors import DatabaseUnavailable

log = structlog.get_logger(__name__)

R = TypeVar("R")
T = TypeVar("T")
Work = Callable[[Connection], R]
Timed = Callable[[str], AbstractContextManager[object]]
"""Times the context, which is a `read`, a `write` or a `transaction`."""

RETRY_AFTER = 2.0
READERS = 4
CONNECTIONS = 16
BUSY_TIMEOUT_MS = 5000
CLOSE_TIMEOUT = 5.0
_TIMEOUTS = {"timeout": 5, "command_timeout": 10}
# SQLSTATE classes and codes: connection, resources, operator intervention, system, read-only.
_UNAVAILABLE = ("08", "53", "57P", "58", "25006", "3D000", "28")


class Backend(Protocol):
    """Runs work in a transaction, or reads outside of one."""

    async def read(self, work: Work[R]) -> R:
        """Run `work`, which only reads; each statement sees what is committed."""
        ...

    async def transact(self, work: Work[R]) -> R:
        """Run `work` in one transaction, committed when this returns."""
        ...

    async def migrate(self, work: Work[R]) -> R:
        """Run `work` in one transaction, however long it takes."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


class Database:
    """Reads, single transactions, and writes that share their commit with others.

    `now`: the time that all processes on this database agree on.
    """

    def __init__(self, backend: Backend, *, url: URL, timed: Timed, wall: Now) -> None:
        self._backend = backend
        self._timed = timed
        self._writer = Writer(self.transact)
        self.dialect = url.get_backend_name()
        self.location = url.set(drivername=self.dialect).render_as_string(hide_password=True)
        self._clock = None
        self.now = wall  # processes on one SQLite file share their machine's clock
        if self.dialect != "sqlite":
            self._clock = ServerClock(lambda: self.read(measure), wall=wall)
            self.now = self._clock.now

    async def read(self, query: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Return `query(connection, *args, **kwargs)`. Raises `DatabaseUnavailable`."""
        with self._timed("read"), translated():
            return await self._backend.read(lambda connection: query(connection, *args, **kwargs))

    async def transact(self, work: Work[R]) -> R:
        """Run `work` in a transaction of its own. Raises `DatabaseUnavailable`, also while its time is not known."""
        if self._clock is not None and self._clock.is_unset:
            raise DatabaseUnavailable("the database's time is not known yet", retry_after=RETRY_AFTER)
        with self._timed("transaction"), translated():
            return await self._backend.transact(work)

    async def migrate(self, work: Work[R]) -> R:
        """Run `work` in a transaction that may take its time: large tables, others who migrate.

        Raises `DatabaseUnavailable`.
        """
        with translated():
            return await self._backend.migrate(work)

    async def write(self, operation: Operation[T, R], item: T) -> R:
        """Have `operation` write `item`, in one transaction with whatever else is waiting.

        Durable when this returns. Raises `DatabaseUnavailable`, and what `operation` says of this item.
        """
        with self._timed("write"):
            return await self._writer.write(operation, item)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Database"]:
        """Serve writes while the context is open; then let those under way end, and disconnect."""
        try:
            async with self._writer.running(), self._clock.running() if self._clock else nullcontext():
                yield self
        finally:
            await self._backend.aclose()


def _untimed(_: str) -> AbstractContextManager[None]:
    return nullcontext()


def open_database(url: str, *, timed: Timed = _untimed, wall: Now = utc_now) -> Database:
    """The database at `url`; it connects, writes and knows the server's time inside `running()`.

    `wall`: this machine's clock.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return Database(SQLite(parsed), url=parsed, timed=timed, wall=wall)
    return Database(PostgreSQL(parsed), url=parsed, timed=timed, wall=wall)


class SQLite:
    """One connection that writes, a few that read; each used by a thread of its own pool."""

    def __init__(self, url: URL) -> None:
        address = url.set(drivername="sqlite+pysqlite")
        if address.database:
            Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        self._writer = _sqlite_engine(address, connections=1)
        self._reader = _sqlite_engine(address, connections=READERS, isolation_level="AUTOCOMMIT")
        event.listen(self._writer, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
        self._write_threads = ThreadPoolExecutor(1, thread_name_prefix="sqlite-write")
        self._read_threads = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-read")

    async def read(self, work: Work[R]) -> R:
        def run() -> R:
            with self._reader.connect() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._read_threads, run)

    async def transact(self, work: Work[R]) -> R:
        def run() -> R:
            with self._writer.begin() as connection:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(self._write_threads, run)

    async def migrate(self, work: Work[R]) -> R:
        return await self.transact(work)

    async def aclose(self) -> None:
        self._write_threads.shutdown()
        self._read_threads.shutdown()
        self._reader.dispose()
        self._writer.dispose()


def _sqlite_engine(url: URL, *, connections: int, **options: Any) -> Engine:
    engine = create_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
        hide_parameters=True,  # errors are logged, and prompts are not
        **options,
    )
    event.listen(engine, "connect", _set_up_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # our own BEGIN, not the driver's deferred one
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",
        "cache_size=-16384",
        "journal_size_limit=67108864",
    ):
        connection.execute(f"PRAGMA {pragma}")


class PostgreSQL:
    """One pool of a fixed size for everything."""

    def __init__(self, url: URL) -> None:
        from sqlalchemy.ext.asyncio import create_async_engine  # loads the ORM, which SQLite does without

        self._url = url.set(drivername="postgresql+asyncpg")
        self._engine = create_async_engine(
            self._url,
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=5,
            connect_args=_TIMEOUTS,
            hide_parameters=True,  # errors are logged, and prompts are not
        )
        self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    async def read(self, work: Work[R]) -> R:
        try:
            return await self._read(work)
        except exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise
            return await self._read(work)  # the pool is fresh now: its server was restarted

    async def _read(self, work: Work[R]) -> R:
        async with self._reader.connect() as connection:
            return await connection.run_sync(work)

    async def transact(self, work: Work[R]) -> R:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def migrate(self, work: Work[R]) -> R:
        from sqlalchemy.ext.asyncio import create_async_engine
        from sqlalchemy.pool import NullPool

        patient = create_async_engine(self._url, poolclass=NullPool, hide_parameters=True)
        async with patient.begin() as connection:
            return await connection.run_sync(work)

    async def aclose(self) -> None:
        """Say goodbye; a server that does not answer is left."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._engine.dispose()
        except TimeoutError:
            log.warning("database_not_closed", reason=f"no answer within {CLOSE_TIMEOUT:g} s")


async def connect_apart(url: str) -> Any:
    """A connection of asyncpg's own to the PostgreSQL at `url`, outside of any pool; the caller closes it."""
    import asyncpg  # type: ignore[import-untyped]

    dialect = make_url(url).set(drivername="postgresql+asyncpg").get_dialect()()
    _, options = dialect.create_connect_args(make_url(url))
    for of_sqlalchemy in ("prepared_statement_cache_size", "prepared_statement_name_func"):
        options.pop(of_sqlalchemy, None)
    return await asyncpg.connect(**options, **_TIMEOUTS)


@contextmanager
def translated() -> Iterator[None]:
    """Turn "the database does not answer" into `DatabaseUnavailable`; let every other error through."""
    try:
        yield
    except (exc.SQLAlchemyError, OSError, TimeoutError) as error:
        if not _means_unavailable(error):
            raise
        raise DatabaseUnavailable("the database does not answer", retry_after=RETRY_AFTER) from error


def _means_unavailable(error: Exception) -> bool:
    if not isinstance(error, exc.DBAPIError):
        return isinstance(error, OSError | TimeoutError | exc.TimeoutError)
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_UNAVAILABLE)
    return error.connection_invalidated or isinstance(error, exc.OperationalError | exc.InterfaceError)
