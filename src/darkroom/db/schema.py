"""Bringing the database to the schema that this version knows, and telling whether it is there."""

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from darkroom.db.session import Database

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x6461726B  # "dark": one migration at a time among all processes


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The revision a database is at (None: empty), and the one that this version needs."""

    current: str | None
    head: str

    @property
    def is_current(self) -> bool:
        """Whether nothing is to be done."""
        return self.current == self.head


def configuration() -> Config:
    """Alembic's configuration, without a file."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config


async def state(database: Database) -> SchemaState:
    """Where `database` is. Raises `DatabaseUnavailable`."""
    return await database.read(_state)


async def upgrade(database: Database) -> None:
    """Run the migrations that `database` lacks, guarded against other processes that do the same."""
    if not (await state(database)).is_current:
        await database.transact(_upgrade)


def _state(connection: Connection) -> SchemaState:
    head = ScriptDirectory.from_config(configuration()).get_current_head()
    assert head is not None
    return SchemaState(MigrationContext.configure(connection).get_current_revision(), head)


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config = configuration()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
