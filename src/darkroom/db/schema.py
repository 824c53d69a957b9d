"""Bringing the database to the schema that this version knows, and telling whether it is there.

Alembic is imported only where there is something to migrate or to compare: a start finds nothing to do.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from darkroom.db.session import Database
from darkroom.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6461726B  # "dark": one migration at a time among all processes


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The revision a database is at (None: empty), and those that this version knows, the one it needs last."""

    current: str | None
    known: tuple[str, ...]

    @property
    def head(self) -> str:
        """The revision that this version needs."""
        return self.known[-1]

    @property
    def is_current(self) -> bool:
        """Whether nothing is to be done."""
        return self.current == self.head

    @property
    def is_ahead(self) -> bool:
        """Whether a later version made it what it is."""
        return self.current is not None and self.current not in self.known

    @property
    def advice(self) -> str:
        """Where a database is that is not where it should be, and what to do."""
        if self.is_ahead:
            return f"at {self.current}, which this version does not know: run the version that made it, or a later one"
        return f"{self.place}, and {self.head} is needed: run `darkroom db upgrade`"

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return f"at {self.current}" if self.current else "empty"


def revisions() -> tuple[str, ...]:
    """The revisions of this version, in order: each file of `versions` begins with its own, and they sort."""
    return tuple(sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py")))


def configuration() -> "Config":
    """Alembic's configuration, without a file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


async def state(database: Database) -> SchemaState:
    """Where `database` is. Raises `DatabaseUnavailable`."""
    return SchemaState(await database.read(_current), revisions())


async def require(database: Database) -> None:
    """Raise `DatabaseUnavailable` unless `database` is at the schema of this version."""
    found = await state(database)
    if not found.is_current:
        raise DatabaseUnavailable(f"the database is {found.advice}")


async def upgrade(database: Database) -> None:
    """Run the migrations that `database` lacks, guarded against other processes that do the same.

    Raises `DatabaseUnavailable`, also if a later version of Darkroom has migrated it.
    """
    found = await state(database)
    if found.is_ahead:
        raise DatabaseUnavailable(f"the database is {found.advice}")
    if not found.is_current:
        await database.migrate(_upgrade)


async def differences(database: Database) -> list[str]:
    """In what the tables of `database` are not those that this version knows. Raises `DatabaseUnavailable`."""
    return await database.transact(_differences)


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection) -> None:
    from alembic import command

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _differences(connection: Connection) -> list[str]:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from darkroom.db.tables import metadata

    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return [_in_words(difference) for difference in compare_metadata(context, metadata)]


def _in_words(difference: object) -> str:
    """One of Alembic's tuples, such as `('add_column', None, 'media', Column(...))`; changes of a column are listed."""
    first = difference[0] if isinstance(difference, list) else difference
    assert isinstance(first, tuple)
    kind, *parts = first
    named = [part for part in parts if part is not None and not isinstance(part, dict)]
    return " ".join([str(kind).replace("_", " "), *(str(getattr(part, "name", None) or part) for part in named)])
