"""`darkroom lanes`: list, pause, resume."""

from typing import TYPE_CHECKING, Annotated

import typer

from darkroom.cli import asking
from darkroom.cli.options import AsJson, Server

if TYPE_CHECKING:
    from rich.table import Table

    from darkroom.cli.connection import Json

app = typer.Typer(help="The queues that workers serve.", rich_markup_mode=None, invoke_without_command=True)

Name = Annotated[str, typer.Argument(metavar="LANE", help="The lane.")]


@app.callback()
def lanes(context: typer.Context, server: Server = None, as_json: AsJson = False) -> None:
    """List the lanes, or pause and resume one."""
    from darkroom.cli import shown

    if context.invoked_subcommand is not None:
        return
    items = asking.get(server, "/lanes")["items"]
    if as_json:
        shown.print_json(items)
    else:
        shown.console().print(_listed(items))


@app.command()
def pause(lane: Name, server: Server = None) -> None:
    """Have no more jobs of a lane started; what runs goes on."""
    _hold(server, lane, "pause")


@app.command()
def resume(lane: Name, server: Server = None) -> None:
    """Have jobs of a lane started again."""
    _hold(server, lane, "resume")


def _hold(server: str | None, name: str, verb: str) -> None:
    from urllib.parse import quote

    lane = asking.post(server, f"/lanes/{quote(name, safe='')}/{verb}")
    typer.echo(f"{lane['name']} {_state(lane)}")


def _listed(items: list["Json"]) -> "Table":
    from darkroom.cli import shown

    table = shown.table("name", "state", "queued", "running", "concurrency", "max queued")
    for lane in items:
        numbers = (lane["queued"], lane["running"], lane["concurrency"], lane["max_queued"])
        table.add_row(lane["name"], _state(lane), *("-" if number is None else str(number) for number in numbers))
    return table


def _state(lane: "Json") -> str:
    return "paused" if lane["paused"] else "open"
