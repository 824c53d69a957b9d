"""The tree of commands."""

from typing import Annotated

import typer

from darkroom import __version__
from darkroom.cli import (
    accounts,
    costs,
    db,
    doctor,
    documents,
    generate,
    lanes,
    media,
    models,
    serve,
    up,
    webhooks,
    worker,
)
from darkroom.cli.exits import CODES

app = typer.Typer(
    name="darkroom",
    epilog=CODES,
    rich_markup_mode=None,  # plain help: it is there in half the time
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("up")(up.up)
app.command("generate", epilog=CODES)(generate.generate)
app.command("models")(models.models)
app.add_typer(media.app, name="media")
app.add_typer(lanes.app, name="lanes")
app.add_typer(accounts.app, name="accounts")
app.add_typer(webhooks.app, name="webhooks")
app.command("costs")(costs.costs)
app.add_typer(db.app, name="db")
app.command("doctor")(doctor.doctor)
app.command("settings")(documents.settings)
app.command("openapi")(documents.openapi)
app.command("reference")(documents.reference)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"darkroom {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Prompts go in, pictures come out, none is lost, none is paid twice."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
