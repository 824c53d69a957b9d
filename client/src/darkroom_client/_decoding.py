"""From JSON to our types, leniently: a field that is not known is left out, so that a newer server can be spoken to."""

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from darkroom_client.errors import UnexpectedAnswer

Json = Mapping[str, Any]
T = TypeVar("T")
Convert = Callable[[Any], Any]


def decode(kind: type[T], given: Any, **instead: Any) -> T:
    """A `kind`, a dataclass, from a JSON object; fields in `instead` are taken as they are.

    Raises `UnexpectedAnswer`.
    """
    if not isinstance(given, Mapping):
        raise UnexpectedAnswer(f"expected a {kind.__name__} as a JSON object, and got {type(given).__name__}")
    values = dict(instead)
    for name, convert, is_required in _plan(kind):  # type: ignore[arg-type]  # classes are hashable
        if name in instead:
            continue
        if given.get(name) is not None:
            values[name] = _converted(kind, name, convert, given[name])
        elif is_required:
            raise UnexpectedAnswer(f"expected a {kind.__name__}, and got one without {name!r}")
    return kind(**values)


def _converted(kind: type[Any], name: str, convert: Convert, value: Any) -> Any:
    try:
        return convert(value)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise UnexpectedAnswer(f"expected a {kind.__name__}, and its {name!r} cannot be read") from error


@lru_cache(maxsize=64)
def _plan(kind: type[Any]) -> tuple[tuple[str, Convert, bool], ...]:
    """The fields: name, how to read it, whether it must be there."""
    hints = get_type_hints(kind)
    return tuple(
        (field.name, _reader(hints[field.name]), field.default is MISSING and field.default_factory is MISSING)
        for field in fields(kind)
        if not field.name.startswith("_")
    )


def _reader(hint: Any) -> Convert:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (hint,) = (each for each in arguments if each is not type(None))
        return _reader(hint)
    if origin is tuple:
        read = _reader(arguments[0])
        return lambda items: tuple(read(item) for item in items)
    if isinstance(hint, type) and is_dataclass(hint):
        return lambda given: decode(hint, given)
    return _SCALARS.get(hint, _as_it_is)


def instant(text: str) -> datetime:
    """A time of RFC 3339; without a zone it is in UTC."""
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _decimal(text: Any) -> Decimal:
    return Decimal(str(text))


def _as_it_is(value: Any) -> Any:
    return value


_SCALARS: Mapping[Any, Convert] = {datetime: instant, Decimal: _decimal}
