"""`darkroom webhooks`: list, show, resend, secret, rotate."""

from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import typer

from darkroom.cli import asking
from darkroom.cli.options import AsJson, Server

if TYPE_CHECKING:
    from rich.table import Table

    from darkroom.cli.connection import Json

app = typer.Typer(help="What webhooks were told, and what proves that it was us.", rich_markup_mode=None)

Id = Annotated[UUID, typer.Argument(metavar="ID", help="Of a delivery.")]
State = Literal["pending", "delivered", "failed", "gone"]


@app.command("list")
def list_(
    media: Annotated[UUID | None, typer.Option(help="Only of this media.")] = None,
    state: Annotated[State | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most deliveries to list.")] = 20,
    all_: Annotated[bool, typer.Option("--all", help="List every one.")] = False,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List deliveries, newest first."""
    from darkroom.cli import shown

    filters = {"media_id": media and str(media), "state": state}
    most = None if all_ else limit
    items = asking.with_api(server, lambda api: asking.every(api, "/webhooks/deliveries", filters, most))
    if as_json:
        shown.print_json(items)
    else:
        shown.console().print(_listed(items))


@app.command()
def show(delivery: Id, server: Server = None, as_json: AsJson = False) -> None:
    """Show a delivery with its tries."""
    from darkroom.cli import shown

    found = asking.get(server, f"/webhooks/deliveries/{delivery}")
    if as_json:
        shown.print_json(found)
    else:
        shown.console().print(_facts(found), _tries(found["attempts"]))


@app.command()
def resend(delivery: Id, server: Server = None) -> None:
    """Send a delivery again, whatever became of it; `darkroom serve` does."""
    after = asking.post(server, f"/webhooks/deliveries/{delivery}/resend")
    typer.echo(f"{after['id']} {after['state']}")


@app.command()
def secret(server: Server = None) -> None:
    """Print the secret that webhooks are signed with."""
    typer.echo(asking.get(server, "/webhooks/secret")["key"])


@app.command()
def rotate(server: Server = None) -> None:
    """Replace the secret and print the new one; for a day the old one signs, too."""
    typer.echo(asking.post(server, "/webhooks/secret/rotate")["key"])


def _listed(items: list["Json"]) -> "Table":
    from darkroom.cli import shown

    table = shown.table("id", "event", "state", "tries", "happened", "next try", "url")
    for delivery in items:
        following = shown.ago(delivery["next_try"]) if delivery["next_try"] else "-"
        table.add_row(
            delivery["id"], delivery["event"], delivery["state"], str(delivery["tries"]),
            shown.ago(delivery["created_at"]), following, shown.plain(delivery["url"]),
        )  # fmt: skip
    return table


def _facts(delivery: "Json") -> "Table":
    from darkroom.cli import shown

    table = shown.pairs()
    for name in ("id", "media_id", "event", "url", "state", "tries"):
        table.add_row(name.replace("_id", ""), shown.plain(delivery[name]))
    for name, field in (("happened", "created_at"), ("next try", "next_try"), ("ended", "ended_at")):
        if delivery[field]:
            table.add_row(name, shown.moment(delivery[field]))
    return table


def _tries(attempts: list["Json"]) -> "Table":
    from darkroom.cli import shown

    table = shown.table("tried at", "took", "status", "error")
    for attempt in attempts:
        status = "-" if attempt["status"] is None else str(attempt["status"])
        table.add_row(
            shown.clock(attempt["at"]), f"{attempt['seconds']:.2f} s", status, shown.plain(attempt["error"] or "")
        )  # fmt: skip
    return table
