"""`darkroom db`: the schema of the database."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darkroom.cli.exits import FAILED, CommandError
from darkroom.cli.options import AsJson

if TYPE_CHECKING:
    from darkroom.db.schema import SchemaState
    from darkroom.db.session import Database

app = typer.Typer(help="The schema of the database.", rich_markup_mode=None)


@app.command()
def upgrade() -> None:
    """Bring the database to the schema of this version. `darkroom serve` does so when it starts."""
    from darkroom.db import schema

    before = _with_database(schema.state)
    _with_database(schema.upgrade)
    typer.echo(_was(before) if before.is_current else f"upgraded to {before.head}, {_was(before)}")


@app.command()
def current(as_json: AsJson = False) -> None:
    """Show which revision the database is at, and which one this version needs."""
    from darkroom.cli import shown
    from darkroom.db import schema

    state = _with_database(schema.state)
    if as_json:
        shown.print_json({"current": state.current, "head": state.head})
    else:
        typer.echo(f"{state.current or 'empty'} (this version needs {state.head})")


@app.command()
def check(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say what is right, too.")] = False,
) -> None:
    """Exit with 1 unless the database is at the schema of this version, table by table."""
    from darkroom.db import schema

    state = _with_database(schema.state)
    if not state.is_current:
        raise CommandError(f"the database is {state.advice}", FAILED)
    differences = _with_database(schema.differences)
    if differences:
        raise CommandError(f"the tables are not those of revision {state.head}: {'; '.join(differences)}", FAILED)
    if verbose:
        typer.echo(f"at {state.head}, every table as it should be")


def _was(state: "SchemaState") -> str:
    return f"already at {state.head}" if state.is_current else f"was {state.place}"


def _with_database(work: "Callable[[Database], Awaitable[Any]]") -> Any:
    """What `work` makes of the database of the settings."""
    import asyncio

    from darkroom.cli.configuration import explained, load_settings
    from darkroom.db.session import open_database

    async def run() -> Any:
        with explained():
            opened = open_database(settings.database)
        async with opened.running() as database:
            return await work(database)

    settings = load_settings()
    return asyncio.run(run())
