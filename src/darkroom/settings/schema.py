"""The tree as data: where a name leads, what it is called in each source, and its type in words."""

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, cast, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from darkroom.settings.section import Section
from darkroom.settings.tree import Settings

PREFIX = "DARKROOM_"
ANY_NAME = "<name>"
ITEM = "[]"

Key = str | int
At = tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A type without its wrappers, and the limits that they held."""

    bare: Any
    limits: tuple[Any, ...] = ()

    @classmethod
    def of(cls, annotation: Any, limits: tuple[Any, ...] = ()) -> "Kind":
        """Take `Annotated` and `| None` off."""
        if get_origin(annotation) is Annotated:
            bare, *more = get_args(annotation)
            nested = [limit for m in more for limit in (m.metadata if isinstance(m, FieldInfo) else [m])]
            return cls.of(bare, (*limits, *nested))
        options = [option for option in get_args(annotation) if option is not NoneType]
        if NoneType in get_args(annotation) and len(options) == 1:
            return cls.of(options[0], limits)
        return cls(annotation, limits)

    @classmethod
    def of_field(cls, field: FieldInfo) -> "Kind":
        """The type of a field's value."""
        return cls.of(field.annotation, tuple(field.metadata))

    @property
    def section(self) -> type[Section] | None:
        """The class of a nested section; None for every other type."""
        return self.bare if isinstance(self.bare, type) and issubclass(self.bare, Section) else None

    @property
    def items(self) -> "Kind | None":
        """What a list or a table of free names holds; None for every other type."""
        holds = get_args(self.bare) if get_origin(self.bare) in {list, dict} else ()
        return Kind.of(holds[-1]) if holds else None

    @property
    def is_table(self) -> bool:
        """Whether this is a table of free names."""
        return get_origin(self.bare) is dict

    @property
    def is_list(self) -> bool:
        """Whether this is a list."""
        return get_origin(self.bare) is list

    @property
    def in_words(self) -> str:
        """What may be entered, so that it completes "must be …"."""
        if self.items and self.is_list:
            return f"a list{self._length('items')}, each item {self.items.in_words}"
        if self.section:
            return f"a table of {', '.join(self.section.model_fields)}"
        if get_origin(self.bare) is Literal:
            return f"one of {', '.join(get_args(self.bare))}"
        if self.is_table:
            return "a table"
        return _WORDS[self.bare] + self._range() + self._length("characters")

    def _range(self) -> str:
        least = max((cast("float", limit.ge) for limit in self.limits if isinstance(limit, Ge)), default=None)
        most = min((cast("float", limit.le) for limit in self.limits if isinstance(limit, Le)), default=None)
        return "" if least is None else f" from {least} to {most}"

    def _length(self, unit: str) -> str:
        least = next((limit.min_length for limit in self.limits if isinstance(limit, MinLen)), 0)
        most = next((limit.max_length for limit in self.limits if isinstance(limit, MaxLen)), None)
        if most is not None:
            return f" of {least} to {most} {unit}"
        return f" of {least} or more {unit}" if least else ""


_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Decimal: "an amount",
    str: "text",
    SecretStr: "secret text",
    Path: "a path",
    Any: "anything",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One leaf of the tree, or one field of a list's items (then its path holds `ITEM`).

    `path` has `ANY_NAME` where a name is free, and `named` such a name. `group` is the class that says what
    the leaves around it have in common.
    """

    path: tuple[str, ...]
    named: tuple[str, ...]
    field: FieldInfo
    group: type[BaseModel]

    @property
    def kind(self) -> Kind:
        """The type of the value."""
        return Kind.of_field(self.field)

    @property
    def default(self) -> Any:
        """The value of a setting that nobody sets; None where that is none, or where it must be set."""
        return self.field.get_default() if not self.field.is_required() else None

    @property
    def sample(self) -> Any:
        """A value that someone might enter; None where the default serves as one."""
        return next(iter(self.field.examples or ()), None)


def entries(
    section: type[Section] = Settings, path: tuple[str, ...] = (), named: tuple[str, ...] = ()
) -> Iterator[Entry]:
    """Every leaf below `section`, in the order of the tree."""
    for name, field in section.model_fields.items():
        here, shown = (*path, name), (*named, name)
        kind = Kind.of_field(field)
        items = kind.items.section if kind.items else None
        if kind.section:
            yield from entries(kind.section, here, shown)
        elif kind.is_table and items:
            yield from entries(items, (*here, ANY_NAME), (*shown, *(field.examples or [{}])[0]))
        else:
            group = _home(section, name)
            yield Entry(here, shown, field, group)
            for item_name, item in (items.model_fields if items else {}).items():
                yield Entry((*here, ITEM, item_name), (*shown, ITEM, item_name), item, group)


def _home(section: type[Section], name: str) -> type[BaseModel]:
    """The class that a field was written in."""
    return next(base for base in reversed(section.__mro__) if issubclass(base, BaseModel) and name in base.model_fields)


def follow(at: At) -> tuple[Kind, FieldInfo | None] | None:
    """What a path leads to, and the nearest field that holds it; None where it leads nowhere."""
    kind, field = Kind(Settings), None
    for key in at:
        if kind.section:
            field = kind.section.model_fields.get(str(key))
            if field is None:
                return None
            kind = Kind.of_field(field)
        elif kind.items and kind.is_list == isinstance(key, int):
            kind = kind.items
        elif kind.bare is not Any:
            return None
    return kind, field


def env_name(at: At) -> str:
    """A path as an environment variable."""
    return PREFIX + "__".join(str(key) for key in at).upper()


def dotted(at: At) -> str:
    """A path as in `darkroom.toml`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{_toml_key(key)}" for key in at).removeprefix(".")


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+|\[\]|<name>", key) else json.dumps(key, ensure_ascii=False)


def nearest(at: At) -> At | None:
    """The existing name that someone most likely meant by `at`, if one is close."""
    known = {dotted(path): path for path in _names_beside(at)}
    close = difflib.get_close_matches(dotted(at), known, n=1, cutoff=0.75)
    if close:
        return known[close[0]]
    return next((path for path in known.values() if path[-1] == at[-1]), None)


def _names_beside(at: At) -> Iterator[At]:
    """Every setting, with the free names (of lanes, of models) that `at` has."""
    for entry in entries():
        if len(at) > 1 and entry.path[0] == at[0]:
            yield tuple(at[i] if key in {ANY_NAME, ITEM} and i < len(at) else key for i, key in enumerate(entry.path))
        elif ITEM not in entry.path:
            yield entry.path
