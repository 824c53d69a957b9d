"""`darkroom models`: what can be asked for, what it costs, and why some of it cannot be used yet."""

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darkroom.cli.options import AsJson, Server

if TYPE_CHECKING:
    from rich.table import Table

    from darkroom.cli.connection import Json
    from darkroom.engine.catalogue import Model


def models(
    name: Annotated[str | None, typer.Argument(help="Show the routes and parameters of this model.")] = None,
    usable: Annotated[bool, typer.Option("--usable", help="Only those that can be used now.")] = False,
    server: Server = None,
    as_json: AsJson = False,
) -> None:
    """List the models: those that can be used first, then the others and what they lack; or show one."""
    import asyncio
    from urllib.parse import quote

    from darkroom.cli import shown

    answer = asyncio.run(_ask(server, f"/models/{quote(name, safe='')}" if name else "/models"))
    if not name:
        fitting = [model for model in answer["items"] if model["usable"] or not usable]
        answer["items"] = sorted(fitting, key=lambda model: not model["usable"])
    if as_json:
        shown.print_json(answer)
    elif name:
        shown.console().print(_facts(answer), "", _routes(answer), "", _parameters(answer), sep="\n")
    else:
        shown.console().print(_listed(answer["items"]))


async def _ask(server: str | None, path: str) -> "Json":
    from darkroom.cli.connection import connected

    async with connected(server, stored=False) as api:
        return await api.get(path)


def _listed(items: list["Json"]) -> "Table":
    from darkroom.cli import shown

    table = shown.table("name", "usable", "price", "backends", "description")
    for model in items:
        name = model["name"] + (" (the default)" if model["default"] else "")
        backends = ", ".join(dict.fromkeys(route["provider"] for route in model["routes"]))
        table.add_row(name, model["problem"] or "yes", _price(model), backends, shown.plain(model["description"]))
    return table


def _facts(model: "Json") -> "Table":
    from darkroom.cli import shown

    table = shown.pairs()
    table.add_row("name", model["name"] + (" (the default)" if model["default"] else ""))
    table.add_row("description", shown.plain(model["description"]))
    table.add_row("lane", model["lane"])
    table.add_row("usable", model["problem"] or "yes")
    return table


def _routes(model: "Json") -> "Table":
    from darkroom.cli import shown

    table = shown.table("route", "usable", "price", "weight")
    for name, route in zip(_named(model), model["routes"], strict=True):
        weight = "" if route["weight"] is None else f"{route['weight']:g}"
        table.add_row(name, route["problem"] or "yes", price_of(route["price"]), weight)
    return table


def _named(model: "Json") -> list[str]:
    return [f"{route['provider']}:{route['model']}" for route in model["routes"]]


def _price(model: "Json") -> str:
    """That of the first route that can be used, or of the first one."""
    routes = model["routes"]
    return price_of(next((route for route in routes if not route["problem"]), routes[0])["price"])


def in_a_line(models: "Sequence[Model]", default: str) -> str:
    """Which models can be used, and how many cannot."""
    usable = [model.name for model in models if model.problem is None]
    others = len(models) - len(usable)
    hint = f"; {others} more lack a key, see `darkroom models`" if others else ""
    return f"{', '.join(usable)} (default: {default}{hint})"


def price_of(price: "Json | None") -> str:
    """A price in a few words: `$0.003 a picture`."""
    return " + ".join(_parts(price)) if price else ""


def _parts(price: "Json") -> Iterator[str]:
    pictures = [tier["per_picture"] for tier in price["tiers"]] + [price["per_picture"]]
    amounts = sorted((amount for amount in pictures if amount is not None), key=Decimal)
    if amounts:
        yield " to ".join(f"${amount}" for amount in dict.fromkeys((amounts[0], amounts[-1]))) + " a picture"
    if price["per_megapixel"] is not None:
        yield f"${price['per_megapixel']} a megapixel"
    if price["per_second"] is not None:
        yield f"${price['per_second']} a second"


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
    if "anyOf" in rule:  # routes differ about it
        return " or ".join(dict.fromkeys(kind(way) for way in rule["anyOf"]))
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
