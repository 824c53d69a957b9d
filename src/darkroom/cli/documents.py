"""What Darkroom says of itself: the reference of its settings, its API and its commands."""

from typing import Annotated, Literal

import typer

Form = Literal["env", "markdown", "toml"]
Subject = Literal["commands", "metrics"]


def settings(
    form: Annotated[Form, typer.Option("--format", help="An .env file, a document, or a darkroom.toml.")] = "env",
) -> None:
    """Print every setting with its description and default."""
    from darkroom.settings_reference import render_reference

    typer.echo(render_reference(form), nl=False)


def openapi() -> None:
    """Print the OpenAPI document of the API."""
    from pydantic import SecretStr

    from darkroom.asgi import application
    from darkroom.cli import shown
    from darkroom.settings import Settings

    unused = SecretStr("signs nothing: no request is answered")  # without one, a secret would be made and kept
    shown.print_json(application(Settings(secret=unused), working=False).openapi())


def reference(
    context: typer.Context, of: Annotated[Subject, typer.Argument(help="What to tell of.")] = "commands"
) -> None:
    """Print the reference of the commands, or of the metrics, as Markdown."""
    from darkroom.cli.commands_reference import render_commands
    from darkroom.cli.metrics_reference import render_metrics

    typer.echo(render_metrics() if of == "metrics" else render_commands(context.find_root()), nl=False)
