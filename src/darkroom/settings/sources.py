"""The environment, `.env` and `darkroom.toml`: read, and brought into one shape, but not yet believed."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.settings.schema import PREFIX, At, Kind, dotted, env_name, follow, nearest

CONFIG = "DARKROOM_CONFIG"
NOT_SETTINGS = frozenset({CONFIG, "DARKROOM_URL"})

# What Kubernetes puts into the environment for each service whose name starts with "darkroom".
_SERVICE_LINK = re.compile(r"(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_LINK_ADDRESS = re.compile(r"(tcp|udp|sctp)://")

Tree = dict[str, Any]


class SettingsError(ValueError):
    """A setting is wrong. `str()` is one line: the setting as written, what is wrong, what would be right."""

    def __init__(self, line: str) -> None:
        super().__init__(" ".join(line.split()))


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says. `names` spells the paths that are variables; `file` is its name in messages."""

    values: Tree
    file: str | None = None
    names: Mapping[At, str] | None = None

    def spell(self, at: At, value: str | None = None) -> str:
        """A path as the user wrote it, with its value unless that is None, and its file."""
        name, rest = self._split(at)
        written = ", ".join(part for part in (name, rest) if part)
        if value is not None:
            written += f" = {value}" if rest else f"={value}"
        return f"{written} in {self.file}" if self.file else written

    def like(self, at: At) -> str:
        """A path in the same spelling, as advice."""
        return ", ".join(part for part in self._split(at) if part)

    def _split(self, at: At) -> tuple[str, str]:
        """The variable that holds a path, and the way from there; in TOML it is all way."""
        if self.names is None:
            return "", dotted(at)
        depth = next((n for n in range(len(at), 0, -1) if at[:n] in self.names), 0)
        return (self.names[at[:depth]], dotted(at[depth:])) if depth else (env_name(at), "")


def variables(environ: Mapping[str, str | None], file: str | None = None) -> Layer:
    """The settings among some variables, from the environment or from `.env`.

    Raises `SettingsError` for a `DARKROOM_…` name that is none, and for a value that should be JSON.
    """
    values: Tree = {}
    names: dict[At, str] = {}
    layer = Layer(values, file, names)
    # Short names first: DARKROOM_LANES is the whole table, DARKROOM_LANES__GPU__CONCURRENCY changes it.
    for name, text in sorted(_ours(environ), key=lambda variable: (variable[0].count("__"), variable[0])):
        at = tuple(name.removeprefix(PREFIX).lower().split("__"))
        target = follow(at)
        if target is None and _is_service_link(name, text):
            continue
        names[at] = name
        if target is None:
            raise unknown(layer, at)
        merge(values, _nested(at, _decode(layer, at, target[0], text)))
    return layer


def _ours(environ: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """The variables that are meant for us. An empty one counts as unset."""
    for name, value in environ.items():
        text = (value or "").strip()
        if text and name.startswith(PREFIX) and name not in NOT_SETTINGS:
            yield name, text


def _is_service_link(name: str, text: str) -> bool:
    rest = name.removeprefix(PREFIX)
    return bool(_SERVICE_LINK.fullmatch(rest) or (rest.endswith("_PORT") and _LINK_ADDRESS.match(text)))


def unknown(layer: Layer, at: At) -> SettingsError:
    """The error for a name that is no setting."""
    meant = nearest(at)
    advice = f"did you mean {layer.like(meant)}?" if meant else "`darkroom settings` lists those there are"
    return SettingsError(f"{layer.spell(at)}: there is no such setting; {advice}")


def _decode(layer: Layer, at: At, kind: Kind, text: str) -> Any:
    """The value that a variable's text stands for; scalars are left to the tree."""
    if at == ("port",) and _LINK_ADDRESS.match(text):
        raise SettingsError(
            f"{layer.spell(at)}: was set by Kubernetes for a service named `darkroom`, not by you; "
            "set enableServiceLinks: false in the pod's spec, or name the service otherwise"
        )
    if kind.is_list and kind.items and kind.items.bare is str and not text.startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    if not (kind.is_list or kind.is_table or kind.section or kind.bare is Any):
        return text
    try:
        return json.loads(text)
    except ValueError:
        if kind.bare is Any:
            return text
        raise SettingsError(f"{layer.spell(at)}: must be {kind.in_words}, written as JSON") from None


def _nested(at: At, value: Any) -> Tree:
    for key in reversed(at):
        value = {key: value}
    return dict(value)


def merge(base: Tree, over: Mapping[str, Any]) -> Tree:
    """Lay `over` onto `base` (which is changed and returned); tables are merged, all else replaced."""
    for key, value in over.items():
        if isinstance(value, dict):
            below = base.get(key)
            base[key] = merge(dict(below) if isinstance(below, dict) else {}, value)
        else:
            base[key] = value
    return base


@contextmanager
def reading(shown: str) -> Iterator[None]:
    """Turn what can go wrong with a file into a `SettingsError` that begins with `shown`."""
    try:
        yield
    except UnicodeDecodeError:
        raise SettingsError(f"{shown}: must be text in UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{shown}: cannot be read: {error.strerror}") from None


def dotenv(path: Path) -> Mapping[str, str | None]:
    """The variables in an `.env` file; none where it is absent. `${NAME}` is not expanded.

    Raises `SettingsError` for a file that cannot be read or a line that is no assignment.
    """
    with reading(path.name):
        if not path.is_file():
            return {}
    # Imported where it is needed: most starts have no .env to read.
    from dotenv.parser import parse_stream

    with reading(path.name), path.open(encoding="utf-8-sig") as stream:
        bindings = list(parse_stream(stream))
    for binding in bindings:
        if binding.error:
            raise SettingsError(f"line {binding.original.line} of {path.name}: must be NAME=value")
    return {binding.key: binding.value for binding in bindings if binding.key}


def toml(path: Path, shown: str) -> Layer:
    """The settings in a TOML file, which is called `shown` in messages.

    Raises `SettingsError` for a file that cannot be read or is not TOML.
    """
    with reading(shown):
        text = path.read_text(encoding="utf-8-sig")
    try:
        return Layer(tomllib.loads(text), shown)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{shown}: is not TOML: {error}") from None
