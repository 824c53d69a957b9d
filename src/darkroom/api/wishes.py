"""What the drop-in surfaces share: other people's names for what our models take, and our progress in their words."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from darkroom.api.native.requests import Prompt
from darkroom.engine.catalogue import Model
from darkroom.engine.parameters import validator_of
from darkroom.engine.references import is_inline, is_url
from darkroom.errors import InvalidRequest

_UPLOADED: Final = re.compile(r"(?:/replicate/v1)?/files/([0-9a-f-]{36})(?:/content|/download)?")
_OF_OURS: Final = re.compile(r"/files/[0-9a-f]{8}-|/media/[0-9a-f]{8}-[0-9a-f-]{27}/files/", re.IGNORECASE)
_RATIO: Final = re.compile(r"([1-9][0-9]{0,2}):([1-9][0-9]{0,2})")
_PROMPT: Final[TypeAdapter[str]] = TypeAdapter(Prompt)
_BAR: Final = 10
OPTIONS: Final = "provider_options"


@dataclass(frozen=True, slots=True)
class Words:
    """How the callers of a surface speak. `dialect`: what providers call it.

    `aliases`: what they call what ours may take under these names. `hints`: what does not say what the picture shows.
    """

    dialect: str
    aliases: Mapping[str, tuple[str, ...]]
    hints: frozenset[str]


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a model. `names`: what the caller calls parameters that go by another name here.

    `within`: the field that the caller sends all of them in, if it is one.
    """

    prompt: str
    parameters: Mapping[str, Any]
    names: Mapping[str, str]
    within: str = ""

    @contextmanager
    def in_the_callers_words(self) -> Iterator[None]:
        """Errors name what the caller sent."""
        try:
            yield
        except InvalidRequest as error:
            if error.field and error.field.startswith("parameters"):
                first, *rest = error.field.removeprefix("parameters").lstrip(".").split(".")
                said = [self.within, self.names.get(first, first), *rest]
                error.field = ".".join(filter(None, said)) or "body"
            raise


def translated(
    said: Mapping[str, Any], model: Model, words: Words, *, base: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """The parameters that `said` amounts to, and what the caller calls those that go by another name here.

    What `model` does not take is passed through to its backends that speak as the caller does. Where there is none,
    hints are left out, and other names are left for the engine to refuse. `base`: what our own links start with.
    """
    takes = model.schema.get("properties", {})
    parameters = {name: value for name, value in said.items() if name in takes}
    names: dict[str, str] = {}
    beyond: dict[str, Any] = {}
    for theirs in (name for name in said if name not in takes):
        ours = our_name(theirs, words.aliases, takes, said)
        if ours == theirs:
            beyond[theirs] = said[theirs]
        elif not says_nothing(said[theirs]):
            parameters[ours], names[ours] = as_many(ours, said[theirs]), theirs
    passed = _passed_through(beyond, model, words.dialect, base)
    known = words.hints | {name for extra in passed.values() for name in extra}
    parameters |= {name: value for name, value in beyond.items() if name not in known and not says_nothing(value)}
    parameters = {name: our_value(name, value, base=base) for name, value in parameters.items()}
    return parameters | _options(parameters, passed, model), names


def _passed_through(beyond: Mapping[str, Any], model: Model, dialect: str, base: str) -> dict[str, dict[str, Any]]:
    """What of `beyond` goes to which account, in its words. No pictures: those are kept, and given out, by us."""
    routes = [route for route in model.routes if route.provider.dialect == dialect and route.problem is None]
    passed: dict[str, dict[str, Any]] = {}
    for name, value in beyond.items():
        for route in routes:
            if route.passes(name, value) and not _holds_picture(value, base):
                passed.setdefault(route.account.name, {})[name] = value
    return passed


def _holds_picture(value: Any, base: str) -> bool:
    """Whether there is a `data:` URI in `value`, or an address like ours, which is no backend's to reach."""
    if isinstance(value, Mapping):
        return any(_holds_picture(each, base) for each in value.values())
    if isinstance(value, list):
        return any(_holds_picture(each, base) for each in value)
    if not isinstance(value, str):
        return False
    text = value.strip()
    is_ours = text.startswith(f"{base}/") or _OF_OURS.search(text) is not None
    return is_inline(text) or (is_url(text) and is_ours)


def _options(
    parameters: Mapping[str, Any], passed: Mapping[str, Mapping[str, Any]], model: Model
) -> dict[str, dict[str, Any]]:
    """What is `passed` as the parameter that it is with us, beside what that is already: the caller's goes before."""
    is_said = OPTIONS in parameters
    options = parameters[OPTIONS] if is_said else model.defaults.get(OPTIONS, {})
    if not passed or not isinstance(options, dict):
        return {}
    whole = dict(options)
    for account, extra in passed.items():
        own = options.get(account, {})
        if isinstance(own, dict):
            whole[account] = {**extra, **own} if is_said else {**own, **extra}
    return {OPTIONS: whole}


def prompt_of(prompt: Any, *, field: str) -> str:
    """`prompt`, if it is one. Raises `InvalidRequest`, naming `field`."""
    try:
        return _PROMPT.validate_python(prompt, strict=True)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InvalidRequest("is required" if prompt is None else message, field=field) from error


def says_nothing(value: Any) -> bool:
    """Whether `value` is what applications send for a feature that they do not use."""
    return value is False or value in ("", [], {})


def our_name(
    theirs: str, aliases: Mapping[str, tuple[str, ...]], takes: Mapping[str, Any], said: Mapping[str, Any]
) -> str:
    """The first of our names for `theirs` that the model takes and the caller did not say; or `theirs`."""
    return next((ours for ours in aliases.get(theirs, ()) if ours in takes and ours not in said), theirs)


def as_many(ours: str, value: Any) -> Any:
    """One picture where a list of them is taken, or the other way round."""
    if ours == "images":
        return value if isinstance(value, list) else [value]
    if ours == "image" and isinstance(value, list) and len(value) == 1:
        return value[0]
    return value


def our_value(ours: str, value: Any, *, base: str) -> Any:
    """A format by our name, and the id of an uploaded file for its address. `base`: what our links start with."""
    if isinstance(value, list):
        return [our_value(ours, each, base=base) for each in value]
    if ours == "output_format" and value == "jpg":
        return "jpeg"
    if isinstance(value, str) and value.startswith(base):
        uploaded = _UPLOADED.fullmatch(value[len(base) :].partition("?")[0])
        return uploaded[1] if uploaded else value
    return value


def leaves_to_model(name: str, value: Any, words: Sequence[str], takes: Mapping[str, Any]) -> bool:
    """Whether `value` of the size `name` is one of `words`, which leave it to the model, and not one of the model's."""
    return value in words and not (name in takes and validator_of(takes[name]).is_valid(value))


def shape_of(ratio: Any, *, field: str) -> float:
    """Width by height of a shape such as `16:9`. Raises `InvalidRequest`, naming `field`."""
    match = _RATIO.fullmatch(str(ratio))
    if match is None:
        raise InvalidRequest("must be a shape such as 16:9", field=field)
    return int(match[1]) / int(match[2])


def bar(progress: Mapping[str, int] | None) -> str:
    """A line like that of `tqdm`, which these clients read for progress; empty before there is any."""
    if not progress or not progress["total"]:
        return ""
    step, total = progress["step"], progress["total"]
    return f"{100 * step // total:3}%|{'█' * (_BAR * step // total):<{_BAR}}| {step}/{total}"
