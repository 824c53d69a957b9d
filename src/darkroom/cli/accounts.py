"""`darkroom accounts`: list, reset."""

from typing import TYPE_CHECKING, Annotated

import typer

from darkroom.cli import asking
from darkroom.cli.options import AsJson, Server

if TYPE_CHECKING:
    from rich.table import Table

    from darkroom.cli.connection import Json

app = typer.Typer(help="Access to backends.", rich_markup_mode=None, invoke_without_command=True)


@app.callback()
def accounts(context: typer.Context, server: Server = None, as_json: AsJson = False) -> None:
    """List the accounts at backends, or have one asked again that is left alone."""
    from darkroom.cli import shown

    if context.invoked_subcommand is not None:
        return
    items = asking.get(server, "/accounts")["items"]
    if as_json:
        shown.print_json(items)
    else:
        shown.console().print(_listed(items))


@app.command()
def reset(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account.")], server: Server = None
) -> None:
    """Forget what failed at an account: jobs are sent there again."""
    from urllib.parse import quote

    after = asking.post(server, f"/accounts/{quote(account, safe='')}/reset")
    typer.echo(f"{after['name']} {_state(after)}")


def _listed(items: list["Json"]) -> "Table":
    from darkroom.cli import shown

    table = shown.table("name", "state", "failures", "running", "concurrency", "a minute")
    for account in items:
        numbers = (account[name] for name in ("failures", "running", "concurrency", "requests_per_minute"))
        table.add_row(account["name"], _state(account), *("-" if each is None else str(each) for each in numbers))
    return table


def _state(account: "Json") -> str:
    from darkroom.cli import shown

    if account["problem"]:
        return shown.plain(account["problem"])
    if account["blocked_until"]:
        return shown.plain(f"left alone, again {shown.ago(account['blocked_until'])}: {account['reason']}")
    return "open"
