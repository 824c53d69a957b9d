"""`darkroom costs`: what was spent, and what budgets leave."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from darkroom.cli import asking
from darkroom.cli.options import AsJson, Server

if TYPE_CHECKING:
    from rich.table import Table

    from darkroom.cli.connection import Json

By = Literal["model", "provider", "owner", "day"]


def costs(
    by: Annotated[By, typer.Option(case_sensitive=False, help="What to add up by.")] = "model",
    since: Annotated[
        str | None, typer.Option(metavar="DAY", help="The first day, in UTC: 2026-11-01, 7d. Left out: 30d.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="DAY", help="The last day. Left out: today.")] = None,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """Add up what was spent, and show what the budgets leave today."""
    from darkroom.cli import shown

    query = {"by": by, "since": since, "until": until}
    answer = asking.with_api(server, lambda api: api.get("/costs", query))
    if as_json:
        shown.print_json(answer)
        return
    console = shown.console()
    console.print(f"{answer['since']} to {answer['until']} (UTC)", _spent(answer), sep="\n\n")
    if answer["budgets"]:
        console.print("", "Budgets today", _budgets(answer["budgets"]), sep="\n")


def _spent(answer: "Json") -> "Table":
    table = _table(answer["by"], "jobs", "pictures", "spent", "set aside")
    for item in answer["items"]:
        table.add_row(*_cells(item["key"] or "(nobody)", item))
    table.add_row(*_cells("total", answer["total"]), style="bold")
    return table


def _cells(name: str, item: "Json") -> tuple[str, ...]:
    from darkroom.cli import shown

    money = (shown.money(item[what]) for what in ("spent", "reserved"))
    return (shown.plain(name), str(item["jobs"]), str(item["pictures"]), *money)


def _budgets(budgets: list["Json"]) -> "Table":
    from darkroom.cli import shown

    table = _table("for", "a day", "spent", "set aside", "left")
    for budget in budgets:
        money = (shown.money(budget[what]) for what in ("per_day", "spent", "reserved", "left"))
        table.add_row(shown.plain(budget["what"]), *money)
    return table


def _table(name: str, *numbers: str) -> "Table":
    from darkroom.cli import shown

    table = shown.table(name, *numbers)
    for column in table.columns[1:]:
        column.justify = "right"
    return table
