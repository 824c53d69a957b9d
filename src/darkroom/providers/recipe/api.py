"""What a recipe says of an API, read from the options of an account."""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Self

PLACE: Final = re.compile(r"\{(\w+)\}")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) and each for each in value):
        raise ValueError("must be a list of texts")
    return tuple(value)


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("must be a table")  # noqa: TRY004 - a setting is wrong
    return value


def _dollars(value: Any) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise ValueError("must be an amount of US dollars")
    return amount


def _path(place: str) -> Callable[[Any], str]:
    """A path or URL that may hold `{place}`, and no other."""

    def read(value: Any) -> str:
        unknown = set(PLACE.findall(_text(value))) - {place}
        if unknown:
            raise ValueError(f"has the place {{{min(unknown)}}}; it may only have {{{place}}}")
        return str(value)

    return read


def _stated(read: Callable[[Any], Any], **default: Any) -> Any:
    return field(metadata={"read": read}, **default)


@dataclass(frozen=True, kw_only=True)
class Api:
    """A recipe. Paths are below the account's url; what is dotted leads into the JSON of an answer.

    submit: the path that a request is POSTed to, `{model}` being the route's model. body: what it holds beside the
    parameters, dots in names being levels, `{prompt}` and `{model}` being the request's. ref: its id, or the URL to
    poll, in the answer. poll: the path or URL to GET, `{ref}` being that. state: one of `pending`, `done`, `rejected`
    (by moderation), `failed` or `gone` (not known any more). progress: a share from 0 to 1. output: where the
    pictures are, as URLs or data: URIs, one or a list. message: why it failed. seed. cost, in units of which one is
    `credit` US dollars. authorization: headers that carry the `{key}`; they go to the account's own origin and to
    `origins` alone.
    """

    submit: str = _stated(_path("model"))
    ref: str = _stated(_text)
    poll: str = _stated(_path("ref"), default="{ref}")
    state: str = _stated(_text)
    pending: tuple[str, ...] = _stated(_texts)
    done: tuple[str, ...] = _stated(_texts)
    rejected: tuple[str, ...] = _stated(_texts, default=())
    failed: tuple[str, ...] = _stated(_texts, default=())
    gone: tuple[str, ...] = _stated(_texts, default=())
    output: str = _stated(_text)
    progress: str | None = _stated(_text, default=None)
    message: str | None = _stated(_text, default=None)
    seed: str | None = _stated(_text, default=None)
    cost: str | None = _stated(_text, default=None)
    credit: Decimal = _stated(_dollars, default=Decimal(1))  # noqa: RUF009 - a field
    body: Mapping[str, Any] = _stated(_table, default_factory=lambda: {"prompt": "{prompt}"})
    authorization: Mapping[str, Any] = _stated(_table, default_factory=lambda: {"Authorization": "Bearer {key}"})
    origins: tuple[str, ...] = _stated(_texts, default=())

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> Self:
        """The recipe in the options of an account. Raises `ValueError`, naming what is wrong or missing."""
        known = {each.name: each for each in fields(cls)}
        for name in options.keys() - known.keys():
            raise ValueError(f"a recipe has no option {name!r}; it has: {', '.join(known)}")
        for name, each in known.items():
            if name not in options and each.default is MISSING and each.default_factory is MISSING:
                raise ValueError(f"the recipe lacks its option {name!r}")
        return cls(**{name: _read(name, known[name].metadata["read"], value) for name, value in options.items()})


def _read(name: str, read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"the recipe's option {name!r} {error}") from error


def found(answer: Any, path: str | None) -> Any:
    """What a dotted path leads to, by the keys of objects and the numbers or all items of lists. None: nothing."""
    if not path:
        return answer if path == "" else None
    name, _, rest = path.partition(".")
    if isinstance(answer, list) and not name.isdigit():
        return [found(each, path) for each in answer]
    if isinstance(answer, list):
        return found(answer[int(name)], rest) if int(name) < len(answer) else None
    return found(answer.get(name), rest) if isinstance(answer, Mapping) else None


def filled(template: Any, **values: str) -> Any:
    """`template`, if it is a text, with these values in its `{places}`. A value that looks like a place stays."""
    if not isinstance(template, str):
        return template
    return PLACE.sub(lambda place: values.get(place[1], place[0]), template)
