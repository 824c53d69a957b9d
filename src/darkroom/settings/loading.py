"""From the sources to the tree, or to one line that says what is wrong."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from darkroom.settings.checks import path_from
from darkroom.settings.models import KEYS, starter_accounts
from darkroom.settings.schema import At, env_name, follow
from darkroom.settings.sources import (
    CONFIG,
    Layer,
    SettingsError,
    Tree,
    dotenv,
    merge,
    reading,
    toml,
    unknown,
    variables,
)
from darkroom.settings.tree import Settings

# Values with these in them are not repeated: an address may hold a password or a token.
_BEFORE_SECRETS = frozenset("@?")
_LONGEST_SHOWN = 60


def load(environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Settings:
    """The settings from, highest first: the environment, `.env` in `cwd`, `darkroom.toml`, the defaults.

    `environ` and `cwd` are the process's own unless given. Raises `SettingsError`, one line for a person.
    """
    environ = os.environ if environ is None else environ
    cwd = (cwd or Path.cwd()).absolute()
    from_dotenv = dotenv(cwd / ".env")
    config = environ.get(CONFIG) or from_dotenv.get(CONFIG)
    layers = [variables(environ), variables(from_dotenv, ".env"), *_config_file(config, cwd)]
    values: Tree = {"accounts": starter_accounts()}
    for layer in reversed(layers):
        merge(values, layer.values)
    if isinstance(values["accounts"], dict):
        _find_keys(values, {**from_dotenv, **environ})
    try:
        return Settings.model_validate(values, context={"cwd": cwd})
    except ValidationError as error:
        # Not chained: pydantic's text is many lines.
        raise _worst(error, layers) from None


def _find_keys(values: Tree, variables: Mapping[str, str | None]) -> None:
    """Give each account without a key the one in the variable that it names, or that its vendor gave a name."""
    for name, account in values["accounts"].items():
        if isinstance(account, dict) and not account.get("key"):
            variable = account.get("key_from") or KEYS.get(name)
            key = variables.get(variable) if isinstance(variable, str) else None
            if key and key.strip():
                account["key"] = key.strip()


def metrics_folder() -> Path | None:
    """Where the server processes of one service share their metrics: a variable of the Prometheus library's own."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) if folder else None


def _config_file(named: str | None, cwd: Path) -> list[Layer]:
    try:
        path = path_from(cwd, Path(named or "darkroom.toml"))
    except ValueError as error:
        raise SettingsError(f"{CONFIG}={named}: {error}") from None
    shown = str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)
    with reading(shown):
        exists = path.is_file()
    if named and not exists:
        raise SettingsError(f"{CONFIG}={named}: there is no such file")
    return [toml(path, shown)] if exists else []


def _worst(error: ValidationError, layers: Sequence[Layer]) -> SettingsError:
    """The error to mend first: a misspelt name is often why another one is missing."""
    found = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    return _explain(found[0], layers)


def _explain(error: ErrorDetails, layers: Sequence[Layer]) -> SettingsError:
    at: At = tuple(key for key in error["loc"] if key != "[key]")
    cause = error.get("ctx", {}).get("error")
    at += getattr(cause, "at", ())
    layer = max(layers, key=lambda one: _depth(one.values, at))
    if error["type"] == "extra_forbidden":
        return unknown(layer, at)
    value = _shown(at, error["input"])
    if not _depth(layer.values, at):
        return SettingsError(f"{env_name(at)}, by default {value}: {cause}")
    target = follow(at)
    must = f"must be {target[0].in_words}" if target else "is wrong"
    if error["type"] == "missing":
        return SettingsError(f"{layer.spell(at)}: is missing; it {must}")
    return SettingsError(f"{layer.spell(at, value)}: {cause or must}")


def _depth(values: Any, at: At) -> int:
    """How much of the path `values` has."""
    for depth, key in enumerate(at):
        try:
            values = values[key]
        except (KeyError, IndexError, TypeError):
            return depth
    return len(at)


def _shown(at: At, value: Any) -> str | None:
    """The value as it may be repeated to the user and into logs; None where it could hold a secret."""
    target = follow(at)
    if target is None or target[1] is None or not target[1].repr:
        return None
    kind = target[0]
    if kind.section or kind.items or kind.bare is Any or not isinstance(value, str | int | float):
        return None
    text = json.dumps(value, ensure_ascii=False)
    return None if set(text) & _BEFORE_SECRETS or len(text) > _LONGEST_SHOWN else text
