"""Options that several commands have."""

from typing import Annotated

import typer

Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        envvar="DARKROOM_URL",
        metavar="URL",
        help="Ask the Darkroom at this address; left out: work in this process, on the database of the settings.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
