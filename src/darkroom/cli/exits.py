"""How commands end, for scripts."""

from typing import NoReturn

import typer

FAILED = 1
"""What was asked for did not come about."""
BAD_SETTINGS = 2
"""A setting or an argument is wrong; nothing was done."""


def complain(message: str, code: int) -> NoReturn:
    """Say in one line on standard error what is wrong, and end."""
    typer.echo(f"darkroom: {message}", err=True)
    raise typer.Exit(code)
