"""What processes do with the schema that they find: bring it up to date, once, or refuse to start."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from darkroom.db.session import open_database
from services.command import Command
from services.server import MakeServer


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without anything in it, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    return request.getfixturevalue("empty_postgres_url")


def set_revision(url: str, revision: str) -> None:
    async def run() -> None:
        statement = text(f"UPDATE alembic_version SET version_num = '{revision}'")
        async with open_database(url).running() as database:
            await database.transact(lambda connection: connection.execute(statement))

    asyncio.run(run())


def test_servers_that_start_at_once_on_an_empty_database_all_come_up(make_server: MakeServer, empty_url: str) -> None:
    servers = [make_server(database_url=empty_url) for _ in range(2)]
    for server in servers:
        server.launch()
    for server in servers:
        server.wait_until_alive()
        with server.client() as client:
            assert client.post("/media/generate", json={"prompt": "a fox", "model": "dummy"}).status_code == 202


def test_where_migrating_is_a_step_of_its_own_servers_wait_for_it(darkroom: Command, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    command = darkroom.using(DARKROOM_DATABASE_URL=url, DARKROOM_MIGRATE="false", DARKROOM_PORT="0")
    for _ in range(2):  # the first left it as it was
        ended = command("serve")
        assert ended.code == 3
        assert "the database is empty" in ended.complaint
        assert "run `darkroom db upgrade`" in ended.complaint

    command.good("db", "upgrade")
    process = command.start("serve")
    assert process.stderr is not None
    assert any("reference" in line for line in process.stderr), "it greets"
    process.terminate()
    process.communicate(timeout=30)


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ("serve", {"DARKROOM_PORT": "0", "DARKROOM_MIGRATE": "false"}),
        ("worker", {"DARKROOM_BROKER_URL": "redis://127.0.0.1:9"}),
    ],
)
def test_a_schema_of_a_later_version_is_not_worked_on(
    darkroom: Command, sqlite_url: str, words: str, settings: dict[str, str]
) -> None:
    set_revision(sqlite_url, "9999")
    ended = darkroom.using(DARKROOM_DATABASE_URL=sqlite_url, **settings)(words)
    assert ended.code == 3
    complaint = ended.err.splitlines()[-1]  # Celery has something to say to root first
    assert "9999" in complaint
    assert "run the version that made it, or a later one" in complaint
