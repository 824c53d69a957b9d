"""The models that callers may ask for: their routes, their parameters, and what is wrong with a request."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import jsonschema_rs
import structlog

from darkroom.engine import sizes
from darkroom.engine.parameters import defaults_of, merged, validator_of, with_our_own, with_sizes
from darkroom.errors import DarkroomError, InvalidRequest, ProviderError, Unavailable, UnknownModel, UnusableModel
from darkroom.media.money import Price
from darkroom.media.routing import Account
from darkroom.providers.base import Provider

log = structlog.get_logger(__name__)

LONGEST_ECHO = 100
"""Characters of a name from a caller that an error repeats."""


LEARNING = 15.0
"""Seconds that a backend gets to say what its models take."""
LEARNT_FOR = 3600.0
"""Seconds after which it is asked again."""
SILENT_FOR = 10.0
"""Seconds for which one that did not say it is not asked: callers and workers wait for it, and have other routes."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a route takes: a JSON Schema, and what of it is the provider's own.

    `validator`: of parameters whose size is as the provider takes it.
    """

    schema: Mapping[str, Any]
    validator: jsonschema_rs.Draft202012Validator
    own: Mapping[str, Any]

    @property
    def takes(self) -> Mapping[str, Any]:
        """The provider's own rules, by name."""
        properties: Mapping[str, Any] = self.own.get("properties", {})
        return properties


