"""The reference of the commands, made from the commands themselves, so that it cannot be wrong about them."""

from collections.abc import Iterator
from typing import Any

import typer

from darkroom.cli.exits import CODES

Context = Any  # Typer keeps its own copy of click, whose classes have no public name


def render_commands(root: Context) -> str:
    """Every command with its arguments and options, as Markdown that ends in a newline."""
    return "\n".join([*_introduction(root), *_commands(root, depth=2)]) + "\n"


def _introduction(root: Context) -> Iterator[str]:
    yield from ("# Commands", "", _text(root.command.help), "")
    yield from _table(root)
    yield from ("", "| exit code | |", "|---|---|")
    for line in CODES.splitlines()[2:]:
        code, _, meaning = line.strip().partition(" ")
        yield f"| {code} | {_cell(meaning)} |"


def _commands(group: Context, depth: int) -> Iterator[str]:
    for name, command in group.command.commands.items():
        context = typer.Context(command, info_name=name, parent=group)
        yield from ("", f"{'#' * depth} {context.command_path}", "")
        if hasattr(command, "commands"):
            yield _text(command.help)
            yield from _commands(context, depth + 1)
        else:
            usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
            yield from (f"    {usage}", "", _text(command.help), "")
            yield from _table(context)


def _table(context: Context) -> Iterator[str]:
    yield "| argument or option | |"
    yield "|---|---|"
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield f"| `{_cell(record[0])}` | {_cell(record[1])} |"


def _text(text: str | None) -> str:
    return (text or "").strip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")
