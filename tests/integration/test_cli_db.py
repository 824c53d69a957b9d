"""`darkroom db`, the real process, and what it rests on."""

import asyncio
import subprocess
import sys

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from darkroom.db import schema
from darkroom.db.session import open_database
from services.command import Command


def execute(url: str, statement: str) -> None:
    async def run() -> None:
        async with open_database(url).running() as database:
            await database.transact(lambda connection: connection.execute(text(statement)))

    asyncio.run(run())


def test_the_revisions_are_those_of_the_migrations() -> None:
    scripts = ScriptDirectory.from_config(schema.configuration())
    assert list(schema.revisions()) == [script.revision for script in scripts.walk_revisions()][::-1]


def test_a_start_with_nothing_to_migrate_does_without_alembic(sqlite_url: str) -> None:
    code = """
import asyncio, sys
from darkroom.db import schema
from darkroom.db.session import open_database

async def start():
    async with open_database(sys.argv[1]).running() as database:
        await schema.upgrade(database)

asyncio.run(start())
assert "alembic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, sqlite_url], check=True, timeout=60)


def test_an_empty_database_is_upgraded(darkroom: Command, empty_postgres_url: str) -> None:
    command = darkroom.using(DARKROOM_DATABASE_URL=empty_postgres_url)
    head = schema.revisions()[-1]
    checked = command("db", "check")
    assert checked.code == 1
    assert "darkroom db upgrade" in checked.complaint
    assert command.good("db", "current", "--json").json == {"current": None, "head": head}
    assert f"upgraded to {head}" in command.good("db", "upgrade").out
    assert command.good("db", "check").out == ""
    assert "already" in command.good("db", "upgrade").out
    assert head in command.good("db", "current").out


def test_changed_tables_are_found(darkroom: Command, database_url: str) -> None:
    command = darkroom.using(DARKROOM_DATABASE_URL=database_url)
    assert "every table" in command.good("db", "check", "-v").out
    execute(database_url, "ALTER TABLE files DROP COLUMN placeholder")
    ended = command("db", "check")
    assert ended.code == 1
    assert "placeholder" in ended.complaint


@pytest.mark.parametrize(
    ("words", "code"), [(["serve", "--port", "0"], 3), (["db", "upgrade"], 3), (["db", "check"], 1)]
)
def test_a_database_of_a_later_version_is_left_alone(
    darkroom: Command, sqlite_url: str, words: list[str], code: int
) -> None:
    execute(sqlite_url, "UPDATE alembic_version SET version_num = '9999'")
    ended = darkroom.using(DARKROOM_DATABASE_URL=sqlite_url)(*words)
    assert ended.code == code
    assert "9999" in ended.complaint


def test_a_database_that_does_not_answer_is_told(darkroom: Command) -> None:
    ended = darkroom.using(DARKROOM_DATABASE_URL="postgresql://x:hidden@127.0.0.1:9/x")("db", "current")
    assert ended.code == 3
    assert "hidden" not in ended.err
    assert ended.complaint