@dataclass(slots=True)
class Route:
    """One way to serve a model: an account, the provider that speaks to it, and its own name for the model."""

    provider: Provider
    model: str
    account: Account
    options: Mapping[str, Any] = field(default_factory=dict)
    price: Price | None = None
    weight: float | None = None
    _known: Known | None = None
    _learnt: float | None = None
    _silent: float | None = None
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def provider_name(self) -> str:
        """The account's name, which jobs say for their provider."""
        return self.account.name

    @property
    def label(self) -> str:
        """What tells it from the other routes of its model."""
        return f"{self.account.name}:{self.model}"

    @property
    def problem(self) -> str | None:
        """Why its provider cannot be used as it is set up; None: it can."""
        return self.provider.problem()

    @property
    def is_usable(self) -> bool:
        """Whether its provider is set up, and it is known what it takes."""
        return self.known is not None and self.problem is None

    @property
    def known(self) -> Known | None:
        """What it takes; None: its backend must be asked first. Raises `InvalidRequest` for options that are wrong."""
        if self._known is None:
            self._look()
        return self._known

    def _look(self) -> None:
        schema = self.provider.schema(self.model, self.options)
        if schema is not None:
            passes_to = self.account.name if self.account.guarded else None
            strict = with_our_own(schema, passes_to)
            self._known = Known(with_sizes(strict), validator_of(strict), schema)

    @property
    def is_due(self) -> bool:
        """Whether its backend is to be asked what it takes, because only it knows: now and then."""
        if self._silent is not None and time.monotonic() - self._silent < SILENT_FOR:
            return False
        if self._learnt is None:
            return self.known is None and self.problem is None
        return time.monotonic() - self._learnt > LEARNT_FOR

    async def learn(self) -> None:
        """Ask the backend what it takes, if that is due: once, for all who wait. One that does not say it is left."""
        async with self._asking:
            if self.is_due:
                await self._ask()

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(LEARNING):
                await self.provider.learn(self.model, self.options)
        except (ProviderError, TimeoutError) as error:
            self._silent = time.monotonic()
            log.warning("schema_not_learnt", route=self.label, reason=str(error))
        else:
            self._learnt = time.monotonic()
            self._look()

    def fitted(self, parameters: Mapping[str, Any], declared: Mapping[str, Any]) -> Mapping[str, Any]:
        """`parameters` with their size as the provider takes it. `declared`: the model's own defaults."""
        return sizes.fitted(parameters, self.known.takes, declared) if self.known else parameters

    def estimate(self, parameters: Mapping[str, Any], declared: Mapping[str, Any]) -> Decimal | None:
        """What a request will cost in US dollars, as far as it can be told beforehand; None: it has no price."""
        return self.price.estimate(self.fitted(parameters, declared)) if self.price else None

    def narrowed(
        self, parameters: Mapping[str, Any], declared: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """What of a media's parameters its provider gets, and what its caller passes through to it.

        The format is left out where the provider cannot make it: then we do, of whatever comes.
        """
        rules = self.known.takes if self.known else {}
        mine = {name: value for name, value in self.fitted(parameters, declared).items() if name in rules}
        wanted = mine.get("output_format")
        if wanted is not None and wanted not in rules["output_format"].get("enum", [wanted]):
            del mine["output_format"]
        return mine, parameters.get("provider_options", {}).get(self.account.name, {})

    def passes(self, name: str, value: Any) -> bool:
        """Whether `name`, which is the backend's own word, reaches it as `value` if a caller passes it through."""
        extra = {name: value}
        return self.provider.passed(extra, self.model, self.options) == extra

    def error(self, parameters: Mapping[str, Any], declared: Mapping[str, Any]) -> jsonschema_rs.ValidationError | None:
        """The first thing that is wrong with `parameters` here. None: nothing, or it is not known."""
        if self.known is None:
            return None
        mine = self._without_others(self.fitted(parameters, declared))
        return next(iter(self.known.validator.iter_errors(dict(mine))), None)

    def _without_others(self, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """`parameters` without what is only passed through to other routes, where nothing is to this one."""
        options = parameters.get("provider_options")
        if self.account.guarded or not isinstance(options, dict) or not options or self.account.name in options:
            return parameters
        return {name: value for name, value in parameters.items() if name != "provider_options"}


@dataclass(frozen=True, slots=True)
class View:
    """A model as its routes are at present: those that can be used, what they take, what is filled in."""

    state: tuple[object, ...]
    usable: tuple[Route, ...]
    schema: Mapping[str, Any]
    defaults: Mapping[str, Any]


@dataclass(slots=True)
class Model:
    """A name that callers pick, and all it takes to serve it."""

    name: str
    description: str
    lane: str
    routes: tuple[Route, ...]
    declared: Mapping[str, Any] = field(default_factory=dict)
    resubmit: bool = False
    job_timeout: timedelta | None = None
    _view: View | None = None

    @property
    def view(self) -> View:
        """What it is at present."""
        state = tuple(route.known if route.is_usable else None for route in self.routes)
        if self._view is None or self._view.state != state:
            self._view = _view(self, state)
        return self._view

    @property
    def schema(self) -> Mapping[str, Any]:
        """The JSON Schema of what callers may say: all that some route takes."""
        return self.view.schema

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What is filled in where callers say nothing."""
        return self.view.defaults

    def capable(self, parameters: Mapping[str, Any]) -> list[Route]:
        """The usable routes that take `parameters`."""
        return [route for route in self.view.usable if route.error(parameters, self.declared) is None]

    def route_of(self, label: str | None) -> Route | None:
        """The route by which an earlier job went, if the model still has it."""
        return next((route for route in self.routes if route.label == label), None)

    @property
    def problem(self) -> str | None:
        """Why it cannot be used, in one line; None: a route of it is set up."""
        found = [route.problem for route in self.routes]
        return None if None in found else "; ".join(dict.fromkeys(problem for problem in found if problem))


class Catalogue:
    """The models by name. What some usable route of a model takes is accepted for it."""

    def __init__(self, models: Sequence[Model], *, default: str) -> None:
        self._models = {model.name: model for model in models}
        self.default = default

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def find(self, name: str) -> Model | None:
        """The model of that name."""
        return self._models.get(name)

    def get(self, name: str | None) -> Model:
        """The model of that name, or the default one. Raises `UnknownModel`, listing those that can be used."""
        model = self._models.get(name or self.default)
        if model is None:
            usable = sorted(model.name for model in self if model.problem is None)
            others = len(self._models) - len(usable)
            also = f", and {others} that cannot be used yet" if others else ""
            raise UnknownModel(f"there is no model {name!r}; there are: {', '.join(usable)}{also}", field="model")
        return model

    async def ready(self, name: str | None) -> Model:
        """As `get`, once it is known what its routes take. Backends are asked at most once at a time."""
        model = self.get(name)
        due = [route for route in model.routes if route.is_due]
        if due:
            await asyncio.gather(*(route.learn() for route in due))
        return model

    def complete(self, model: Model, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """`parameters` with the model's defaults filled in.

        Raises `UnusableModel`, and `InvalidRequest` at the first that is wrong, where no route takes them.
        """
        _check_options(model, parameters.get("provider_options"))
        usable = model.view.usable
        if not usable:
            raise _unusable(model)
        backends = [route.known.takes for route in usable if route.known]
        completed = {**sizes.beside(parameters, model.defaults, backends), **parameters}
        errors = [route.error(completed, model.declared) for route in usable]
        if all(error is not None for error in errors):
            first = cast(jsonschema_rs.ValidationError, errors[0])
            raise sizes.problem(parameters, backends) or _as_invalid(first, model, completed)
        return {name: _whole(value) for name, value in _settled(completed, model).items()}


def _settled(parameters: Mapping[str, Any], model: Model) -> Mapping[str, Any]:
    """`parameters` with their size as all routes take it, or as it is, where they differ in that, or may."""
    routes = [route for route in model.routes if route.problem is None]
    if any(route.known is None for route in routes):
        return parameters
    first, *others = (route.fitted(parameters, model.declared) for route in routes)
    return first if all(other == first for other in others) else parameters


def check_declared(model: Model) -> None:
    """Raise `InvalidRequest` if no route takes the model's declared values, as far as that is known."""
    known = [route for route in model.routes if route.known is not None]
    errors = [route.error(model.declared, model.declared) for route in known]
    if errors and len(known) == len(model.routes) and all(error is not None for error in errors):
        raise _as_invalid(cast(jsonschema_rs.ValidationError, errors[0]), model, model.declared)


def _check_options(model: Model, options: object) -> None:
    """Raise `InvalidRequest` if something is to be passed through to a backend that the model does not have."""
    known = sorted({route.account.name for route in model.routes if route.account.guarded})
    for name in options if isinstance(options, dict) else ():
        if name not in known:
            right = f"it has: {', '.join(known)}" if known else "nothing is passed through to what runs here"
            raise InvalidRequest(
                f"{model.name} has no backend {name[:LONGEST_ECHO]!r}; {right}", field="parameters.provider_options"
            )


def _view(model: Model, state: tuple[object, ...]) -> View:
    usable = tuple(route for route in model.routes if route.is_usable)
    known = [route.known for route in usable or model.routes if route.known is not None]
    shared = {
        name: value
        for name, value in (defaults_of(known[0].schema) if known else {}).items()
        if all(name in each.schema["properties"] and each.validator.is_valid({name: value}) for each in known)
    }
    defaults = sizes.beside(model.declared, shared, [each.takes for each in known]) | dict(model.declared)
    return View(state, usable, merged([each.schema for each in known]), defaults)


def _unusable(model: Model) -> DarkroomError:
    if model.problem is None:
        return Unavailable(f"no backend of {model.name} says at present what it takes", retry_after=5)
    return UnusableModel(f"{model.name} cannot be used here: {model.problem}", field="model")


def _whole(value: Any) -> Any:
    """JSON Schema holds 7.0 for an integer; a provider gets 7."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_invalid(error: jsonschema_rs.ValidationError, model: Model, said: Mapping[str, Any]) -> InvalidRequest:
    path = [str(part) for part in error.instance_path]
    known = model.schema.get("properties", {})
    if not path and error.kind.name == "additionalProperties":
        unknown = error.kind.as_dict()["unexpected"][0][:LONGEST_ECHO]
        return InvalidRequest(
            f"{model.name} has no parameter {unknown!r}; it takes: {', '.join(sorted(known))}",
            field=f"parameters.{unknown}",
        )
    rule = known.get(path[0], {}) if path else {}
    facts = {key: rule[key] for key in ("type", "enum", "minimum", "maximum") if key in rule}
    right = f"; it must be {json.dumps(facts)}" if facts else ""
    if path and (name := sizes.said_as(path[0], said)) != path[0]:
        return InvalidRequest(f"{path[0]}: {error.message}{right}", field=f"parameters.{name}")
    return InvalidRequest(f"{error.message}{right}", field=".".join(["parameters", *path]))
