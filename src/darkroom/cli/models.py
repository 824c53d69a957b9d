"""`darkroom models`: what can be asked for."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darkroom.cli.options import AsJson, Server

if TYPE_CHECKING:
    from rich.table import Table

    from darkroom.cli.connection import Json


def models(
    name: Annotated[str | None, typer.Argument(help="Show the parameters of this model.")] = None,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List the models, or the parameters of one."""
    import asyncio
    from urllib.parse import quote

    from darkroom.cli import shown

    answer = asyncio.run(_ask(server, f"/models/{quote(name, safe='')}" if name else "/models"))
    if as_json:
        shown.print_json(answer)
    elif name:
        shown.console().print(_facts(answer), "", _parameters(answer), sep="\n")
    else:
        shown.console().print(_listed(answer["items"]))


async def _ask(server: str | None, path: str) -> "Json":
    from darkroom.cli.connection import connected

    async with connected(server, stored=False) as api:
        return await api.get(path)


def _listed(items: list["Json"]) -> "Table":
    from darkroom.cli import shown

    table = shown.table("name", "default", "lane", "routes", "description")
    for model in items:
        default = "yes" if model["default"] else ""
        table.add_row(model["name"], default, model["lane"], _routes(model), shown.plain(model["description"]))
    return table


def _facts(model: "Json") -> "Table":
    from darkroom.cli import shown

    table = shown.pairs()
    table.add_row("name", model["name"] + (" (the default)" if model["default"] else ""))
    table.add_row("description", shown.plain(model["description"]))
    table.add_row("lane", model["lane"])
    table.add_row("routes", _routes(model))
    return table


def _routes(model: "Json") -> str:
    return ", ".join(f"{route['provider']}:{route['model']}" for route in model["routes"])


def _parameters(model: "Json") -> "Table":
    from darkroom.cli import shown

    table = shown.table("parameter", "value", "default", "description")
    schema = model["parameters"]
    for name, rule in schema.get("properties", {}).items():
        default = json.dumps(rule["default"], ensure_ascii=False) if "default" in rule else ""
        required = "required" if name in schema.get("required", ()) else default
        table.add_row(name, kind(rule), required, shown.plain(rule.get("description", "")))
    return table


def kind(rule: dict[str, Any]) -> str:
    """What a JSON Schema allows, in a few words."""
    if "enum" in rule:
        return " | ".join(map(str, rule["enum"]))
    types = rule.get("type", "any")
    name = " | ".join(types) if isinstance(types, list) else str(types)
    match rule.get("minimum"), rule.get("maximum"):
        case None, None:
            return name
        case least, None:
            return f"{name}, {least} or more"
        case None, most:
            return f"{name}, {most} or less"
        case least, most:
            return f"{name}, {least} to {most}"
    raise AssertionError("every pair is one of these")
