"""The tree of commands."""

import typer

from darkroom.cli import serve

app = typer.Typer(
    name="darkroom",
    help="Prompts go in, pictures come out, none is lost, none is paid twice.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)


@app.callback()
def root() -> None:
    """Prompts go in, pictures come out, none is lost, none is paid twice."""
