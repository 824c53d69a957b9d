"""The reference of the settings, made from the tree itself, so that it cannot be wrong about it."""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from darkroom.settings.schema import ITEM, Entry, dotted, entries, env_name

Format = Literal["markdown", "env", "toml"]
Groups = dict[type[BaseModel], list[Entry]]


def render_reference(format: Format) -> str:  # noqa: A002 - it is what the option is called
    """Every setting with its type, default and description, as a text that ends in a newline.

    `markdown`: tables for the documentation. `env`: an `.env` file, and `toml`: a `darkroom.toml`, in which
    every setting is commented out. In those, lines to uncomment look like `# DARKROOM_PORT=8000`, `# port = 8000`
    and `# [retry]`; they show the default, so uncommenting all of an `.env` changes nothing. TOML cannot say
    "unset": there, an example stands for it.
    """
    render = {"markdown": _markdown, "env": _env, "toml": _toml}[format]
    return "\n".join(render(_groups())) + "\n"


def _groups() -> Groups:
    """The entries by group, those of the top level first: in TOML, nothing can return to it."""
    groups: Groups = {}
    for entry in sorted(entries(), key=lambda entry: len(entry.path) > 1):
        groups.setdefault(entry.group, []).append(entry)
    return groups


def _markdown(groups: Groups) -> Iterator[str]:
    yield "# Settings"
    yield ""
    yield "Read from, highest first: the environment, `.env` in the working directory, `darkroom.toml` there (or the"
    yield "file that `DARKROOM_CONFIG` names), the defaults. In variables, lists and tables are JSON; a list of texts"
    yield "may also be separated by commas. An empty variable counts as unset."
    for group, members in groups.items():
        yield from ("", f"## {_heading(group)}", "")
        yield "| variable | in `darkroom.toml` | value | default | |"
        yield "|---|---|---|---|---|"
        yield from (_row(entry) for entry in members)


def _row(entry: Entry) -> str:
    default = "required" if entry.field.is_required() else "unset"
    if entry.default is not None:
        default = f"`{_toml_value(entry.default)}`"
    variable = env_name(_in_variables(entry.path))
    cells = (f"`{variable}`", f"`{_way(entry.path)}`", entry.kind.in_words, default, entry.field.description or "")
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _env(groups: Groups) -> Iterator[str]:
    yield "# Darkroom's settings, as variables. Uncomment a line to change it; an empty value counts as unset."
    for group, members in groups.items():
        yield from ("", "", f"# {_heading(group)}")
        for entry in _settable(members):
            yield from ("", *_comment(entry, members))
            if entry.sample and not entry.field.is_required():
                yield f"# For example: {_env_value(entry.sample)}"
            shown = entry.sample if entry.field.is_required() else entry.default
            yield f"# {env_name(entry.named)}={_env_value(shown)}"


def _toml(groups: Groups) -> Iterator[str]:
    yield "# Darkroom's settings, for darkroom.toml. Uncomment a line (and its [table]) to change it."
    for group, members in groups.items():
        yield from ("", "", f"# {_heading(group)}")
        if table := members[0].named[:-1]:
            yield f"# [{dotted(table)}]"
        for entry in _settable(members):
            yield from ("", *_comment(entry, members))
            if entry.field.is_required():
                yield "# Required, for example:"
            elif entry.sample:
                yield (
                    "# Unset, or for example:"
                    if entry.default is None
                    else f"# For example: {_toml_value(entry.sample)}"
                )
            yield f"# {entry.path[-1]} = {_toml_value(entry.sample if entry.default is None else entry.default)}"


def _settable(members: list[Entry]) -> list[Entry]:
    """The entries without the fields of items, which are set with their list."""
    return [entry for entry in members if ITEM not in entry.path]


def _comment(entry: Entry, members: list[Entry]) -> Iterator[str]:
    """What a person must know to fill in the entry, and the fields of its items."""
    yield f"# {_sentences(entry)}"
    for field in members:
        if field.path[:-1] == (*entry.path, ITEM):
            yield f"#   {field.path[-1]}: {_sentences(field)}{' Required.' if field.field.is_required() else ''}"


def _sentences(entry: Entry) -> str:
    words = entry.kind.in_words
    return f"{entry.field.description}" + ("" if words == "text" else f" {words[0].upper()}{words[1:]}.")


def _heading(group: type[BaseModel]) -> str:
    return (inspect.getdoc(group) or group.__name__).rstrip(".")


def _in_variables(path: tuple[str, ...]) -> tuple[str, ...]:
    """The part of a path that a variable can name: fields of items are in their list's JSON."""
    return path[: path.index(ITEM)] if ITEM in path else path


def _way(path: tuple[str, ...]) -> str:
    return dotted(path).replace(f".{ITEM}", ITEM)


def _env_value(value: Any) -> str:
    match value:
        case None | []:
            return ""
        case [*texts] if all(isinstance(text, str) for text in texts):
            return ",".join(texts)
        case str():
            return value
        case Path():
            return f"./{value}"
        case _:
            return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False)


def _toml_value(value: Any) -> str:
    match value:
        case Path():
            return json.dumps(f"./{value}")
        case dict():
            inside = ", ".join(f"{key} = {_toml_value(item)}" for key, item in value.items())
            return f"{{ {inside} }}" if inside else "{}"
        case list():
            return f"[{', '.join(map(_toml_value, value))}]"
        case _:
            return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Seconds without the `.0` that says nothing."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
